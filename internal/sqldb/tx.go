package sqldb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/synapse-analytics/synapse/internal/dberr"
)

// WithTx runs fn in a write transaction (BEGIN IMMEDIATE) and commits it; when
// fn fails or panics it is rolled back. When WithTx returns nil the commit is on
// disk; when it returns an error other than ErrIO nothing of it is. fn must use
// only its transaction: another write call inside it would wait for itself.
// ErrBusy when the writer is taken for longer than Options.AcquireTimeout.
func (db *DB) WithTx(ctx context.Context, fn func(*sql.Tx) error) error {
	return db.run(ctx, db.writer, "write", fn)
}

// View runs fn in a read transaction: all its queries see the same commit. It
// pins the write-ahead log as long as it runs, so keep it short.
func (db *DB) View(ctx context.Context, fn func(*sql.Tx) error) error {
	return db.run(ctx, db.reader, "read", fn)
}

func (db *DB) run(ctx context.Context, pool *sql.DB, what string, fn func(*sql.Tx) error) (err error) {
	conn, err := db.acquire(ctx, pool)
	if err != nil {
		return fmt.Errorf("%s transaction: %w", what, err)
	}
	defer func() { err = errors.Join(err, closeConn(conn)) }()
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin %s transaction: %w", what, withContext(ctx, err))
	}
	committed := false
	defer func() {
		if !committed { // after a failure or a panic in fn
			if rerr := tx.Rollback(); rerr != nil && !errors.Is(rerr, sql.ErrTxDone) && err == nil {
				err = fmt.Errorf("roll back %s transaction: %w", what, Wrap(rerr))
			}
		}
	}()
	if err := fn(tx); err != nil {
		return withContext(ctx, err)
	}
	committed = true // a failed commit has already ended the transaction
	if err := tx.Commit(); err != nil {
		_ = tx.Rollback()
		return fmt.Errorf("commit %s transaction: %w", what, withContext(ctx, err))
	}
	return nil
}

// acquire gets a connection within the acquire timeout.
func (db *DB) acquire(ctx context.Context, pool *sql.DB) (*sql.Conn, error) {
	wait, cancel := context.WithTimeout(ctx, db.opts.AcquireTimeout)
	defer cancel()
	conn, err := pool.Conn(wait)
	switch {
	case err == nil:
		return conn, nil
	case db.closed.Load():
		return nil, ErrClosed
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case wait.Err() != nil:
		return nil, fmt.Errorf("%w within %v", dberr.ErrExhausted, db.opts.AcquireTimeout)
	default:
		return nil, Wrap(err)
	}
}

func closeConn(conn *sql.Conn) error {
	if err := conn.Close(); err != nil && !errors.Is(err, sql.ErrConnDone) {
		return Wrap(err)
	}
	return nil
}
