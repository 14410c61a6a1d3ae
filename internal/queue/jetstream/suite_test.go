package jetstream

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/synapse-analytics/synapse/internal/queue"
	"github.com/synapse-analytics/synapse/internal/queue/queuetest"
)

// The process that the crash test kills is this binary with these set.
const (
	childLedger = "QUEUETEST_LEDGER"
	childDir    = "QUEUETEST_DIR"
	childURL    = "QUEUETEST_URL"
)

func TestMain(m *testing.M) {
	if ledger := os.Getenv(childLedger); ledger != "" {
		cfg := testConfig()
		cfg.Dir, cfg.URL = os.Getenv(childDir), os.Getenv(childURL)
		q, err := Open(context.Background(), cfg, quiet())
		if err == nil {
			err = queuetest.Child(q, ledger)
		}
		fmt.Fprintln(os.Stderr, "child:", err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m)
}

// testStream is what a stream of the suite may hold.
const testStream = 64 << 20

func testConfig() Config {
	cfg := DefaultConfig()
	cfg.EventsMaxBytes, cfg.ScoredMaxBytes, cfg.DeadMaxBytes = testStream, testStream, testStream
	cfg.FreeFloorBytes = 64 << 20
	return cfg
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// logOf shows the log of a test that fails.
func logOf(t testing.TB) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelInfo}))
}

func mustOpen(t testing.TB, cfg Config) *Queue {
	t.Helper()
	q, err := Open(context.Background(), cfg, logOf(t))
	require.NoError(t, err)
	return q
}

// openClosed opens and closes with the test.
func openClosed(t testing.TB, cfg Config) *Queue {
	t.Helper()
	q := mustOpen(t, cfg)
	t.Cleanup(func() { require.NoError(t, q.Close()) })
	return q
}

// client is one more client of the embedded server of q.
func (q *Queue) client(t testing.TB) *Queue {
	t.Helper()
	other, err := open(context.Background(), q.cfg, logOf(t), q.srv)
	require.NoError(t, err)
	other.srv = nil // q's to stop
	return other
}

func childCommand(ledger, dir, url string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), childLedger+"="+ledger, childDir+"="+dir, childURL+"="+url)
	return cmd
}

func TestEmbedded(t *testing.T) {
	queuetest.Run(t, func(t *testing.T) queuetest.Harness {
		cfg := testConfig()
		cfg.Dir = filepath.Join(t.TempDir(), "queue")
		return queuetest.Harness{
			Open: func(t *testing.T) queue.Queue { return mustOpen(t, cfg) },
			OpenFast: func(t *testing.T) queue.Queue {
				cfg := cfg
				cfg.Sync, cfg.EventsMaxBytes = SyncInterval, 256<<20
				return mustOpen(t, cfg)
			},
			Second: func(t *testing.T, q queue.Queue) queue.Queue { return q.(*Queue).client(t) }, //nolint:forcetypeassert // made above
			Wipe:   func(t *testing.T) { require.NoError(t, os.RemoveAll(cfg.Dir)) },
			Crash:  func(_ *testing.T, ledger string) *exec.Cmd { return childCommand(ledger, cfg.Dir, "") },
		}
	})
}

func TestRemote(t *testing.T) {
	queuetest.Run(t, func(t *testing.T) queuetest.Harness {
		srv := startServer(t, server.Options{StoreDir: t.TempDir(), SyncAlways: true})
		return remoteHarness(srv.ClientURL(), nil)
	})
}

// remoteHarness runs the suite against a server by URL.
func remoteHarness(url string, crash func(t *testing.T, ledger string) *exec.Cmd) queuetest.Harness {
	cfg := testConfig()
	cfg.URL = url
	if crash == nil {
		crash = func(_ *testing.T, ledger string) *exec.Cmd { return childCommand(ledger, "", url) }
	}
	openIt := func(t *testing.T) queue.Queue { return mustOpen(t, cfg) }
	return queuetest.Harness{
		Open:   openIt,
		Second: func(t *testing.T, _ queue.Queue) queue.Queue { return openIt(t) },
		Wipe:   func(t *testing.T) { deleteStreams(t, url) },
		Crash:  crash,
	}
}

func deleteStreams(t testing.TB, url string) {
	t.Helper()
	nc, err := nats.Connect(url)
	require.NoError(t, err)
	defer nc.Close()
	js, err := natsjs.New(nc)
	require.NoError(t, err)
	for _, s := range queue.Streams() {
		require.NoError(t, js.DeleteStream(context.Background(), string(s)))
	}
}

// startServer starts a NATS server of this process that listens on TCP.
func startServer(t testing.TB, o server.Options) *server.Server {
	t.Helper()
	o.Host, o.NoSigs, o.NoLog, o.JetStream = "127.0.0.1", true, true, true
	if o.Port == 0 {
		o.Port = server.RANDOM_PORT
	}
	if o.MaxPayload == 0 {
		o.MaxPayload = serverMaxPayload
	}
	o.JetStreamMaxStore, o.JetStreamMaxMemory = unreserved, 64<<20
	srv, err := server.NewServer(&o)
	require.NoError(t, err)
	srv.Start()
	require.True(t, srv.ReadyForConnections(time.Minute))
	t.Cleanup(func() {
		srv.Shutdown()
		srv.WaitForShutdown()
	})
	return srv
}

// findServer returns the nats-server program: of $NATS_SERVER, the repository's
// .bin or PATH.
func findServer(t *testing.T) string {
	t.Helper()
	if p := os.Getenv("NATS_SERVER"); p != "" {
		return p
	}
	if p, err := filepath.Abs("../../../.bin/nats-server"); err == nil {
		if _, err := os.Stat(p); err == nil {
			return p
		}
	}
	p, err := exec.LookPath("nats-server")
	if err != nil {
		t.Skip("SKIPPED, the engine is NOT checked against a nats-server process: no nats-server in .bin or PATH; " +
			"install it with: GOBIN=$PWD/.bin go install github.com/nats-io/nats-server/v2@v2.15.2")
	}
	return p
}

// TestServerProcess runs the suite against a nats-server program, and lets the
// crash test kill that program instead of the client.
func TestServerProcess(t *testing.T) {
	program := findServer(t)
	queuetest.Run(t, func(t *testing.T) queuetest.Harness {
		p := &serverProcess{program: program, dir: t.TempDir(), port: freePort(t)}
		p.start(t)
		t.Cleanup(func() { p.kill(t) })
		return remoteHarness(p.url(), nil)
	})
	t.Run("KillServer", func(t *testing.T) { testKillServer(t, program) })
}

type serverProcess struct {
	program, dir string
	port         int
	cmd          *exec.Cmd
}

func (p *serverProcess) url() string { return "nats://127.0.0.1:" + strconv.Itoa(p.port) }

func (p *serverProcess) start(t *testing.T) {
	t.Helper()
	conf := filepath.Join(p.dir, "nats.conf")
	text := fmt.Sprintf("listen: 127.0.0.1:%d\nmax_payload: 8MB\njetstream { store_dir: %q, sync_interval: always, max_file_store: 1TB }\n", p.port, p.dir)
	require.NoError(t, os.WriteFile(conf, []byte(text), 0o600))
	p.cmd = exec.Command(p.program, "-c", conf)
	out, err := os.Create(filepath.Join(p.dir, "log"))
	require.NoError(t, err)
	p.cmd.Stdout, p.cmd.Stderr = out, out
	require.NoError(t, p.cmd.Start())
	require.NoError(t, out.Close())
}

func (p *serverProcess) kill(t *testing.T) {
	t.Helper()
	require.NoError(t, p.cmd.Process.Kill())
	_ = p.cmd.Wait()
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port //nolint:forcetypeassert // of a TCP listener
}

func withDir(t testing.TB) Config {
	cfg := testConfig()
	cfg.Dir = t.TempDir()
	return cfg
}
