package postgres_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/synapse-analytics/synapse/internal/pgdb/pgtest"
	"github.com/synapse-analytics/synapse/services/query"
	"github.com/synapse-analytics/synapse/services/query/store/postgres"
	"github.com/synapse-analytics/synapse/services/query/store/storetest"
)

const (
	benchTotal = 500_000
	benchRows  = 5000
)

// BenchmarkApply stores 500,000 events of live-like geometry in batches of 5,000
// events, 100 a message, and prints rows a second. BenchmarkBare is its reference:
// the same rows, by COPY, into one table without an index, a rollup or a check.
func BenchmarkApply(b *testing.B) {
	server := pgtest.Shared(b)
	for b.Loop() {
		b.StopTimer()
		url, err := server.NewDatabase()
		require.NoError(b, err)
		s, err := postgres.Open(b.Context(), pgtest.Config(url), quiet)
		require.NoError(b, err)
		t := storetest.NewTraffic(1)
		var spent, worst time.Duration
		for range benchTotal / benchRows {
			batch := t.Batch(benchRows, 100)
			b.StartTimer()
			start := time.Now()
			out, err := s.Apply(b.Context(), batch)
			took := time.Since(start)
			b.StopTimer()
			require.NoError(b, err)
			require.Len(b, out.Stored, benchRows)
			spent += took
			worst = max(worst, took)
		}
		b.ReportMetric(benchTotal/spent.Seconds(), "rows/s")
		b.ReportMetric(worst.Seconds()*1e3, "ms/worst-batch")
		require.NoError(b, s.Close())
		b.StartTimer()
	}
}

// BenchmarkBare is the reference of BenchmarkApply.
func BenchmarkBare(b *testing.B) {
	server := pgtest.Shared(b)
	columns := []string{"project", "id", "text", "source", "user_id", "language", "model", "label", "score", "negative", "positive", "occurred_us", "accepted_us"}
	for b.Loop() {
		b.StopTimer()
		url, err := server.NewDatabase()
		require.NoError(b, err)
		conn, err := pgx.Connect(b.Context(), url)
		require.NoError(b, err)
		_, err = conn.Exec(b.Context(), "CREATE TABLE events (project text, id text, text text, source text, user_id text, language text, "+
			"model text, label int8, score int8, negative int8, positive int8, occurred_us int8, accepted_us int8)")
		require.NoError(b, err)
		t := storetest.NewTraffic(1)
		var spent time.Duration
		for range benchTotal / benchRows {
			batch := t.Batch(benchRows, benchRows)
			b.StartTimer()
			start := time.Now()
			_, err := conn.CopyFrom(b.Context(), pgx.Identifier{"events"}, columns, pgx.CopyFromSlice(benchRows, func(i int) ([]any, error) {
				e := &batch.Sources[0].Events[i]
				return []any{
					e.Project, e.ID, e.Text, e.Source, e.UserID, e.Language, e.Model, int64(e.Label), int64(e.ScoreE4),
					int64(e.NegativeE6), int64(e.PositiveE6), e.OccurredUS, e.AcceptedUS,
				}, nil
			}))
			spent += time.Since(start)
			b.StopTimer()
			require.NoError(b, err)
		}
		b.ReportMetric(benchTotal/spent.Seconds(), "rows/s")
		require.NoError(b, conn.Close(b.Context()))
		b.StartTimer()
	}
}

// BenchmarkReads reads from the rollups and rows of 1,000,000 events of one project:
// a chart of 24 hours per minute, and pages of 50.
func BenchmarkReads(b *testing.B) {
	url, err := pgtest.Shared(b).NewDatabase()
	require.NoError(b, err)
	s, err := postgres.Open(b.Context(), pgtest.Config(url), quiet)
	require.NoError(b, err)
	defer func() { require.NoError(b, s.Close()) }()
	t := storetest.NewTraffic(1)
	t.Projects, t.StepUS, t.Text = t.Projects[:1], 86400, 20
	t.StartUS -= t.StartUS % query.Day.US()
	for range 200 {
		_, err := s.Apply(b.Context(), t.Batch(benchRows, 100))
		require.NoError(b, err)
	}
	for _, tc := range []struct {
		name string
		by   []query.Dimension
	}{{"minutes", nil}, {"minutes by source", []query.Dimension{query.BySource}}} {
		b.Run(tc.name, func(b *testing.B) {
			for b.Loop() {
				var count int64
				err := s.Series(b.Context(), query.SeriesQuery{
					Project: t.Projects[0], Grain: query.Minute, StartUS: t.StartUS, EndUS: t.StartUS + query.Day.US(), StepUS: 60e6, GroupBy: tc.by,
				}, func(r query.SeriesRow) error {
					count += r.Cells[0].Count + r.Cells[1].Count + r.Cells[2].Count
					return nil
				})
				if err != nil || count != 1_000_000 {
					b.Fatal(fmt.Sprint(count, err))
				}
			}
		})
	}
	for name, after := range map[string]*query.ListKey{"latest": nil, "middle": {OccurredUS: t.StartUS + 500_000*t.StepUS, Seq: 500_000}} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := s.ListEvents(b.Context(), query.ListQuery{Project: t.Projects[0], After: after, Limit: 50}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
