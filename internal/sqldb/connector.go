package sqldb

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net/url"
)

// connector opens connections with the settings of one role. The settings are
// run as statements so that both drivers get exactly the same.
type connector struct {
	dsn     string
	pragmas []string
	// verify is read back after the settings: name of the pragma -> value.
	verify map[string]int64
}

// Connect implements driver.Connector.
func (c *connector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := openConn(c.dsn)
	if err != nil {
		return nil, fmt.Errorf("open connection: %w", err)
	}
	if err := c.prepare(ctx, conn); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}

// Driver implements driver.Connector; database/sql needs it only for DB.Driver.
func (c *connector) Driver() driver.Driver { return noDriver{} }

type noDriver struct{}

func (noDriver) Open(string) (driver.Conn, error) {
	return nil, errors.New("sqldb: connections are opened by sqldb.Open only")
}

func (c *connector) prepare(ctx context.Context, conn driver.Conn) error {
	execer, ok := conn.(driver.ExecerContext)
	if !ok {
		return errors.New("the SQLite driver can not run statements")
	}
	for _, p := range c.pragmas {
		if _, err := execer.ExecContext(ctx, "PRAGMA "+p, nil); err != nil {
			return fmt.Errorf("set %s: %w", p, err)
		}
	}
	for name, want := range c.verify {
		got, err := pragmaInt(ctx, conn, name)
		if err != nil {
			return err
		}
		if got != want {
			return fmt.Errorf("setting %s is %d instead of %d: the file system or the build of SQLite does not allow it", name, got, want)
		}
	}
	return nil
}

// pragmaInt reads a pragma of a connection that is not in a pool yet.
func pragmaInt(ctx context.Context, conn driver.Conn, name string) (int64, error) {
	queryer, ok := conn.(driver.QueryerContext)
	if !ok {
		return 0, errors.New("the SQLite driver can not run queries")
	}
	rows, err := queryer.QueryContext(ctx, "PRAGMA "+name, nil)
	if err != nil {
		return 0, fmt.Errorf("read %s: %w", name, err)
	}
	defer func() { _ = rows.Close() }()
	dest := make([]driver.Value, len(rows.Columns()))
	if err := rows.Next(dest); err != nil {
		if errors.Is(err, io.EOF) {
			return 0, fmt.Errorf("read %s: no answer", name)
		}
		return 0, fmt.Errorf("read %s: %w", name, err)
	}
	if len(dest) == 0 {
		return 0, fmt.Errorf("read %s: no column", name)
	}
	v, ok := dest[0].(int64)
	if !ok {
		return 0, fmt.Errorf("read %s: is %T instead of a number", name, dest[0])
	}
	return v, nil
}

// Values of PRAGMA synchronous.
const syncFull = 2

func writerConnector(path string, o Options) *connector {
	return &connector{
		dsn: dsn(path, "immediate"),
		pragmas: []string{
			fmt.Sprintf("busy_timeout = %d", o.BusyTimeout.Milliseconds()),
			"journal_mode = WAL",
			"synchronous = FULL",
			"foreign_keys = ON",
			"temp_store = MEMORY",
			fmt.Sprintf("cache_size = -%d", o.WriterCacheBytes>>10),
			fmt.Sprintf("mmap_size = %d", o.MmapBytes),
			fmt.Sprintf("wal_autocheckpoint = %d", o.AutoCheckpointPages),
			fmt.Sprintf("journal_size_limit = %d", o.MaxWALBytes),
			"trusted_schema = OFF",
		},
		verify: map[string]int64{"synchronous": syncFull, "foreign_keys": 1},
	}
}

func readerConnector(path string, o Options) *connector {
	return &connector{
		dsn: dsn(path, "deferred"),
		pragmas: []string{
			fmt.Sprintf("busy_timeout = %d", o.BusyTimeout.Milliseconds()),
			"synchronous = FULL",
			"foreign_keys = ON",
			"temp_store = MEMORY",
			fmt.Sprintf("cache_size = -%d", o.ReaderCacheBytes>>10),
			fmt.Sprintf("mmap_size = %d", o.MmapBytes),
			"trusted_schema = OFF",
			"query_only = ON",
		},
		verify: map[string]int64{"query_only": 1},
	}
}

// dsn escapes the path: a "?" in a folder's name must not start the options.
func dsn(path, lock string) string {
	u := url.URL{Path: path}
	return "file:" + u.EscapedPath() + "?_txlock=" + lock
}
