// Package transfer moves what the auth service keeps from a SQLite file into a
// PostgreSQL database.
package transfer

import (
	"context"
	"errors"
	"log/slog"

	"github.com/synapse-analytics/synapse/internal/pgdb"
	"github.com/synapse-analytics/synapse/internal/transfer"
	"github.com/synapse-analytics/synapse/services/auth/store/postgres"
	"github.com/synapse-analytics/synapse/services/auth/store/sqlite"
)

// plan names the tables; both engines have the same ones.
func plan() transfer.Plan {
	return transfer.Plan{Migrations: postgres.Migrations(), Tables: []transfer.Table{
		{Name: "users"}, {Name: "sign_in_failures"}, {Name: "sessions"}, {Name: "refresh_tokens"},
		{Name: "projects"}, {Name: "members"}, {Name: "api_keys"}, {Name: "signing_keys"}, {Name: "secrets"},
	}}
}

// Run moves the file at path, whose owner is stopped, into a database that is empty
// or holds a part of this transfer.
func Run(ctx context.Context, path string, c pgdb.Config, log *slog.Logger, o transfer.Options) (report transfer.Report, err error) {
	src, err := sqlite.OpenFile(ctx, path, log)
	if err != nil {
		return report, err
	}
	defer func() { err = errors.Join(err, src.Close()) }()
	return transfer.Run(ctx, plan(), src, c, log, o)
}
