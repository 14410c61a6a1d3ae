// Package dberr names the kinds of failure that every database engine has, so that
// a store's code does not depend on the engine below it. Match with errors.Is.
package dberr

import (
	"errors"
	"fmt"
)

var (
	// ErrBusy says that a lock or a connection could not be had in time, or that
	// the statement took too long. The same call can succeed later.
	ErrBusy = errors.New("database is busy")
	// ErrExhausted is the ErrBusy of a pool whose connections were all taken for
	// longer than a call may wait.
	ErrExhausted = fmt.Errorf("%w: no connection is free", ErrBusy)
	// ErrFull says that the disk, or the file's size limit, is full. Nothing of
	// the transaction was kept.
	ErrFull = errors.New("database disk is full")
	// ErrConstraint says that a row breaks a constraint of the schema.
	ErrConstraint = errors.New("database constraint violated")
	// ErrUnique is the ErrConstraint of a unique index or primary key.
	ErrUnique = errors.New("database row exists")
	// ErrIO says that reading, writing or syncing failed. Whether the last
	// commit is on disk is unknown: do not retry on the same connection, stop.
	ErrIO = errors.New("database input or output failed")
	// ErrCorrupt says that the data is damaged or is not a database.
	ErrCorrupt = errors.New("database is damaged")
	// ErrReadOnly says that a connection which can not write was asked to.
	ErrReadOnly = errors.New("database connection is read-only")
	// ErrAway says that the server can not be reached, is starting or stopping.
	// The same call can succeed later.
	ErrAway = errors.New("database server is away")
	// ErrUnknown says that the connection was lost during a commit: the
	// transaction was kept whole or not at all, which of both is unknown.
	ErrUnknown = errors.New("database commit is unknown")
	// ErrClosed says that the database was closed.
	ErrClosed = errors.New("database is closed")
)

// Error is an error of a database without the driver's type: the driver's error can
// not be reached, a kind can be matched.
type Error struct {
	// Code is the engine's code: SQLite's extended result code or an SQLSTATE; empty
	// when the server did not answer.
	Code string
	kind error
	err  error
}

// New returns the error of a driver as one of the kind; nil is none of them.
func New(kind error, code string, err error) *Error { return &Error{Code: code, kind: kind, err: err} }

// Error implements error. The text names tables and columns, never values.
func (e *Error) Error() string {
	if e.kind != nil {
		return e.kind.Error() + ": " + e.err.Error()
	}
	return e.err.Error()
}

// Is matches the kind, and what the wrapped error matches.
func (e *Error) Is(target error) bool {
	if e.kind != nil && (target == e.kind || (e.kind == ErrUnique && target == ErrConstraint)) {
		return true
	}
	return errors.Is(e.err, target)
}
