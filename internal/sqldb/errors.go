package sqldb

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"strconv"

	"github.com/synapse-analytics/synapse/internal/dberr"
)

// The kinds of error that callers act on; match them with errors.Is.
var (
	ErrBusy       = dberr.ErrBusy
	ErrFull       = dberr.ErrFull
	ErrConstraint = dberr.ErrConstraint
	ErrUnique     = dberr.ErrUnique
	ErrIO         = dberr.ErrIO
	ErrCorrupt    = dberr.ErrCorrupt
	ErrReadOnly   = dberr.ErrReadOnly
	ErrClosed     = dberr.ErrClosed
)

// SQLite's primary result codes, and the extended ones that are told apart
// (https://sqlite.org/rescode.html).
const (
	codeBusy       = 5
	codeLocked     = 6
	codeReadOnly   = 8
	codeInterrupt  = 9
	codeIO         = 10
	codeCorrupt    = 11
	codeFull       = 13
	codeCantOpen   = 14
	codeConstraint = 19
	codeNotADB     = 26

	codeConstraintPrimaryKey = 1555
	codeConstraintUnique     = 2067
	codeConstraintRowID      = 2579
)

// Wrap turns an error of Writer or Reader into one without the driver's type:
// one of the kinds above can be matched, the driver's error can not be reached.
// Errors that do not come from the driver are returned as they are.
func Wrap(err error) error {
	if err == nil {
		return nil
	}
	var own *dberr.Error
	if errors.As(err, &own) {
		return err
	}
	code, ok := driverCode(err)
	if !ok {
		if errors.Is(err, sql.ErrConnDone) || errors.Is(err, driver.ErrBadConn) {
			return dberr.New(ErrClosed, "", err)
		}
		return err
	}
	return dberr.New(kindOf(code), strconv.Itoa(code), err)
}

func kindOf(code int) error {
	switch code & 0xff {
	case codeBusy, codeLocked:
		return ErrBusy
	case codeFull:
		return ErrFull
	case codeConstraint:
		switch code {
		case codeConstraintPrimaryKey, codeConstraintUnique, codeConstraintRowID:
			return ErrUnique
		}
		return ErrConstraint
	case codeIO, codeCantOpen:
		return ErrIO
	case codeCorrupt, codeNotADB:
		return ErrCorrupt
	case codeReadOnly:
		return ErrReadOnly
	case codeInterrupt: // only a context interrupts a statement
		return context.Canceled
	}
	return nil
}

// withContext prefers the reason why the context ended over the error that this
// made in the driver.
func withContext(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil && (errors.Is(err, sql.ErrTxDone) || interrupted(err)) {
		return context.Cause(ctx)
	}
	return Wrap(err)
}

func interrupted(err error) bool {
	code, ok := driverCode(err)
	return ok && code&0xff == codeInterrupt
}
