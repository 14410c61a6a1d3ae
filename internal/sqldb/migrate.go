package sqldb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/pressly/goose/v3"

	"github.com/synapse-analytics/synapse/internal/schema"
)

// Migrate applies the migrations that are missing, each in a transaction of its
// own, in the order of their numbers. migrations holds files named
// 0001_name.sql in goose's format at its root; there is no way back, so they
// need no Down part. A file whose schema is newer than the program is left as it
// is: the version before runs beside the version after. One process does it at a
// time; the others wait.
func (db *DB) Migrate(ctx context.Context, migrations fs.FS) (err error) {
	unlock, err := lockFolder(filepath.Dir(db.path))
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	defer func() { err = errors.Join(err, unlock()) }()
	p, err := db.provider(migrations)
	if err != nil {
		return err
	}
	applied, err := p.Up(ctx)
	if err != nil {
		var partial *goose.PartialError
		if errors.As(err, &partial) && partial.Failed != nil && partial.Failed.Source != nil {
			return fmt.Errorf("migration %s failed: %w", partial.Failed.Source.Path, withContext(ctx, partial.Err))
		}
		return fmt.Errorf("migrate: %w", withContext(ctx, err))
	}
	for _, m := range applied {
		db.log.InfoContext(ctx, "migration applied", "path", db.path, "migration", m.Source.Path, "duration", m.Duration)
	}
	return nil
}

// Schema says which of the migrations the file has. It changes nothing.
func (db *DB) Schema(ctx context.Context, migrations fs.FS) (schema.State, error) {
	return readSchema(ctx, db.reader, migrations)
}

// FileSchema is Schema for a file that another process may have open; one that does
// not exist has none of them.
func FileSchema(ctx context.Context, path string, migrations fs.FS) (s schema.State, err error) {
	err = ReadFile(ctx, path, func(tx *sql.Tx) error {
		s, err = readSchema(ctx, tx, migrations)
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		s.Missing, err = schema.Steps(migrations)
	}
	return s, err
}

// querier is a database or a transaction of it.
type querier interface {
	schema.Querier
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

func readSchema(ctx context.Context, q querier, migrations fs.FS) (schema.State, error) {
	var exists bool
	err := q.QueryRowContext(ctx, "SELECT count(*) > 0 FROM sqlite_schema WHERE type = 'table' AND name = ?", schema.Table).Scan(&exists)
	if err != nil {
		return schema.State{}, fmt.Errorf("read schema version: %w", withContext(ctx, err))
	}
	s, err := schema.Read(ctx, q, exists, migrations)
	if err != nil {
		return schema.State{}, fmt.Errorf("read schema version: %w", withContext(ctx, err))
	}
	return s, nil
}

// provider never gets closed: that would close the writer.
func (db *DB) provider(migrations fs.FS) (*goose.Provider, error) {
	p, err := goose.NewProvider(goose.DialectSQLite3, db.writer, migrations,
		goose.WithTableName(schema.Table), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return nil, fmt.Errorf("read migrations: %w", err)
	}
	return p, nil
}

// lockFolder waits for the lock that keeps two processes from migrating files of one
// folder at once: that of SQLite is held only while a step runs.
func lockFolder(dir string) (unlock func() error, err error) {
	f, err := os.Open(dir) //nolint:gosec // the operator's path is the point
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", dir, err), f.Close())
	}
	return f.Close, nil
}
