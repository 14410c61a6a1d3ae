package ingest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/synapse-analytics/synapse/internal/errs"
)

func TestLimits(t *testing.T) {
	l, problem := newLimiter(LimitsConfig{ProjectRate: 10, ProjectBurst: 20, KeyRate: 100, MaxKeys: 10}, nil)
	require.NoError(t, problem)
	w := who{"p", "k"}
	u, err := l.take(w, 15, testNow)
	require.Nil(t, err)
	require.Equal(t, `"key";q=1000;w=10, "project";q=20;w=2`, u.policy)
	require.Equal(t, `"key";r=985;t=1, "project";r=5;t=2`, u.state)
	_, err = l.take(w, 15, testNow)
	require.NotNil(t, err)
	require.Equal(t, errs.RateLimited, err.Reason)
	require.Equal(t, time.Second, err.RetryAfter)
	require.Equal(t, "project:p", err.Quota.Subject)
	require.Contains(t, err.Quota.Description, "limit 10 events per second")
	require.Contains(t, err.Quota.Description, "used 15")
	require.True(t, err.Retryable())
	_, err = l.take(who{"other", "k"}, 15, testNow)
	require.Nil(t, err, "another project has its own")
	_, err = l.take(w, 15, testNow.Add(time.Second))
	require.Nil(t, err, "RetryAfter was true")

	_, err = l.take(w, 21, testNow.Add(time.Hour))
	require.NotNil(t, err)
	require.Equal(t, errs.RateLimited, err.Reason)
	require.False(t, err.Retryable(), "such a batch never passes")
	require.Contains(t, err.Violations[0].Remedy, "at most 20 events")

	l, problem = newLimiter(LimitsConfig{}, nil)
	require.NoError(t, problem)
	u, err = l.take(w, 1e6, testNow)
	require.Nil(t, err)
	require.Empty(t, u.policy)
}

func TestLimitHeaders(t *testing.T) {
	s := newService(t, &memory{}, func(d *Deps) { d.Config.Limits.KeyRate, d.Config.Limits.KeyBurst = 0.5, 2 })
	client := dial(t, s)
	for i, want := range []string{`"key";r=1;t=2`, `"key";r=0;t=4`, `"key";r=0;t=4`} {
		var header metadata.MD
		_, err := client.IngestEvents(t.Context(), request(textEvent("", "x")), grpc.Header(&header))
		require.Equal(t, i == 2, err != nil)
		require.Equal(t, []string{`"key";q=2;w=4`}, header["ratelimit-policy"])
		require.Equal(t, []string{want}, header["ratelimit"])
	}
}
