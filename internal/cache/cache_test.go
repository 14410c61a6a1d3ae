package cache_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	sdk "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/synapse-analytics/synapse/internal/cache"
	"github.com/synapse-analytics/synapse/internal/cache/cachetest"
	"github.com/synapse-analytics/synapse/internal/config"
)

func memory(ttl time.Duration, most config.Bytes, m *cache.Metrics) *cache.Memory {
	return cache.NewMemory(cache.Config{Engine: cache.Process, TTL: ttl, MaxBytes: most}, m)
}

func TestSuite(t *testing.T) {
	cachetest.Run(t, func(_ testing.TB, ttl time.Duration) cache.Cache { return memory(ttl, 8<<20, nil) })
}

// Memory is bounded, and what was used of late stays.
func TestMemoryIsBounded(t *testing.T) {
	reader := sdk.NewManualReader()
	m, err := cache.NewMetrics(sdk.NewMeterProvider(sdk.WithReader(reader)), "test")
	require.NoError(t, err)
	c := memory(time.Minute, 64<<10, m)
	for i := range 1000 {
		c.Set(t.Context(), cache.Entry{Key: fmt.Sprint(i), Value: make([]byte, 1000)})
		require.LessOrEqual(t, c.Bytes(), 64<<10)
		require.Equal(t, []bool{true}, present(c, t, "0"), "used of late")
	}
	require.Equal(t, []bool{true, false}, present(c, t, "999", "1"))
	for range 3 { // the same again takes no more
		c.Set(t.Context(), cache.Entry{Key: "0", Value: make([]byte, 1000)})
	}
	require.Greater(t, c.Bytes(), 32<<10)

	var got metricdata.ResourceMetrics
	require.NoError(t, reader.Collect(t.Context(), &got))
	seen := map[string]string{}
	for _, m := range got.ScopeMetrics[0].Metrics {
		seen[m.Name] = fmt.Sprintf("%+v", m.Data)
	}
	require.Contains(t, seen["synapse.cache.lookups"], "hit")
	require.Contains(t, seen["synapse.cache.lookups"], "miss")
	require.Contains(t, seen, "synapse.cache.evictions")
}

func present(c cache.Cache, t *testing.T, keys ...string) []bool {
	var out []bool
	for _, v := range c.Get(t.Context(), keys...) {
		out = append(out, v != nil)
	}
	return out
}

func TestConfig(t *testing.T) {
	good := cache.Config{Engine: cache.Process, TTL: time.Minute, MaxBytes: 1 << 20}
	require.NoError(t, good.Validate())
	for want, change := range map[string]func(*cache.Config){
		"engine: ":    func(c *cache.Config) { c.Engine = "disk" },
		"ttl: ":       func(c *cache.Config) { c.TTL = 0 },
		"max_bytes: ": func(c *cache.Config) { c.MaxBytes = 1 },
	} {
		c := good
		change(&c)
		require.ErrorContains(t, c.Validate(), want)
	}
}
