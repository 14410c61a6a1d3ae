// Package sqlstore keeps the auth service's data in tables: the statements that all
// SQL engines share. An engine brings the schema and the transactions.
package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/synapse-analytics/synapse/internal/dberr"
	"github.com/synapse-analytics/synapse/services/auth"
)

// Tx is a transaction. Parameters are written ?, or ?1 and so on when one is used
// twice; a statement has those of one kind.
type Tx interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// Engine runs transactions. Its errors match package dberr.
type Engine interface {
	// Write runs fn while no other Write runs, and commits when it returns nil.
	Write(ctx context.Context, fn func(Tx) error) error
	// Read runs fn; all of its queries see the same commit.
	Read(ctx context.Context, fn func(Tx) error) error
}

// Store implements all of auth.Store but Close.
type Store struct{ engine Engine }

// New returns the store of an engine whose schema is up to date.
func New(e Engine) *Store { return &Store{e} }

// Ping implements auth.Store.
func (s *Store) Ping(ctx context.Context) error {
	return s.read(ctx, "ping", func(tx Tx) error {
		var n int
		return tx.QueryRowContext(ctx, "SELECT count(*) FROM secrets").Scan(&n)
	})
}

func (s *Store) write(ctx context.Context, what string, fn func(Tx) error) error {
	return ours(what, s.engine.Write(ctx, fn))
}

func (s *Store) read(ctx context.Context, what string, fn func(Tx) error) error {
	return ours(what, s.engine.Read(ctx, fn))
}

// ours names the operation and turns the database's errors into the port's.
func ours(what string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, sql.ErrNoRows):
		return fmt.Errorf("%s: %w", what, auth.ErrNotFound)
	case errors.Is(err, dberr.ErrUnique):
		return fmt.Errorf("%s: %w: %w", what, auth.ErrExists, err)
	case errors.Is(err, dberr.ErrExhausted):
		return fmt.Errorf("%s: %w: %w", what, auth.ErrExhausted, err)
	case errors.Is(err, dberr.ErrBusy), errors.Is(err, dberr.ErrFull), errors.Is(err, dberr.ErrIO),
		errors.Is(err, dberr.ErrClosed), errors.Is(err, dberr.ErrCorrupt), errors.Is(err, dberr.ErrAway),
		errors.Is(err, dberr.ErrReadOnly), errors.Is(err, dberr.ErrUnknown):
		return fmt.Errorf("%s: %w: %w", what, auth.ErrUnavailable, err)
	default:
		return fmt.Errorf("%s: %w", what, err)
	}
}

// micros is a time as it is stored; 0 is not set.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func fromMicros(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}

// one makes ErrNotFound of a statement that changed no row.
func one(res sql.Result, err error) error {
	if err != nil {
		return err
	}
	n, err := res.RowsAffected()
	if err != nil {
		return err
	}
	if n == 0 {
		return auth.ErrNotFound
	}
	return nil
}

// column reads a result of one text column.
func column(ctx context.Context, tx Tx, query string, args ...any) ([]string, error) {
	rows, err := tx.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var out []string
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, rows.Err()
}
