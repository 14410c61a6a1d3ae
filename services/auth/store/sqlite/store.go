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
	"time"

	"github.com/synapse-analytics/synapse/internal/sqldb"
	"github.com/synapse-analytics/synapse/services/auth"
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
	db *sqldb.DB
}

var _ auth.Store = (*Store)(nil)

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
	return &Store{db: db}, nil
}

// DB returns the database, for backups and metrics.
func (s *Store) DB() *sqldb.DB { return s.db }

// Close closes the file.
func (s *Store) Close() error { return s.db.Close() }

// Ping implements auth.Store.
func (s *Store) Ping(ctx context.Context) error {
	return s.read(ctx, "ping", func(tx *sql.Tx) error {
		var n int
		return tx.QueryRowContext(ctx, "SELECT count(*) FROM secrets").Scan(&n)
	})
}

func (s *Store) write(ctx context.Context, what string, fn func(*sql.Tx) error) error {
	return ours(what, s.db.WithTx(ctx, fn))
}

func (s *Store) read(ctx context.Context, what string, fn func(*sql.Tx) error) error {
	return ours(what, s.db.View(ctx, fn))
}

// ours names the operation and turns the database's errors into the port's.
func ours(what string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, sql.ErrNoRows):
		return fmt.Errorf("%s: %w", what, auth.ErrNotFound)
	case errors.Is(err, sqldb.ErrUnique):
		return fmt.Errorf("%s: %w: %w", what, auth.ErrExists, err)
	case errors.Is(err, sqldb.ErrBusy), errors.Is(err, sqldb.ErrFull), errors.Is(err, sqldb.ErrIO),
		errors.Is(err, sqldb.ErrClosed), errors.Is(err, sqldb.ErrCorrupt):
		return fmt.Errorf("%s: %w: %w", what, auth.ErrUnavailable, err)
	default:
		return fmt.Errorf("%s: %w", what, err)
	}
}

// micros is a time as it is stored; 0 is not set.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func fromMicros(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}

// one makes ErrNotFound of a statement that changed no row.
func one(res sql.Result, err error) error {
	if err != nil {
		return err
	}
	n, err := res.RowsAffected()
	if err != nil {
		return err
	}
	if n == 0 {
		return auth.ErrNotFound
	}
	return nil
}

// column reads a result of one text column.
func column(ctx context.Context, tx *sql.Tx, query string, args ...any) ([]string, error) {
	rows, err := tx.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var out []string
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, rows.Err()
}
