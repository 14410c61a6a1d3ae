package transfer

import (
	"log/slog"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/synapse-analytics/synapse/internal/pgdb"
	"github.com/synapse-analytics/synapse/internal/pgdb/pgtest"
	"github.com/synapse-analytics/synapse/services/query/store/postgres"
	"github.com/synapse-analytics/synapse/services/query/store/sqlite"
)

// TestPlan fails when a migration of either engine has a table or a column that the
// plan does not move.
func TestPlan(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	path := filepath.Join(t.TempDir(), "query.db")
	s, err := sqlite.Open(t.Context(), path, sqlite.Options{Logger: log})
	require.NoError(t, err)
	require.NoError(t, s.Close())
	src, err := sqlite.OpenFile(t.Context(), path, log)
	require.NoError(t, err)
	defer func() { require.NoError(t, src.Close()) }()
	url, err := pgtest.Shared(t).NewDatabase()
	require.NoError(t, err)
	dst, err := pgdb.Open(t.Context(), pgtest.Config(url), "test", log)
	require.NoError(t, err)
	defer func() { require.NoError(t, dst.Close()) }()
	require.NoError(t, dst.Migrate(t.Context(), postgres.Migrations()))
	p := plan()
	require.NoError(t, p.Check(t.Context(), src, dst))

	for i := range p.Tables { // the check itself: each of them is missed
		less := plan()
		less.Tables = append(less.Tables[:i:i], less.Tables[i+1:]...)
		require.ErrorContains(t, less.Check(t.Context(), src, dst), p.Tables[i].Name)
	}
	_, err = dst.Pool().Exec(t.Context(), "ALTER TABLE dims ADD COLUMN region TEXT")
	require.NoError(t, err)
	require.ErrorContains(t, p.Check(t.Context(), src, dst), "dims.region")
}
