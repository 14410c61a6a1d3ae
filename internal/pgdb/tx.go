package pgdb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/synapse-analytics/synapse/internal/dberr"
)

// WithTx runs fn in a transaction (READ COMMITTED) and commits it; when fn fails
// or panics it is rolled back. When WithTx returns nil the commit is on disk; when
// it returns an error other than ErrUnknown nothing of it is. ErrBusy when no
// connection was free for Config.AcquireTimeout.
func (db *DB) WithTx(ctx context.Context, fn func(pgx.Tx) error) error {
	return db.run(ctx, pgx.TxOptions{}, "write", fn)
}

// View runs fn in a read-only transaction: all its queries see the same commit. It
// keeps dead rows from being cleaned up as long as it runs, so keep it short.
func (db *DB) View(ctx context.Context, fn func(pgx.Tx) error) error {
	return db.run(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, "read", fn)
}

func (db *DB) run(ctx context.Context, o pgx.TxOptions, what string, fn func(pgx.Tx) error) error {
	conn, err := db.acquire(ctx)
	if err != nil {
		return fmt.Errorf("%s transaction: %w", what, err)
	}
	defer conn.Release()
	closed := conn.Conn().IsClosed
	tx, err := conn.BeginTx(ctx, o)
	if err != nil {
		return fmt.Errorf("begin %s transaction: %w", what, failed(ctx, err, closed))
	}
	// After a commit this does nothing; a connection that is broken, or whose
	// transaction did not end, is not given back to the pool.
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	if err := fn(tx); err != nil {
		return failed(ctx, err, closed)
	}
	if err := tx.Commit(ctx); err != nil {
		return fmt.Errorf("commit %s transaction: %w", what, commitError(err))
	}
	return nil
}

// WithSQL is WithTx for code that is written for package database/sql. Statements
// must number their parameters: $1.
func (db *DB) WithSQL(ctx context.Context, fn func(*sql.Tx) error) error {
	return db.runSQL(ctx, nil, "write", fn)
}

// ViewSQL is View for code that is written for package database/sql.
func (db *DB) ViewSQL(ctx context.Context, fn func(*sql.Tx) error) error {
	return db.runSQL(ctx, &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true}, "read", fn)
}

func (db *DB) runSQL(ctx context.Context, o *sql.TxOptions, what string, fn func(*sql.Tx) error) error {
	wait, cancel := context.WithTimeout(ctx, db.cfg.AcquireTimeout)
	defer cancel()
	conn, err := db.sql.Conn(wait)
	if err != nil {
		return fmt.Errorf("%s transaction: %w", what, db.waitError(ctx, wait, err))
	}
	defer func() { _ = conn.Close() }()
	closed := func() bool { return isClosed(conn) }
	tx, err := conn.BeginTx(ctx, o)
	if err != nil {
		return fmt.Errorf("begin %s transaction: %w", what, failed(ctx, err, closed))
	}
	defer func() { _ = tx.Rollback() }()
	if err := fn(tx); err != nil {
		return failed(ctx, err, closed)
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit %s transaction: %w", what, commitError(err))
	}
	return nil
}

// isClosed says whether the driver's connection is.
func isClosed(conn *sql.Conn) bool {
	open := false
	_ = conn.Raw(func(driver any) error { // not called for a connection that is known to be bad
		c, ok := driver.(*stdlib.Conn)
		open = ok && !c.Conn().IsClosed()
		return nil
	})
	return !open
}

// failed tells why a statement did: whatever the driver says of a connection that is
// closed now, the server is away.
func failed(ctx context.Context, err error, closed func() bool) error {
	err = withContext(ctx, err)
	var known *dberr.Error
	if ctx.Err() == nil && !errors.As(err, &known) && closed() {
		return dberr.New(dberr.ErrAway, "", err)
	}
	return err
}

// commitError tells a refused commit from one whose answer was lost.
func commitError(err error) error {
	if code(err) != "" || errors.Is(err, pgx.ErrTxClosed) || errors.Is(err, sql.ErrTxDone) {
		return Wrap(err)
	}
	return dberr.New(dberr.ErrUnknown, "", err)
}
