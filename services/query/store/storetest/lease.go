package storetest

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// testLease: who leads goes on leading, and one who resigned or whose time is over
// can be followed by another. What an engine that several processes may open does
// besides is tested beside it.
func testLease(t *testing.T, h Harness) {
	ctx := context.Background()
	s := opened(t, h, t.TempDir())
	for range 3 {
		leads, err := s.Lead(ctx, "a", time.Hour)
		require.NoError(t, err)
		require.True(t, leads)
	}
	require.NoError(t, s.Resign(ctx, "a"))
	require.NoError(t, s.Resign(ctx, "a"), "twice is no fault")
	leads, err := s.Lead(ctx, "b", time.Millisecond)
	require.NoError(t, err)
	require.True(t, leads)
	require.NoError(t, s.Resign(ctx, "a"), "another's is not given back")
	require.Eventually(t, func() bool {
		leads, err := s.Lead(ctx, "c", time.Hour)
		require.NoError(t, err)
		return leads
	}, time.Minute, time.Millisecond)
}
