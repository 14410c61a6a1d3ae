package sqlite_test

import (
	"database/sql"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/synapse-analytics/synapse/services/auth"
	"github.com/synapse-analytics/synapse/services/auth/store/sqlite"
	"github.com/synapse-analytics/synapse/services/auth/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t *testing.T, path string) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), path, sqlite.WithLogger(slog.New(slog.DiscardHandler)))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

func TestSuite(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Harness {
		path := filepath.Join(t.TempDir(), "auth.db")
		s := open(t, path)
		return storetest.Harness{Store: s, Reopen: func() auth.Store {
			require.NoError(t, s.Close())
			return open(t, path)
		}}
	})
}

func TestFilesAreNotReadableByOthers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "auth.db")
	s := open(t, path)
	_, err := s.Secret(t.Context(), "x", []byte("y"))
	require.NoError(t, err)
	files, err := filepath.Glob(path + "*")
	require.NoError(t, err)
	require.Len(t, files, 3, "the database, its log and its index")
	for _, f := range files {
		fi, err := os.Stat(f)
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), fi.Mode().Perm(), f)
	}
}

func TestUnavailable(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "auth.db"))
	require.NoError(t, s.CreateUser(t.Context(), auth.User{ID: "u", Email: "u", PasswordHash: "h"}))
	_, err := s.DB().Writer().Exec("PRAGMA max_page_count = 1")
	require.NoError(t, err)
	_, err = s.Secret(t.Context(), "big", make([]byte, 1<<20))
	require.ErrorIs(t, err, auth.ErrUnavailable)
	require.NotErrorIs(t, err, sql.ErrNoRows)
}

// TestQueriesUseIndexes keeps the hot queries and the repeated ones from reading
// whole tables.
func TestQueriesUseIndexes(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "auth.db"))
	explain := func(q string) (plan []string) {
		rows, err := s.DB().Writer().Query("EXPLAIN QUERY PLAN " + q)
		require.NoError(t, err)
		defer func() { require.NoError(t, rows.Close()) }()
		for rows.Next() {
			var id, parent, x int
			var detail string
			require.NoError(t, rows.Scan(&id, &parent, &x, &detail))
			plan = append(plan, detail)
		}
		require.NoError(t, rows.Err())
		return plan
	}
	for _, q := range []string{
		"SELECT id FROM api_keys WHERE revoke_us > 0 AND revoke_us > 5 AND revoke_us <= 9",
		"SELECT id FROM api_keys WHERE replaced_by <> '' AND revoke_us = 0 AND expire_us > 5 AND expire_us <= 9",
		"SELECT id FROM sessions WHERE end_us > 0 AND end_us > 5 AND end_us <= 9",
		"SELECT id FROM projects WHERE delete_us > 0 AND delete_us > 5 AND delete_us <= 9",
		"SELECT id FROM api_keys WHERE project_id = 'p' AND (create_us, id) < (5, 'x') ORDER BY create_us DESC, id DESC LIMIT 9",
		"SELECT id FROM sessions WHERE user_id = 'u' AND end_us = 0 ORDER BY create_us DESC",
		"DELETE FROM sessions WHERE expire_us < 5",
		"DELETE FROM sign_in_failures WHERE last_us < 5",
		"SELECT 1 FROM refresh_tokens WHERE session_id = 's'",
	} {
		plan := explain(q)
		require.NotEmpty(t, plan)
		for _, step := range plan {
			require.NotContains(t, step, "SCAN", q)
			require.NotContains(t, step, "TEMP B-TREE", q)
		}
	}
}
