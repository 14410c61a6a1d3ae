package cache

import (
	"context"
	"errors"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// Metrics counts what an engine does for one cache; a nil one counts nothing.
type Metrics struct {
	lookups, evictions, errors metric.Int64Counter
	hit, miss, all             metric.MeasurementOption
}

// NewMetrics returns the metrics of the cache of that name.
func NewMetrics(mp metric.MeterProvider, name string) (*Metrics, error) {
	meter := mp.Meter("github.com/synapse-analytics/synapse/internal/cache")
	var m Metrics
	var errList [3]error
	m.lookups, errList[0] = meter.Int64Counter("synapse.cache.lookups", metric.WithUnit("{value}"),
		metric.WithDescription("Values that were looked for, by whether they were there."))
	m.evictions, errList[1] = meter.Int64Counter("synapse.cache.evictions", metric.WithUnit("{value}"),
		metric.WithDescription("Values of this process that went to make room; Redis counts its own."))
	m.errors, errList[2] = meter.Int64Counter("synapse.cache.errors", metric.WithUnit("{call}"),
		metric.WithDescription("Calls to the cache that failed; those for values are misses too."))
	set := func(kv ...attribute.KeyValue) metric.MeasurementOption {
		return metric.WithAttributeSet(attribute.NewSet(append(kv, attribute.String("cache", name))...))
	}
	m.hit, m.miss = set(attribute.String("outcome", "hit")), set(attribute.String("outcome", "miss"))
	m.all = set()
	return &m, errors.Join(errList[:]...)
}

// Looked counts values that were there and that were not.
func (m *Metrics) Looked(ctx context.Context, hits, misses int) {
	if m == nil {
		return
	}
	if hits > 0 {
		m.lookups.Add(ctx, int64(hits), m.hit)
	}
	if misses > 0 {
		m.lookups.Add(ctx, int64(misses), m.miss)
	}
}

// Evicted counts values that went to make room.
func (m *Metrics) Evicted(ctx context.Context, n int) {
	if m != nil && n > 0 {
		m.evictions.Add(ctx, int64(n), m.all)
	}
}

// Failed counts a call that failed.
func (m *Metrics) Failed(ctx context.Context) {
	if m != nil {
		m.errors.Add(ctx, 1, m.all)
	}
}
