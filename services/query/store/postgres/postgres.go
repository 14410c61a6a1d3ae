package postgres

import (
	"context"
	"crypto/rand"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"sync"

	"github.com/jackc/pgx/v5"

	"github.com/synapse-analytics/synapse/internal/dberr"
	"github.com/synapse-analytics/synapse/internal/pgdb"
	"github.com/synapse-analytics/synapse/internal/queue"
	"github.com/synapse-analytics/synapse/internal/transfer"
	"github.com/synapse-analytics/synapse/services/query"
	"github.com/synapse-analytics/synapse/services/query/store/sqlread"
)

//go:embed migrations/*.sql
var embedded embed.FS

// writers is the size of the writer's pool: one transaction at a time holds the
// lock, the others (what was accepted, dead letters) wait for it.
const writers = 3

// Store is a query store in a PostgreSQL database.
type Store struct {
	sqlread.Reader
	write, read *pgdb.DB
	replicas    *pgdb.Replicas // nil for none

	mu      sync.Mutex // the writer's: guards what follows
	cache   cache
	unknown map[queue.Stream]*unknown
}

var _ query.Store = (*Store)(nil)

// Open connects to the database and brings its schema up to date.
func Open(ctx context.Context, c pgdb.Config, log *slog.Logger) (*Store, error) {
	s, err := open(ctx, c, log)
	if err != nil {
		return nil, fmt.Errorf("open query store: %w", err)
	}
	return s, nil
}

func open(ctx context.Context, c pgdb.Config, log *slog.Logger) (*Store, error) {
	w := c
	w.MaxConns = writers
	write, err := pgdb.Open(ctx, w, "synapse query writer", log)
	if err != nil {
		return nil, err
	}
	err = write.Migrate(ctx, Migrations())
	if err == nil {
		err = transfer.CheckFinished(ctx, write)
	}
	if err == nil {
		err = makeSecret(ctx, write)
	}
	if err != nil {
		return nil, errors.Join(err, write.Close())
	}
	read, err := pgdb.Open(ctx, c, "synapse query", log)
	if err != nil {
		return nil, errors.Join(err, write.Close())
	}
	replicas, err := pgdb.OpenReplicas(ctx, c, "synapse query", write, log)
	if err != nil {
		return nil, errors.Join(err, read.Close(), write.Close())
	}
	s := &Store{write: write, read: read, replicas: replicas, unknown: map[queue.Stream]*unknown{}}
	s.Reader = sqlread.Reader{Dialect: reads, View: s.view}
	if replicas != nil {
		s.Near = s.near
	}
	return s, nil
}

// NewReader returns the reading half of a store, of a database whose schema is up to
// date.
func NewReader(db *pgdb.DB) sqlread.Reader {
	return sqlread.Reader{Dialect: reads, View: func(ctx context.Context, fn func(sqlread.Querier) error) error {
		return outside(db.ViewSQL(ctx, func(tx *sql.Tx) error { return fn(pgdb.Tx{Tx: tx}) }))
	}}
}

// Migrations returns the schema's steps, numbered as those of every engine: what an
// engine came too late for is in its 0001_init.
func Migrations() fs.FS {
	sub, err := fs.Sub(embedded, "migrations")
	if err != nil { // the name is a constant and valid
		return embedded
	}
	return sub
}

// view reads from the primary. What it shows, reads from replicas show from then on.
func (s *Store) view(ctx context.Context, fn func(sqlread.Querier) error) error {
	return outside(s.read.ViewSQL(ctx, func(tx *sql.Tx) error {
		if err := fn(pgdb.Tx{Tx: tx}); err != nil {
			return err
		}
		return s.replicas.NoteView(ctx, tx)
	}))
}

// near reads from a replica that has what this process knows of, or else from the
// primary.
func (s *Store) near(ctx context.Context, fn func(tx sqlread.Querier, last bool) error) error {
	if s.replicas.Read(ctx, func(c pgdb.Conn) error { return fn(c, false) }) {
		return nil
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return outside(s.read.ViewSQL(ctx, func(tx *sql.Tx) error { return fn(pgdb.Tx{Tx: tx}, true) }))
}

func makeSecret(ctx context.Context, db *pgdb.DB) error {
	fresh := make([]byte, 32)
	if _, err := rand.Read(fresh); err != nil {
		return err
	}
	return db.WithTx(ctx, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "INSERT INTO meta (key, value) VALUES ('secret', $1) ON CONFLICT DO NOTHING", fresh)
		return err
	})
}

// outside makes errors of the server's own disk ones that pass: they undo the
// transaction and are the server's to heal, and starting this process anew, which
// query.ErrBroken asks for, would not help.
func outside(err error) error {
	if errors.Is(err, dberr.ErrIO) || errors.Is(err, dberr.ErrCorrupt) {
		return fmt.Errorf("%w: %s", dberr.ErrAway, err.Error())
	}
	return err
}

// Ready implements query.Store.
func (s *Store) Ready(ctx context.Context) error {
	if _, err := s.Positions(ctx); err != nil {
		return fmt.Errorf("the PostgreSQL server does not answer: %w", err)
	}
	return nil
}

// Pools returns those of the readers and of the writer, for metrics.
func (s *Store) Pools() (read, write *pgdb.DB) { return s.read, s.write }

// Replicas returns those that answer reads, for metrics; nil for none.
func (s *Store) Replicas() *pgdb.Replicas { return s.replicas }

// Close implements query.Store.
func (s *Store) Close() error {
	return errors.Join(s.replicas.Close(), s.write.Close(), s.read.Close())
}
