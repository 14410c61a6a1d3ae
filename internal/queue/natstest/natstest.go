// Package natstest runs NATS servers with JetStream for tests: one, or a cluster
// of three, as processes on free loopback ports.
package natstest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Options say what servers Start starts; the zero value is one that asks nobody
// who he is.
type Options struct {
	// Nodes is the number of servers: 0 and 1 are one alone, 3 is a cluster.
	Nodes int
	// Sync is the servers' sync_interval, such as 2m; empty is always.
	Sync string
	// MaxPayload is the servers' max_payload; empty is 8MB.
	MaxPayload string
	// TLS makes clients speak TLS; MutualTLS asks them for a certificate too.
	TLS, MutualTLS bool
	// User and Password that clients must give; empty for none.
	User, Password string
	// Credentials makes clients show a credentials file: a signed JWT and its key.
	Credentials bool
	// NKey makes clients show that they have a key.
	NKey bool
}

// Cluster is servers that belong together.
type Cluster struct {
	// Nodes are the servers.
	Nodes []*Node
	// CAFile, CertFile and KeyFile are a client's, with TLS and MutualTLS.
	CAFile, CertFile, KeyFile string
	// CredsFile is a client's, with Credentials; NKeyFile, with NKey.
	CredsFile, NKeyFile string

	dir     string
	program string
	scheme  string
}

// Node is one server.
type Node struct {
	// Name is the server's name in the cluster.
	Name string
	// Port for clients, MonitorPort for HTTP, both on the loopback address.
	Port, MonitorPort int

	cluster   *Cluster
	routePort int
	dir       string
	cmd       *exec.Cmd
	done      chan struct{}
}

// patience bounds what a server may take to start or to follow the others.
const patience = time.Minute

// Start starts the servers and waits until they take messages. Stop stops them.
func Start(o Options) (_ *Cluster, err error) {
	c := &Cluster{scheme: "nats"}
	if c.program, err = find(); err != nil {
		return nil, err
	}
	if c.dir, err = os.MkdirTemp("", "synapse-nats-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.Stop())
		}
	}()
	access, err := c.access(o)
	if err != nil {
		return nil, err
	}
	for i := range max(o.Nodes, 1) {
		n := &Node{Name: "n" + strconv.Itoa(i+1), cluster: c}
		n.dir = filepath.Join(c.dir, n.Name)
		for _, p := range []*int{&n.Port, &n.MonitorPort, &n.routePort} {
			if *p, err = freePort(); err != nil {
				return nil, err
			}
		}
		c.Nodes = append(c.Nodes, n)
	}
	for _, n := range c.Nodes {
		if err := os.WriteFile(n.conf(), []byte(c.config(n, o)+access), 0o600); err != nil {
			return nil, err
		}
		if err := n.spawn(); err != nil {
			return nil, err
		}
	}
	for _, n := range c.Nodes {
		if err := n.WaitHealthy(); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// config is the server's configuration but for who may use it.
func (c *Cluster) config(n *Node, o Options) string {
	sync, payload := o.Sync, o.MaxPayload
	if sync == "" {
		sync = "always"
	}
	if payload == "" {
		payload = "8MB"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "server_name: %s\nlisten: 127.0.0.1:%d\nhttp: 127.0.0.1:%d\nmax_payload: %s\n", n.Name, n.Port, n.MonitorPort, payload)
	fmt.Fprintf(&b, "jetstream { store_dir: %q, sync_interval: %q, max_file_store: 1TB }\n", n.data(), sync)
	if len(c.Nodes) > 1 {
		var routes []string
		for _, other := range c.Nodes {
			routes = append(routes, "nats://127.0.0.1:"+strconv.Itoa(other.routePort))
		}
		fmt.Fprintf(&b, "cluster { name: test, listen: 127.0.0.1:%d, routes: [%s] }\n", n.routePort, strings.Join(routes, ", "))
	}
	return b.String()
}

// URL lists the servers as a client wants them.
func (c *Cluster) URL() string { return c.list(func(n *Node) string { return n.URL() }) }

// MonitorURL lists the servers' HTTP addresses.
func (c *Cluster) MonitorURL() string { return c.list(func(n *Node) string { return n.MonitorURL() }) }

func (c *Cluster) list(f func(*Node) string) string {
	var all []string
	for _, n := range c.Nodes {
		all = append(all, f(n))
	}
	return strings.Join(all, ",")
}

// Node returns the server of a name, nil if there is none.
func (c *Cluster) Node(name string) *Node {
	i := slices.IndexFunc(c.Nodes, func(n *Node) bool { return n.Name == name })
	if i < 0 {
		return nil
	}
	return c.Nodes[i]
}

// Stop kills the servers and removes their folders.
func (c *Cluster) Stop() error {
	var errs []error
	for _, n := range c.Nodes {
		errs = append(errs, n.Kill())
	}
	return errors.Join(append(errs, os.RemoveAll(c.dir))...)
}

// StreamLeader waits until a stream has a leader that runs and returns it.
func (c *Cluster) StreamLeader(stream string) (*Node, error) { return c.leader(stream, "") }

// ConsumerLeader is StreamLeader for a consumer of the stream.
func (c *Cluster) ConsumerLeader(stream, consumer string) (*Node, error) {
	return c.leader(stream, consumer)
}

// raft is the part of an answer that tells of a group of servers.
type raft struct {
	Leader string `json:"leader"`
}

type jsz struct {
	Accounts []struct {
		Streams []struct {
			Name      string `json:"name"`
			Cluster   raft   `json:"cluster"`
			Consumers []struct {
				Name    string `json:"name"`
				Cluster raft   `json:"cluster"`
			} `json:"consumer_detail"`
		} `json:"stream_detail"`
	} `json:"account_details"`
}

// leaderIn returns the name of the leader that the answer tells.
func (j *jsz) leaderIn(stream, consumer string) string {
	for _, a := range j.Accounts {
		for _, s := range a.Streams {
			if s.Name != stream {
				continue
			}
			if consumer == "" {
				return s.Cluster.Leader
			}
			for _, c := range s.Consumers {
				if c.Name == consumer {
					return c.Cluster.Leader
				}
			}
		}
	}
	return ""
}

func (c *Cluster) leader(stream, consumer string) (*Node, error) {
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		for _, n := range c.Nodes {
			var j jsz
			if !n.Running() || n.get("/jsz?streams=true&consumers=true", &j) != nil {
				continue
			}
			// A leader says of itself that it leads; the others may not know yet.
			if j.leaderIn(stream, consumer) == n.Name {
				return n, nil
			}
		}
	}
	return nil, fmt.Errorf("no leader of %s %s in %s", stream, consumer, patience)
}

func (n *Node) data() string { return filepath.Join(n.dir, "data") }
func (n *Node) conf() string { return filepath.Join(n.cluster.dir, n.Name+".conf") }
func (n *Node) log() string  { return filepath.Join(n.cluster.dir, n.Name+".log") }

// URL is the server's address for clients.
func (n *Node) URL() string { return n.cluster.scheme + "://127.0.0.1:" + strconv.Itoa(n.Port) }

// MonitorURL is the server's HTTP address.
func (n *Node) MonitorURL() string { return "http://127.0.0.1:" + strconv.Itoa(n.MonitorPort) }

// Dir is the folder that the server keeps its streams in.
func (n *Node) Dir() string { return n.data() }

// Run starts a server that was killed and waits until it takes part again.
func (n *Node) Run() error {
	if err := n.spawn(); err != nil {
		return err
	}
	return n.WaitHealthy()
}

// Spawn starts a server that was killed and does not wait.
func (n *Node) Spawn() error { return n.spawn() }

func (n *Node) spawn() error {
	out, err := os.OpenFile(n.log(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	n.cmd = exec.Command(n.cluster.program, "-c", n.conf()) //nolint:gosec // G204: a test's own
	n.cmd.Stdout, n.cmd.Stderr = out, out
	n.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // a test that is killed leaves none behind
	if err := n.cmd.Start(); err != nil {
		return err
	}
	n.done = make(chan struct{})
	go func(cmd *exec.Cmd, done chan struct{}) { _ = cmd.Wait(); close(done) }(n.cmd, n.done)
	return nil
}

// Running says whether the server's process runs.
func (n *Node) Running() bool {
	if n.cmd == nil {
		return false
	}
	select {
	case <-n.done:
		return false
	default:
		return true
	}
}

// Kill ends the server at once (SIGKILL), also one that is paused; a server that
// does not run is left alone.
func (n *Node) Kill() error {
	if !n.Running() {
		return nil
	}
	err := n.cmd.Process.Kill()
	<-n.done
	if errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	return err
}

// Pause stops the server's process (SIGSTOP): its connections stay and nobody
// answers. Resume lets it go on.
func (n *Node) Pause() error { return n.cmd.Process.Signal(syscall.SIGSTOP) }

// Resume ends Pause.
func (n *Node) Resume() error { return n.cmd.Process.Signal(syscall.SIGCONT) }

// Wipe removes all that a killed server has stored.
func (n *Node) Wipe() error {
	if n.Running() {
		return errors.New("the server runs: kill it before")
	}
	return os.RemoveAll(n.data())
}

// WaitHealthy waits until the server says that all its streams and consumers are
// up to date with their leaders.
func (n *Node) WaitHealthy() error {
	var err error
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if !n.Running() {
			text, _ := os.ReadFile(n.log())
			return fmt.Errorf("server %s ended: %s", n.Name, text)
		}
		var health struct {
			Status string `json:"status"`
		}
		if err = n.get("/healthz", &health); err == nil && health.Status == "ok" {
			return nil
		}
	}
	return fmt.Errorf("server %s is not healthy after %s: %w", n.Name, patience, err)
}

var client = &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

// get asks the server's HTTP port.
func (n *Node) get(path string, to any) error {
	res, err := client.Get(n.MonitorURL() + path) //nolint:noctx // the client has a timeout
	if err != nil {
		return err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s: %s", path, res.Status, body)
	}
	return json.Unmarshal(body, to)
}

// find returns the program: of $NATS_SERVER, the repository's .bin or PATH.
func find() (string, error) {
	if p := os.Getenv("NATS_SERVER"); p != "" {
		return p, nil
	}
	dir, err := os.Getwd()
	for err == nil {
		p := filepath.Join(dir, ".bin", "nats-server")
		if _, err := os.Stat(p); err == nil {
			return p, nil
		}
		if dir == filepath.Dir(dir) {
			break
		}
		dir = filepath.Dir(dir)
	}
	p, err := exec.LookPath("nats-server")
	if err != nil {
		return "", fmt.Errorf("nats-server is in neither .bin nor PATH: run make setup: %w", err)
	}
	return p, nil
}

// given are the ports that were handed out.
var given sync.Map

// freePort returns a port that is free and, being below the range of outgoing
// connections, stays so while a server is down.
func freePort() (int, error) {
	for range 1000 {
		port := 20000 + rand.IntN(12000) //nolint:gosec // G404: a port is no secret
		if _, taken := given.LoadOrStore(port, true); taken {
			continue
		}
		if l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(port)); err == nil {
			return port, l.Close()
		}
	}
	return 0, errors.New("no free port")
}
