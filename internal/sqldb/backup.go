package sqldb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Backup writes a consistent, compact copy of the database to path, which must
// not exist, and syncs it. Writers go on meanwhile; the write-ahead log grows as
// long as it runs. The copy has mode 0600.
func (db *DB) Backup(ctx context.Context, path string) error {
	abs, err := filepath.Abs(path)
	if err != nil {
		return fmt.Errorf("back up to %s: %w", path, err)
	}
	// A connection of its own: a reader of the pool may not write, not even to another
	// file, and the writer would be blocked.
	own := openPool(writerConnector(db.path, db.opts), 1)
	defer func() { _ = own.Close() }()
	return vacuumInto(ctx, own, abs)
}

// BackupFile is Backup of a file that another process may have open. The file is only
// read; it must exist.
func BackupFile(ctx context.Context, from, to string) error {
	own, err := openReadOnly(from)
	if err != nil {
		return fmt.Errorf("back up %s: %w", from, err)
	}
	defer func() { _ = own.Close() }()
	return vacuumInto(ctx, own, to)
}

// vacuumInto makes the file first for its mode; VACUUM INTO accepts an empty one.
func vacuumInto(ctx context.Context, from *sql.DB, path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("back up to %s: %w", path, err)
	}
	if _, err = from.ExecContext(ctx, "VACUUM INTO ?", path); err != nil {
		err = withContext(ctx, err)
	} else {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = syncDir(filepath.Dir(path))
	}
	if err != nil {
		return errors.Join(fmt.Errorf("back up to %s: %w", path, err), os.Remove(path))
	}
	return nil
}

// ReadFile runs fn in a read transaction of a file that another process may have open.
// It neither creates nor changes it; fs.ErrNotExist when there is none.
func ReadFile(ctx context.Context, path string, fn func(*sql.Tx) error) error {
	own, err := openReadOnly(path)
	if err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	defer func() { _ = own.Close() }()
	tx, err := own.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("read %s: %w", path, withContext(ctx, err))
	}
	defer func() { _ = tx.Rollback() }()
	if err := fn(tx); err != nil {
		return fmt.Errorf("read %s: %w", path, withContext(ctx, err))
	}
	return nil
}

// openReadOnly opens a file that exists.
func openReadOnly(path string) (*sql.DB, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(abs); err != nil {
		return nil, err
	}
	o := Options{}.withDefaults()
	c := &connector{dsn: dsn(abs, "deferred") + "&mode=ro", pragmas: []string{
		fmt.Sprintf("busy_timeout = %d", o.BusyTimeout.Milliseconds()), "temp_store = MEMORY", "trusted_schema = OFF",
		fmt.Sprintf("cache_size = -%d", o.WriterCacheBytes>>10),
	}}
	return openPool(c, 1), nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Check reads the whole file and reports the first damage found, at most 10
// lines, as ErrCorrupt. It is slow: seconds per gigabyte.
func (db *DB) Check(ctx context.Context) error {
	rows, err := db.reader.QueryContext(ctx, "PRAGMA integrity_check(10)")
	if err != nil {
		return fmt.Errorf("check database: %w", withContext(ctx, err))
	}
	defer func() { _ = rows.Close() }()
	var found []error
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			return fmt.Errorf("check database: %w", withContext(ctx, err))
		}
		if line != "ok" {
			found = append(found, errors.New(line))
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("check database: %w", withContext(ctx, err))
	}
	if len(found) > 0 {
		return fmt.Errorf("%w: %w", ErrCorrupt, errors.Join(found...))
	}
	return nil
}
