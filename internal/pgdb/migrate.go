package pgdb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net"

	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"

	"github.com/synapse-analytics/synapse/internal/schema"
)

// migrateLock is the advisory lock of whoever changes the schema ("SYNm").
const migrateLock = 0x53594e6d

// Migrate applies the migrations that are missing, each in a transaction of its
// own, in the order of their numbers, while no other process does. migrations holds
// files named 0001_name.sql in goose's format at its root; there is no way back, so
// they need no Down part. A schema newer than the program is left as it is: the
// version before runs beside the version after. It takes as long as it takes: only
// ctx bounds it.
func (db *DB) Migrate(ctx context.Context, migrations fs.FS) (err error) {
	// Connections of its own, without the bounds on statements and locks.
	cfg := db.pool.Config().ConnConfig.Copy()
	cfg.DialFunc = (&net.Dialer{}).DialContext
	for _, bound := range []string{"statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"} {
		delete(cfg.RuntimeParams, bound)
	}
	conns := stdlib.OpenDB(*cfg)
	defer func() { err = errors.Join(err, conns.Close()) }()
	// The lock is that of a transaction: a session's would not hold behind PgBouncer.
	tx, err := conns.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("migrate: %w", withContext(ctx, err))
	}
	defer func() { _ = tx.Rollback() }()
	if _, err := tx.ExecContext(ctx, "SELECT pg_advisory_xact_lock($1)", int64(migrateLock)); err != nil {
		return fmt.Errorf("migrate: wait for the lock: %w", withContext(ctx, err))
	}
	p, err := goose.NewProvider(goose.DialectPostgres, conns, migrations, goose.WithTableName(schema.Table), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return fmt.Errorf("read migrations: %w", err)
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
		db.log.InfoContext(ctx, "migration applied", "migration", m.Source.Path, "duration", m.Duration)
	}
	return nil
}

// Schema says which of the migrations the database has. It changes nothing.
func (db *DB) Schema(ctx context.Context, migrations fs.FS) (s schema.State, err error) {
	err = db.ViewSQL(ctx, func(tx *sql.Tx) error {
		s, err = ReadSchema(ctx, tx, migrations)
		return err
	})
	return s, err
}

// ReadSchema is Schema in a transaction.
func ReadSchema(ctx context.Context, tx *sql.Tx, migrations fs.FS) (schema.State, error) {
	var exists bool
	if err := tx.QueryRowContext(ctx, "SELECT to_regclass($1) IS NOT NULL", schema.Table).Scan(&exists); err != nil {
		return schema.State{}, fmt.Errorf("read schema version: %w", withContext(ctx, err))
	}
	s, err := schema.Read(ctx, tx, exists, migrations)
	if err != nil {
		return schema.State{}, fmt.Errorf("read schema version: %w", withContext(ctx, err))
	}
	return s, nil
}
