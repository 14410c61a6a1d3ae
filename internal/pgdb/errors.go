package pgdb

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"net"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/synapse-analytics/synapse/internal/dberr"
)

// Wrap turns an error of the driver into one without its type: a kind of package
// dberr can be matched. Errors that do not come from the driver are returned as
// they are.
func Wrap(err error) error {
	if err == nil {
		return nil
	}
	var own *dberr.Error
	if errors.As(err, &own) {
		return err
	}
	if c := code(err); c != "" {
		return dberr.New(kindOf(c), c, err)
	}
	var network net.Error
	var connect *pgconn.ConnectError
	switch {
	case errors.Is(err, pgx.ErrNoRows), errors.Is(err, sql.ErrNoRows):
		return err
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.As(err, &connect), errors.As(err, &network), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF),
		errors.Is(err, net.ErrClosed), errors.Is(err, driver.ErrBadConn), pgconn.SafeToRetry(err):
		return dberr.New(dberr.ErrAway, "", err)
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
