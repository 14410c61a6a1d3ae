// Package pgtest runs a PostgreSQL server for tests.
package pgtest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/synapse-analytics/synapse/internal/pgdb"
)

// Server is a running cluster of its own folder and port.
type Server struct {
	// Port it listens on, on the loopback address.
	Port int
	dir  string
	bin  string
	cred *syscall.Credential
	cmd  *exec.Cmd
	done chan struct{}
	log  string
}

// Settings of every server: durable as in production, small, and quick to stop.
var settings = []string{
	"listen_addresses = '127.0.0.1'", "fsync = on", "synchronous_commit = on", "shared_buffers = '256MB'",
	"max_connections = 100", "wal_level = replica", "max_wal_senders = 4", "max_wal_size = '2GB'",
	"unix_socket_directories = ''", "log_min_messages = warning", "log_checkpoints = off",
}

// Start makes a new cluster and starts it; more settings may be given. It is
// stopped and removed by Stop.
func Start(more ...string) (_ *Server, err error) {
	bin, err := binaries()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "synapse-pg-")
	if err != nil {
		return nil, err
	}
	s := &Server{bin: bin, dir: dir, log: filepath.Join(dir, "log")}
	defer func() {
		if err != nil {
			_ = os.RemoveAll(dir)
		}
	}()
	if os.Geteuid() == 0 { // the server refuses to run as root
		if s.cred, err = postgresUser(); err != nil {
			return nil, err
		}
		if err := os.Chown(dir, int(s.cred.Uid), int(s.cred.Gid)); err != nil {
			return nil, err
		}
	}
	if s.Port, err = freePort(); err != nil {
		return nil, err
	}
	out, err := s.command("initdb", "-D", s.data(), "-A", "trust", "-U", "postgres", "--locale=C.UTF-8", "-E", "UTF8", "--no-sync").CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("initdb: %w: %s", err, out)
	}
	conf := append(slices.Clone(settings), more...)
	conf = append(conf, "port = "+strconv.Itoa(s.Port))
	f, err := os.OpenFile(filepath.Join(s.data(), "postgresql.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return nil, err
	}
	_, err = f.WriteString("\n" + strings.Join(conf, "\n") + "\n")
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	return s, s.Run()
}

// Standby starts an asynchronous replica of the server.
func (s *Server) Standby() (_ *Server, err error) {
	r := &Server{bin: s.bin, cred: s.cred}
	if r.Port, err = freePort(); err != nil {
		return nil, err
	}
	if r.dir, err = os.MkdirTemp("", "synapse-pg-"); err != nil {
		return nil, err
	}
	r.log = filepath.Join(r.dir, "log")
	defer func() {
		if err != nil {
			_ = os.RemoveAll(r.dir)
		}
	}()
	if s.cred != nil {
		if err := os.Chown(r.dir, int(s.cred.Uid), int(s.cred.Gid)); err != nil {
			return nil, err
		}
	}
	out, err := r.command("pg_basebackup", "-h", "127.0.0.1", "-p", strconv.Itoa(s.Port), "-U", "postgres", "-D", r.data(), "-R", "-X", "stream", "-c", "fast", "--no-sync").CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("pg_basebackup: %w: %s", err, out)
	}
	f, err := os.OpenFile(filepath.Join(r.data(), "postgresql.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return nil, err
	}
	_, err = fmt.Fprintf(f, "\nport = %d\n", r.Port) // the last one counts
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	return r, r.Run()
}

// Detach ends a replica's streaming: it falls behind from here on.
func (s *Server) Detach() error {
	return s.exec("ALTER SYSTEM SET primary_conninfo = ''", "SELECT pg_reload_conf()")
}

// Promote makes a replica a primary.
func (s *Server) Promote() error { return s.exec("SELECT pg_promote()") }

func (s *Server) exec(statements ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.URL("postgres"))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	for _, text := range statements {
		if _, err := conn.Exec(ctx, text); err != nil {
			return fmt.Errorf("%s: %w", text, err)
		}
	}
	return nil
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

func (s *Server) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(s.bin, name), args...) //nolint:gosec // G204: a test's own
	cmd.Dir = s.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.cred}
	return cmd
}

// Run starts the server of a cluster that is stopped, and waits until it answers.
func (s *Server) Run() error {
	logFile, err := os.OpenFile(s.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = logFile.Close() }()
	s.cmd = s.command("postgres", "-D", s.data())
	s.cmd.Stdout, s.cmd.Stderr = logFile, logFile
	if err := s.cmd.Start(); err != nil {
		return err
	}
	s.done = make(chan struct{})
	go func(cmd *exec.Cmd, done chan struct{}) { _ = cmd.Wait(); close(done) }(s.cmd, s.done)
	for deadline := time.Now().Add(30 * time.Second); ; {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		conn, err := pgx.Connect(ctx, s.URL("postgres"))
		if err == nil {
			err = conn.Close(ctx)
		}
		cancel()
		if err == nil {
			return nil
		}
		select {
		case <-s.done:
			text, _ := os.ReadFile(s.log)
			return fmt.Errorf("the server ended: %s", text)
		case <-time.After(50 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("the server does not answer: %w", err)
		}
	}
}

// Kill ends the server as a crash does: the postmaster and all its children get
// SIGKILL. The cluster can be run again.
func (s *Server) Kill() error {
	err := s.signal(syscall.SIGKILL)
	<-s.done
	return err
}

// Pause holds the server (SIGSTOP): its connections stay, new ones are taken by the
// kernel, and nobody answers.
func (s *Server) Pause() error { return s.signal(syscall.SIGSTOP) }

// Resume lets a server go on that was paused.
func (s *Server) Resume() error { return s.signal(syscall.SIGCONT) }

// signal sends it to the postmaster and all its children.
func (s *Server) signal(sig syscall.Signal) error {
	pids := []int{s.cmd.Process.Pid}
	if raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pids[0], pids[0])); err == nil {
		for f := range strings.FieldsSeq(string(raw)) {
			if pid, err := strconv.Atoi(f); err == nil {
				pids = append(pids, pid)
			}
		}
	}
	var errs []error
	for _, pid := range pids {
		if err := syscall.Kill(pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// Stop stops the server and removes the cluster.
func (s *Server) Stop() error {
	select {
	case <-s.done:
	default:
		_ = s.cmd.Process.Signal(syscall.SIGINT) // fast: clients are cut off
		select {
		case <-s.done:
		case <-time.After(20 * time.Second):
			_ = s.Kill()
		}
	}
	return os.RemoveAll(s.dir)
}

// Pool starts a PgBouncer in front of the server, in transaction pooling, and returns
// its port. It ends with the test.
func (s *Server) Pool(t testing.TB) (port int) {
	t.Helper()
	bin, err := exec.LookPath("pgbouncer")
	if err != nil {
		bin = "/usr/sbin/pgbouncer"
	}
	if port, err = freePort(); err != nil {
		t.Fatal(err)
	}
	users, conf := filepath.Join(s.dir, "users.txt"), filepath.Join(s.dir, "pgbouncer.ini")
	text := fmt.Sprintf("[databases]\n* = host=127.0.0.1 port=%d\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = %d\nunix_socket_dir =\n"+
		"pool_mode = transaction\nauth_type = trust\nauth_file = %s\n", s.Port, port, users)
	err = errors.Join(os.WriteFile(users, []byte("\"postgres\" \"\"\n"), 0o644), os.WriteFile(conf, []byte(text), 0o644)) //nolint:gosec // G306: read by another user
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(bin, conf) //nolint:gosec // G204: a test's own
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.cred}
	out := &strings.Builder{}
	cmd.Stderr = out
	if err := cmd.Start(); err != nil {
		t.Fatalf("start PgBouncer, which make setup installs: %v", err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		conn, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err == nil {
			_ = conn.Close()
			return port
		}
		if time.Now().After(deadline) {
			t.Fatalf("PgBouncer does not answer: %v", err)
		}
	}
}

// URL is that of a database of the server.
func (s *Server) URL(database string) string {
	u := url.URL{Scheme: "postgres", User: url.User("postgres"), Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(s.Port)), Path: database,
		RawQuery: "sslmode=disable"}
	return u.String()
}

// Config is that of a database of a URL.
func Config(url string) pgdb.Config {
	c := pgdb.DefaultConfig()
	c.URL = url
	return c
}

// Size is that of the server's databases in bytes.
func (s *Server) Size() (bytes int64, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.URL("postgres"))
	if err != nil {
		return 0, err
	}
	defer func() { _ = conn.Close(ctx) }()
	err = conn.QueryRow(ctx, "SELECT sum(pg_database_size(oid))::bigint FROM pg_database").Scan(&bytes)
	return bytes, err
}

var databases atomic.Int64

// NewDatabase makes an empty database and returns its URL.
func (s *Server) NewDatabase() (string, error) {
	name := "test_" + strconv.FormatInt(databases.Add(1), 10)
	return s.URL(name), s.exec("CREATE DATABASE " + pgx.Identifier{name}.Sanitize())
}

var shared struct {
	once   sync.Once
	server *Server
	err    error
}

// Shared returns the server of this test binary, started by the first call. Main
// stops it. A machine without PostgreSQL fails the test: `make setup` installs it.
func Shared(t testing.TB) *Server {
	t.Helper()
	shared.once.Do(func() { shared.server, shared.err = Start() })
	if shared.err != nil {
		t.Fatalf("start PostgreSQL: %v", shared.err)
	}
	return shared.server
}

// Main runs the tests and stops the shared server; it returns the exit code.
func Main(run func() int) int {
	code := run()
	if shared.server != nil {
		if err := shared.server.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, "stop PostgreSQL:", err)
			code = max(code, 1)
		}
	}
	return code
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	port := l.Addr().(*net.TCPAddr).Port //nolint:forcetypeassert // of a TCP listener
	return port, l.Close()
}

func postgresUser() (*syscall.Credential, error) {
	u, err := user.Lookup("postgres")
	if err != nil {
		return nil, fmt.Errorf("PostgreSQL can not run as root, and there is no user for it: %w", err)
	}
	uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
	gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, errors.Join(err1, err2)
}

// binaries finds the folder of the newest installed server.
func binaries() (string, error) {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb") // as Debian has it
	if len(found) > 0 {
		slices.Sort(found)
		return filepath.Dir(found[len(found)-1]), nil
	}
	path, err := exec.LookPath("initdb")
	if err != nil {
		return "", fmt.Errorf("PostgreSQL is not installed: run make setup: %w", err)
	}
	return filepath.Dir(path), nil
}
