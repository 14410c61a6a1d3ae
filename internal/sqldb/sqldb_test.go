package sqldb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/synapse-analytics/synapse/internal/schema"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var quiet = slog.New(slog.DiscardHandler)

var steps = fstest.MapFS{
	"0001_init.sql":  {Data: []byte("-- +goose Up\nCREATE TABLE t (id TEXT PRIMARY KEY, n INTEGER NOT NULL CHECK (n >= 0)) STRICT;\n")},
	"0002_child.sql": {Data: []byte("-- +goose Up\nCREATE TABLE c (t TEXT NOT NULL REFERENCES t(id)) STRICT;\n")},
}

func open(t *testing.T, o Options) *DB {
	t.Helper()
	o.Logger = quiet
	db, err := Open(t.Context(), filepath.Join(t.TempDir(), "x?y=1&z#.db"), o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return db
}

func migrated(t *testing.T, o Options) *DB {
	t.Helper()
	db := open(t, o)
	require.NoError(t, db.Migrate(t.Context(), steps))
	return db
}

func insert(db *DB, id string, n int) error {
	return db.WithTx(context.Background(), func(tx *sql.Tx) error {
		_, err := tx.Exec("INSERT INTO t (id, n) VALUES (?, ?)", id, n)
		return err
	})
}

func count(t *testing.T, db *DB) (n int) {
	t.Helper()
	require.NoError(t, db.View(t.Context(), func(tx *sql.Tx) error {
		return tx.QueryRow("SELECT count(*) FROM t").Scan(&n)
	}))
	return n
}

func TestSettings(t *testing.T) {
	db := open(t, Options{ApplicationID: 0x53594e31, MmapBytes: 1 << 20, BusyTimeout: 1234 * time.Millisecond})
	for name, want := range map[string][2]any{
		"synchronous":        {int64(2), int64(2)},
		"foreign_keys":       {int64(1), int64(1)},
		"busy_timeout":       {int64(1234), int64(1234)},
		"temp_store":         {int64(2), int64(2)},
		"cache_size":         {int64(-32768), int64(-8192)},
		"mmap_size":          {int64(1 << 20), int64(1 << 20)},
		"query_only":         {int64(0), int64(1)},
		"application_id":     {int64(0x53594e31), int64(0x53594e31)},
		"wal_autocheckpoint": {int64(1000), int64(1000)},
		"journal_size_limit": {int64(64 << 20), int64(-1)},
		"trusted_schema":     {int64(0), int64(0)},
	} {
		for i, pool := range []*sql.DB{db.Writer(), db.Reader()} {
			var got int64
			require.NoError(t, pool.QueryRow("PRAGMA "+name).Scan(&got))
			require.Equal(t, want[i], got, "%s of pool %d", name, i)
		}
	}
	fi, err := os.Stat(db.Path())
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), fi.Mode().Perm())
	require.NotEmpty(t, db.Stats().Driver)
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	junk := filepath.Join(dir, "junk")
	require.NoError(t, os.WriteFile(junk, []byte("this is no database, and long enough that it can not be one either"), 0o600))
	_, err := Open(t.Context(), junk, Options{Logger: quiet})
	require.ErrorIs(t, err, ErrCorrupt)

	_, err = Open(t.Context(), filepath.Join(dir, "no", "such", "folder"), Options{Logger: quiet})
	require.ErrorIs(t, err, os.ErrNotExist)

	_, err = Open(t.Context(), filepath.Join(dir, "x"), Options{Readers: 1000, Logger: quiet})
	require.ErrorContains(t, err, "readers: must be 1 to 64")

	db, err := Open(t.Context(), filepath.Join(dir, "mine"), Options{ApplicationID: 7, Logger: quiet})
	require.NoError(t, err)
	require.NoError(t, db.Close())
	require.NoError(t, db.Close(), "a second Close is harmless")
	_, err = Open(t.Context(), filepath.Join(dir, "mine"), Options{ApplicationID: 8, Logger: quiet})
	require.ErrorContains(t, err, "belongs to another service")
}

func TestDurabilityIsVerified(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x")
	c := writerConnector(path, Options{}.withDefaults())
	for i, p := range c.pragmas {
		if p == "synchronous = FULL" {
			c.pragmas[i] = "synchronous = NORMAL"
		}
	}
	pool := openPool(c, 1)
	defer func() { require.NoError(t, pool.Close()) }()
	require.ErrorContains(t, pool.Ping(), "synchronous is 1 instead of 2")
}

func TestErrors(t *testing.T) {
	db := migrated(t, Options{})
	require.NoError(t, insert(db, "a", 1))
	exec := func(q string, args ...any) error {
		return db.WithTx(t.Context(), func(tx *sql.Tx) error {
			_, err := tx.Exec(q, args...)
			return err
		})
	}
	for _, tc := range []struct {
		name  string
		err   error
		is    []error
		isNot []error
	}{
		{"primary key", insert(db, "a", 1), []error{ErrUnique, ErrConstraint}, []error{ErrBusy}},
		{"check", insert(db, "b", -1), []error{ErrConstraint}, []error{ErrUnique}},
		{"foreign key", exec("INSERT INTO c (t) VALUES ('none')"), []error{ErrConstraint}, []error{ErrUnique}},
		{"type", exec("INSERT INTO t (id, n) VALUES ('x', 'text')"), []error{ErrConstraint}, nil},
		{"syntax", exec("NO SQL"), nil, []error{ErrConstraint, ErrBusy}},
		{"own", db.WithTx(t.Context(), func(*sql.Tx) error { return os.ErrInvalid }), []error{os.ErrInvalid}, nil},
		{"reader writes", Wrap(func() error { _, err := db.Reader().Exec("DELETE FROM t"); return err }()), []error{ErrReadOnly}, nil},
		{"no rows", db.View(t.Context(), func(tx *sql.Tx) error {
			return tx.QueryRow("SELECT n FROM t WHERE id = 'none'").Scan(new(int))
		}), []error{sql.ErrNoRows}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			require.Error(t, tc.err)
			for _, is := range tc.is {
				require.ErrorIs(t, tc.err, is)
			}
			for _, not := range tc.isNot {
				require.NotErrorIs(t, tc.err, not)
			}
			_, ok := driverCode(tc.err)
			require.False(t, ok, "the driver's error can be reached: %v", tc.err)
		})
	}
	require.Equal(t, 1, count(t, db))
	// A domain error around the driver's keeps matching.
	mine := errors.New("mine")
	err := db.WithTx(t.Context(), func(tx *sql.Tx) error {
		_, err := tx.Exec("INSERT INTO t (id, n) VALUES ('a', 1)")
		return fmt.Errorf("%w: %w", mine, err)
	})
	require.ErrorIs(t, err, mine)
	require.ErrorIs(t, err, ErrUnique)
}

func TestFull(t *testing.T) {
	db := migrated(t, Options{})
	_, err := db.Writer().Exec("PRAGMA max_page_count = 8")
	require.NoError(t, err)
	err = insert(db, string(make([]byte, 1<<20)), 1)
	require.ErrorIs(t, err, ErrFull)
	require.Equal(t, 0, count(t, db))
	require.NoError(t, insert(db, "small", 1), "the connection is usable afterwards")
}

func TestRollbackOnPanic(t *testing.T) {
	db := migrated(t, Options{})
	require.Panics(t, func() {
		_ = db.WithTx(t.Context(), func(tx *sql.Tx) error {
			_, err := tx.Exec("INSERT INTO t (id, n) VALUES ('a', 1)")
			require.NoError(t, err)
			panic("no")
		})
	})
	require.Equal(t, 0, count(t, db))
	require.NoError(t, insert(db, "a", 1), "the writer was given back")
}

func TestCanceled(t *testing.T) {
	db := migrated(t, Options{})
	ctx, cancel := context.WithCancel(t.Context())
	err := db.WithTx(ctx, func(tx *sql.Tx) error {
		_, err := tx.Exec("INSERT INTO t (id, n) VALUES ('a', 1)")
		cancel()
		return err
	})
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, 0, count(t, db))
	require.ErrorIs(t, db.WithTx(ctx, func(*sql.Tx) error { return nil }), context.Canceled)

	ctx, cancel = context.WithCancel(t.Context())
	started := make(chan struct{})
	go func() { <-started; cancel() }()
	err = db.View(ctx, func(tx *sql.Tx) error {
		close(started)
		// Bounded: a driver may miss an interrupt that comes just before a step.
		return tx.QueryRowContext(ctx,
			"WITH RECURSIVE r(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM r WHERE i < 2000000) SELECT count(*) FROM r").Scan(new(int))
	})
	require.ErrorIs(t, err, context.Canceled)

	ctx, cancel = context.WithCancel(t.Context())
	defer cancel()
	err = db.View(ctx, func(tx *sql.Tx) error {
		rows, err := tx.QueryContext(ctx, "WITH RECURSIVE r(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM r) SELECT i FROM r")
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }()
		for rows.Next() {
			cancel()
		}
		return rows.Err()
	})
	require.ErrorIs(t, err, context.Canceled, "a result without an end ends")
}

func TestBusy(t *testing.T) {
	db := migrated(t, Options{AcquireTimeout: time.Millisecond, BusyTimeout: time.Millisecond})
	err := db.WithTx(t.Context(), func(*sql.Tx) error { return insert(db, "a", 1) })
	require.ErrorIs(t, err, ErrBusy, "the one writer is taken")

	other, err := Open(t.Context(), db.Path(), Options{BusyTimeout: time.Millisecond, Logger: quiet})
	require.NoError(t, err)
	defer func() { require.NoError(t, other.Close()) }()
	err = db.WithTx(t.Context(), func(*sql.Tx) error { return insert(other, "a", 1) })
	require.ErrorIs(t, err, ErrBusy, "another process holds the lock")
	require.NoError(t, insert(other, "a", 1))
}

func TestReadersSeeOneCommitAndDoNotBlock(t *testing.T) {
	db := migrated(t, Options{})
	require.NoError(t, db.View(t.Context(), func(tx *sql.Tx) error {
		var before, after int
		require.NoError(t, tx.QueryRow("SELECT count(*) FROM t").Scan(&before))
		require.NoError(t, insert(db, "a", 1))
		require.NoError(t, tx.QueryRow("SELECT count(*) FROM t").Scan(&after))
		require.Equal(t, before, after)
		return nil
	}))
	require.Equal(t, 1, count(t, db))
}

func TestConcurrentWriters(t *testing.T) {
	db := migrated(t, Options{})
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := range 20 {
				if err := insert(db, fmt.Sprintf("%d-%d", w, i), i); err != nil {
					t.Errorf("writer %d: %v", w, err)
				}
			}
		})
	}
	wg.Wait()
	require.Equal(t, 160, count(t, db))
}

func TestMigrations(t *testing.T) {
	db := open(t, Options{})
	first := fstest.MapFS{"0001_init.sql": steps["0001_init.sql"]}
	have := func(list fstest.MapFS) schema.State {
		s, err := db.Schema(t.Context(), list)
		require.NoError(t, err)
		return s
	}
	require.Equal(t, schema.State{Missing: []string{"0001_init", "0002_child"}}, have(steps))

	require.NoError(t, db.Migrate(t.Context(), first))
	require.NoError(t, have(first).Err())
	require.EqualError(t, have(steps).Err(), "the schema lacks 0002_child; run `synapse migrate up`")

	require.NoError(t, insert(db, "kept", 1))
	require.NoError(t, db.Migrate(t.Context(), steps))
	require.NoError(t, db.Migrate(t.Context(), steps), "again is harmless")
	require.Equal(t, schema.State{Applied: []string{"0001_init", "0002_child"}}, have(steps))
	require.Equal(t, 1, count(t, db))

	require.NoError(t, db.Migrate(t.Context(), first), "a newer schema is left alone")
	require.Equal(t, schema.State{Applied: []string{"0001_init"}, Later: 1}, have(first))

	broken := fstest.MapFS{"0001_init.sql": steps["0001_init.sql"], "0002_child.sql": steps["0002_child.sql"],
		"0003_bad.sql": {Data: []byte("-- +goose Up\nCREATE TABLE half (x INTEGER);\nNO SQL;\n")}}
	err := db.Migrate(t.Context(), broken)
	require.ErrorContains(t, err, "migration 0003_bad.sql failed")
	_, isDriver := driverCode(err)
	require.False(t, isDriver)
	require.Equal(t, []string{"0003_bad"}, have(broken).Missing)
	require.ErrorContains(t, Wrap(func() error { _, err := db.Reader().Exec("SELECT * FROM half"); return err }()), "no such table",
		"a failed migration leaves nothing")
}

// Processes that start at once apply each step once.
func TestMigrateTakesTurns(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	var starts sync.WaitGroup
	for range 4 {
		db, err := Open(t.Context(), path, Options{Logger: quiet})
		require.NoError(t, err)
		starts.Go(func() {
			if err := errors.Join(db.Migrate(t.Context(), steps), db.Close()); err != nil {
				t.Error(err)
			}
		})
	}
	starts.Wait()
	s, err := FileSchema(t.Context(), path, steps)
	require.NoError(t, err)
	require.NoError(t, s.Err())
}

func TestWALIsTruncated(t *testing.T) {
	// Automatic checkpoints are off in effect, so that only the truncation counts.
	db := migrated(t, Options{MaxWALBytes: 1 << 20, CheckInterval: time.Millisecond, AutoCheckpointPages: 1 << 30})
	wal := db.Path() + "-wal"
	tx, err := db.Reader().BeginTx(t.Context(), nil)
	require.NoError(t, err)
	require.NoError(t, tx.QueryRow("SELECT count(*) FROM t").Scan(new(int)))
	require.NoError(t, insert(db, "big", 1))
	_, err = db.Writer().Exec("UPDATE t SET id = ?", string(make([]byte, 3<<20)))
	require.NoError(t, err)
	require.Eventually(t, func() bool { return db.Stats().PinnedChecks > 0 }, time.Minute, time.Millisecond)
	require.Greater(t, fileSize(wal), int64(1<<20))
	require.NoError(t, tx.Rollback())
	require.Eventually(t, func() bool { return db.Stats().Truncations > 0 }, time.Minute, time.Millisecond)
	require.Equal(t, 1, count(t, db))
	var ms int
	require.NoError(t, db.Writer().QueryRow("PRAGMA busy_timeout").Scan(&ms))
	require.Equal(t, 5000, ms, "the writer's timeout is as before")
}

func TestBackup(t *testing.T) {
	db := migrated(t, Options{ApplicationID: 9})
	for i := range 100 {
		require.NoError(t, insert(db, fmt.Sprint(i), i))
	}
	to := filepath.Join(t.TempDir(), "copy.db")
	require.NoError(t, db.Backup(t.Context(), to))
	require.ErrorIs(t, db.Backup(t.Context(), to), os.ErrExist, "a copy is never overwritten")
	fi, err := os.Stat(to)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), fi.Mode().Perm())
	require.NoError(t, db.Check(t.Context()))

	copied, err := Open(t.Context(), to, Options{ApplicationID: 9, Logger: quiet})
	require.NoError(t, err)
	defer func() { require.NoError(t, copied.Close()) }()
	have, err := copied.Schema(t.Context(), steps)
	require.NoError(t, err)
	require.NoError(t, have.Err())
	require.NoError(t, copied.Check(t.Context()))
	require.Equal(t, 100, count(t, copied))
}

func TestCheckFindsDamage(t *testing.T) {
	db := migrated(t, Options{})
	for i := range 2000 {
		_, err := db.Writer().Exec("INSERT INTO t VALUES (?, ?)", fmt.Sprintf("%050d", i), i)
		require.NoError(t, err)
	}
	require.NoError(t, db.Close())
	f, err := os.OpenFile(db.Path(), os.O_RDWR, 0)
	require.NoError(t, err)
	_, err = f.WriteAt(make([]byte, 4096), 4096*20)
	require.NoError(t, err)
	require.NoError(t, f.Close())
	again, err := Open(t.Context(), db.Path(), Options{Logger: quiet})
	require.NoError(t, err)
	defer func() { require.NoError(t, again.Close()) }()
	require.ErrorIs(t, again.Check(t.Context()), ErrCorrupt)
}

func TestClosed(t *testing.T) {
	db := migrated(t, Options{})
	require.NoError(t, db.Close())
	require.ErrorIs(t, insert(db, "a", 1), ErrClosed)
	require.ErrorIs(t, db.View(t.Context(), func(*sql.Tx) error { return nil }), ErrClosed)
	_, err := os.Stat(db.Path() + "-wal")
	require.ErrorIs(t, err, os.ErrNotExist, "the log was checkpointed and removed")
}
