package sqlite

import (
	"context"
	"database/sql/driver"
	"fmt"
	"strings"

	"github.com/synapse-analytics/synapse/services/query"
	"github.com/synapse-analytics/synapse/services/query/store/rollup"
)

// Expire implements query.Store. The events of a piece go, and what was counted of
// them is noted, in one transaction. Their pages are used again; the file does not
// get smaller.
func (s *Store) Expire(ctx context.Context, q query.ExpireQuery) (query.Expired, error) {
	var out query.Expired
	beforeUS := rollup.BucketOf(q.BeforeUS, query.Day) * query.Day.US()
	err := s.write(ctx, func(c *rawConn) error {
		out = query.Expired{}
		rolls := rollup.NewSet()
		var seqs []int64
		last := int64(0)
		err := c.query("SELECT e.seq, e.project, coalesce(d.fold, -1), e.occurred_us, e.label, e.score_e4 "+
			"FROM events e INDEXED BY events_by_acceptance LEFT JOIN dims d ON d.id = e.dims "+
			"WHERE e.accepted_us < ? ORDER BY e.accepted_us LIMIT ?", func(row []driver.Value) error {
			seqs = append(seqs, asInt(row[0]))
			last = max(last, asInt(row[0]))
			e := query.Event{OccurredUS: asInt(row[3]), Label: query.Label(asInt(row[4])), ScoreE4: int32(asInt(row[5]))}
			if e.Label >= query.Negative && e.Label <= query.Positive { // another was not counted either
				rolls.Add(asInt(row[1]), asInt(row[2]), &e)
			}
			return nil
		}, beforeUS, int64(q.Limit))
		if err != nil {
			return err
		}
		out.Events, out.More = len(seqs), len(seqs) == q.Limit
		if len(seqs) > 0 {
			if err := removeEvents(c, seqs, rolls); err != nil {
				return err
			}
			err = c.exec("UPDATE retention SET floor_us = max(floor_us, ?), removed_seq = max(removed_seq, ?)", min(beforeUS, q.AppliedUS), last)
		}
		if err != nil || out.More {
			return err
		}
		return c.query("SELECT accepted_us FROM events INDEXED BY events_by_acceptance ORDER BY accepted_us LIMIT 1", func(row []driver.Value) error {
			out.OldestUS = rollup.BucketOf(asInt(row[0]), query.Day) * query.Day.US()
			return nil
		})
	})
	if err != nil {
		return query.Expired{}, fmt.Errorf("remove old events: %w", err)
	}
	return out, nil
}

// removeEvents deletes events and notes what was counted of them.
func removeEvents(c *rawConn, seqs []int64, rolls *rollup.Set) error {
	for _, seq := range seqs {
		if err := c.exec("DELETE FROM events WHERE seq = ?", seq); err != nil {
			return err
		}
	}
	for _, k := range rolls.Keys() {
		stmt, err := c.stmt(upsertRemoved)
		if err != nil {
			return err
		}
		for _, v := range [...]int64{k.Project, k.Bucket, k.Dims} {
			stmt.add(v)
		}
		rolls.Row(k).Values(func(v *int64) { stmt.add(*v) })
		if err := stmt.run(nil); err != nil {
			return err
		}
	}
	return nil
}

var upsertRemoved = func() string {
	sets := make([]string, len(rollup.Columns))
	for i, n := range rollup.Columns {
		sets[i] = n + " = " + n + " + excluded." + n
	}
	return "INSERT INTO removed (project, bucket, dims, " + strings.Join(rollup.Columns, ", ") + ") VALUES " +
		rows(3+len(rollup.Columns), 1) + " ON CONFLICT DO UPDATE SET " + strings.Join(sets, ", ")
}()

// floor returns the time before which all that was queued was applied.
func floor(c *rawConn) (us int64, err error) {
	err = c.query("SELECT floor_us FROM retention", func(row []driver.Value) error { us = asInt(row[0]); return nil })
	if err != nil {
		return 0, fmt.Errorf("read what was removed: %w", err)
	}
	return us, nil
}
