package transfer_test

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/synapse-analytics/synapse/services/query/store/storetest"

	generic "github.com/synapse-analytics/synapse/internal/transfer"
)

// BenchmarkTransfer moves TRANSFER_EVENTS (100,000) events and, in the same run, puts
// the same number of rows of the same columns by bare COPY into a table without an
// index: rows a second of both, and their ratio. Events are counted once, though they
// are rows of two tables.
func BenchmarkTransfer(b *testing.B) {
	n, err := strconv.Atoi(os.Getenv("TRANSFER_EVENTS"))
	if err != nil {
		n = 100_000
	}
	path := filepath.Join(b.TempDir(), "query.db")
	s := openSource(b, path)
	traffic := storetest.NewTraffic(1)
	for left := n; left > 0; left -= 5000 {
		_, err := s.Apply(b.Context(), traffic.Batch(min(left, 5000), 100))
		require.NoError(b, err)
	}
	require.NoError(b, s.Close())
	for b.Loop() {
		url := database(b)
		r, err := run(b, path, url, generic.Options{})
		require.NoError(b, err)
		events := float64(n) / r.Copy.Seconds()
		b.ReportMetric(events, "events/s")
		b.ReportMetric(float64(r.Rows())/r.Copy.Seconds(), "rows/s")
		b.ReportMetric(r.Verify.Seconds(), "compare-s")
		bare := float64(n) / bareCopy(b, url).Seconds()
		b.ReportMetric(bare, "bare-events/s")
		b.ReportMetric(events/bare, "of-bare")
	}
}

// bareCopy times COPY of the events, which are in memory, into a table of its own.
func bareCopy(b *testing.B, url string) time.Duration {
	b.Helper()
	conn, err := pgx.Connect(b.Context(), url)
	require.NoError(b, err)
	defer func() { require.NoError(b, conn.Close(b.Context())) }()
	columns := []string{"seq", "project", "dims", "id", "occurred_us", "accepted_us", "label", "score_e4", "mixed", "user_id", "text", "attributes", "emotions", "extra"}
	_, err = conn.Exec(b.Context(), "CREATE TABLE bare AS SELECT * FROM events WITH NO DATA")
	require.NoError(b, err)
	rows, err := conn.Query(b.Context(), "SELECT * FROM events ORDER BY seq")
	require.NoError(b, err)
	all, err := pgx.CollectRows(rows, func(r pgx.CollectableRow) ([]any, error) { return r.Values() })
	require.NoError(b, err)
	start := time.Now()
	for len(all) > 0 {
		piece := all[:min(len(all), 10_000)]
		_, err = conn.CopyFrom(b.Context(), pgx.Identifier{"bare"}, columns, pgx.CopyFromRows(piece))
		require.NoError(b, err)
		all = all[len(piece):]
	}
	return time.Since(start)
}
