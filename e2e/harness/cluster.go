// Package harness starts the product as a user would: the built binaries as
// processes on loopback, all roles in one or each in its own, and stops them.
package harness

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/synapse-analytics/synapse/internal/pgdb/pgtest"
)

// Shape is how the roles are spread over processes.
type Shape string

// The shapes.
const (
	// AllInOne runs every role in one process on embedded engines.
	AllInOne Shape = "all-in-one"
	// Apart runs each role in its own process, on a NATS server and PostgreSQL.
	Apart Shape = "apart"
)

// Credentials is the content of credentials.json.
type Credentials struct {
	Project       string `json:"project"`
	IngestKey     string `json:"ingestKey"`
	ReadKey       string `json:"readKey"`
	AdminKey      string `json:"adminKey"`
	AdminEmail    string `json:"adminEmail"`
	AdminPassword string `json:"adminPassword"`
	HTTPURL       string `json:"httpUrl"`
	GRPCAddr      string `json:"grpcAddr"`
}

// Cluster is a running product.
type Cluster struct {
	Shape Shape
	// Dir is its data folder.
	Dir string
	// URL is the gateway's address, GRPC the one gRPC address for callers.
	URL, GRPC string
	// Creds are the first start's credentials.
	Creds Credentials

	t     testing.TB
	env   []string
	procs map[string]*Process
	args  map[string][]string

	postgres, standby *pgtest.Server
	replicated        bool
}

// Process is a started program.
type Process struct {
	Name  string
	Admin string
	cmd   *exec.Cmd
	log   *syncBuffer
	done  chan struct{}
}

// Log returns what it wrote so far.
func (p *Process) Log() string { return p.log.String() }

// PID is its process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Option changes how a cluster is started.
type Option func(*Cluster)

// WithEnv adds environment variables to every process.
func WithEnv(kv ...string) Option { return func(c *Cluster) { c.env = append(c.env, kv...) } }

// WithStandby adds an asynchronous replica to the database server of roles apart.
func WithStandby() Option { return func(c *Cluster) { c.replicated = true } }

// Bin returns the path of a built binary.
func Bin(t testing.TB, name string) string {
	t.Helper()
	root, err := filepath.Abs(filepath.Join(moduleDir(t), ".."))
	require.NoError(t, err)
	for _, dir := range []string{os.Getenv("SYNAPSE_BIN"), filepath.Join(root, "bin"), filepath.Join(root, ".bin")} {
		if p := filepath.Join(dir, name); dir != "" {
			if _, err := os.Stat(p); err == nil {
				return p
			}
		}
	}
	t.Fatalf("%s is not built: run `make setup build`", name)
	return ""
}

func moduleDir(t testing.TB) string {
	dir, err := os.Getwd()
	require.NoError(t, err)
	for {
		if b, err := os.ReadFile(filepath.Join(dir, "go.mod")); err == nil && bytes.Contains(b, []byte("/e2e")) {
			return dir
		}
		require.NotEqual(t, dir, filepath.Dir(dir), "the e2e module's folder was not found")
		dir = filepath.Dir(dir)
	}
}

// FreeAddr returns a loopback address that is free now and that no connection
// takes by itself: below the range that systems give to outgoing ones.
func FreeAddr(t testing.TB) string {
	t.Helper()
	for range 1000 {
		addr := fmt.Sprintf("127.0.0.1:%d", 20000+rand.IntN(12000))
		if _, taken := given.LoadOrStore(addr, true); taken {
			continue
		}
		if l, err := net.Listen("tcp", addr); err == nil {
			require.NoError(t, l.Close())
			return addr
		}
	}
	t.Fatal("no free port")
	return ""
}

// given are the addresses that were handed out.
var given sync.Map

// Start starts a product of the shape in a fresh folder and waits until it is
// ready. It is stopped, and its logs kept on failure, when the test ends.
func Start(t testing.TB, shape Shape, opts ...Option) *Cluster {
	t.Helper()
	c := &Cluster{Shape: shape, t: t, Dir: t.TempDir(), procs: map[string]*Process{}, args: map[string][]string{}}
	for _, o := range opts {
		o(c)
	}
	t.Cleanup(c.stopAll)
	if shape == AllInOne {
		c.URL, c.GRPC = "http://"+FreeAddr(t), FreeAddr(t)
		c.args["synapse"] = []string{
			"serve", "--data", c.Dir, "--http-addr", strings.TrimPrefix(c.URL, "http://"), "--grpc-addr", c.GRPC,
			"--admin-addr", FreeAddr(t), "--set", "queue.free_floor_bytes=0",
		}
		c.StartProcess("synapse")
	} else {
		c.startApart()
	}
	c.readCredentials()
	c.Creds.HTTPURL, c.Creds.GRPCAddr = c.URL, c.GRPC
	return c
}

func (c *Cluster) startApart() {
	t := c.t
	nats := FreeAddr(t)
	_, _, err := net.SplitHostPort(nats)
	require.NoError(t, err)
	conf := filepath.Join(c.Dir, "nats.conf")
	require.NoError(t, os.WriteFile(conf, fmt.Appendf(nil,
		"listen: %q\njetstream { store_dir: %q, sync_interval: always, max_file_store: 20GB }\nmax_payload: 8MB\n", nats, filepath.Join(c.Dir, "nats")), 0o600))
	c.args["nats-server"] = []string{"-c", conf}
	c.StartProcess("nats-server")
	require.Eventually(t, func() bool { return dialable(nats) }, 10*time.Second, 20*time.Millisecond, "NATS does not answer")

	stores := c.startPostgres()

	addr := map[string]string{}
	for _, role := range []string{"auth", "ingest", "scoring", "query", "gateway"} {
		addr[role] = FreeAddr(t)
	}
	c.URL, c.GRPC = "http://"+FreeAddr(t), addr["gateway"]
	for _, role := range []string{"auth", "ingest", "scoring", "query", "gateway"} {
		args := []string{
			"--data", c.Dir, "--grpc-addr", addr[role], "--admin-addr", FreeAddr(t),
			"--http-addr", strings.TrimPrefix(c.URL, "http://"), "--set", "queue.url=nats://" + nats,
		}
		for _, peer := range []string{"auth", "ingest", "scoring", "query"} {
			if peer != role {
				args = append(args, "--set", "peers."+peer+"="+addr[peer])
			}
		}
		if url := stores[role]; url != "" {
			args = append(args, "--set", "stores."+role+".url="+url)
		}
		name := "synapse-" + role
		c.args[name] = args
		c.StartProcess(name)
	}
}

// startPostgres starts the server, and a replica if one is wanted, and returns the
// URLs of the roles' databases.
func (c *Cluster) startPostgres() map[string]string {
	var err error
	c.postgres, err = pgtest.Start()
	require.NoError(c.t, err)
	urls := map[string]string{}
	for _, role := range []string{"auth", "query"} { // a database each
		urls[role], err = c.postgres.NewDatabase()
		require.NoError(c.t, err)
	}
	if c.replicated {
		c.standby, err = c.postgres.Standby()
		require.NoError(c.t, err)
		for role, url := range urls {
			both := fmt.Sprintf("127.0.0.1:%d,127.0.0.1:%d/", c.postgres.Port, c.standby.Port)
			urls[role] = strings.Replace(url, fmt.Sprintf("127.0.0.1:%d/", c.postgres.Port), both, 1) + "&target_session_attrs=read-write"
		}
	}
	return urls
}

// DetachStandby lets the database's replica fall behind.
func (c *Cluster) DetachStandby() { require.NoError(c.t, c.standby.Detach()) }

// Failover kills the database's primary and promotes its replica.
func (c *Cluster) Failover() {
	c.t.Helper()
	require.NoError(c.t, c.postgres.Kill())
	require.NoError(c.t, c.standby.Promote())
}

// StartProcess starts a process of the cluster with the arguments it had, and
// waits until it is ready.
func (c *Cluster) StartProcess(name string) *Process {
	c.t.Helper()
	p := c.SpawnProcess(name)
	if name != "nats-server" {
		c.WaitReady(p)
	}
	return p
}

// SpawnProcess starts a process without waiting for it.
func (c *Cluster) SpawnProcess(name string) *Process {
	c.t.Helper()
	p := &Process{Name: name, log: &syncBuffer{}, done: make(chan struct{})}
	args := c.args[name]
	for i, a := range args {
		if a == "--admin-addr" {
			p.Admin = "http://" + args[i+1]
		}
	}
	p.cmd = exec.Command(Bin(c.t, name), args...)
	p.cmd.Env = append(cleanEnv(), c.env...)
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	require.NoError(c.t, p.cmd.Start())
	go func() { _ = p.cmd.Wait(); close(p.done) }()
	c.procs[name] = p
	return p
}

// cleanEnv is the environment without the product's own variables.
func cleanEnv() []string {
	var out []string
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "SYNAPSE_") && !strings.HasPrefix(kv, "OTEL_") {
			out = append(out, kv)
		}
	}
	return out
}

// WaitReady waits until a process says that it is ready.
func (c *Cluster) WaitReady(p *Process) {
	c.t.Helper()
	deadline := time.Now().Add(60 * time.Second)
	for time.Now().Before(deadline) {
		select {
		case <-p.done:
			c.t.Fatalf("%s ended while starting:\n%s", p.Name, p.Log())
		default:
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.Admin+"/readyz", nil)
		require.NoError(c.t, err)
		res, err := http.DefaultClient.Do(req)
		cancel()
		if err == nil {
			res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return
			}
		}
		time.Sleep(10 * time.Millisecond)
	}
	c.t.Fatalf("%s is not ready after 60 s:\n%s", p.Name, p.Log())
}

// Process returns a process by the name of its program.
func (c *Cluster) Process(name string) *Process { return c.procs[name] }

// Main is the process that answers callers.
func (c *Cluster) Main() *Process {
	if c.Shape == AllInOne {
		return c.procs["synapse"]
	}
	return c.procs["synapse-gateway"]
}

// Kill ends a process at once (SIGKILL) and waits for its end.
func (c *Cluster) Kill(name string) {
	c.t.Helper()
	p := c.procs[name]
	_ = p.cmd.Process.Kill()
	<-p.done
}

// RestartPostgres kills the database server at once (SIGKILL), starts it again and
// waits until it answers.
func (c *Cluster) RestartPostgres() {
	c.t.Helper()
	require.NoError(c.t, c.postgres.Kill())
	require.NoError(c.t, c.postgres.Run())
}

// Stop ends a process in good order (SIGTERM) and returns its error.
func (c *Cluster) Stop(name string) error {
	p := c.procs[name]
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(60 * time.Second):
		_ = p.cmd.Process.Kill()
		<-p.done
		return errors.New("did not stop within 60 s")
	}
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		return fmt.Errorf("exit code %d: %s", code, p.Log())
	}
	return nil
}

func (c *Cluster) stopAll() {
	for _, name := range []string{"synapse", "synapse-gateway", "synapse-ingest", "synapse-scoring", "synapse-query", "synapse-auth", "nats-server"} {
		if p := c.procs[name]; p != nil {
			_ = p.cmd.Process.Signal(syscall.SIGTERM)
			select {
			case <-p.done:
			case <-time.After(30 * time.Second):
				_ = p.cmd.Process.Kill()
				<-p.done
			}
			if c.t.Failed() {
				c.t.Logf("log of %s:\n%s", name, tail(p.Log(), 8000))
			}
		}
	}
	for _, s := range []*pgtest.Server{c.postgres, c.standby} {
		if s == nil {
			continue
		}
		if err := s.Stop(); err != nil {
			c.t.Errorf("stop PostgreSQL: %v", err)
		}
	}
}

func (c *Cluster) readCredentials() {
	b, err := os.ReadFile(filepath.Join(c.Dir, "credentials.json"))
	require.NoError(c.t, err)
	require.NoError(c.t, json.Unmarshal(b, &c.Creds))
}

// CLI runs the command `synapse` against the cluster.
func (c *Cluster) CLI(args ...string) (stdout, stderr string, code int) {
	c.t.Helper()
	cmd := exec.Command(Bin(c.t, "synapse"), args...)
	cmd.Env = append(cleanEnv(), "SYNAPSE_SERVER="+c.GRPC, "SYNAPSE_KEY="+c.Creds.AdminKey, "HOME="+c.Dir, "XDG_CACHE_HOME="+filepath.Join(c.Dir, "cache"),
		"SYNAPSE_EMAIL="+c.Creds.AdminEmail, "SYNAPSE_PASSWORD="+c.Creds.AdminPassword)
	cmd.Dir = c.Dir
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	err := cmd.Run()
	var ee *exec.ExitError
	if err != nil && !errors.As(err, &ee) {
		require.NoError(c.t, err)
	}
	return out.String(), errOut.String(), cmd.ProcessState.ExitCode()
}

func dialable(addr string) bool {
	conn, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return false
	}
	_ = conn.Close()
	return true
}

func tail(s string, n int) string {
	if len(s) > n {
		return "…" + s[len(s)-n:]
	}
	return s
}

// syncBuffer keeps the last megabyte of what is written.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.b.Len() > 1<<20 {
		s.b.Next(s.b.Len() / 2)
	}
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}
