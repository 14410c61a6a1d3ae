package postgres_test

import (
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
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

// TestExhausted: with all connections taken, calls are refused within the time that
// was set, as busy, and later answered.
func TestExhausted(t *testing.T) {
	url, err := pgtest.Shared(t).NewDatabase()
	require.NoError(t, err)
	c := pgtest.Config(url)
	c.MaxConns, c.AcquireTimeout = 2, 200*time.Millisecond
	s, err := postgres.Open(t.Context(), c, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	var held []*pgxpool.Conn
	for range c.MaxConns {
		conn, err := s.DB().Pool().Acquire(t.Context())
		require.NoError(t, err)
		held = append(held, conn)
	}
	_, err = s.UserByID(t.Context(), "u")
	require.ErrorIs(t, err, auth.ErrExhausted)
	require.ErrorIs(t, err, auth.ErrUnavailable)
	require.ErrorContains(t, err, "none of 2 within 200ms")
	_, err = s.Secret(t.Context(), "x", []byte("y"))
	require.ErrorIs(t, err, auth.ErrExhausted)
	for _, conn := range held {
		conn.Release()
	}
	_, err = s.UserByID(t.Context(), "u")
	require.ErrorIs(t, err, auth.ErrNotFound)
}
