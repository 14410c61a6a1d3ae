package sqlite

import (
	"context"
	"crypto/rand"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/synapse-analytics/synapse/internal/sqldb"
	"github.com/synapse-analytics/synapse/services/query"
	"github.com/synapse-analytics/synapse/services/query/store/sqlread"
)

//go:embed migrations/*.sql
var embedded embed.FS

// ApplicationID marks the file as a query store: "SYNQ".
const ApplicationID = 0x53594e51

// Options are settings; the zero value of each means its default.
type Options struct {
	// Readers is the number of reader connections, 1 to 64; default 4.
	Readers int
	// CacheBytes is the writer's page cache; default 64 MiB.
	CacheBytes int64
	// Logger gets what the database does by itself; nil is slog.Default.
	Logger *slog.Logger
}

// Store is a query store in one SQLite file.
type Store struct {
	sqlread.Reader
	db *sqldb.DB

	mu     sync.Mutex // the writer's: guards what follows
	closed bool
	raw    *rawConn
	cache  writerCache
}

var _ query.Store = (*Store)(nil)

// Open opens the file at path, creates it if needed, and brings its schema up to
// date. One process may have it open for writing.
func Open(ctx context.Context, path string, o Options) (*Store, error) {
	s, err := open(ctx, path, o)
	if err != nil {
		return nil, err
	}
	if err := s.prepare(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open query store: %w", err), s.db.Close())
	}
	return s, nil
}

// OpenReadOnly opens an existing file whose owner is stopped, to read or verify
// it. It neither creates nor migrates.
func OpenReadOnly(ctx context.Context, path string, o Options) (*Store, error) {
	if _, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("open query store: %w", err)
	}
	s, err := open(ctx, path, o)
	if err != nil {
		return nil, err
	}
	have, err := s.db.Schema(ctx, Migrations())
	if err == nil {
		err = have.Err()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open query store: %w", err), s.db.Close())
	}
	s.closed = true // to writers
	return s, nil
}

// OpenFile opens the file of a stopped owner to copy it. Nothing of it changes.
func OpenFile(ctx context.Context, path string, log *slog.Logger) (*sqldb.DB, error) {
	db, err := sqldb.OpenReadOnly(ctx, path, sqldb.Options{ApplicationID: ApplicationID, Logger: log})
	if err != nil {
		return nil, fmt.Errorf("open query store: %w", err)
	}
	have, err := db.Schema(ctx, Migrations())
	if err == nil {
		err = have.Err()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open query store: %w", err), db.Close())
	}
	return db, nil
}

func open(ctx context.Context, path string, o Options) (*Store, error) {
	if o.CacheBytes == 0 {
		o.CacheBytes = 64 << 20
	}
	db, err := sqldb.Open(ctx, path, sqldb.Options{
		ApplicationID: ApplicationID, Readers: o.Readers, WriterCacheBytes: o.CacheBytes,
		// A batch of 5,000 events is about 1,000 pages: with the default each
		// commit would checkpoint.
		AutoCheckpointPages: 4000,
		// A read that finds all connections taken is refused as busy, not left
		// to hang.
		AcquireTimeout: 5 * time.Second,
		Logger:         o.Logger,
	})
	if err != nil {
		return nil, fmt.Errorf("open query store: %w", err)
	}
	return &Store{db: db, Reader: sqlread.Reader{Dialect: reads, View: func(ctx context.Context, fn func(sqlread.Querier) error) error {
		return db.View(ctx, func(tx *sql.Tx) error { return fn(tx) })
	}}}, nil
}

// Migrations returns the schema's steps, numbered as those of every engine.
func Migrations() fs.FS {
	sub, err := fs.Sub(embedded, "migrations")
	if err != nil { // the name is a constant and valid
		return embedded
	}
	return sub
}

func (s *Store) prepare(ctx context.Context) error {
	if err := s.db.Migrate(ctx, Migrations()); err != nil {
		return err
	}
	fresh := make([]byte, 32)
	if _, err := rand.Read(fresh); err != nil {
		return err
	}
	return s.write(ctx, func(c *rawConn) error {
		return c.exec("INSERT INTO meta (key, value) VALUES ('secret', ?) ON CONFLICT DO NOTHING", fresh)
	})
}

// Lead implements query.Store: only one process can have the file open to write.
func (s *Store) Lead(context.Context, string, time.Duration) (bool, error) { return true, nil }

// Resign implements query.Store.
func (s *Store) Resign(context.Context, string) error { return nil }

// Ready implements query.Store.
func (s *Store) Ready(ctx context.Context) error {
	var one int
	if err := s.db.Reader().QueryRowContext(ctx, "SELECT count(*) FROM positions").Scan(&one); err != nil {
		return fmt.Errorf("the store %s does not answer: %w; look at its disk", s.db.Path(), portError(ctx, err))
	}
	return nil
}

// Stats returns the numbers of the file, for metrics.
func (s *Store) Stats() sqldb.Stats { return s.db.Stats() }

// Backup writes a consistent copy to path, which must not exist.
func (s *Store) Backup(ctx context.Context, path string) error { return s.db.Backup(ctx, path) }

// Close implements query.Store.
func (s *Store) Close() error {
	s.mu.Lock()
	if s.raw != nil {
		s.raw.close()
	}
	s.closed = true
	s.mu.Unlock()
	return s.db.Close()
}

// portError turns an error of the database into one of the port's.
func portError(ctx context.Context, err error) error { return sqlread.PortError(ctx, sqldb.Wrap(err)) }
