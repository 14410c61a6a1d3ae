package cli

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/synapse-analytics/synapse/internal/app"
	"github.com/synapse-analytics/synapse/internal/pgdb/pgtest"
	authsqlite "github.com/synapse-analytics/synapse/services/auth/store/sqlite"
	querysqlite "github.com/synapse-analytics/synapse/services/query/store/sqlite"
	"github.com/synapse-analytics/synapse/services/query/store/storetest"
)

// folder makes the data folder of a stopped server.
func folder(t *testing.T) string {
	t.Helper()
	dir, quiet := t.TempDir(), slog.New(slog.DiscardHandler)
	a, err := authsqlite.Open(t.Context(), filepath.Join(dir, "auth.db"), authsqlite.WithLogger(quiet))
	require.NoError(t, err)
	_, err = a.Secret(t.Context(), "x", []byte("y"))
	require.NoError(t, err)
	require.NoError(t, a.Close())
	q, err := querysqlite.Open(t.Context(), filepath.Join(dir, "query.db"), querysqlite.Options{Logger: quiet})
	require.NoError(t, err)
	_, err = q.Apply(t.Context(), storetest.NewTraffic(1).Batch(200, 10))
	require.NoError(t, err)
	require.NoError(t, q.Close())
	return dir
}

func TestTransfer(t *testing.T) {
	dir := folder(t)
	transfer := func(args ...string) (string, string, int) {
		return command(t, "", append([]string{"transfer", "--from", "sqlite", "--to", "postgres", "--data", dir}, args...)...)
	}
	var set []string
	for _, role := range []string{"auth", "query"} {
		url, err := pgtest.Shared(t).NewDatabase()
		require.NoError(t, err)
		set = append(set, "--set", "stores."+role+".url="+url)
	}
	t.Run("refused", func(t *testing.T) {
		_, errOut, code := command(t, "", "transfer", "--from", "postgres", "--to", "sqlite")
		require.Equal(t, exitUsage, code)
		require.Contains(t, errOut, "try: synapse transfer --from sqlite --to postgres")
		_, errOut, code = transfer(set[:2]...)
		require.Equal(t, exitUsage, code)
		require.Contains(t, errOut, "stores.query.url is not set")
		_, errOut, code = transfer(append(set, "--only", "ingest")...)
		require.Equal(t, exitUsage, code, errOut)
		_, errOut, code = transfer(append(set, "--data", t.TempDir())...)
		require.Equal(t, exitFailed, code)
		require.Contains(t, errOut, "nothing of auth to move")
		for _, name := range []string{"lock", "lock-synapse-query"} {
			require.NoError(t, os.WriteFile(filepath.Join(dir, name), nil, 0o600))
			unlock, err := app.LockData(dir) // as a server would
			require.NoError(t, err)
			_, errOut, code = transfer(set...)
			unlock()
			require.Equal(t, exitFailed, code)
			require.Contains(t, errOut, "in use by another process")
			require.Contains(t, errOut, "try: stop the server first")
		}
	})
	out, errOut, code := transfer(append(set[2:], "--only", "query", "--output", "table")...)
	require.Equal(t, exitOK, code, errOut)
	require.Regexp(t, `query: [\d,]+ rows in [\d.]+ s \([\d,]+/s\), compared with their source in [\d.]+ s: both sides are the same`, out)
	require.Contains(t, out, "stores:\n  query: { url: ")
	require.NotContains(t, out, "auth:")
	require.Contains(t, errOut, "copy query events: 200 rows\n")
	require.Contains(t, errOut, "compare query rollups: ")
	out, errOut, code = transfer(append(set, "--output", "table")...)
	require.Equal(t, exitOK, code, errOut)
	require.Contains(t, out, "query was moved before")
	require.Contains(t, out, "auth: 1 rows")
	require.NotContains(t, errOut, "copy query")
	_, errOut, code = transfer("--only", "auth", "--set", strings.Replace(set[3], "query", "auth", 1))
	require.Equal(t, exitFailed, code)
	require.Contains(t, errOut, "create an empty database")
}
