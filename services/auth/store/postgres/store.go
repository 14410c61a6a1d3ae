// Package postgres keeps the auth service's data in a PostgreSQL database.
package postgres

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"

	"github.com/synapse-analytics/synapse/internal/pgdb"
	"github.com/synapse-analytics/synapse/internal/transfer"
	"github.com/synapse-analytics/synapse/services/auth"
	"github.com/synapse-analytics/synapse/services/auth/store/sqlstore"
)

//go:embed migrations/*.sql
var files embed.FS

// Migrations returns the schema's steps, numbered as those of SQLite.
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
	db *pgdb.DB
}

var _ auth.Store = (*Store)(nil)

// Open connects to the database and brings its schema up to date.
func Open(ctx context.Context, c pgdb.Config, log *slog.Logger) (*Store, error) {
	db, err := pgdb.Open(ctx, c, "synapse auth", log)
	if err != nil {
		return nil, fmt.Errorf("auth store: %w", err)
	}
	err = db.Migrate(ctx, Migrations())
	if err == nil {
		err = transfer.CheckFinished(ctx, db)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("auth store: %w", err), db.Close())
	}
	return &Store{sqlstore.New(engine{db}), db}, nil
}

// DB returns the database, for metrics.
func (s *Store) DB() *pgdb.DB { return s.db }

// Close closes the connections.
func (s *Store) Close() error { return s.db.Close() }

// writeLock is the advisory lock that makes Write exclusive: what is decided by
// reading (a limit, a token that was used) must still be so at the commit, and the
// processes that share the database may be many. Writes here are rare and short.
const writeLock = 0x53594e61 // "SYNa"

// engine is the database as package sqlstore uses it.
type engine struct{ db *pgdb.DB }

// Write implements sqlstore.Engine.
func (e engine) Write(ctx context.Context, fn func(sqlstore.Tx) error) error {
	return e.db.WithSQL(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, "SELECT pg_advisory_xact_lock($1)", int64(writeLock)); err != nil {
			return err
		}
		return fn(pgdb.Tx{Tx: tx})
	})
}

// Read implements sqlstore.Engine.
func (e engine) Read(ctx context.Context, fn func(sqlstore.Tx) error) error {
	return e.db.ViewSQL(ctx, func(tx *sql.Tx) error { return fn(pgdb.Tx{Tx: tx}) })
}
