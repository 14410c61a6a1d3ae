package postgres_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/synapse-analytics/synapse/internal/pgdb/pgtest"
	"github.com/synapse-analytics/synapse/services/query"
	"github.com/synapse-analytics/synapse/services/query/store/postgres"
	"github.com/synapse-analytics/synapse/services/query/store/storetest"
)

// childURL makes this binary the process that the crash test kills.
const childURL = "STORETEST_URL"

var quiet = slog.New(slog.DiscardHandler)

func TestMain(m *testing.M) {
	if url := os.Getenv(childURL); url != "" {
		s, err := postgres.Open(context.Background(), pgtest.Config(url), quiet)
		if err == nil {
			err = storetest.Child(s, os.Stdout)
		}
		fmt.Fprintln(os.Stderr, "child:", err)
		os.Exit(1)
	}
	os.Exit(pgtest.Main(m.Run))
}

// databases gives each folder of the suite a database.
type databases struct {
	server *pgtest.Server
	mu     sync.Mutex
	urls   map[string]string
}

func (d *databases) url(dir string) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.urls[dir] == "" {
		url, err := d.server.NewDatabase()
		if err != nil {
			panic(err)
		}
		d.urls[dir] = url
	}
	return d.urls[dir]
}

func (d *databases) open(t testing.TB, dir string) query.Store {
	t.Helper()
	s, err := postgres.Open(context.Background(), pgtest.Config(d.url(dir)), quiet)
	require.NoError(t, err)
	return s
}

func TestStore(t *testing.T) {
	d := &databases{server: pgtest.Shared(t), urls: map[string]string{}}
	storetest.Run(t, storetest.Harness{
		Open: d.open,
		Crash: func(dir string) *exec.Cmd {
			cmd := exec.Command(os.Args[0], "-test.run=^$")
			cmd.Env = append(os.Environ(), childURL+"="+d.url(dir))
			cmd.Stderr = os.Stderr
			return cmd
		},
	})
}

// TestOneLeads: of several processes that ask, one leads at a time.
func TestOneLeads(t *testing.T) {
	d := &databases{server: pgtest.Shared(t), urls: map[string]string{}}
	dir := t.TempDir()
	var mu sync.Mutex
	leaders := map[string]bool{}
	var asking sync.WaitGroup
	begin := make(chan struct{})
	stores := make([]query.Store, 4)
	for i := range stores {
		stores[i] = d.open(t, dir)
		defer func() { require.NoError(t, stores[i].Close()) }()
		asking.Go(func() {
			<-begin
			name := fmt.Sprint(i)
			for range 50 {
				leads, err := stores[i].Lead(t.Context(), name, time.Hour)
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				if leads {
					leaders[name] = true
				}
				mu.Unlock()
			}
		})
	}
	close(begin)
	asking.Wait()
	require.Len(t, leaders, 1)
	for name := range leaders {
		for i, s := range stores {
			if fmt.Sprint(i) != name {
				require.NoError(t, s.Resign(t.Context(), fmt.Sprint(i)), "another's lease stays")
			}
		}
		leads, err := stores[0].Lead(t.Context(), "new", time.Hour)
		require.NoError(t, err)
		require.False(t, leads)
		require.NoError(t, stores[0].Resign(t.Context(), name))
	}
	leads, err := stores[0].Lead(t.Context(), "new", time.Hour)
	require.NoError(t, err)
	require.True(t, leads)
}
