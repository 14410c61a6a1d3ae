// Package sqlread reads what the query service keeps in SQL tables: the statements
// that all SQL engines share. An engine brings the schema, the writes and its dialect.
package sqlread

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/synapse-analytics/synapse/internal/dberr"
	"github.com/synapse-analytics/synapse/services/query"
)

// Querier is a read transaction. Parameters are written ?, or ?1 and so on when one
// is used twice; a statement has those of one kind.
type Querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// Dialect is how an engine wants to be asked.
type Dialect struct {
	// EventByID is what follows FROM to find the event e, with its dims d, of a
	// project's name and an id: two parameters.
	EventByID string
	// EventsByTime and EventsBySeq name the table of events, as e, to be read in
	// that order.
	EventsByTime, EventsBySeq string
	// Join is the join that dims d are read with, and JoinDims one behind e.
	Join, JoinDims string
	// Removed is what follows FROM to read the rows r of what was removed.
	Removed string
	// Pin is the statement that a transaction begins with whose reads of events and of
	// what was removed must fit; empty for none.
	Pin string
	// Columns is the filter's view of what is not the same in all engines.
	Columns Columns
}

// Columns are the parts of filter.Columns that engines write differently.
type Columns interface {
	// Contains, HasEmotion, HasAttribute and CompareAttribute as in filter.Columns.
	Contains() string
	HasEmotion() string
	HasAttribute() string
	CompareAttribute(operator string) string
}

// Reader implements the reading half of query.Store.
type Reader struct {
	// View runs fn, all of whose queries see the same commit. Its errors match
	// package dberr.
	View func(ctx context.Context, fn func(Querier) error) error
	// Near is View for reads that tell nothing of where the store is: from a copy that
	// has all that View has shown and that was written by this process. When the copy
	// fails fn runs again, unless it is told that this run is the last. nil is View.
	Near func(ctx context.Context, fn func(tx Querier, last bool) error) error
	// Dialect of the engine.
	Dialect Dialect
}

// near is Near, or View.
func (s *Reader) near(ctx context.Context, fn func(Querier) error) error {
	if s.Near == nil {
		return s.View(ctx, fn)
	}
	return s.Near(ctx, func(tx Querier, _ bool) error { return fn(tx) })
}

// pinned is View of events together with what was removed of them.
func (s *Reader) pinned(ctx context.Context, view func(context.Context, func(Querier) error) error, fn func(Querier) error) error {
	return view(ctx, func(tx Querier) error {
		if s.Dialect.Pin != "" {
			if err := noRows(tx.QueryRowContext(ctx, s.Dialect.Pin).Scan()); err != nil {
				return err
			}
		}
		return fn(tx)
	})
}

// PortError turns an error that matches package dberr into one of the port's.
func PortError(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, dberr.ErrExhausted):
		return fmt.Errorf("%w: %w", query.ErrExhausted, err)
	case errors.Is(err, dberr.ErrBusy), errors.Is(err, dberr.ErrAway), errors.Is(err, dberr.ErrReadOnly):
		return fmt.Errorf("%w: %w", query.ErrBusy, err)
	case errors.Is(err, dberr.ErrFull):
		return fmt.Errorf("%w: %w", query.ErrFull, err)
	case errors.Is(err, dberr.ErrIO), errors.Is(err, dberr.ErrCorrupt):
		return fmt.Errorf("%w: %w", query.ErrBroken, err)
	default:
		return err
	}
}

// noRows makes a missing row no error.
func noRows(err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	return err
}
