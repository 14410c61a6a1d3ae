package sqlite_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/synapse-analytics/synapse/internal/sqldb"
	"github.com/synapse-analytics/synapse/services/query"
	"github.com/synapse-analytics/synapse/services/query/filter"
	"github.com/synapse-analytics/synapse/services/query/store/sqlite"
	"github.com/synapse-analytics/synapse/services/query/store/storetest"
)

// childDir makes this binary the process that the crash test kills.
const childDir = "STORETEST_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		s, err := sqlite.Open(context.Background(), filepath.Join(dir, "query.db"), sqlite.Options{Logger: quiet})
		if err == nil {
			err = storetest.Child(s, os.Stdout)
		}
		fmt.Fprintln(os.Stderr, "child:", err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m)
}

func open(t testing.TB, dir string) query.Store {
	t.Helper()
	s, err := sqlite.Open(context.Background(), filepath.Join(dir, "query.db"), sqlite.Options{Logger: quiet})
	require.NoError(t, err)
	return s
}

func TestStore(t *testing.T) {
	storetest.Run(t, storetest.Harness{
		Open: open,
		Crash: func(dir string) *exec.Cmd {
			cmd := exec.Command(os.Args[0], "-test.run=^$")
			cmd.Env = append(os.Environ(), childDir+"="+dir)
			cmd.Stderr = os.Stderr
			return cmd
		},
	})
}

// TestVerifyFindsDamage plants a fault of each kind behind the store's back.
func TestVerifyFindsDamage(t *testing.T) {
	for name, tc := range map[string]struct {
		sql  string
		says string
	}{
		"minute too high":   {"UPDATE rollups SET n1 = n1 + 1 WHERE grain = 1 AND bucket = (SELECT min(bucket) FROM rollups WHERE grain = 1)", "minute 20"},
		"hour sum":          {"UPDATE rollups SET s2 = s2 - 1 WHERE grain = 2", "hour 20"},
		"day":               {"UPDATE rollups SET n3 = n3 - 1 WHERE grain = 3", "day 20"},
		"total of minutes":  {"UPDATE rollups SET q1 = q1 + 1 WHERE grain = 4", "all events"},
		"total of hours":    {"UPDATE rollups SET h05 = h05 + 1 WHERE grain = 5", "all events"},
		"total of days":     {"UPDATE rollups SET n1 = 0 WHERE grain = 6", "all events"},
		"rollup missing":    {"DELETE FROM rollups WHERE grain = 1 AND bucket = (SELECT max(bucket) FROM rollups WHERE grain = 1)", "holds nothing"},
		"rollup of nothing": {"INSERT INTO rollups SELECT project, 2, 400000, dims, " + values29 + " FROM rollups WHERE grain = 2 LIMIT 1", "the events say nothing"},
		"day of nothing":    {"INSERT INTO rollups SELECT project, 3, 9999, dims, " + values29 + " FROM rollups WHERE grain = 3 LIMIT 1", "say nothing"},
		"event gone":        {"DELETE FROM events WHERE seq = 7", "the balance says"},
		"event twice":       {"INSERT INTO events SELECT 1000000, project, dims, id || 'x', occurred_us, accepted_us, label, score_e4, user_id, text, attributes, extra, mixed, emotions FROM events WHERE seq = 7", "the events say"},
		"event moved":       {"UPDATE events SET occurred_us = occurred_us + 86400000000 WHERE seq = 7", "the events say"},
		"dims gone":         {"DELETE FROM dims WHERE id = (SELECT dims FROM events WHERE seq = 7)", "unknown dimensions"},
		"counter":           {"UPDATE balance SET stored = stored + 1", "the balance says"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "query.db")
			s, err := sqlite.Open(t.Context(), path, sqlite.Options{Logger: quiet})
			require.NoError(t, err)
			traffic := storetest.NewTraffic(1)
			traffic.Projects, traffic.StepUS = []string{"p"}, 1e6
			_, err = s.Apply(t.Context(), traffic.Batch(500, 100))
			require.NoError(t, err)
			require.NoError(t, s.Close())

			db, err := sqldb.Open(t.Context(), path, sqldb.Options{Logger: quiet})
			require.NoError(t, err)
			_, err = db.Writer().Exec("PRAGMA foreign_keys = OFF")
			require.NoError(t, err)
			res, err := db.Writer().Exec(tc.sql)
			require.NoError(t, err)
			n, err := res.RowsAffected()
			require.NoError(t, err)
			require.Positive(t, n)
			require.NoError(t, db.Close())

			s, err = sqlite.OpenReadOnly(t.Context(), path, sqlite.Options{Logger: quiet})
			require.NoError(t, err)
			defer func() { require.NoError(t, s.Close()) }()
			r, err := s.Verify(t.Context(), "p")
			require.NoError(t, err)
			require.Positive(t, r.Count)
			require.LessOrEqual(t, len(r.Differences), query.MaxDifferences)
			require.Contains(t, fmt.Sprint(r.Differences), tc.says)
		})
	}
}

const values29 = "n1, n2, n3, s1, s2, s3, q1, q2, q3, h00, h01, h02, h03, h04, h05, h06, h07, h08, h09, h10, h11, h12, h13, h14, h15, h16, h17, h18, h19"

// Rows of the release before, whose schema and packed column knew no extras, are
// read as before.
func TestOlderRows(t *testing.T) {
	path := filepath.Join(t.TempDir(), "query.db")
	first, err := os.ReadFile(filepath.Join("migrations", "0001_init.sql"))
	require.NoError(t, err)
	db, err := sqldb.Open(t.Context(), path, sqldb.Options{ApplicationID: 0x53594e51, Logger: quiet})
	require.NoError(t, err)
	require.NoError(t, db.Migrate(t.Context(), fstest.MapFS{"0001_init.sql": &fstest.MapFile{Data: first}}))
	for _, sql := range []string{
		"INSERT INTO projects VALUES (1, 'p')",
		"INSERT INTO dims VALUES (1, 1, 'web', 'en', 'm1', 1)",
		// version 1, supported, negative 1, positive 2, times 0, messages 3 and 4, the target "x"
		"INSERT INTO events VALUES (1, 1, 1, 'old', 5, 6, 1, -2500, 'u', 'text', NULL, x'010102040000000304010178')",
	} {
		_, err = db.Writer().Exec(sql)
		require.NoError(t, err)
	}
	require.NoError(t, db.Close())

	s := open(t, filepath.Dir(path))
	defer func() { require.NoError(t, s.Close()) }()
	got, err := s.GetEvent(t.Context(), "p", "old")
	require.NoError(t, err)
	require.Equal(t, &query.Event{
		Seq: 1, Project: "p", ID: "old", Text: "text", Source: "web", UserID: "u", Language: "en", LanguageSupported: true, Model: "m1",
		Label: query.Negative, ScoreE4: -2500, NegativeE6: 1, PositiveE6: 2, OccurredUS: 5, AcceptedUS: 6, QueuedUS: 6, ScoredUS: 6, StoredUS: 6,
		EventsSequence: 3, ScoredSequence: 4, Targets: []string{"x"},
	}, got)
	for text, n := range map[string]int{"mixed = false": 1, "mixed = true": 0, "emotion:joy": 0, "NOT emotion:joy": 1} {
		f, err := filter.Parse(text, filter.Events)
		require.NoError(t, err)
		page, err := s.ListEvents(t.Context(), query.ListQuery{Project: "p", Filter: f, Limit: 9})
		require.NoError(t, err)
		require.Len(t, page.Events, n, text)
	}
}

func TestOpenReadOnly(t *testing.T) {
	path := filepath.Join(t.TempDir(), "query.db")
	_, err := sqlite.OpenReadOnly(t.Context(), path, sqlite.Options{Logger: quiet})
	require.ErrorIs(t, err, os.ErrNotExist)
	require.NoFileExists(t, path)
	require.NoError(t, open(t, filepath.Dir(path)).Close())
	s, err := sqlite.OpenReadOnly(t.Context(), path, sqlite.Options{Logger: quiet})
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	_, err = s.Apply(t.Context(), storetest.NewTraffic(1).Batch(1, 1))
	require.ErrorIs(t, err, sqldb.ErrClosed)
}
