package postgres_test

import (
	"log/slog"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/synapse-analytics/synapse/internal/pgdb/pgtest"
	"github.com/synapse-analytics/synapse/services/auth"
	"github.com/synapse-analytics/synapse/services/auth/store/postgres"
	"github.com/synapse-analytics/synapse/services/auth/store/storetest"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m.Run)) }

func open(t *testing.T, url string) *postgres.Store {
	t.Helper()
	s, err := postgres.Open(t.Context(), pgtest.Config(url), slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

func TestSuite(t *testing.T) {
	server := pgtest.Shared(t)
	storetest.Run(t, func(t *testing.T) storetest.Harness {
		url, err := server.NewDatabase()
		require.NoError(t, err)
		s := open(t, url)
		return storetest.Harness{Store: s, Reopen: func() auth.Store {
			require.NoError(t, s.Close())
			return open(t, url)
		}}
	})
}
