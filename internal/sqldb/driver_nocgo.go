//go:build !cgo

package sqldb

import (
	"database/sql/driver"
	"errors"

	"modernc.org/sqlite"
)

// driverName names the driver in Stats.
const driverName = "modernc.org/sqlite"

func openConn(dsn string) (driver.Conn, error) {
	return (&sqlite.Driver{}).Open(dsn)
}

func driverCode(err error) (int, bool) {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return 0, false
	}
	return e.Code(), true
}
