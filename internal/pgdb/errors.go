package pgdb

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/synapse-analytics/synapse/internal/dberr"
)

// Error is an error of the database without the driver's type.
type Error struct {
	// Code is the SQLSTATE; empty when the server did not answer.
	Code string
	kind error
	err  error
}

// Error implements error. The text names tables and columns, never values: the
// server puts those into the detail, which is left out.
func (e *Error) Error() string {
	if e.kind != nil {
		return e.kind.Error() + ": " + e.err.Error()
	}
	return e.err.Error()
}

// Is matches the kinds of package dberr, and what the wrapped error matches.
func (e *Error) Is(target error) bool {
	if e.kind != nil && (target == e.kind || (e.kind == dberr.ErrUnique && target == dberr.ErrConstraint)) {
		return true
	}
	return errors.Is(e.err, target)
}

// Wrap turns an error of the driver into one without its type: a kind of package
// dberr can be matched. Errors that do not come from the driver are returned as
// they are.
func Wrap(err error) error {
	if err == nil {
		return nil
	}
	var own *Error
	if errors.As(err, &own) {
		return err
	}
	if c := code(err); c != "" {
		return &Error{Code: c, kind: kindOf(c), err: err}
	}
	var network net.Error
	var connect *pgconn.ConnectError
	switch {
	case errors.Is(err, pgx.ErrNoRows), errors.Is(err, sql.ErrNoRows):
		return err
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.As(err, &connect), errors.As(err, &network), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF),
		errors.Is(err, net.ErrClosed), errors.Is(err, driver.ErrBadConn), pgconn.SafeToRetry(err), strings.Contains(err.Error(), "conn closed"):
		return &Error{kind: dberr.ErrAway, err: err}
	case strings.Contains(err.Error(), "closed pool"), errors.Is(err, sql.ErrConnDone):
		return &Error{kind: dberr.ErrClosed, err: err}
	}
	return err
}

func code(err error) string {
	var server *pgconn.PgError
	if errors.As(err, &server) {
		return server.Code
	}
	return ""
}

// kindOf groups SQLSTATEs (https://www.postgresql.org/docs/15/errcodes-appendix.html).
func kindOf(code string) error {
	switch code {
	case "23505":
		return dberr.ErrUnique
	case "53100": // disk_full
		return dberr.ErrFull
	case "40001", "40P01", "55P03", "53300", "53200", "57014":
		// serialization failure, deadlock, lock timeout, too many connections,
		// out of memory, statement timeout
		return dberr.ErrBusy
	case "25006", "57P04": // the server is a standby now, or the database was dropped
		return dberr.ErrReadOnly
	case "58030": // io_error
		return dberr.ErrIO
	}
	switch code[:min(2, len(code))] {
	case "23":
		return dberr.ErrConstraint
	case "08", "57": // connection exceptions; shutdown, crash, starting up
		return dberr.ErrAway
	case "XX": // data or index corrupted, internal error
		return dberr.ErrCorrupt
	}
	return nil
}

// withContext prefers the reason why the context ended over the error that this
// made in the driver.
func withContext(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil && code(err) == "" {
		return context.Cause(ctx)
	}
	return Wrap(err)
}
