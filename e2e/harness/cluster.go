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
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Profile is how the product is deployed. deploy/examples has a configuration of
// each, which the processes are started with.
type Profile string

// The profiles.
const (
	// Embedded runs every role in one process on embedded engines.
	Embedded Profile = "embedded"
	// Servers runs two processes of each role, on a NATS server, PostgreSQL and Redis.
	Servers Profile = "servers"
	// Clustered is Servers on three NATS servers, with three copies of each stream, and
	// PostgreSQL with a replica.
	Clustered Profile = "cluster"
)

// defaultReplicas is how many processes of each role run apart.
const defaultReplicas = 2

// roles in the order in which they start.
var roles = []string{"auth", "ingest", "scoring", "query", "gateway"}

// Profiles are those that the tests run on: that of the variable PROFILE, or those
// given.
func Profiles(all ...Profile) []Profile {
	one := Profile(os.Getenv("PROFILE"))
	if one == "" {
		return all
	}
	return slices.DeleteFunc(all, func(p Profile) bool { return p != one })
}

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
	Profile Profile
	// Dir is the data folder of the process with auth.
	Dir string
	// URL and GRPC are the addresses of the first gateway, URLs and GRPCs those of all.
	URL, GRPC   string
	URLs, GRPCs []string
	// Creds are the first start's credentials.
	Creds Credentials

	t        testing.TB
	replicas int
	binDir   string
	env      []string
	set      []string
	procs    map[string]*Process
	args     map[string][]string

	servers
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

// WithSet gives fields of the configuration, as PATH=VALUE, to every process.
func WithSet(kv ...string) Option { return func(c *Cluster) { c.set = append(c.set, kv...) } }

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
func Start(t testing.TB, profile Profile, opts ...Option) *Cluster {
	t.Helper()
	c := &Cluster{Profile: profile, t: t, replicas: defaultReplicas, Dir: t.TempDir(), procs: map[string]*Process{}, args: map[string][]string{}}
	for _, o := range opts {
		o(c)
	}
	t.Cleanup(c.stopAll)
	if profile == Embedded {
		c.startEmbedded()
	} else {
		c.startApart(c.startServers())
	}
	c.URL, c.GRPC = c.URLs[0], c.GRPCs[0]
	c.readCredentials()
	c.Creds.HTTPURL, c.Creds.GRPCAddr = c.URL, c.GRPC
	return c
}

func (c *Cluster) startEmbedded() {
	http, grpc := FreeAddr(c.t), FreeAddr(c.t)
	c.URLs, c.GRPCs = []string{"http://" + http}, []string{grpc}
	c.args["synapse"] = []string{
		"serve", "--config", c.example("single"), "--data", c.Dir, "--http-addr", http, "--grpc-addr", grpc,
		"--admin-addr", FreeAddr(c.t), "--set", "queue.free_floor_bytes=0",
	}
	for _, s := range c.set {
		c.args["synapse"] = append(c.args["synapse"], "--set", s)
	}
	c.StartProcess("synapse")
}

// startApart starts the processes of each role with settings that lead to servers.
func (c *Cluster) startApart(settings []string) {
	addr := map[string][]string{}
	for _, role := range roles {
		for range c.replicas {
			addr[role] = append(addr[role], FreeAddr(c.t))
		}
	}
	c.GRPCs = addr["gateway"]
	for range c.replicas {
		c.URLs = append(c.URLs, "http://"+FreeAddr(c.t))
	}
	for _, role := range roles {
		for i := range c.replicas {
			dir := filepath.Join(c.Dir, fmt.Sprintf("%s-%d", role, i+1))
			if role == "auth" && i == 0 {
				dir = c.Dir
			}
			args := []string{
				"--config", c.example(string(c.Profile)), "--data", dir, "--grpc-addr", addr[role][i], "--admin-addr", FreeAddr(c.t),
				"--http-addr", strings.TrimPrefix(c.URLs[i], "http://"),
			}
			for _, peer := range roles[:len(roles)-1] {
				args = append(args, "--set", "peers."+peer+"="+strings.Join(addr[peer], ","))
			}
			for _, s := range append(slices.Clone(settings), c.set...) {
				args = append(args, "--set", s)
			}
			name := fmt.Sprintf("synapse-%s-%d", role, i+1)
			c.args[name] = args
			c.StartProcess(name)
		}
	}
}

// example is the path of a configuration in deploy/examples, of the version whose
// programs run.
func (c *Cluster) example(name string) string {
	root := filepath.Join(moduleDir(c.t), "..")
	if c.binDir != "" {
		root = filepath.Dir(c.binDir)
	}
	return filepath.Join(root, "deploy", "examples", name+".yaml")
}

// Processes are the names of the processes, in the order in which they start.
func (c *Cluster) Processes() []string {
	if c.Profile == Embedded {
		return []string{"synapse"}
	}
	var names []string
	for _, role := range roles {
		names = append(names, c.Role(role)...)
	}
	return names
}

// Role are the names of the processes with a role.
func (c *Cluster) Role(role string) []string {
	if c.Profile == Embedded {
		return []string{"synapse"}
	}
	var names []string
	for i := range c.replicas {
		names = append(names, fmt.Sprintf("synapse-%s-%d", role, i+1))
	}
	return names
}

// StartProcess starts a process of the cluster with the arguments it had, and
// waits until it is ready.
func (c *Cluster) StartProcess(name string) *Process {
	c.t.Helper()
	p := c.SpawnProcess(name)
	c.WaitReady(p)
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
	p.cmd = exec.Command(c.binary(strings.TrimRight(name, "-0123456789")), args...)
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

// Addr is the gRPC address of a process.
func (c *Cluster) Addr(name string) string {
	i := slices.Index(c.args[name], "--grpc-addr")
	return c.args[name][i+1]
}

// Kill ends a process at once (SIGKILL) and waits for its end.
func (c *Cluster) Kill(name string) {
	c.t.Helper()
	p := c.procs[name]
	_ = p.cmd.Process.Kill()
	<-p.done
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
	for _, name := range slices.Backward(c.Processes()) {
		if p := c.procs[name]; p != nil {
			_ = p.cmd.Process.Signal(syscall.SIGTERM)
		}
	}
	for _, name := range slices.Backward(c.Processes()) {
		if p := c.procs[name]; p != nil {
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
	c.stopServers()
}

func (c *Cluster) readCredentials() {
	b, err := os.ReadFile(filepath.Join(c.Dir, "credentials.json"))
	require.NoError(c.t, err)
	require.NoError(c.t, json.Unmarshal(b, &c.Creds))
}

// ServerArgs are the flags of a process: its configuration, for commands that take that.
func (c *Cluster) ServerArgs(name string) []string {
	args := c.args[name]
	return slices.Clone(args[slices.Index(args, "--config"):])
}

// CLI runs the command `synapse` against the cluster.
func (c *Cluster) CLI(args ...string) (stdout, stderr string, code int) {
	c.t.Helper()
	cmd := c.Command(args...)
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	err := cmd.Run()
	var ee *exec.ExitError
	if err != nil && !errors.As(err, &ee) {
		require.NoError(c.t, err)
	}
	return out.String(), errOut.String(), cmd.ProcessState.ExitCode()
}

// Command prepares the command `synapse` against the cluster.
func (c *Cluster) Command(args ...string) *exec.Cmd {
	cmd := exec.Command(c.binary("synapse"), args...)
	cmd.Env = append(cleanEnv(), "SYNAPSE_SERVER="+strings.Join(c.GRPCs, ","), "SYNAPSE_KEY="+c.Creds.AdminKey, "HOME="+c.Dir, "XDG_CACHE_HOME="+filepath.Join(c.Dir, "cache"),
		"SYNAPSE_EMAIL="+c.Creds.AdminEmail, "SYNAPSE_PASSWORD="+c.Creds.AdminPassword)
	cmd.Dir = c.Dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
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
