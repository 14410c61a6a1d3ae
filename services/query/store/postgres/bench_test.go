package postgres_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/synapse-analytics/synapse/internal/pgdb"
	"github.com/synapse-analytics/synapse/internal/pgdb/pgtest"
	"github.com/synapse-analytics/synapse/services/query"
	"github.com/synapse-analytics/synapse/services/query/store/postgres"
	"github.com/synapse-analytics/synapse/services/query/store/storetest"
)

func benchURL(b *testing.B) string {
	b.Helper()
	url, err := pgtest.Shared(b).NewDatabase()
	require.NoError(b, err)
	return url
}

func benchStore(b *testing.B) query.Store {
	b.Helper()
	s, err := postgres.Open(b.Context(), pgtest.Config(benchURL(b)), quiet)
	require.NoError(b, err)
	return s
}

func BenchmarkApply(b *testing.B) {
	storetest.BenchmarkApply(b, func() query.Store { return benchStore(b) }, func(query.Store) {})
}

// BenchmarkBare stores by COPY.
func BenchmarkBare(b *testing.B) {
	columns := []string{"project", "id", "text", "source", "user_id", "language", "model", "label", "score", "negative", "positive", "occurred_us", "accepted_us"}
	storetest.BenchmarkBare(b, func() (func([]query.Event) error, func() error) {
		conn, err := pgx.Connect(b.Context(), benchURL(b))
		require.NoError(b, err)
		_, err = conn.Exec(b.Context(), "CREATE TABLE events (project text, id text, text text, source text, user_id text, language text, "+
			"model text, label int8, score int8, negative int8, positive int8, occurred_us int8, accepted_us int8)")
		require.NoError(b, err)
		return func(events []query.Event) error {
			_, err := conn.CopyFrom(b.Context(), pgx.Identifier{"events"}, columns,
				pgx.CopyFromSlice(len(events), func(i int) ([]any, error) { return storetest.Bare(&events[i]), nil }))
			return err
		}, func() error { return conn.Close(context.WithoutCancel(b.Context())) }
	})
}

func BenchmarkSeries(b *testing.B) {
	s := benchStore(b)
	defer func() { require.NoError(b, s.Close()) }()
	storetest.BenchmarkSeries(b, s)
}

func BenchmarkList(b *testing.B) {
	s := benchStore(b)
	defer func() { require.NoError(b, s.Close()) }()
	storetest.BenchmarkList(b, s)
}

// BenchmarkGet reads one event from the primary, and from a replica that is checked to
// have what the read needs.
func BenchmarkGet(b *testing.B) {
	primary := pgtest.Shared(b)
	standby, err := primary.Standby()
	require.NoError(b, err)
	defer func() { require.NoError(b, standby.Stop()) }()
	c := pgtest.Config(benchURL(b))
	run := func(name string, c pgdb.Config) {
		s, err := postgres.Open(b.Context(), c, quiet)
		require.NoError(b, err)
		defer func() { require.NoError(b, s.Close()) }()
		batch := storetest.NewTraffic(1).Batch(storetest.BenchRows, 100)
		_, err = s.Apply(b.Context(), batch)
		require.NoError(b, err)
		time.Sleep(time.Second) // the replica answers by then
		b.Run(name, func(b *testing.B) {
			for i := 0; b.Loop(); i++ {
				e := &batch.Sources[i%50].Events[i%100]
				if _, err := s.GetEvent(b.Context(), e.Project, e.ID); err != nil {
					b.Fatal(err)
				}
			}
			if r := s.Replicas(); r != nil {
				replica, primary := r.Reads()
				b.ReportMetric(float64(replica)/float64(replica+primary), "by-replica")
			}
		})
	}
	run("primary", c)
	c.Replicas = []string{onServer(c.URL, primary, standby)}
	run("replica", c)
}
