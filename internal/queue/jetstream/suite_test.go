package jetstream

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/synapse-analytics/synapse/internal/config"
	"github.com/synapse-analytics/synapse/internal/queue"
	"github.com/synapse-analytics/synapse/internal/queue/natstest"
	"github.com/synapse-analytics/synapse/internal/queue/queuetest"
)

// The process that the crash test kills is this binary with these set.
const (
	childLedger   = "QUEUETEST_LEDGER"
	childSettings = "QUEUETEST_SETTINGS"
)

func TestMain(m *testing.M) {
	if ledger := os.Getenv(childLedger); ledger != "" {
		var c childConfig
		err := json.Unmarshal([]byte(os.Getenv(childSettings)), &c)
		if err == nil {
			var q *Queue
			if q, err = Open(context.Background(), c.config(), quiet()); err == nil {
				err = queuetest.Child(q, ledger)
			}
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

// childCommand starts this binary as the client that the crash test kills.
func childCommand(cfg Config, ledger string) *exec.Cmd {
	raw, err := json.Marshal(childConfig{
		Dir: cfg.Dir, URL: cfg.URL, Replicas: cfg.Replicas, User: cfg.User, Password: string(cfg.Password),
		CredsFile: cfg.CredsFile, NKeyFile: cfg.NKeyFile, CAFile: cfg.CAFile, CertFile: cfg.CertFile, KeyFile: cfg.KeyFile,
	})
	if err != nil {
		panic(err) // strings and numbers can be written
	}
	cmd := exec.Command(os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), childLedger+"="+ledger, childSettings+"="+string(raw))
	return cmd
}

// childConfig is what a child must know of its engine.
type childConfig struct {
	Dir, URL, User, Password, CredsFile, NKeyFile, CAFile, CertFile, KeyFile string
	Replicas                                                                 int
}

func (c childConfig) config() Config {
	cfg := testConfig()
	cfg.Dir, cfg.URL, cfg.Replicas, cfg.User, cfg.Password = c.Dir, c.URL, c.Replicas, c.User, config.Secret(c.Password)
	cfg.CredsFile, cfg.NKeyFile, cfg.CAFile, cfg.CertFile, cfg.KeyFile = c.CredsFile, c.NKeyFile, c.CAFile, c.CertFile, c.KeyFile
	return cfg
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
			Crash:  func(_ *testing.T, ledger string) *exec.Cmd { return childCommand(cfg, ledger) },
		}
	})
}

// startServers starts servers for the time of the test.
func startServers(t testing.TB, o natstest.Options) *natstest.Cluster {
	t.Helper()
	c, err := natstest.Start(o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Stop()) })
	return c
}

// configOf is that of a client of the servers.
func configOf(c *natstest.Cluster, o natstest.Options) Config {
	cfg := testConfig()
	cfg.URL, cfg.MonitorURL, cfg.Replicas = c.URL(), c.MonitorURL(), max(o.Nodes, 1)
	cfg.User, cfg.Password = o.User, config.Secret(o.Password)
	cfg.CredsFile, cfg.NKeyFile, cfg.CAFile, cfg.CertFile, cfg.KeyFile = c.CredsFile, c.NKeyFile, c.CAFile, c.CertFile, c.KeyFile
	return cfg
}

// TestServers runs the suite against servers by URL, in the ways in which they
// are run in production.
func TestServers(t *testing.T) {
	for name, o := range map[string]natstest.Options{
		"One":            {},
		"TLSPassword":    {TLS: true, User: "synapse", Password: "p w#1"},
		"TLSCredentials": {MutualTLS: true, Credentials: true},
		"Cluster":        {Nodes: 3},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := configOf(startServers(t, o), o)
			fast := o
			fast.Sync = "1m"
			queuetest.Run(t, func(t *testing.T) queuetest.Harness {
				deleteStreams(t, cfg)
				openIt := func(t *testing.T) queue.Queue { return mustOpen(t, cfg) }
				return queuetest.Harness{
					Open: openIt,
					OpenFast: func(t *testing.T) queue.Queue {
						cfg := configOf(startServers(t, fast), fast)
						cfg.EventsMaxBytes = 256 << 20
						return mustOpen(t, cfg)
					},
					Second: func(t *testing.T, _ queue.Queue) queue.Queue { return openIt(t) },
					Wipe:   func(t *testing.T) { deleteStreams(t, cfg) },
					Crash:  func(_ *testing.T, ledger string) *exec.Cmd { return childCommand(cfg, ledger) },
				}
			})
		})
	}
}

func deleteStreams(t testing.TB, cfg Config) {
	t.Helper()
	q, err := Open(context.Background(), cfg, quiet())
	require.NoError(t, err)
	for _, s := range queue.Streams() {
		require.NoError(t, q.js.DeleteStream(t.Context(), string(s)))
	}
	require.NoError(t, q.Close())
}

func withDir(t testing.TB) Config {
	cfg := testConfig()
	cfg.Dir = t.TempDir()
	return cfg
}
