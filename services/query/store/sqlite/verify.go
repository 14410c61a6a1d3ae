package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/synapse-analytics/synapse/services/query"
)

// Verify implements query.Store. It goes through the days that hold events or
// rollups, an hour at a time, each hour in a snapshot of its own: minutes and
// hours are compared with the events, days with the hours. So it neither pins
// the write-ahead log for long nor needs the writer to stand still.
func (s *Store) Verify(ctx context.Context, project string) (query.VerifyReport, error) {
	if project != "" {
		return s.verifyProject(ctx, project)
	}
	names, err := s.Projects(ctx)
	if err != nil {
		return query.VerifyReport{}, err
	}
	var all query.VerifyReport
	for _, name := range names {
		r, err := s.verifyProject(ctx, name)
		if err != nil {
			return query.VerifyReport{}, err
		}
		all.Events += r.Events
		all.Rollups += r.Rollups
		for _, d := range r.Differences {
			all.Add("project " + name + ": " + d)
		}
		all.Count += r.Count - int64(len(r.Differences))
	}
	return all, nil
}

func (s *Store) verifyProject(ctx context.Context, name string) (query.VerifyReport, error) {
	var r query.VerifyReport
	if err := s.verify(ctx, name, &r); err != nil {
		return query.VerifyReport{}, fmt.Errorf("verify project %s: %w", name, portError(ctx, err))
	}
	return r, nil
}

func (s *Store) verify(ctx context.Context, name string, r *query.VerifyReport) error {
	var project int64
	err := s.db.Reader().QueryRowContext(ctx, "SELECT id FROM projects WHERE name = ?", name).Scan(&project)
	if err != nil {
		return noRows(err)
	}
	for day := int64(firstDay); ; day++ {
		next, ok, err := s.nextDay(ctx, project, day)
		if err != nil {
			return err
		}
		if !ok {
			return s.verifyCounters(ctx, project, r)
		}
		day = next
		for hour := day * 24; hour < (day+1)*24; hour++ {
			if err := s.verifyHour(ctx, project, hour, r); err != nil {
				return err
			}
		}
		if err := s.verifyDay(ctx, project, day, r); err != nil {
			return err
		}
	}
}

// nextDay returns the first day, from the given one, with an event or a rollup.
func (s *Store) nextDay(ctx context.Context, project, from int64) (day int64, ok bool, err error) {
	look := func(g query.Grain, query1 string, args ...any) error {
		var n int64
		if err := s.db.Reader().QueryRowContext(ctx, query1, args...).Scan(&n); err != nil {
			return noRows(err)
		}
		if d := bucketOf(n*g.US(), query.Day); !ok || d < day {
			day, ok = d, true
		}
		return nil
	}
	var us int64
	err = s.db.Reader().QueryRowContext(ctx, "SELECT occurred_us FROM events INDEXED BY events_by_time "+
		"WHERE project = ? AND occurred_us >= ? ORDER BY occurred_us LIMIT 1", project, from*query.Day.US()).Scan(&us)
	if err == nil {
		day, ok = bucketOf(us, query.Day), true
	} else if err := noRows(err); err != nil {
		return 0, false, err
	}
	for _, g := range grains {
		for _, grain := range []int64{int64(g), int64(g) + totals} {
			err := look(g, "SELECT bucket FROM rollups WHERE project = ? AND grain = ? AND bucket >= ? ORDER BY bucket LIMIT 1",
				project, grain, from*(query.Day.US()/g.US()))
			if err != nil {
				return 0, false, err
			}
		}
	}
	return day, ok, nil
}

// verifyHour compares the rollups of an hour and its minutes with the events.
func (s *Store) verifyHour(ctx context.Context, project, hour int64, r *query.VerifyReport) error {
	return s.db.View(ctx, func(tx *sql.Tx) error {
		want := map[rollKey]*rollRow{}
		if err := recount(ctx, tx, project, hour, want, r); err != nil {
			return err
		}
		us := hour * query.Hour.US()
		for _, g := range []query.Grain{query.Minute, query.Hour} {
			for _, grain := range []int64{int64(g), int64(g) + totals} {
				from, to := bucketOf(us, g), bucketOf(us+query.Hour.US(), g)
				if err := compare(ctx, tx, project, grain, from, to, want, r); err != nil {
					return err
				}
			}
		}
		return missing(ctx, tx, want, r)
	})
}

// recount adds up the events of an hour without the writer's code.
func recount(ctx context.Context, tx *sql.Tx, project, hour int64, want map[rollKey]*rollRow, r *query.VerifyReport) (err error) {
	us := hour * query.Hour.US()
	rows, err := tx.QueryContext(ctx, "SELECT e.occurred_us, coalesce(d.fold, -1), e.label, e.score_e4 "+
		"FROM events e INDEXED BY events_by_time LEFT JOIN dims d ON d.id = e.dims "+
		"WHERE e.project = ? AND e.occurred_us >= ? AND e.occurred_us < ?", project, us, us+query.Hour.US())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	at := func(grain query.Grain, bucket, dims int64) *rollRow {
		k := rollKey{project, int64(grain), bucket, dims}
		if dims == 0 {
			k.grain += totals
		}
		row := want[k]
		if row == nil {
			row = &rollRow{}
			want[k] = row
		}
		return row
	}
	for rows.Next() {
		var occurred, dims, label, score int64
		if err := rows.Scan(&occurred, &dims, &label, &score); err != nil {
			return err
		}
		r.Events++
		if label < 1 || label > 3 {
			r.Add(fmt.Sprintf("an event at %s has the label %d", bucketTime(occurred), label))
			continue
		}
		minute := hour*60 + (occurred-us)/query.Minute.US()
		for _, row := range []*rollRow{
			at(query.Minute, minute, dims), at(query.Minute, minute, 0), at(query.Hour, hour, dims), at(query.Hour, hour, 0),
		} {
			row.n[label-1]++
			row.s[label-1] += score
			row.q[label-1] += score * score
			row.h[min(max(score+10000, 0)/1000, bins-1)]++
		}
	}
	return rows.Err()
}

// compare checks rollup rows against want and takes those it found out of it.
func compare(ctx context.Context, tx *sql.Tx, project, grain, from, to int64, want map[rollKey]*rollRow, r *query.VerifyReport) error {
	var wrong []rollKey
	got := map[rollKey]rollRow{}
	err := readRollups(ctx, tx, project, grain, from, to, func(k rollKey, row *rollRow) {
		r.Rollups++
		if w := want[k]; w == nil || *w != *row {
			wrong = append(wrong, k)
			if len(got) < query.MaxDifferences {
				got[k] = *row
			}
			return
		}
		delete(want, k)
	})
	if err != nil {
		return err
	}
	for _, k := range wrong {
		row := got[k]
		if err := differ(ctx, tx, k, &row, want[k], r); err != nil {
			return err
		}
		delete(want, k)
	}
	return nil
}

// missing reports what the events say and no rollup holds.
func missing(ctx context.Context, tx *sql.Tx, want map[rollKey]*rollRow, r *query.VerifyReport) error {
	keys := make([]rollKey, 0, len(want))
	for k := range want {
		keys = append(keys, k)
	}
	sortKeys(keys)
	for _, k := range keys {
		if err := differ(ctx, tx, k, nil, want[k], r); err != nil {
			return err
		}
	}
	return nil
}

// verifyDay compares the rollups of a day with those of its hours.
func (s *Store) verifyDay(ctx context.Context, project, day int64, r *query.VerifyReport) error {
	return s.db.View(ctx, func(tx *sql.Tx) error {
		want := map[rollKey]*rollRow{}
		for _, extra := range []int64{0, totals} {
			grain := int64(query.Day) + extra
			err := readRollups(ctx, tx, project, int64(query.Hour)+extra, day*24, (day+1)*24, func(k rollKey, row *rollRow) {
				k = rollKey{project, grain, day, k.dims}
				if want[k] == nil {
					want[k] = &rollRow{}
				}
				want[k].merge(row)
			})
			if err != nil {
				return err
			}
			if err := compare(ctx, tx, project, grain, day, day+1, want, r); err != nil {
				return err
			}
		}
		return missing(ctx, tx, want, r)
	})
}

// verifyCounters compares the balance with the rows.
func (s *Store) verifyCounters(ctx context.Context, project int64, r *query.VerifyReport) error {
	return s.db.View(ctx, func(tx *sql.Tx) error {
		var rows, stored int64
		err := tx.QueryRowContext(ctx, "SELECT (SELECT count(*) FROM events INDEXED BY events_by_time WHERE project = ?1), "+
			"(SELECT coalesce(sum(stored), 0) FROM balance WHERE project = ?1)", project).Scan(&rows, &stored)
		if err != nil {
			return err
		}
		if rows != stored {
			r.Add(fmt.Sprintf("the balance says %d events are stored, there are %d", stored, rows))
		}
		return nil
	})
}

func readRollups(ctx context.Context, tx *sql.Tx, project, grain, from, to int64, f func(rollKey, *rollRow)) (err error) {
	rows, err := tx.QueryContext(ctx, "SELECT bucket, dims, "+strings.Join(rollNames, ", ")+ //nolint:gosec // G202: constants
		" FROM rollups WHERE project = ? AND grain = ? AND bucket >= ? AND bucket < ? ORDER BY bucket, dims", project, grain, from, to)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	k := rollKey{project: project, grain: grain}
	var row rollRow
	dest := []any{&k.bucket, &k.dims}
	for i := range row.n {
		dest = append(dest, &row.n[i])
	}
	for i := range row.s {
		dest = append(dest, &row.s[i])
	}
	for i := range row.q {
		dest = append(dest, &row.q[i])
	}
	for i := range row.h {
		dest = append(dest, &row.h[i])
	}
	for rows.Next() {
		if err := rows.Scan(dest...); err != nil {
			return err
		}
		f(k, &row)
	}
	return rows.Err()
}

// differ words a difference; got or want is nil when there is none.
func differ(ctx context.Context, tx *sql.Tx, k rollKey, got, want *rollRow, r *query.VerifyReport) error {
	if len(r.Differences) >= query.MaxDifferences {
		r.Count++
		return nil
	}
	grain := query.Grain(k.grain)
	where := "all events"
	if k.grain > totals {
		grain -= totals
	} else {
		var source, language, model string
		err := tx.QueryRowContext(ctx, "SELECT source, language, model FROM dims WHERE id = ?", k.dims).Scan(&source, &language, &model)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			where = fmt.Sprintf("unknown dimensions %d", k.dims)
		case err != nil:
			return err
		default:
			where = fmt.Sprintf("source %q, language %q, model %q", source, language, model)
		}
	}
	says := "the events say"
	if grain == query.Day {
		says = "its hours say"
	}
	name := map[query.Grain]string{query.Minute: "minute", query.Hour: "hour", query.Day: "day"}[grain]
	r.Add(fmt.Sprintf("%s %s, %s: holds %s, %s %s", name, bucketTime(k.bucket*grain.US()), where, words(got), says, words(want)))
	return nil
}

func words(r *rollRow) string {
	if r == nil {
		return "nothing"
	}
	return fmt.Sprintf("%d negative, %d neutral, %d positive with a score sum of %.4f",
		r.n[0], r.n[1], r.n[2], float64(r.s[0]+r.s[1]+r.s[2])/1e4)
}

func bucketTime(us int64) string { return time.UnixMicro(us).UTC().Format(time.RFC3339) }

// firstDay is before every time that a message can carry (year 1).
const firstDay = -1_000_000
