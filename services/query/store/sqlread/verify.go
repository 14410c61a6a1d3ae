package sqlread

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/synapse-analytics/synapse/services/query"
	"github.com/synapse-analytics/synapse/services/query/store/rollup"
)

// Verify implements query.Store. It goes through the days that hold events or
// rollups, an hour at a time, each hour in a snapshot of its own: minutes and
// hours are compared with the events, days with the hours. So it neither pins
// the write-ahead log for long nor needs the writer to stand still.
func (s *Reader) Verify(ctx context.Context, project string) (query.VerifyReport, error) {
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

func (s *Reader) verifyProject(ctx context.Context, name string) (query.VerifyReport, error) {
	var r query.VerifyReport
	if err := s.verify(ctx, name, &r); err != nil {
		return query.VerifyReport{}, fmt.Errorf("verify project %s: %w", name, PortError(ctx, err))
	}
	return r, nil
}

func (s *Reader) verify(ctx context.Context, name string, r *query.VerifyReport) error {
	var project int64
	err := s.View(ctx, func(tx Querier) error {
		return tx.QueryRowContext(ctx, "SELECT id FROM projects WHERE name = ?", name).Scan(&project)
	})
	if err != nil {
		return noRows(err)
	}
	for day := int64(firstDay); ; day++ {
		var next int64
		var ok bool
		err := s.View(ctx, func(tx Querier) (err error) {
			next, ok, err = s.nextDay(ctx, tx, project, day)
			return err
		})
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
func (s *Reader) nextDay(ctx context.Context, tx Querier, project, from int64) (day int64, ok bool, err error) {
	look := func(g query.Grain, query1 string, args ...any) error {
		var n int64
		if err := tx.QueryRowContext(ctx, query1, args...).Scan(&n); err != nil {
			return noRows(err)
		}
		if d := rollup.BucketOf(n*g.US(), query.Day); !ok || d < day {
			day, ok = d, true
		}
		return nil
	}
	var us int64
	err = tx.QueryRowContext(ctx, "SELECT e.occurred_us FROM "+s.Dialect.EventsByTime+
		" WHERE e.project = ? AND e.occurred_us >= ? ORDER BY e.occurred_us LIMIT 1", project, from*query.Day.US()).Scan(&us)
	if err == nil {
		day, ok = rollup.BucketOf(us, query.Day), true
	} else if err := noRows(err); err != nil {
		return 0, false, err
	}
	for _, g := range rollup.Grains {
		for _, grain := range []int64{int64(g), int64(g) + rollup.Totals} {
			err := look(g, "SELECT bucket FROM rollups WHERE project = ? AND grain = ? AND bucket >= ? ORDER BY bucket LIMIT 1",
				project, grain, from*(query.Day.US()/g.US()))
			if err != nil {
				return 0, false, err
			}
		}
	}
	return day, ok, nil
}

// verifyHour compares the rollups of an hour and its minutes with the events and what
// was removed of them.
func (s *Reader) verifyHour(ctx context.Context, project, hour int64, r *query.VerifyReport) error {
	return s.pinned(ctx, s.View, func(tx Querier) error {
		want := map[rollup.Key]*rollup.Row{}
		if err := s.recount(ctx, tx, project, hour, want, r); err != nil {
			return err
		}
		if err := s.addRemoved(ctx, tx, project, hour, want); err != nil {
			return err
		}
		us := hour * query.Hour.US()
		for _, g := range []query.Grain{query.Minute, query.Hour} {
			for _, grain := range []int64{int64(g), int64(g) + rollup.Totals} {
				from, to := rollup.BucketOf(us, g), rollup.BucketOf(us+query.Hour.US(), g)
				if err := compare(ctx, tx, project, grain, from, to, want, r); err != nil {
					return err
				}
			}
		}
		return missing(ctx, tx, want, r)
	})
}

// addRemoved adds what was removed of an hour, which is kept by minute and dims.
func (s *Reader) addRemoved(ctx context.Context, tx Querier, project, hour int64, want map[rollup.Key]*rollup.Row) error {
	text := "SELECT r.bucket, r.dims, r." + strings.Join(rollup.Columns, ", r.") + " FROM " + s.Dialect.Removed +
		" WHERE r.project = ? AND r.bucket >= ? AND r.bucket < ?"
	return readRows(ctx, tx, func(minute, dims int64, row *rollup.Row) {
		for _, k := range []rollup.Key{
			{Project: project, Grain: int64(query.Minute), Bucket: minute, Dims: dims}, {Project: project, Grain: int64(query.Minute) + rollup.Totals, Bucket: minute},
			{Project: project, Grain: int64(query.Hour), Bucket: hour, Dims: dims}, {Project: project, Grain: int64(query.Hour) + rollup.Totals, Bucket: hour},
		} {
			if want[k] == nil {
				want[k] = &rollup.Row{}
			}
			want[k].Merge(row)
		}
	}, text, project, hour*60, (hour+1)*60)
}

// recount adds up the events of an hour without the writer's code.
func (s *Reader) recount(ctx context.Context, tx Querier, project, hour int64, want map[rollup.Key]*rollup.Row, r *query.VerifyReport) (err error) {
	us := hour * query.Hour.US()
	rows, err := tx.QueryContext(ctx, "SELECT e.occurred_us, coalesce(d.fold, -1), e.label, e.score_e4 "+
		"FROM "+s.Dialect.EventsByTime+" LEFT JOIN dims d ON d.id = e.dims "+
		"WHERE e.project = ? AND e.occurred_us >= ? AND e.occurred_us < ?", project, us, us+query.Hour.US())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	at := func(grain query.Grain, bucket, dims int64) *rollup.Row {
		k := rollup.Key{Project: project, Grain: int64(grain), Bucket: bucket, Dims: dims}
		if dims == 0 {
			k.Grain += rollup.Totals
		}
		row := want[k]
		if row == nil {
			row = &rollup.Row{}
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
		for _, row := range []*rollup.Row{
			at(query.Minute, minute, dims), at(query.Minute, minute, 0), at(query.Hour, hour, dims), at(query.Hour, hour, 0),
		} {
			row.N[label-1]++
			row.S[label-1] += score
			row.Q[label-1] += score * score
			row.H[min(max(score+10000, 0)/1000, rollup.Bins-1)]++
		}
	}
	return rows.Err()
}

// compare checks rollup rows against want and takes those it found out of it.
func compare(ctx context.Context, tx Querier, project, grain, from, to int64, want map[rollup.Key]*rollup.Row, r *query.VerifyReport) error {
	var wrong []rollup.Key
	got := map[rollup.Key]rollup.Row{}
	err := readRollups(ctx, tx, project, grain, from, to, func(k rollup.Key, row *rollup.Row) {
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
func missing(ctx context.Context, tx Querier, want map[rollup.Key]*rollup.Row, r *query.VerifyReport) error {
	keys := make([]rollup.Key, 0, len(want))
	for k := range want {
		keys = append(keys, k)
	}
	rollup.Sort(keys)
	for _, k := range keys {
		if err := differ(ctx, tx, k, nil, want[k], r); err != nil {
			return err
		}
	}
	return nil
}

// verifyDay compares the rollups of a day with those of its hours.
func (s *Reader) verifyDay(ctx context.Context, project, day int64, r *query.VerifyReport) error {
	return s.View(ctx, func(tx Querier) error {
		want := map[rollup.Key]*rollup.Row{}
		for _, extra := range []int64{0, rollup.Totals} {
			grain := int64(query.Day) + extra
			err := readRollups(ctx, tx, project, int64(query.Hour)+extra, day*24, (day+1)*24, func(k rollup.Key, row *rollup.Row) {
				k = rollup.Key{Project: project, Grain: grain, Bucket: day, Dims: k.Dims}
				if want[k] == nil {
					want[k] = &rollup.Row{}
				}
				want[k].Merge(row)
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

// verifyCounters compares the balance with the events that are and were there.
func (s *Reader) verifyCounters(ctx context.Context, project int64, r *query.VerifyReport) error {
	return s.pinned(ctx, s.View, func(tx Querier) error {
		var rows, removed, stored int64
		err := tx.QueryRowContext(ctx, "SELECT (SELECT count(*) FROM "+s.Dialect.EventsByTime+" WHERE e.project = ?1), "+
			"(SELECT coalesce(sum(r.n1 + r.n2 + r.n3), 0) FROM "+s.Dialect.Removed+" WHERE r.project = ?1), "+
			"(SELECT coalesce(sum(stored), 0) FROM balance WHERE project = ?1)", project).Scan(&rows, &removed, &stored)
		if err != nil {
			return err
		}
		if rows+removed != stored {
			r.Add(fmt.Sprintf("the balance says %d events are stored, there are %d, and %d were removed", stored, rows, removed))
		}
		return nil
	})
}

func readRollups(ctx context.Context, tx Querier, project, grain, from, to int64, f func(rollup.Key, *rollup.Row)) error {
	return readRows(ctx, tx, func(bucket, dims int64, row *rollup.Row) {
		f(rollup.Key{Project: project, Grain: grain, Bucket: bucket, Dims: dims}, row)
	}, "SELECT bucket, dims, "+strings.Join(rollup.Columns, ", ")+
		" FROM rollups WHERE project = ? AND grain = ? AND bucket >= ? AND bucket < ? ORDER BY bucket, dims", project, grain, from, to)
}

// readRows reads rows of bucket, dims and rollup.Columns.
func readRows(ctx context.Context, tx Querier, f func(bucket, dims int64, row *rollup.Row), text string, args ...any) (err error) {
	rows, err := tx.QueryContext(ctx, text, args...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	var bucket, dims int64
	var row rollup.Row
	dest := []any{&bucket, &dims}
	row.Values(func(v *int64) { dest = append(dest, v) })
	for rows.Next() {
		if err := rows.Scan(dest...); err != nil {
			return err
		}
		f(bucket, dims, &row)
	}
	return rows.Err()
}

// differ words a difference; got or want is nil when there is none.
func differ(ctx context.Context, tx Querier, k rollup.Key, got, want *rollup.Row, r *query.VerifyReport) error {
	if len(r.Differences) >= query.MaxDifferences {
		r.Count++
		return nil
	}
	grain := query.Grain(k.Grain)
	where := "all events"
	if k.Grain > rollup.Totals {
		grain -= rollup.Totals
	} else {
		var source, language, model string
		err := tx.QueryRowContext(ctx, "SELECT source, language, model FROM dims WHERE id = ?", k.Dims).Scan(&source, &language, &model)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			where = fmt.Sprintf("unknown dimensions %d", k.Dims)
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
	r.Add(fmt.Sprintf("%s %s, %s: holds %s, %s %s", name, bucketTime(k.Bucket*grain.US()), where, words(got), says, words(want)))
	return nil
}

func words(r *rollup.Row) string {
	if r == nil {
		return "nothing"
	}
	return fmt.Sprintf("%d negative, %d neutral, %d positive with a score sum of %.4f",
		r.N[0], r.N[1], r.N[2], float64(r.S[0]+r.S[1]+r.S[2])/1e4)
}

func bucketTime(us int64) string { return time.UnixMicro(us).UTC().Format(time.RFC3339) }

// firstDay is before every time that a message can carry (year 1).
const firstDay = -1_000_000
