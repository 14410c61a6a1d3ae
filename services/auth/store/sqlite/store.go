// Package sqlite keeps the auth service's data in one SQLite file.
package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"

	"github.com/synapse-analytics/synapse/internal/sqldb"
	"github.com/synapse-analytics/synapse/services/auth"
	"github.com/synapse-analytics/synapse/services/auth/store/sqlstore"
)

// ApplicationID marks the file ("SYNa").
const ApplicationID = 0x53594e61

//go:embed migrations/*.sql
var files embed.FS

// Migrations returns the schema's steps.
func Migrations() fs.FS {
	sub, err := fs.Sub(files, "migrations")
	if err != nil { // the name is a constant and valid
		return files
	}
	return sub
}

// Store implements auth.Store.
type Store struct {
	*sqlstore.Store
	db *sqldb.DB
}

var _ auth.Store = (*Store)(nil)

// engine is the file as package sqlstore uses it.
type engine struct{ db *sqldb.DB }

// Write implements sqlstore.Engine.
func (e engine) Write(ctx context.Context, fn func(sqlstore.Tx) error) error {
	return e.db.WithTx(ctx, func(tx *sql.Tx) error { return fn(tx) })
}

// Read implements sqlstore.Engine.
func (e engine) Read(ctx context.Context, fn func(sqlstore.Tx) error) error {
	return e.db.View(ctx, func(tx *sql.Tx) error { return fn(tx) })
}

// Option changes how Open opens.
type Option func(*sqldb.Options)

// WithLogger says where the store logs; the default is slog.Default.
func WithLogger(log *slog.Logger) Option {
	return func(o *sqldb.Options) { o.Logger = log }
}

// Open opens or creates the file and brings its schema up to date.
func Open(ctx context.Context, path string, opts ...Option) (*Store, error) {
	o := sqldb.Options{
		ApplicationID: ApplicationID, WriterCacheBytes: 4 << 20, ReaderCacheBytes: 2 << 20, MaxWALBytes: 16 << 20,
	}
	for _, opt := range opts {
		opt(&o)
	}
	db, err := sqldb.Open(ctx, path, o)
	if err != nil {
		return nil, fmt.Errorf("auth store: %w", err)
	}
	if err := db.Migrate(ctx, Migrations()); err != nil {
		return nil, errors.Join(fmt.Errorf("auth store: %w", err), db.Close())
	}
	return &Store{sqlstore.New(engine{db}), db}, nil
}

// OpenFile opens the file of a stopped owner to copy it. Nothing of it changes.
func OpenFile(ctx context.Context, path string, log *slog.Logger) (*sqldb.DB, error) {
	db, err := sqldb.OpenReadOnly(ctx, path, sqldb.Options{ApplicationID: ApplicationID, Logger: log})
	if err != nil {
		return nil, fmt.Errorf("auth store: %w", err)
	}
	have, err := db.Schema(ctx, Migrations())
	if err == nil {
		err = have.Err()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("auth store: %w", err), db.Close())
	}
	return db, nil
}

// DB returns the database, for backups and metrics.
func (s *Store) DB() *sqldb.DB { return s.db }

// Close closes the file.
func (s *Store) Close() error { return s.db.Close() }
