package pgdb_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/synapse-analytics/synapse/internal/dberr"
	"github.com/synapse-analytics/synapse/internal/pgdb"
	"github.com/synapse-analytics/synapse/internal/pgdb/pgtest"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m.Run)) }

var quiet = slog.New(slog.DiscardHandler)

func database(t *testing.T) string {
	t.Helper()
	url, err := pgtest.Shared(t).NewDatabase()
	require.NoError(t, err)
	return url
}

func open(t *testing.T, c pgdb.Config) *pgdb.DB {
	t.Helper()
	db, err := pgdb.Open(t.Context(), c, "test", quiet)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return db
}

func exec(t *testing.T, db *pgdb.DB, query string) {
	t.Helper()
	_, err := db.Pool().Exec(t.Context(), query)
	require.NoError(t, err)
}

func TestNumbered(t *testing.T) {
	for in, out := range map[string]string{
		"SELECT 1":                 "SELECT 1",
		"a = ? AND b = ?":          "a = $1 AND b = $2",
		"a = ?2 AND (b, c) > (?1)": "a = $2 AND (b, c) > ($1)",
		"?":                        "$1",
		"IN (?, ?, ?)":             "IN ($1, $2, $3)",
	} {
		require.Equal(t, out, pgdb.Numbered(in))
	}
}

func TestValidate(t *testing.T) {
	require.NoError(t, pgdb.DefaultConfig().Validate())
	for says, change := range map[string]func(*pgdb.Config){
		"":                              func(c *pgdb.Config) { c.URL = "postgres://u@a:1,b:2/x?target_session_attrs=read-write" },
		"max_conns: must be 1 to 1000":  func(c *pgdb.Config) { c.MaxConns = 0 },
		"acquire_timeout: must be 10ms": func(c *pgdb.Config) { c.AcquireTimeout = time.Hour },
		"password: needs url":           func(c *pgdb.Config) { c.Password = "x" },
		"url: must begin with":          func(c *pgdb.Config) { c.URL = "mysql://host/x" },
		"url: must not hold a password": func(c *pgdb.Config) { c.URL = "postgres://u:secret@host/x" },
	} {
		c := pgdb.DefaultConfig()
		change(&c)
		err := c.Validate()
		if says == "" {
			require.NoError(t, err)
			continue
		}
		require.ErrorContains(t, err, says)
		require.NotContains(t, err.Error(), "secret")
	}
}

// A server that would lose what was acknowledged is refused, and so is one that is
// not there; no error holds the password.
func TestRefuses(t *testing.T) {
	unsafe, err := pgtest.Start("fsync = off")
	require.NoError(t, err)
	defer func() { require.NoError(t, unsafe.Stop()) }()
	lazy := database(t)
	db := open(t, pgtest.Config(lazy))
	exec(t, db, "ALTER DATABASE "+lazy[strings.LastIndex(lazy, "/")+1:strings.Index(lazy, "?")]+" SET synchronous_commit = off")
	exec(t, db, "CREATE DATABASE latin ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
	for url, says := range map[string]string{
		pgtest.Shared(t).URL("latin"):              "UTF",
		unsafe.URL("postgres"):                     "fsync is off",
		lazy:                                       "synchronous_commit is off",
		pgtest.Shared(t).URL("nosuch"):             "does not exist",
		"postgres://u@127.0.0.1:1/x":               "refused",
		"postgres://u@127.0.0.1/x?sslmode=perhaps": "url can not be read",
	} {
		c := pgtest.Config(url)
		c.Password = "secret"
		_, err := pgdb.Open(t.Context(), c, "test", quiet)
		require.ErrorContains(t, err, says, url)
		require.NotContains(t, err.Error(), "secret")
	}
}

func TestErrors(t *testing.T) {
	server, err := pgtest.Start()
	require.NoError(t, err)
	c := pgtest.Config(server.URL("postgres"))
	c.LockTimeout, c.StatementTimeout, c.AcquireTimeout, c.MaxConns = 100*time.Millisecond, time.Second, 500*time.Millisecond, 2
	db := open(t, c)
	exec(t, db, "CREATE TABLE x (a int PRIMARY KEY CHECK (a < 9))")
	exec(t, db, "INSERT INTO x VALUES (1)")
	run := func(query string) func() error {
		return func() error {
			return db.WithTx(t.Context(), func(tx pgx.Tx) error { _, err := tx.Exec(t.Context(), query); return err })
		}
	}
	view := func() error {
		return db.ViewSQL(t.Context(), func(tx *sql.Tx) error { _, err := tx.ExecContext(t.Context(), "INSERT INTO x VALUES (2)"); return err })
	}
	locked := func() error {
		return db.WithTx(t.Context(), func(tx pgx.Tx) error {
			_, err := tx.Exec(t.Context(), "LOCK TABLE x")
			return errors.Join(err, run("UPDATE x SET a = 3")())
		})
	}
	canceled := func() error {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		return db.WithTx(ctx, func(tx pgx.Tx) error { _, err := tx.Exec(ctx, "SELECT pg_sleep(10)"); return err })
	}
	for _, tc := range []struct {
		name string
		f    func() error
		is   error
	}{
		{"unique", run("INSERT INTO x VALUES (1)"), dberr.ErrUnique},
		{"unique is a constraint", run("INSERT INTO x VALUES (1)"), dberr.ErrConstraint},
		{"check", run("INSERT INTO x VALUES (10)"), dberr.ErrConstraint},
		{"statement timeout", run("SELECT pg_sleep(10)"), dberr.ErrBusy},
		{"lock timeout", locked, dberr.ErrBusy},
		{"write in a view", view, dberr.ErrReadOnly},
		{"deadline", canceled, context.DeadlineExceeded},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := tc.f()
			require.ErrorIs(t, err, tc.is)
			require.NotErrorIs(t, err, dberr.ErrUnknown)
		})
	}
	h, err := db.Look(t.Context())
	require.NoError(t, err)
	require.Regexp(t, `^\d+\.\d+`, h.Version)
	require.False(t, h.Standby)
	require.Equal(t, 100, h.Max)
	require.Positive(t, h.Used)
	require.Less(t, h.Clock.Abs(), time.Second)

	require.NoError(t, server.Stop())
	require.ErrorIs(t, run("SELECT 1")(), dberr.ErrAway)
	require.NoError(t, db.Close())
	require.ErrorIs(t, run("SELECT 1")(), dberr.ErrClosed)
}

func files(more ...string) fstest.MapFS {
	m := fstest.MapFS{"0001_a.sql": {Data: []byte("-- +goose Up\nSELECT pg_sleep(0.2);\nCREATE TABLE a (n int);\nINSERT INTO a VALUES (1);\n")}}
	for i, text := range more {
		m[fmt.Sprintf("000%d_more.sql", i+2)] = &fstest.MapFile{Data: []byte("-- +goose Up\n" + text + "\n")}
	}
	return m
}

// Several processes that start at once apply each migration once; a failing one
// leaves nothing of itself and is named; an older program leaves a newer schema as
// it is.
func TestMigrate(t *testing.T) {
	c := pgtest.Config(database(t))
	var starts sync.WaitGroup
	for range 4 {
		db := open(t, c)
		starts.Go(func() {
			if err := db.Migrate(t.Context(), files("ALTER TABLE a ADD b int;")); err != nil {
				t.Error(err)
			}
		})
	}
	starts.Wait()
	db := open(t, c)
	err := db.Migrate(t.Context(), files("", "CREATE TABLE c (n int);\nSELECT no_such_thing;"))
	require.ErrorContains(t, err, "migration 0003_more.sql failed")
	var rows, tables int
	require.NoError(t, db.Pool().QueryRow(t.Context(), "SELECT (SELECT count(*) FROM a), (SELECT count(*) FROM pg_tables WHERE tablename = 'c')").Scan(&rows, &tables))
	require.Equal(t, 1, rows)
	require.Zero(t, tables)
	require.NoError(t, db.Migrate(t.Context(), files()))
}

// What a pool reports.
func TestObserve(t *testing.T) {
	c := pgtest.Config(database(t))
	c.MaxConns, c.AcquireTimeout = 1, 50*time.Millisecond
	db := open(t, c)
	reader := metric.NewManualReader()
	stop, err := db.Observe(metric.NewMeterProvider(metric.WithReader(reader)), "p")
	require.NoError(t, err)
	err = db.WithTx(t.Context(), func(pgx.Tx) error {
		return db.WithTx(t.Context(), func(pgx.Tx) error { return nil })
	})
	require.ErrorIs(t, err, dberr.ErrBusy)
	var got metricdata.ResourceMetrics
	require.NoError(t, reader.Collect(t.Context(), &got))
	values := map[string]float64{}
	for _, m := range got.ScopeMetrics[0].Metrics {
		switch d := m.Data.(type) {
		case metricdata.Sum[int64]:
			for _, p := range d.DataPoints {
				values[m.Name] += float64(p.Value)
			}
		case metricdata.Sum[float64]:
			values[m.Name] = d.DataPoints[0].Value
		}
	}
	require.EqualValues(t, 1, values["db.client.connection.max"])
	require.EqualValues(t, 1, values["db.client.connection.count"])
	require.EqualValues(t, 1, values["db.client.connection.timeouts"])
	require.NoError(t, stop())
}

// The server goes away while connections are idle, between two statements, and
// before the first one; whatever the driver says, it is ErrAway, for both ways in.
func TestServerGoesAway(t *testing.T) {
	server, err := pgtest.Start()
	require.NoError(t, err)
	defer func() { require.NoError(t, server.Stop()) }()
	c := pgtest.Config(server.URL("postgres"))
	c.AcquireTimeout, c.ConnectTimeout = 200*time.Millisecond, time.Second
	db := open(t, c)
	native := func(between func()) error {
		return db.WithTx(t.Context(), func(tx pgx.Tx) error {
			between()
			_, first := tx.Exec(t.Context(), "SELECT 1")
			if _, second := tx.Exec(t.Context(), "SELECT 1"); second != nil {
				return second // what is said of a connection that is known to be closed
			}
			return first
		})
	}
	standard := func(between func()) error {
		return db.WithSQL(t.Context(), func(tx *sql.Tx) error {
			between()
			_, first := tx.ExecContext(t.Context(), "SELECT 1")
			if _, second := tx.ExecContext(t.Context(), "SELECT 1"); second != nil {
				return second
			}
			return first
		})
	}
	for name, run := range map[string]func(func()) error{"native": native, "standard": standard} {
		t.Run(name, func(t *testing.T) {
			require.NoError(t, run(func() {}))
			require.ErrorIs(t, run(func() { require.NoError(t, server.Kill()) }), dberr.ErrAway)
			require.ErrorIs(t, run(func() {}), dberr.ErrAway)
			require.NoError(t, server.Run())
			require.Eventually(t, func() bool { return run(func() {}) == nil }, 10*time.Second, 10*time.Millisecond)
			require.NoError(t, server.Kill())
			require.ErrorIs(t, run(func() {}), dberr.ErrAway)
			require.NoError(t, server.Run())
			require.Eventually(t, func() bool { return run(func() {}) == nil }, 10*time.Second, 10*time.Millisecond)
		})
	}
}

// The server hangs: it takes connections and statements and answers none. Nobody waits
// for it without end, and its connections are not used again.
func TestServerHangs(t *testing.T) {
	server, err := pgtest.Start()
	require.NoError(t, err)
	defer func() { require.NoError(t, server.Stop()) }()
	c := pgtest.Config(server.URL("postgres"))
	c.StatementTimeout, c.AcquireTimeout, c.ConnectTimeout, c.MaxConns = time.Second, 3*time.Second, time.Second, 8
	db := open(t, c)
	exec(t, db, "CREATE TABLE x (a bytea)")
	insert := func(tx pgx.Tx, n int) error {
		_, err := tx.Exec(t.Context(), "INSERT INTO x VALUES ($1)", make([]byte, n))
		return err
	}
	native := func(hang func(), end int) error {
		return db.WithTx(t.Context(), func(tx pgx.Tx) error {
			err := insert(tx, 1)
			hang()
			return errors.Join(err, insert(tx, end))
		})
	}
	for name, tc := range map[string]struct {
		run func(hang func()) error
		is  error
	}{
		"statement":        {func(hang func()) error { return native(hang, 1) }, dberr.ErrAway},
		"a large one sent": {func(hang func()) error { return native(hang, 64<<20) }, dberr.ErrAway},
		"standard": {func(hang func()) error {
			return db.WithSQL(t.Context(), func(tx *sql.Tx) error {
				hang()
				_, err := tx.ExecContext(t.Context(), "SELECT 1")
				return err
			})
		}, dberr.ErrAway},
		"commit": {func(hang func()) error {
			return db.WithTx(t.Context(), func(tx pgx.Tx) error { hang(); return nil })
		}, dberr.ErrUnknown},
		"begin": {func(hang func()) error { hang(); return native(func() {}, 1) }, dberr.ErrAway},
		"its own": {func(hang func()) error {
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			return db.WithTx(ctx, func(tx pgx.Tx) error { hang(); _, err := tx.Exec(ctx, "SELECT 1"); return err })
		}, context.DeadlineExceeded},
	} {
		t.Run(name, func(t *testing.T) {
			require.NoError(t, native(func() {}, 1))
			err := tc.run(func() { require.NoError(t, server.Pause()) })
			require.NoError(t, server.Resume())
			require.ErrorIs(t, err, tc.is)
			require.Eventually(t, func() bool { return native(func() {}, 1) == nil }, 30*time.Second, 10*time.Millisecond)
		})
	}
	// Those of the pool that hang are found out within one wait for a connection.
	c.AcquireTimeout = 4 * time.Second
	db = open(t, c)
	pid := func(tx pgx.Tx) (n int, err error) {
		err = tx.QueryRow(t.Context(), "SELECT pg_backend_pid()").Scan(&n)
		return n, err
	}
	var hung [2]int
	require.NoError(t, db.View(t.Context(), func(tx pgx.Tx) (err error) {
		if hung[0], err = pid(tx); err != nil {
			return err
		}
		return db.View(t.Context(), func(tx pgx.Tx) (err error) { hung[1], err = pid(tx); return err })
	}))
	time.Sleep(1100 * time.Millisecond) // one that was used in the last second is not asked
	for _, pid := range hung {
		require.NoError(t, syscall.Kill(pid, syscall.SIGSTOP))
	}
	require.NoError(t, native(func() {}, 1))
	for _, pid := range hung {
		require.NoError(t, syscall.Kill(pid, syscall.SIGCONT))
	}
}
