package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"github.com/synapse-analytics/synapse/internal/pgdb"
	"github.com/synapse-analytics/synapse/internal/transfer"
	"github.com/synapse-analytics/synapse/services/auth"
	authpostgres "github.com/synapse-analytics/synapse/services/auth/store/postgres"
	authsqlite "github.com/synapse-analytics/synapse/services/auth/store/sqlite"
	"github.com/synapse-analytics/synapse/services/query"
	querypostgres "github.com/synapse-analytics/synapse/services/query/store/postgres"
	querysqlite "github.com/synapse-analytics/synapse/services/query/store/sqlite"
)

// Stores configures where the roles keep their data: each role's own.
type Stores struct {
	Migrate string      `config:"migrate" doc:"auto applies missing steps of the schema at the start; check waits, and says in readiness for what, until synapse migrate up did."`
	Auth    pgdb.Config `config:"auth" doc:"The data of auth."`
	Query   pgdb.Config `config:"query" doc:"The data of query."`
}

// MigratesAtStart says whether a process applies the steps that are missing.
func (s Stores) MigratesAtStart() bool { return s.Migrate == migrateAuto }

// Validate reports every rule that is broken.
func (s Stores) Validate() error {
	var errs []error
	if s.Migrate != migrateAuto && s.Migrate != migrateCheck {
		errs = append(errs, fmt.Errorf("migrate: must be auto or check, is %q; use auto", s.Migrate))
	}
	if len(s.Auth.Replicas) > 0 {
		errs = append(errs, errors.New("auth.replicas: must be empty, since auth reads what it has just written; remove it"))
	}
	return errors.Join(errs...)
}

// openAuthStore opens the store of auth; it is closed when the services have stopped.
func (a *App) openAuthStore(ctx context.Context, log *slog.Logger) (auth.Store, error) {
	if c := a.cfg.Stores.Auth; c.URL != "" {
		store, err := authpostgres.Open(ctx, c, log)
		if err != nil {
			return nil, err
		}
		a.closers = append(a.closers, store.Close)
		empty, err := store.Empty(ctx)
		if err != nil {
			return nil, err
		}
		if err := a.checkMoved(ctx, "auth.db", store.DB(), empty); err != nil {
			return nil, err
		}
		return store, a.observe(store.DB(), "auth")
	}
	store, err := authsqlite.Open(ctx, a.cfg.path("auth.db"), authsqlite.WithLogger(log))
	if err != nil {
		return nil, err
	}
	a.closers = append(a.closers, store.Close)
	return store, nil
}

// openQueryStore opens the store of query; it is closed when the services have
// stopped.
func (a *App) openQueryStore(ctx context.Context, log *slog.Logger) (query.Store, error) {
	if c := a.cfg.Stores.Query; c.URL != "" {
		store, err := querypostgres.Open(ctx, c, log)
		if err != nil {
			return nil, err
		}
		a.closers = append(a.closers, store.Close)
		if r := store.Replicas(); r != nil {
			stop, err := r.Observe(a.tel.MeterProvider, "query")
			if err != nil {
				return nil, err
			}
			a.closers = append(a.closers, stop)
		}
		read, write := store.Pools()
		positions, err := store.Positions(ctx)
		if err != nil {
			return nil, err
		}
		if err := a.checkMoved(ctx, "query.db", read, len(positions) == 0); err != nil {
			return nil, err
		}
		return store, errors.Join(a.observe(read, "query"), a.observe(write, "query writer"))
	}
	store, err := querysqlite.Open(ctx, a.cfg.path("query.db"), querysqlite.Options{Logger: log})
	if err != nil {
		return nil, err
	}
	a.closers = append(a.closers, store.Close)
	return store, nil
}

// checkMoved keeps a role from beginning anew in an empty database while its data lies
// in a file of the data folder.
func (a *App) checkMoved(ctx context.Context, file string, db *pgdb.DB, empty bool) error {
	if _, err := os.Stat(a.cfg.path(file)); err != nil || !empty {
		return nil //nolint:nilerr // there is no file
	}
	moved, err := transfer.Filled(ctx, db)
	if err != nil || moved {
		return err
	}
	return fmt.Errorf("the database is empty, and there is data in %s: move it by `synapse transfer --from sqlite --to postgres`, "+
		"or take the file away to begin anew", a.cfg.path(file))
}

func (a *App) observe(db *pgdb.DB, pool string) error {
	stop, err := db.Observe(a.tel.MeterProvider, pool)
	if err == nil {
		a.closers = append(a.closers, stop)
	}
	return err
}
