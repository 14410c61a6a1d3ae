package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	queryv1 "github.com/synapse-analytics/synapse/gen/go/synapse/query/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
)

// target is the product, started as a user would.
type target struct {
	cmd         *exec.Cmd
	dir         string
	log         bytes.Buffer
	http, admin string
	grpc        string
	key         string
	conn        *grpc.ClientConn
	stopped     bool
	startedIn   time.Duration
	servers     *servers // nil with embedded engines
}

func freeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

func startTarget(ctx context.Context, bin string, flags ...string) (*target, error) {
	dir, err := os.MkdirTemp("", "synapse-bench-*")
	if err != nil {
		return nil, err
	}
	t := &target{dir: dir}
	for _, a := range []*string{&t.http, &t.grpc, &t.admin} {
		if *a, err = freeAddr(); err != nil {
			return nil, err
		}
	}
	args := append([]string{
		"serve", "--data", dir, "--http-addr", t.http, "--grpc-addr", t.grpc, "--admin-addr", t.admin,
		"--set", "queue.free_floor_bytes=0", "--set", "telemetry.log_level=warn",
	}, flags...)
	t.cmd = exec.CommandContext(ctx, bin, args...)
	t.cmd.Stdout, t.cmd.Stderr = &t.log, &t.log
	t.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	start := time.Now()
	if err := t.cmd.Start(); err != nil {
		return nil, err
	}
	for !t.ready(ctx) {
		if time.Since(start) > 30*time.Second || ctx.Err() != nil {
			t.stop()
			return nil, fmt.Errorf("the server is not ready after 30 s: %s", t.log.String())
		}
		time.Sleep(2 * time.Millisecond)
	}
	t.startedIn = time.Since(start)
	b, err := os.ReadFile(filepath.Join(dir, "credentials.json"))
	if err != nil {
		return nil, err
	}
	var creds struct {
		AdminKey string `json:"adminKey"`
	}
	if err := json.Unmarshal(b, &creds); err != nil {
		return nil, err
	}
	t.key = creds.AdminKey
	t.conn, err = dial(t.grpc)
	return t, err
}

func dial(addr string) (*grpc.ClientConn, error) {
	return grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
}

func (t *target) get(ctx context.Context, url string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", res.Status, b)
	}
	return b, err
}

func (t *target) ready(ctx context.Context) bool {
	_, err := t.get(ctx, "http://"+t.admin+"/readyz")
	return err == nil
}

func (t *target) stop() {
	if t.stopped {
		return
	}
	t.stopped = true
	if t.conn != nil {
		_ = t.conn.Close()
	}
	_ = t.cmd.Process.Signal(syscall.SIGTERM)
	done := make(chan struct{})
	go func() { _ = t.cmd.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		_ = t.cmd.Process.Kill()
		<-done
	}
	_ = os.RemoveAll(t.dir)
	if t.servers != nil {
		if err := t.servers.stop(); err != nil {
			fmt.Fprintln(os.Stderr, "stop the servers:", err)
		}
	}
}

func (t *target) auth(ctx context.Context) context.Context {
	return metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+t.key)
}

func (t *target) balance(ctx context.Context) (*queryv1.Balance, error) {
	return queryv1.NewQueryServiceClient(t.conn).GetBalance(t.auth(ctx), &queryv1.GetBalanceRequest{Name: "projects/-/balance"})
}

func (t *target) stored(ctx context.Context) (float64, error) {
	b, err := t.balance(ctx)
	return b.GetTotal().GetStored(), err
}

// settle waits until everything that was accepted is stored and counted.
func (t *target) settle(ctx context.Context) error {
	for start := time.Now(); time.Since(start) < 2*time.Minute; {
		b, err := t.balance(ctx)
		if err != nil {
			return err
		}
		if b.GetTotal().GetInFlight() == 0 && b.GetDifference() == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(5 * time.Millisecond):
		}
	}
	return errors.New("the balance does not close after 2 min")
}

// profile writes a CPU profile of the next d to a file, in the background.
func (t *target) profile(ctx context.Context, file string, d time.Duration) {
	go func() {
		b, err := t.get(ctx, fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%d", t.admin, int(d.Seconds())))
		if err == nil {
			err = os.WriteFile(file, b, 0o600)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "profile:", err)
		}
	}()
}

// metric reads one value of the server's metrics; labels are ignored and summed.
func (t *target) metric(ctx context.Context, name string) (float64, error) {
	b, err := t.get(ctx, "http://"+t.admin+"/metrics")
	if err != nil {
		return 0, err
	}
	var sum float64
	for line := range strings.SplitSeq(string(b), "\n") {
		rest, ok := strings.CutPrefix(line, name)
		if !ok || (!strings.HasPrefix(rest, " ") && !strings.HasPrefix(rest, "{")) {
			continue
		}
		var v float64
		if _, err := fmt.Sscan(rest[strings.LastIndexByte(rest, ' ')+1:], &v); err == nil {
			sum += v
		}
	}
	return sum, nil
}
