package postgres

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/synapse-analytics/synapse/services/query"
	"github.com/synapse-analytics/synapse/services/query/store/rollup"
	"github.com/synapse-analytics/synapse/services/query/store/sqlread"
)

// detachWait bounds how long the removal of a day waits for the reads of events that
// are on; reads that come meanwhile wait for it. It is tried again later.
const detachWait = "200ms"

// removal is the removal of a day that is not done.
type removal struct {
	id, day            int64
	state              string
	counted, forgotten int64
	events             int64
}

// table is where its events are once nothing reads them any more.
func (r *removal) table() string { return "removed_day_" + dayName(r.day) }

// Expire implements query.Store. A day goes in four steps, each of which can be the
// last before a crash:
//
//   - Its events are counted, in pieces, while they are read as before.
//   - In one short transaction its partition is detached and the counts come into
//     force: from here on recount and rollups agree again, without the events.
//   - The ids are removed, in pieces. An id without its event is a repeat still.
//   - The table, which nothing knows any more, is dropped.
func (s *Store) Expire(ctx context.Context, q query.ExpireQuery) (query.Expired, error) {
	var out query.Expired
	err := s.write.WithTx(ctx, func(tx pgx.Tx) error {
		r, err := openRemoval(ctx, tx)
		if err != nil {
			return err
		}
		if r == nil {
			out.OldestUS, out.More, err = beginRemoval(ctx, tx, q)
			return err
		}
		out.More = true
		if r.state == "forgetting" {
			return r.forget(ctx, tx, q.Limit)
		}
		n, err := r.count(ctx, tx, partitionName(r.day), q.Limit)
		if err == nil && n == 0 {
			var done bool
			if done, err = detach(ctx, tx, r); done {
				out.Events = int(r.events)
			}
		}
		return err
	})
	if err != nil {
		return query.Expired{}, fmt.Errorf("remove old events: %w", sqlread.PortError(ctx, outside(err)))
	}
	return out, nil
}

// openRemoval returns the removal that is not done, locked, or nil.
func openRemoval(ctx context.Context, tx pgx.Tx) (*removal, error) {
	var r removal
	err := tx.QueryRow(ctx, "SELECT id, day, state, counted_seq, forgotten_seq, events FROM removals WHERE state <> 'done' FOR UPDATE").
		Scan(&r.id, &r.day, &r.state, &r.counted, &r.forgotten, &r.events)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	return &r, err
}

// beginRemoval notes the removal of the oldest day, if that is too old.
func beginRemoval(ctx context.Context, tx pgx.Tx, q query.ExpireQuery) (oldestUS int64, begun bool, err error) {
	before := rollup.BucketOf(q.BeforeUS, query.Day)
	day, ok, err := oldestDay(ctx, tx)
	if err != nil || !ok {
		return 0, false, err
	}
	oldestUS = day * query.Day.US()
	if day >= before {
		return oldestUS, false, nil
	}
	// With the lock no transaction is on that does not know the floor.
	if _, err := tx.Exec(ctx, "SELECT FROM writer FOR UPDATE"); err != nil {
		return 0, false, err
	}
	if _, err := tx.Exec(ctx, "UPDATE retention SET floor_us = greatest(floor_us, $1)", min(before*query.Day.US(), q.AppliedUS)); err != nil {
		return 0, false, err
	}
	tag, err := tx.Exec(ctx, "INSERT INTO removals (day, state, counted_seq, forgotten_seq, events) VALUES ($1, 'counting', 0, 0, 0) ON CONFLICT DO NOTHING", day)
	return oldestUS, tag.RowsAffected() == 1, err
}

// oldestDay returns that of the partitions.
func oldestDay(ctx context.Context, tx pgx.Tx) (oldest int64, ok bool, err error) {
	rows, err := tx.Query(ctx, "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = 'events'::regclass")
	if err != nil {
		return 0, false, err
	}
	var name string
	_, err = pgx.ForEachRow(rows, []any{&name}, func() error {
		text, _ := strings.CutPrefix(name, partitionPrefix)
		day, err := strconv.ParseInt(strings.ReplaceAll(text, "m", "-"), 10, 64)
		if err != nil {
			return fmt.Errorf("partition %s has no day in its name: %w", name, err)
		}
		if !ok || day < oldest {
			oldest, ok = day, true
		}
		return nil
	})
	return oldest, ok, err
}

// count adds up the next events of the partition and returns how many. Seq is the
// order of commits, so none can appear below one that was counted.
func (r *removal) count(ctx context.Context, tx pgx.Tx, partition string, limit int) (n int, err error) {
	rows, err := tx.Query(ctx, "SELECT e.seq, e.project, coalesce(d.fold, -1), e.occurred_us, e.label, e.score_e4 FROM "+partition+
		" e LEFT JOIN dims d ON d.id = e.dims WHERE e.seq > $1 ORDER BY e.seq LIMIT $2", r.counted, limit)
	if err != nil {
		return 0, err
	}
	rolls := rollup.NewSet()
	var project, dims int64
	var e query.Event
	_, err = pgx.ForEachRow(rows, []any{&e.Seq, &project, &dims, &e.OccurredUS, &e.Label, &e.ScoreE4}, func() error {
		n++
		r.counted = e.Seq
		if e.Label >= query.Negative && e.Label <= query.Positive { // another was not counted either
			rolls.Add(project, dims, &e)
		}
		return nil
	})
	if err != nil || n == 0 {
		return n, err
	}
	columns := rollColumns(rolls, func(k rollup.Key) []int64 { return []int64{k.Project, k.Bucket, k.Dims, r.id} })
	if len(columns) > 0 {
		if _, err := tx.Exec(ctx, upsertRemoved, columns...); err != nil {
			return 0, err
		}
	}
	_, err = tx.Exec(ctx, "UPDATE removals SET counted_seq = $2, events = events + $3 WHERE id = $1", r.id, r.counted, n)
	return n, err
}

// detach takes the counted partition away from the reads, unless events have come
// that are not counted.
func detach(ctx context.Context, tx pgx.Tx, r *removal) (done bool, err error) {
	from := partitionName(r.day)
	// The writer's lock is taken before those of the tables, as the writer does.
	if _, err := tx.Exec(ctx, "SELECT FROM writer FOR UPDATE"); err != nil {
		return false, err
	}
	var more bool
	if err := tx.QueryRow(ctx, "SELECT EXISTS (SELECT FROM "+from+" WHERE seq > $1)", r.counted).Scan(&more); err != nil || more {
		return false, err
	}
	for _, text := range []string{
		"SET LOCAL lock_timeout = '" + detachWait + "'",
		"ALTER TABLE events DETACH PARTITION " + from,
		"ALTER TABLE " + from + " RENAME TO " + r.table(),
	} {
		if _, err := tx.Exec(ctx, text); err != nil {
			return false, err
		}
	}
	if _, err := tx.Exec(ctx, "UPDATE removals SET state = 'forgetting' WHERE id = $1", r.id); err != nil {
		return false, err
	}
	if _, err := tx.Exec(ctx, "UPDATE retention SET removed_seq = greatest(removed_seq, $1)", r.counted); err != nil {
		return false, err
	}
	// Who remembers the partition, in whatever process, forgets it.
	_, err = tx.Exec(ctx, "UPDATE writer SET batch = $1", token())
	return err == nil, err
}

// forget removes the next ids; after the last it drops the table.
func (r *removal) forget(ctx context.Context, tx pgx.Tx, limit int) error {
	var upTo *int64
	err := tx.QueryRow(ctx, "WITH piece AS (SELECT project, id, seq FROM "+r.table()+" WHERE seq > $1 ORDER BY seq LIMIT $2), "+
		"gone AS (DELETE FROM event_ids i USING piece WHERE i.project = piece.project AND i.id = piece.id AND i.seq = piece.seq) "+
		"SELECT max(seq) FROM piece", r.forgotten, limit).Scan(&upTo)
	if err != nil {
		return err
	}
	if upTo != nil {
		_, err = tx.Exec(ctx, "UPDATE removals SET forgotten_seq = $2 WHERE id = $1", r.id, *upTo)
		return err
	}
	if _, err := tx.Exec(ctx, "DROP TABLE "+r.table()); err != nil {
		return err
	}
	_, err = tx.Exec(ctx, "UPDATE removals SET state = 'done' WHERE id = $1", r.id)
	return err
}

// rollColumns are the parameters of an upsert of rollup rows: the leading columns,
// then the values, each an array.
func rollColumns(rolls *rollup.Set, lead func(rollup.Key) []int64) []any {
	var columns [][]int64
	for _, k := range rolls.Keys() {
		row := lead(k)
		rolls.Row(k).Values(func(v *int64) { row = append(row, *v) })
		if columns == nil {
			columns = make([][]int64, len(row))
		}
		for i, v := range row {
			columns[i] = append(columns[i], v)
		}
	}
	args := make([]any, len(columns))
	for i, c := range columns {
		args[i] = c
	}
	return args
}

// upsert adds rollup rows, given as rollColumns, to a table with the key columns.
func upsert(table, key string) string {
	arrays := make([]string, 4+len(rollup.Columns))
	for i := range arrays {
		arrays[i] = fmt.Sprintf("$%d::bigint[]", i+1)
	}
	sets := make([]string, len(rollup.Columns))
	for i, n := range rollup.Columns {
		sets[i] = n + " = " + table + "." + n + " + excluded." + n
	}
	return "INSERT INTO " + table + " (" + key + ", " + strings.Join(rollup.Columns, ", ") + ") SELECT * FROM unnest(" +
		strings.Join(arrays, ", ") + ") ON CONFLICT (" + key + ") DO UPDATE SET " + strings.Join(sets, ", ")
}

var (
	upsertRollups = upsert("rollups", "project, grain, bucket, dims")
	upsertRemoved = upsert("removed", "project, bucket, dims, removal")
)
