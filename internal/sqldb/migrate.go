package sqldb

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/pressly/goose/v3"
)

// SchemaError says that the file's schema is older than the program needs.
type SchemaError struct {
	// Have and Want are versions of the schema.
	Have, Want int64
	// Missing names the migrations that were not applied, in order.
	Missing []string
}

// Error implements error.
func (e *SchemaError) Error() string {
	return fmt.Sprintf("the schema is at version %d, this program needs %d: missing %s; run `synapse migrate`",
		e.Have, e.Want, strings.Join(e.Missing, ", "))
}

// Migrate applies the migrations that are missing, each in a transaction of its
// own, in the order of their numbers. migrations holds files named
// 0001_name.sql in goose's format at its root; there is no way back, so they
// need no Down part. A file whose schema is newer than the program is left as it
// is: the version before runs beside the version after.
func (db *DB) Migrate(ctx context.Context, migrations fs.FS) error {
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

// SchemaVersion returns the version of the file's schema and the one that the
// migrations lead to.
func (db *DB) SchemaVersion(ctx context.Context, migrations fs.FS) (have, want int64, err error) {
	p, err := db.provider(migrations)
	if err != nil {
		return 0, 0, err
	}
	have, want, err = p.GetVersions(ctx)
	if err != nil {
		return 0, 0, fmt.Errorf("read schema version: %w", withContext(ctx, err))
	}
	return have, want, nil
}

// CheckSchema returns a *SchemaError when migrations are missing.
func (db *DB) CheckSchema(ctx context.Context, migrations fs.FS) error {
	p, err := db.provider(migrations)
	if err != nil {
		return err
	}
	states, err := p.Status(ctx)
	if err != nil {
		return fmt.Errorf("read schema version: %w", withContext(ctx, err))
	}
	e := &SchemaError{}
	for _, s := range states {
		e.Want = max(e.Want, s.Source.Version)
		if s.State == goose.StatePending {
			e.Missing = append(e.Missing, s.Source.Path)
		} else {
			e.Have = max(e.Have, s.Source.Version)
		}
	}
	if len(e.Missing) > 0 {
		return e
	}
	return nil
}

// provider never gets closed: that would close the writer.
func (db *DB) provider(migrations fs.FS) (*goose.Provider, error) {
	p, err := goose.NewProvider(goose.DialectSQLite3, db.writer, migrations,
		goose.WithTableName("schema_version"), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return nil, fmt.Errorf("read migrations: %w", err)
	}
	return p, nil
}
