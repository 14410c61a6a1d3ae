package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/synapse-analytics/synapse/services/query"
	"github.com/synapse-analytics/synapse/services/query/filter"
)

// What BenchmarkApply stores: events, and events a transaction.
const (
	BenchTotal = 500_000
	BenchRows  = 5000
)

// BenchmarkApply stores 500,000 events of live-like geometry in batches of 5,000
// events, 100 a message, and prints rows a second. open gives an empty store, which
// done gets before it is closed.
func BenchmarkApply(b *testing.B, open func() query.Store, done func(query.Store)) {
	for b.Loop() {
		b.StopTimer()
		s := open()
		t := NewTraffic(1)
		var spent, worst time.Duration
		for range BenchTotal / BenchRows {
			batch := t.Batch(BenchRows, 100)
			b.StartTimer()
			start := time.Now()
			out, err := s.Apply(b.Context(), batch)
			took := time.Since(start)
			b.StopTimer()
			require.NoError(b, err)
			require.Len(b, out.Stored, BenchRows)
			spent += took
			worst = max(worst, took)
		}
		b.ReportMetric(BenchTotal/spent.Seconds(), "rows/s")
		b.ReportMetric(worst.Seconds()*1e3, "ms/worst-batch")
		done(s)
		require.NoError(b, s.Close())
		b.StartTimer()
	}
}

// BenchmarkBare gives store the same rows, in batches, and prints rows a second: the
// reference of BenchmarkApply, for a table without an index, a rollup or a check.
// open makes the table and returns what stores and what closes.
func BenchmarkBare(b *testing.B, open func() (store func([]query.Event) error, closed func() error)) {
	for b.Loop() {
		b.StopTimer()
		store, closed := open()
		t := NewTraffic(1)
		var spent time.Duration
		for range BenchTotal / BenchRows {
			batch := t.Batch(BenchRows, BenchRows)
			b.StartTimer()
			start := time.Now()
			err := store(batch.Sources[0].Events)
			spent += time.Since(start)
			b.StopTimer()
			require.NoError(b, err)
		}
		b.ReportMetric(BenchTotal/spent.Seconds(), "rows/s")
		require.NoError(b, closed())
		b.StartTimer()
	}
}

// BenchmarkSeries reads charts of 24 hours from the rollups of 1,000,000 events of
// one project, by way of the port.
func BenchmarkSeries(b *testing.B, s query.Store) {
	t := NewTraffic(1)
	t.Projects, t.StepUS, t.Text = t.Projects[:1], 86400, 20
	t.StartUS -= t.StartUS % query.Day.US()
	fill(b, s, t)
	for _, tc := range []struct {
		name string
		by   []query.Dimension
		step int64
	}{
		{"minutes", nil, 60e6},
		{"minutes by source", []query.Dimension{query.BySource}, 60e6},
		{"minutes by source and language", []query.Dimension{query.BySource, query.ByLanguage}, 60e6},
		{"hours", nil, 3600e6},
	} {
		b.Run(tc.name, func(b *testing.B) {
			grain := query.Minute
			if tc.step == query.Hour.US() {
				grain = query.Hour
			}
			var count int64
			var rows int
			for b.Loop() {
				count, rows = 0, 0
				err := s.Series(b.Context(), query.SeriesQuery{
					Project: t.Projects[0], Grain: grain, StartUS: t.StartUS, EndUS: t.StartUS + query.Day.US(), StepUS: tc.step, GroupBy: tc.by,
				}, func(r query.SeriesRow) error {
					rows++
					count += r.Cells[0].Count + r.Cells[1].Count + r.Cells[2].Count
					return nil
				})
				if err != nil {
					b.Fatal(err)
				}
			}
			require.EqualValues(b, 1_000_000, count)
			b.ReportMetric(float64(rows), "rows")
		})
	}
	b.Run("verify", func(b *testing.B) {
		for b.Loop() {
			r, err := s.Verify(b.Context(), t.Projects[0])
			require.NoError(b, err)
			require.Empty(b, r.Differences, fmt.Sprint(r.Differences))
			require.EqualValues(b, 1_000_000, r.Events)
		}
	})
}

// fill stores 1,000,000 events.
func fill(b *testing.B, s query.Store, t *Traffic) {
	for range 1_000_000 / BenchRows {
		_, err := s.Apply(b.Context(), t.Batch(BenchRows, 100))
		require.NoError(b, err)
	}
}

// BenchmarkList reads pages of 50 from 1,000,000 events.
func BenchmarkList(b *testing.B, s query.Store) {
	t := NewTraffic(1)
	t.Projects = t.Projects[:1]
	fill(b, s, t)
	middle := &query.ListKey{OccurredUS: t.StartUS + 500_000*t.StepUS, Seq: 500_000}
	for _, tc := range []struct {
		name string
		q    query.ListQuery
	}{
		{"latest", query.ListQuery{}},
		{"middle", query.ListQuery{After: middle}},
		{"filter half", query.ListQuery{Filter: parse(b, `language = "de" AND score < 0`), Scan: 50_000}},
		{"filter nothing, 50k", query.ListQuery{Filter: parse(b, `user_id = "nobody"`), Scan: 50_000}},
		{"text nothing, 50k", query.ListQuery{Filter: parse(b, `text:"nobody"`), Scan: 50_000}},
	} {
		b.Run(tc.name, func(b *testing.B) {
			tc.q.Project, tc.q.Limit = t.Projects[0], 50
			for b.Loop() {
				if _, err := s.ListEvents(b.Context(), tc.q); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// Bare are the values of an event's plain columns.
func Bare(e *query.Event) []any {
	return []any{
		e.Project, e.ID, e.Text, e.Source, e.UserID, e.Language, e.Model, int64(e.Label), int64(e.ScoreE4),
		int64(e.NegativeE6), int64(e.PositiveE6), e.OccurredUS, e.AcceptedUS,
	}
}

func parse(b *testing.B, text string) *filter.Filter {
	b.Helper()
	f, err := filter.Parse(text, filter.Events)
	require.NoError(b, err)
	return f
}
