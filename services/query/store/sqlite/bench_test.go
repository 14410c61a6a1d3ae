package sqlite_test

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/synapse-analytics/synapse/internal/sqldb"
	"github.com/synapse-analytics/synapse/services/query"
	"github.com/synapse-analytics/synapse/services/query/filter"
	"github.com/synapse-analytics/synapse/services/query/store/sqlite"
	"github.com/synapse-analytics/synapse/services/query/store/storetest"
)

var quiet = slog.New(slog.DiscardHandler)

// BenchmarkApply stores 500,000 events of live-like geometry in batches of 5,000
// events, 100 a message, and prints rows a second. BenchmarkBare is its
// reference: the same rows, by database/sql and a prepared INSERT, into one
// table without an index, a rollup or a check.
func BenchmarkApply(b *testing.B) {
	for b.Loop() {
		b.StopTimer()
		s, err := sqlite.Open(b.Context(), filepath.Join(b.TempDir(), "query.db"), sqlite.Options{Logger: quiet})
		require.NoError(b, err)
		t := storetest.NewTraffic(1)
		const total, rows = 500_000, 5000
		var spent, worst time.Duration
		for range total / rows {
			batch := t.Batch(rows, 100)
			b.StartTimer()
			start := time.Now()
			out, err := s.Apply(b.Context(), batch)
			took := time.Since(start)
			b.StopTimer()
			require.NoError(b, err)
			require.Len(b, out.Stored, rows)
			spent += took
			worst = max(worst, took)
		}
		b.ReportMetric(total/spent.Seconds(), "rows/s")
		b.ReportMetric(worst.Seconds()*1e3, "ms/worst-batch")
		b.ReportMetric(float64(s.Stats().FileBytes)/total, "B/row")
		require.NoError(b, s.Close())
		b.StartTimer()
	}
}

// BenchmarkBare is the reference of BenchmarkApply.
func BenchmarkBare(b *testing.B) {
	for b.Loop() {
		b.StopTimer()
		db, err := sqldb.Open(b.Context(), filepath.Join(b.TempDir(), "bare.db"), sqldb.Options{Logger: quiet, WriterCacheBytes: 64 << 20, AutoCheckpointPages: 4000})
		require.NoError(b, err)
		_, err = db.Writer().Exec("CREATE TABLE events (project TEXT, id TEXT, text TEXT, source TEXT, user_id TEXT, language TEXT, " +
			"model TEXT, label INTEGER, score INTEGER, negative INTEGER, positive INTEGER, occurred_us INTEGER, accepted_us INTEGER)")
		require.NoError(b, err)
		t := storetest.NewTraffic(1)
		const total, rows = 500_000, 5000
		var spent time.Duration
		for range total / rows {
			batch := t.Batch(rows, rows)
			b.StartTimer()
			start := time.Now()
			tx, err := db.Writer().Begin()
			require.NoError(b, err)
			stmt, err := tx.Prepare("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")
			require.NoError(b, err)
			for i := range batch.Sources[0].Events {
				e := &batch.Sources[0].Events[i]
				_, err := stmt.Exec(e.Project, e.ID, e.Text, e.Source, e.UserID, e.Language, e.Model, int64(e.Label), int64(e.ScoreE4),
					int64(e.NegativeE6), int64(e.PositiveE6), e.OccurredUS, e.AcceptedUS)
				if err != nil {
					b.Fatal(err)
				}
			}
			require.NoError(b, tx.Commit())
			spent += time.Since(start)
			b.StopTimer()
		}
		b.ReportMetric(total/spent.Seconds(), "rows/s")
		require.NoError(b, db.Close())
		b.StartTimer()
	}
}

// BenchmarkSeries reads a chart of 24 hours per minute from the rollups of
// 1,000,000 events of one project, by way of the port.
func BenchmarkSeries(b *testing.B) {
	s, err := sqlite.Open(b.Context(), filepath.Join(b.TempDir(), "query.db"), sqlite.Options{Logger: quiet})
	require.NoError(b, err)
	defer func() { require.NoError(b, s.Close()) }()
	t := storetest.NewTraffic(1)
	t.Projects, t.StepUS, t.Text = t.Projects[:1], 86400, 20
	t.StartUS -= t.StartUS % query.Day.US()
	for range 200 {
		_, err := s.Apply(b.Context(), t.Batch(5000, 100))
		require.NoError(b, err)
	}
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

// BenchmarkList reads pages of 50 from 1,000,000 events.
func BenchmarkList(b *testing.B) {
	s, err := sqlite.Open(b.Context(), filepath.Join(b.TempDir(), "query.db"), sqlite.Options{Logger: quiet})
	require.NoError(b, err)
	defer func() { require.NoError(b, s.Close()) }()
	t := storetest.NewTraffic(1)
	t.Projects = t.Projects[:1]
	for range 200 {
		_, err := s.Apply(b.Context(), t.Batch(5000, 100))
		require.NoError(b, err)
	}
	parse := func(text string) *filter.Filter {
		f, err := filter.Parse(text, filter.Events)
		require.NoError(b, err)
		return f
	}
	middle := &query.ListKey{OccurredUS: t.StartUS + 500_000*t.StepUS, Seq: 500_000}
	for _, tc := range []struct {
		name string
		q    query.ListQuery
	}{
		{"latest", query.ListQuery{}},
		{"middle", query.ListQuery{After: middle}},
		{"filter half", query.ListQuery{Filter: parse(`language = "de" AND score < 0`), Scan: 50_000}},
		{"filter nothing, 50k", query.ListQuery{Filter: parse(`user_id = "nobody"`), Scan: 50_000}},
		{"text nothing, 50k", query.ListQuery{Filter: parse(`text:"nobody"`), Scan: 50_000}},
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
