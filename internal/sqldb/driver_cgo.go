//go:build cgo

package sqldb

import (
	"database/sql/driver"
	"errors"

	"github.com/mattn/go-sqlite3"
)

// driverName names the driver in Stats.
const driverName = "mattn/go-sqlite3"

// openConn opens a connection. database/sql never uses one from two goroutines
// at once, so SQLite's own mutex is left out.
func openConn(dsn string) (driver.Conn, error) {
	return (&sqlite3.SQLiteDriver{}).Open(dsn + "&_mutex=no")
}

func driverCode(err error) (int, bool) {
	var e sqlite3.Error
	if !errors.As(err, &e) {
		var p *sqlite3.Error
		if !errors.As(err, &p) {
			return 0, false
		}
		e = *p
	}
	if e.ExtendedCode != 0 {
		return int(e.ExtendedCode), true
	}
	return int(e.Code), true
}
