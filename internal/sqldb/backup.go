package sqldb

import (
	"context"
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
	// The file is made first for its mode; VACUUM INTO accepts an empty one.
	f, err := os.OpenFile(abs, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("back up to %s: %w", path, err)
	}
	err = db.vacuumInto(ctx, abs)
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = syncDir(filepath.Dir(abs))
	}
	if err != nil {
		return errors.Join(fmt.Errorf("back up to %s: %w", path, err), os.Remove(abs))
	}
	return nil
}

// vacuumInto uses a connection of its own: a reader may not write, not even to
// another file, and the writer would be blocked.
func (db *DB) vacuumInto(ctx context.Context, path string) error {
	c := writerConnector(db.path, db.opts)
	own := openPool(c, 1)
	defer func() { _ = own.Close() }()
	if _, err := own.ExecContext(ctx, "VACUUM INTO ?", path); err != nil {
		return withContext(ctx, err)
	}
	return nil
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
