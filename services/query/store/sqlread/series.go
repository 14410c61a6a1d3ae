package sqlread

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/synapse-analytics/synapse/services/query"
	"github.com/synapse-analytics/synapse/services/query/filter"
	"github.com/synapse-analytics/synapse/services/query/store/rollup"
)

// Series implements query.Store.
func (s *Reader) Series(ctx context.Context, q query.SeriesQuery, f func(query.SeriesRow) error) error {
	err := s.nearSeries(ctx, q, f)
	if err != nil {
		return fmt.Errorf("read series: %w", PortError(ctx, err))
	}
	return nil
}

// seriesBuffer is how many rows of a copy are held back until it has given all: f
// can not be called again for them. More are read from the store itself.
const seriesBuffer = 20_000

var errManyRows = errors.New("more rows than are held back")

func (s *Reader) nearSeries(ctx context.Context, q query.SeriesQuery, f func(query.SeriesRow) error) error {
	if s.Near == nil {
		return s.View(ctx, func(tx Querier) error { return s.series(ctx, tx, q, f) })
	}
	var rows []query.SeriesRow
	err := s.Near(ctx, func(tx Querier, last bool) error {
		rows = nil
		if last {
			return s.series(ctx, tx, q, f)
		}
		return s.series(ctx, tx, q, func(r query.SeriesRow) error {
			if len(rows) == seriesBuffer {
				return errManyRows
			}
			rows = append(rows, r)
			return nil
		})
	})
	if err != nil {
		return err
	}
	for _, r := range rows {
		if err := f(r); err != nil {
			return err
		}
	}
	return nil
}

func (s *Reader) series(ctx context.Context, tx Querier, q query.SeriesQuery, f func(query.SeriesRow) error) (err error) {
	text, args := s.seriesSQL(q)
	rows, err := tx.QueryContext(ctx, text, args...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	var bucket int64
	var row query.SeriesRow
	dest := []any{
		&bucket, &row.Cells[0].Count, &row.Cells[1].Count, &row.Cells[2].Count,
		&row.Cells[0].SumE4, &row.Cells[1].SumE4, &row.Cells[2].SumE4,
	}
	for i := range q.GroupBy {
		dest = append(dest, &row.Group[i])
	}
	for rows.Next() {
		if err := rows.Scan(dest...); err != nil {
			return err
		}
		row.StartUS = q.StartUS + bucket*q.StepUS
		if row.Cells[0].Count+row.Cells[1].Count+row.Cells[2].Count == 0 {
			continue // the filter left nothing of it
		}
		if err := f(row); err != nil {
			return err
		}
	}
	return rows.Err()
}

// seriesSQL reads the rows over all dims when that is enough, otherwise those by
// dims.
func (s *Reader) seriesSQL(q query.SeriesQuery) (string, []any) {
	byDims := len(q.GroupBy) > 0 || q.Filter.Names(filter.Source) || q.Filter.Names(filter.Language) || q.Filter.Names(filter.ModelVersion)
	start, end := rollup.BucketOf(q.StartUS, q.Grain), rollup.BucketOf(q.EndUS, q.Grain)
	steps := q.StepUS / q.Grain.US()
	if steps == 0 { // one bucket for the whole range
		steps = max(end-start, 1)
	}
	var b strings.Builder
	args := []any{start, steps}
	b.WriteString("SELECT (r.bucket - ?) / ? AS b")
	for _, column := range [...]string{"n", "s"} {
		for label := 1; label <= 3; label++ {
			fmt.Fprintf(&b, ", CAST(coalesce(sum(r.%s%d", column, label)
			if q.Filter != nil {
				// With the label as a constant, the filter is one over dims.
				cond, more := q.Filter.SQL(dimColumns{label})
				b.WriteString(") FILTER (WHERE " + cond)
				args = append(args, more...)
			}
			b.WriteString("), 0) AS BIGINT)")
		}
	}
	groups := []string{"b"}
	for _, d := range q.GroupBy {
		b.WriteString(", " + dimColumn(d))
		groups = append(groups, dimColumn(d))
	}
	b.WriteString(" FROM rollups r")
	grain := int64(q.Grain) + rollup.Totals
	if byDims {
		b.WriteString(" " + s.Dialect.Join + " dims d ON d.id = r.dims")
		grain = int64(q.Grain)
	}
	b.WriteString(" WHERE r.project = " + projectID + " AND r.grain = ? AND r.bucket >= ? AND r.bucket < ?")
	args = append(args, q.Project, grain, start, end)
	by := strings.Join(groups, ", ")
	b.WriteString(" GROUP BY " + by + " ORDER BY " + by)
	return b.String(), args
}

func dimColumn(d query.Dimension) string {
	switch d {
	case query.BySource:
		return "d.source"
	case query.ByLanguage:
		return "d.language"
	default:
		return "d.model"
	}
}

// dimColumns are the filter's view of a label of a rollup row.
type dimColumns struct{ label int }

// Column implements filter.Columns.
func (c dimColumns) Column(f filter.Field) string {
	switch f {
	case filter.Source:
		return "d.source"
	case filter.Language:
		return "d.language"
	case filter.ModelVersion:
		return "d.model"
	case filter.Label:
		return fmt.Sprint(c.label)
	default:
		return "NULL" // not in the scope of a filter over dimensions
	}
}

// Contains implements filter.Columns; no such filter reaches a rollup.
func (dimColumns) Contains() string { return "? IS NULL" }

// HasEmotion implements filter.Columns; no such filter reaches a rollup.
func (dimColumns) HasEmotion() string { return "? IS NULL" }

// HasAttribute implements filter.Columns; no such filter reaches a rollup.
func (dimColumns) HasAttribute() string { return "? IS NULL" }

// CompareAttribute implements filter.Columns; no such filter reaches a rollup.
func (dimColumns) CompareAttribute(string) string { return "? IS NULL AND ? IS NULL" }
