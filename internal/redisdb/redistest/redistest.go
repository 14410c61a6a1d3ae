// Package redistest runs a Redis server for tests.
package redistest

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/synapse-analytics/synapse/internal/redisdb"
)

// Server is a running server of its own folder and port, which keeps nothing on disk
// unless told to.
type Server struct {
	// Port it listens on, on the loopback address.
	Port int
	dir  string
	args []string
	cmd  *exec.Cmd
	done chan struct{}
}

// Start starts a server with more arguments (such as "--requirepass", "x"). It ends
// with the test. A machine without Redis fails the test: `make setup` installs it.
func Start(t testing.TB, args ...string) *Server {
	t.Helper()
	s, err := Launch(t.TempDir(), args...)
	if err != nil {
		t.Fatalf("start Redis, which make setup installs: %v", err)
	}
	t.Cleanup(func() {
		if err := s.Kill(); err != nil {
			t.Errorf("stop Redis: %v", err)
		}
	})
	return s
}

// Launch starts a server in a folder; Kill ends it.
func Launch(dir string, args ...string) (*Server, error) {
	s := &Server{args: args, dir: dir}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s.Port = l.Addr().(*net.TCPAddr).Port //nolint:forcetypeassert // of a TCP listener
	_ = l.Close()
	return s, s.Run()
}

// Run starts a server that was killed, on the same port, and waits until it answers.
func (s *Server) Run() error {
	args := append([]string{
		"--port", strconv.Itoa(s.Port), "--bind", "127.0.0.1", "--dir", s.dir, "--save", "", "--daemonize", "no",
		"--logfile", filepath.Join(s.dir, "log"),
	}, s.args...)
	s.cmd = exec.Command("redis-server", args...) //nolint:gosec // G204: a test's own
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.cmd.Start(); err != nil {
		return err
	}
	s.done = make(chan struct{})
	go func(cmd *exec.Cmd, done chan struct{}) { _ = cmd.Wait(); close(done) }(s.cmd, s.done)
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		select {
		case <-s.done:
			text, _ := os.ReadFile(filepath.Join(s.dir, "log"))
			return fmt.Errorf("the server ended: %s", text)
		default:
		}
		if _, err := s.Command("PING"); err == nil {
			return nil
		}
	}
	return errors.New("the server does not answer")
}

// Kill ends the server as a crash does (SIGKILL). Run starts it again, empty.
func (s *Server) Kill() error {
	select {
	case <-s.done:
		return nil
	default:
	}
	err := s.cmd.Process.Kill()
	<-s.done
	return err
}

// Restart kills the server and starts it again, empty.
func (s *Server) Restart() error { return errors.Join(s.Kill(), s.Run()) }

// Pause stops the server from doing anything (SIGSTOP) while its connections stay
// open, until Resume.
func (s *Server) Pause() error { return s.cmd.Process.Signal(syscall.SIGSTOP) }

// Resume ends a Pause.
func (s *Server) Resume() error { return s.cmd.Process.Signal(syscall.SIGCONT) }

// Flush removes all keys and scripts.
func (s *Server) Flush() error {
	_, err := s.Command("FLUSHALL")
	_, err2 := s.Command("SCRIPT", "FLUSH")
	return errors.Join(err, err2)
}

// Command sends a command as text over a connection of its own and returns the
// first 64 KiB of the reply as the protocol has it. A reply that is an error is one.
func (s *Server) Command(words ...string) (string, error) {
	conn, err := net.DialTimeout("tcp", s.Addr(), time.Second)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return "", err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(words))
	for _, w := range words {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(w), w)
	}
	if _, err := conn.Write([]byte(b.String())); err != nil {
		return "", err
	}
	buf := make([]byte, 64<<10)
	n, err := conn.Read(buf)
	if err != nil {
		return "", err
	}
	if reply := string(buf[:n]); reply[0] != '-' || strings.HasPrefix(reply, "-NOAUTH") {
		return reply, nil
	}
	return "", errors.New(string(buf[:n]))
}

// Addr is host:port.
func (s *Server) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.Port)) }

// Config is that of a connection to the server, with time for a busy machine.
func (s *Server) Config() redisdb.Config {
	c := redisdb.DefaultConfig()
	c.URL = "redis://" + s.Addr()
	c.Timeout = 250 * time.Millisecond
	return c
}
