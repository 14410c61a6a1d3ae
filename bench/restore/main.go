// Command restore measures how long a backup, its restore and the start after it take
// on each store engine: `make bench-restore`.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/synapse-analytics/synapse/internal/pgdb/pgtest"
	"github.com/synapse-analytics/synapse/services/query"
	"github.com/synapse-analytics/synapse/services/query/store/postgres"
	"github.com/synapse-analytics/synapse/services/query/store/sqlite"
	"github.com/synapse-analytics/synapse/services/query/store/storetest"
)

func main() {
	bin := flag.String("bin", "bin/synapse", "the program")
	rows := flag.Int("rows", 5_000_000, "events in the store")
	engines := flag.String("engines", "sqlite,postgres", "engines, by comma")
	bound := flag.Duration("timeout", 30*time.Minute, "bound of the whole run")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	ctx, cancel := context.WithTimeout(ctx, *bound)
	err := run(ctx, *bin, *rows, strings.Split(*engines, ","))
	cancel()
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

// measured is what one engine took.
type measured struct {
	fill, backup, restore, ready time.Duration
	store, copied                int64
}

func run(ctx context.Context, bin string, rows int, engines []string) error {
	bin, err := filepath.Abs(bin)
	if err != nil {
		return err
	}
	fmt.Printf("%d events; times in seconds, sizes in MB; RTO is restore and start\n", rows)
	fmt.Printf("%-10s %8s %8s %8s %8s %8s %8s %8s\n", "engine", "fill", "store", "backup", "size", "restore", "start", "RTO")
	for _, engine := range engines {
		m, err := measure(ctx, bin, engine, rows)
		if err != nil {
			return fmt.Errorf("%s: %w", engine, err)
		}
		fmt.Printf("%-10s %8.1f %8d %8.1f %8d %8.1f %8.1f %8.1f\n", engine, m.fill.Seconds(), m.store>>20, m.backup.Seconds(), m.copied>>20,
			m.restore.Seconds(), m.ready.Seconds(), (m.restore + m.ready).Seconds())
	}
	return nil
}

func measure(ctx context.Context, bin, engine string, rows int) (m measured, err error) {
	dir, err := os.MkdirTemp("", "synapse-bench-restore-")
	if err != nil {
		return m, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	from, to, copied := filepath.Join(dir, "from"), filepath.Join(dir, "to"), filepath.Join(dir, "backup")
	if err := os.Mkdir(from, 0o700); err != nil {
		return m, err
	}
	var server *pgtest.Server
	args := func(data string) ([]string, error) { return []string{"--data", data}, nil }
	if engine == "postgres" {
		if server, err = pgtest.Start(); err != nil {
			return m, err
		}
		defer func() { err = errors.Join(err, server.Stop()) }()
		args = func(data string) ([]string, error) {
			auth, err1 := server.NewDatabase()
			query, err2 := server.NewDatabase()
			return []string{"--data", data, "--set", "stores.auth.url=" + auth, "--set", "stores.query.url=" + query}, errors.Join(err1, err2)
		}
	}
	old, err := args(from)
	if err != nil {
		return m, err
	}
	if _, err := synapse(ctx, bin, append([]string{"migrate", "up"}, old...)...); err != nil {
		return m, err
	}
	var s query.Store
	quiet := slog.New(slog.DiscardHandler)
	if server == nil {
		s, err = sqlite.Open(ctx, filepath.Join(from, "query.db"), sqlite.Options{Logger: quiet})
	} else {
		s, err = postgres.Open(ctx, pgtest.Config(old[len(old)-1][len("stores.query.url="):]), quiet)
	}
	if err != nil {
		return m, err
	}
	start := time.Now()
	err = errors.Join(fill(ctx, s, rows), s.Close())
	m.fill = time.Since(start)
	if err != nil {
		return m, err
	}
	if server != nil {
		m.store, err = server.Size()
	} else {
		m.store, err = size(from)
	}
	if err != nil {
		return m, err
	}

	if m.backup, err = synapse(ctx, bin, append([]string{"backup", "--to", copied}, old...)...); err != nil {
		return m, err
	}
	if m.copied, err = size(copied); err != nil {
		return m, err
	}
	fresh, err := args(to)
	if err != nil {
		return m, err
	}
	if m.restore, err = synapse(ctx, bin, append([]string{"restore", "--from", copied}, fresh...)...); err != nil {
		return m, err
	}
	m.ready, err = serve(ctx, bin, fresh)
	return m, err
}

// fill stores events of live-like geometry.
func fill(ctx context.Context, s query.Store, rows int) error {
	t := storetest.NewTraffic(1)
	for range rows / storetest.BenchRows {
		if _, err := s.Apply(ctx, t.Batch(storetest.BenchRows, 100)); err != nil {
			return err
		}
	}
	return nil
}

// synapse runs a command and returns how long it took.
func synapse(ctx context.Context, bin string, args ...string) (time.Duration, error) {
	start := time.Now()
	out, err := exec.CommandContext(ctx, bin, args...).CombinedOutput()
	if err != nil {
		return 0, fmt.Errorf("%s: %w: %s", args[0], err, out)
	}
	return time.Since(start), nil
}

// serve starts the server and returns how long it took until it was ready.
func serve(ctx context.Context, bin string, args []string) (took time.Duration, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	admin := l.Addr().String()
	if err := l.Close(); err != nil {
		return 0, err
	}
	start := time.Now()
	cmd := exec.CommandContext(ctx, bin, append([]string{"serve", "--admin-addr", admin, "--http-addr", "127.0.0.1:0", "--grpc-addr", "127.0.0.1:0"}, args...)...)
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	defer func() {
		err = errors.Join(err, cmd.Process.Signal(syscall.SIGTERM), cmd.Wait())
	}()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+admin+"/readyz", nil)
		if err != nil {
			return 0, err
		}
		if res, err := http.DefaultClient.Do(req); err == nil {
			_, _ = io.Copy(io.Discard, res.Body)
			_ = res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return time.Since(start), nil
			}
		}
		select {
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// size is that of the files of a folder.
func size(dir string) (n int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		fi, err := e.Info()
		if err == nil {
			n += fi.Size()
		}
		return err
	})
	return n, err
}
