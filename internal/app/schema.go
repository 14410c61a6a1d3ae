package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"strings"
	"time"

	"github.com/synapse-analytics/synapse/internal/pgdb"
	"github.com/synapse-analytics/synapse/internal/schema"
	"github.com/synapse-analytics/synapse/internal/sqldb"
	authpostgres "github.com/synapse-analytics/synapse/services/auth/store/postgres"
	authsqlite "github.com/synapse-analytics/synapse/services/auth/store/sqlite"
	querypostgres "github.com/synapse-analytics/synapse/services/query/store/postgres"
	querysqlite "github.com/synapse-analytics/synapse/services/query/store/sqlite"
)

// Values of Stores.Migrate.
const (
	migrateAuto  = "auto"
	migrateCheck = "check"
)

// schemaLook is how often a process that waits for a step looks whether it is there.
const schemaLook = time.Second

// place is where a role keeps its data, as the commands see it that look after a store
// while its service may run elsewhere, or not at all.
type place struct {
	role  Role
	file  string      // SQLite
	url   pgdb.Config // PostgreSQL; without URL it is SQLite
	steps fs.FS
	// open brings the schema up to date and closes the store again.
	open func(ctx context.Context, log *slog.Logger) error
}

// places returns those of the roles that keep data.
func (c Config) places(roles []Role) []place {
	var out []place
	for _, r := range roles {
		switch {
		case r == Auth && c.Stores.Auth.URL == "":
			path := c.path("auth.db")
			out = append(out, place{role: r, file: path, steps: authsqlite.Migrations(), open: func(ctx context.Context, log *slog.Logger) error {
				return opened(authsqlite.Open(ctx, path, authsqlite.WithLogger(log)))
			}})
		case r == Auth:
			out = append(out, place{role: r, url: c.Stores.Auth, steps: authpostgres.Migrations(), open: func(ctx context.Context, log *slog.Logger) error {
				return opened(authpostgres.Open(ctx, c.Stores.Auth, log))
			}})
		case r == Query && c.Stores.Query.URL == "":
			path := c.path("query.db")
			out = append(out, place{role: r, file: path, steps: querysqlite.Migrations(), open: func(ctx context.Context, log *slog.Logger) error {
				return opened(querysqlite.Open(ctx, path, querysqlite.Options{Logger: log}))
			}})
		case r == Query:
			out = append(out, place{role: r, url: c.Stores.Query, steps: querypostgres.Migrations(), open: func(ctx context.Context, log *slog.Logger) error {
				return opened(querypostgres.Open(ctx, c.Stores.Query, log))
			}})
		}
	}
	return out
}

func opened(s interface{ Close() error }, err error) error {
	if err != nil {
		return err
	}
	return s.Close()
}

func (p place) engine() string {
	if p.url.URL != "" {
		return "postgres"
	}
	return "sqlite"
}

// where names the place without secrets.
func (p place) where() string {
	if p.url.URL != "" {
		base, _, _ := strings.Cut(p.url.URL, "?")
		return base
	}
	return p.file
}

func (p place) db(ctx context.Context) (*pgdb.DB, error) {
	c := p.url
	c.MaxConns = 2
	return pgdb.Open(ctx, c, "synapse "+string(p.role)+" upkeep", slog.New(slog.DiscardHandler))
}

// state reads the schema, which it neither makes nor changes.
func (p place) state(ctx context.Context) (schema.State, error) {
	if p.url.URL == "" {
		return sqldb.FileSchema(ctx, p.file, p.steps)
	}
	db, err := p.db(ctx)
	if err != nil {
		return schema.State{}, err
	}
	s, err := db.Schema(ctx, p.steps)
	return s, errors.Join(err, db.Close())
}

// StoreSchema is the state of the schema of a role's store.
type StoreSchema struct {
	Role Role `json:"role"`
	// Engine is sqlite or postgres, Place the file or the URL.
	Engine string `json:"engine"`
	Place  string `json:"place"`
	// Applied and Missing name the steps; Later counts steps of a later version.
	Applied []string `json:"applied"`
	Missing []string `json:"missing"`
	Later   int      `json:"later"`
}

// Schemas reads the schemas of the roles that keep data. It changes nothing.
func Schemas(ctx context.Context, cfg Config, roles []Role) ([]StoreSchema, error) {
	var out []StoreSchema
	for _, p := range cfg.places(roles) {
		s, err := p.state(ctx)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p.role, err)
		}
		out = append(out, StoreSchema{
			Role: p.role, Engine: p.engine(), Place: p.where(),
			Applied: append([]string{}, s.Applied...), Missing: append([]string{}, s.Missing...), Later: s.Later,
		})
	}
	return out, nil
}

// Migrate applies what is missing in the schemas of the roles that keep data. Servers
// may run meanwhile.
func Migrate(ctx context.Context, cfg Config, roles []Role, log *slog.Logger) error {
	for _, p := range cfg.places(roles) {
		if err := p.open(ctx, log); err != nil {
			return fmt.Errorf("%s: %w", p.role, err)
		}
	}
	return nil
}

// awaitSchemas waits until no step is missing, if the process may not apply it itself.
// Readiness says meanwhile what it waits for.
func (a *App) awaitSchemas(ctx context.Context) error {
	if a.cfg.Stores.MigratesAtStart() {
		return nil
	}
	for waited := false; ; waited = true {
		missing := map[string]error{}
		for _, p := range a.cfg.places(a.roles) {
			s, err := p.state(ctx)
			if err != nil && !waited {
				return fmt.Errorf("%s: %w", p.role, err)
			}
			if err = errors.Join(err, s.Err()); err != nil {
				missing[string(p.role)] = fmt.Errorf("%s: %w", p.role, err)
				if !waited {
					a.log().WarnContext(ctx, "waiting for the schema", "role", string(p.role), "store", p.where(), "error", err)
				}
			}
		}
		if len(missing) == 0 {
			a.waiting.Store(nil)
			return nil
		}
		a.waiting.Store(&missing)
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(schemaLook):
		}
	}
}
