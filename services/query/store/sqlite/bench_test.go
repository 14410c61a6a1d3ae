package sqlite_test

import (
	"log/slog"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/synapse-analytics/synapse/internal/sqldb"
	"github.com/synapse-analytics/synapse/services/query"
	"github.com/synapse-analytics/synapse/services/query/store/sqlite"
	"github.com/synapse-analytics/synapse/services/query/store/storetest"
)

var quiet = slog.New(slog.DiscardHandler)

func benchStore(b *testing.B) *sqlite.Store {
	b.Helper()
	s, err := sqlite.Open(b.Context(), filepath.Join(b.TempDir(), "query.db"), sqlite.Options{Logger: quiet})
	require.NoError(b, err)
	return s
}

func BenchmarkApply(b *testing.B) {
	var s *sqlite.Store
	storetest.BenchmarkApply(b, func() query.Store { s = benchStore(b); return s }, func(query.Store) {
		b.ReportMetric(float64(s.Stats().FileBytes)/storetest.BenchTotal, "B/row")
	})
}

// BenchmarkBare stores by database/sql and a prepared INSERT.
func BenchmarkBare(b *testing.B) {
	storetest.BenchmarkBare(b, func() (func([]query.Event) error, func() error) {
		db, err := sqldb.Open(b.Context(), filepath.Join(b.TempDir(), "bare.db"), sqldb.Options{Logger: quiet, WriterCacheBytes: 64 << 20, AutoCheckpointPages: 4000})
		require.NoError(b, err)
		_, err = db.Writer().Exec("CREATE TABLE events (project TEXT, id TEXT, text TEXT, source TEXT, user_id TEXT, language TEXT, " +
			"model TEXT, label INTEGER, score INTEGER, negative INTEGER, positive INTEGER, occurred_us INTEGER, accepted_us INTEGER)")
		require.NoError(b, err)
		return func(events []query.Event) error {
			tx, err := db.Writer().Begin()
			if err != nil {
				return err
			}
			stmt, err := tx.Prepare("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")
			if err != nil {
				return err
			}
			for i := range events {
				if _, err := stmt.Exec(storetest.Bare(&events[i])...); err != nil {
					return err
				}
			}
			return tx.Commit()
		}, db.Close
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
