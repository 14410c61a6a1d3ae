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
	"sync/atomic"
)

// DB is an open SQLite file: one writer connection, a bounded pool of readers,
// and a goroutine that keeps the write-ahead log short. Safe for concurrent use.
type DB struct {
	path   string
	opts   Options
	log    *slog.Logger
	writer *sql.DB
	reader *sql.DB

	stop    context.CancelFunc
	done    chan struct{}
	close   sync.Once
	closeOK error
	closed  atomic.Bool

	truncations atomic.Int64
	pinned      atomic.Int64
}

// Open opens the file, and creates it with mode 0600 if it does not exist; its
// folder must exist. It fails when durability can not be had (write-ahead log,
// synchronous=FULL), when the file is no database, or when it belongs to another
// application. Migrate must be called before the tables are used.
func Open(ctx context.Context, path string, o Options) (*DB, error) {
	o = o.withDefaults()
	if err := o.validate(); err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("open database %s: %w", path, err)
	}
	if err := createFile(abs); err != nil {
		return nil, fmt.Errorf("open database %s: %w", path, err)
	}
	db := &DB{path: abs, opts: o, log: o.Logger, done: make(chan struct{})}
	db.writer = openPool(writerConnector(abs, o), 1)
	db.reader = openPool(readerConnector(abs, o), o.Readers)
	if err := db.start(ctx); err != nil {
		err = fmt.Errorf("open database %s: %w", path, Wrap(err))
		return nil, errors.Join(err, db.writer.Close(), db.reader.Close())
	}
	watch, stop := context.WithCancel(context.WithoutCancel(ctx))
	db.stop = stop
	go func() {
		defer close(db.done)
		db.watchWAL(watch)
	}()
	return db, nil
}

// openPool keeps its connections open: a new one costs a dozen statements and an
// empty page cache.
func openPool(c *connector, conns int) *sql.DB {
	pool := sql.OpenDB(c)
	pool.SetMaxOpenConns(conns)
	pool.SetMaxIdleConns(conns)
	return pool
}

// createFile makes the file with a mode that no other user can read; SQLite
// gives its log and index files the same mode.
func createFile(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600) //nolint:gosec // the operator's path is the point
	if err != nil {
		return err
	}
	return f.Close()
}

func (db *DB) start(ctx context.Context) error {
	var mode string
	if err := db.writer.QueryRowContext(ctx, "PRAGMA journal_mode").Scan(&mode); err != nil {
		return fmt.Errorf("read journal mode: %w", err)
	}
	if mode != "wal" {
		return fmt.Errorf("journal mode is %q: the file system can not share memory, which the write-ahead log needs; use a local disk", mode)
	}
	if err := db.checkApplication(ctx); err != nil {
		return err
	}
	if err := db.reader.PingContext(ctx); err != nil {
		return fmt.Errorf("open reader: %w", err)
	}
	return nil
}

// checkApplication marks a new file and refuses another application's.
func (db *DB) checkApplication(ctx context.Context) error {
	if db.opts.ApplicationID == 0 {
		return nil
	}
	var id int32
	var objects int
	if err := db.writer.QueryRowContext(ctx, "PRAGMA application_id").Scan(&id); err != nil {
		return fmt.Errorf("read application id: %w", err)
	}
	if id == db.opts.ApplicationID {
		return nil
	}
	if err := db.writer.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_schema").Scan(&objects); err != nil {
		return fmt.Errorf("read schema: %w", err)
	}
	if id != 0 || objects != 0 {
		return fmt.Errorf("the file's application id is %#x instead of %#x: it belongs to another service; check the path", id, db.opts.ApplicationID)
	}
	if _, err := db.writer.ExecContext(ctx, fmt.Sprintf("PRAGMA application_id = %d", db.opts.ApplicationID)); err != nil {
		return fmt.Errorf("set application id: %w", err)
	}
	return nil
}

// Path returns the file's absolute path.
func (db *DB) Path() string { return db.path }

// Writer returns the handle with the one writer connection, for statements that
// are prepared once and used in a hot path. Transactions begun on it are
// BEGIN IMMEDIATE. A caller that holds its connection blocks every other
// writer, so it must not wait for anything else meanwhile. Its errors go through
// Wrap.
func (db *DB) Writer() *sql.DB { return db.writer }

// Reader returns the handle with the reader connections. Writing through it
// fails. Its errors go through Wrap. An open result pins the write-ahead log:
// read in bounded pieces.
func (db *DB) Reader() *sql.DB { return db.reader }

// Close waits for the goroutine, checkpoints and closes both handles. Calls in
// flight end first. Further calls return the first one's error.
func (db *DB) Close() error {
	db.close.Do(func() {
		db.closed.Store(true)
		db.stop()
		<-db.done
		// Readers first: the last connection to close checkpoints and removes
		// the log, and a query_only connection may not.
		rerr := db.reader.Close()
		werr := db.writer.Close()
		db.closeOK = Wrap(errors.Join(rerr, werr))
	})
	return db.closeOK
}

// Stats are numbers for metrics.
type Stats struct {
	// Driver names the SQLite driver that was built in.
	Driver string
	// FileBytes and WALBytes are the sizes of the file and its log.
	FileBytes, WALBytes int64
	// Truncations counts how often the log was truncated because of its size.
	Truncations int64
	// PinnedChecks counts how often the log could not be truncated because a
	// reader still needed it.
	PinnedChecks int64
	// Writer and Reader are the pools.
	Writer, Reader sql.DBStats
}

// Stats returns current numbers.
func (db *DB) Stats() Stats {
	return Stats{
		Driver: driverName, FileBytes: fileSize(db.path), WALBytes: fileSize(db.path + "-wal"),
		Truncations: db.truncations.Load(), PinnedChecks: db.pinned.Load(),
		Writer: db.writer.Stats(), Reader: db.reader.Stats(),
	}
}

func fileSize(path string) int64 {
	fi, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return fi.Size()
}
