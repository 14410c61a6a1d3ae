// Package transfer moves what the query service keeps from a SQLite file into a
// PostgreSQL database.
package transfer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/synapse-analytics/synapse/internal/pgdb"
	"github.com/synapse-analytics/synapse/internal/transfer"
	"github.com/synapse-analytics/synapse/services/query"
	"github.com/synapse-analytics/synapse/services/query/store/postgres"
	"github.com/synapse-analytics/synapse/services/query/store/sqlite"
)

// plan says how the tables of both engines belong together.
func plan() transfer.Plan {
	noToken := map[string]any{"batch": []byte{}} // of a transaction whose answer may have been lost
	return transfer.Plan{
		Migrations: postgres.Migrations(),
		Tables: []transfer.Table{
			{Name: "meta", Replace: true}, // the secret of a database that was opened before
			{Name: "projects"},
			{Name: "dims"},
			{Name: "events", Partition: &transfer.Partition{Column: "accepted_us", Size: query.Day.US(), Of: postgres.Partition}},
			{Name: "event_ids", From: "events"},
			{Name: "rollups"},
			{Name: "balance"},
			{Name: "applied_sources"},
			{Name: "dead_letters"},
			{Name: "positions", Fill: noToken},
			{Name: "retention", Replace: true},
			{Name: "removed", Fill: map[string]any{"removal": int64(0)}},
		},
		Own: []string{"writer", "lease", "removals", "heartbeat"},
		Finish: []string{
			"UPDATE writer SET next_seq = greatest((SELECT max(seq) FROM events), (SELECT removed_seq FROM retention), 0) + 1",
			"INSERT INTO removals (id, day, state, counted_seq, forgotten_seq, events) OVERRIDING SYSTEM VALUE " +
				"VALUES (0, 0, 'done', 0, 0, 0) ON CONFLICT DO NOTHING", // what the source has removed
		},
		Recount: recount,
	}
}

// recount says whether the rollups are what the events add up to.
func recount(ctx context.Context, db *pgdb.DB) error {
	reader := postgres.NewReader(db)
	r, err := reader.Verify(ctx, "")
	if err != nil {
		return err
	}
	if r.Count > 0 {
		return fmt.Errorf("%w: table rollups is not what the events add up to, in %d places, such as %s; "+
			"`synapse verify --data DIR` says whether the source is", transfer.ErrDiffers, r.Count, r.Differences[0])
	}
	return nil
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
