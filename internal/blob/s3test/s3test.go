// Package s3test runs an S3 server for tests: versitygw on a folder.
package s3test

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/synapse-analytics/synapse/internal/blob"
)

// bucket of every server, and who may use it.
const (
	bucket    = "synapse"
	accessKey = "test"
	secretKey = "test-secret"
)

// Server is a running server with one bucket.
type Server struct {
	// Addr is its address, host:port on loopback.
	Addr string
	// Dir is where it keeps the objects of the bucket, as files of their keys.
	Dir  string
	root string
	bin  string
	cmd  *exec.Cmd
	done chan struct{}
}

// Start starts a server on a free port. It is stopped and removed by Stop.
func Start() (_ *Server, err error) {
	s := &Server{}
	if s.bin, err = binary(); err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s.Addr = l.Addr().String()
	if err := l.Close(); err != nil {
		return nil, err
	}
	if s.root, err = os.MkdirTemp("", "synapse-s3-"); err != nil {
		return nil, err
	}
	s.Dir = filepath.Join(s.root, "data", bucket)
	if err = os.MkdirAll(s.Dir, 0o700); err == nil {
		err = s.Run()
	}
	if err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

// Config returns the configuration of a client.
func (s *Server) Config() blob.Config {
	c := blob.DefaultConfig()
	c.URL, c.Endpoint, c.PathStyle = "s3://"+bucket+"/some/prefix", "http://"+s.Addr, true
	c.AccessKey, c.SecretKey = accessKey, secretKey
	return c
}

// Run starts the server, which must not run, and waits until it answers.
func (s *Server) Run() error {
	s.cmd = exec.Command(s.bin, "--port", s.Addr, "--access", accessKey, "--secret", secretKey, "--quiet", "--keep-alive", "posix", filepath.Dir(s.Dir))
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	log, err := os.OpenFile(filepath.Join(s.root, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	s.cmd.Stdout, s.cmd.Stderr = log, log
	if err := s.cmd.Start(); err != nil {
		return err
	}
	s.done = make(chan struct{})
	go func() { _ = s.cmd.Wait(); close(s.done) }()
	for began := time.Now(); time.Since(began) < 20*time.Second; time.Sleep(20 * time.Millisecond) {
		if res, err := http.Get("http://" + s.Addr + "/"); err == nil {
			return res.Body.Close()
		}
		select {
		case <-s.done:
			text, _ := os.ReadFile(log.Name())
			return fmt.Errorf("the S3 server ended: %s", text)
		default:
		}
	}
	return errors.Join(errors.New("the S3 server does not answer"), s.Kill())
}

// Kill ends the server at once (SIGKILL); Run starts it again with its objects.
func (s *Server) Kill() error {
	if s.cmd == nil || s.cmd.Process == nil {
		return nil
	}
	err := s.cmd.Process.Kill()
	<-s.done
	if errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	return err
}

// Pause holds the server (SIGSTOP): it takes connections and does not answer.
func (s *Server) Pause() error {
	if err := s.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	var status syscall.WaitStatus // its threads stop one by one
	_, err := syscall.Wait4(s.cmd.Process.Pid, &status, syscall.WUNTRACED, nil)
	return err
}

// Resume lets a held server go on.
func (s *Server) Resume() error { return s.cmd.Process.Signal(syscall.SIGCONT) }

// Stop ends the server and removes what it kept.
func (s *Server) Stop() error { return errors.Join(s.Kill(), os.RemoveAll(s.root)) }

// binary finds the server: in .bin of the checkout, or in the path.
func binary() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		p := filepath.Join(dir, ".bin", "versitygw")
		if _, err := os.Stat(p); err == nil {
			return p, nil
		}
	}
	if p, err := exec.LookPath("versitygw"); err == nil {
		return p, nil
	}
	return "", errors.New("versitygw is not installed: run `make setup`")
}
