package redisdb

import (
	"context"
	"errors"
	"time"

	"github.com/sony/gobreaker/v2"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"
)

// metrics are what OpenTelemetry's semantic conventions have for database clients
// (https://opentelemetry.io/docs/specs/semconv/database/database-metrics/), and the
// breaker's state.
type metrics struct {
	duration metric.Float64Histogram
	refused  metric.Int64Counter
	gauges   metric.Registration
}

var system = attribute.String("db.system.name", "redis")

func newMetrics(mp metric.MeterProvider, db *DB) (*metrics, error) {
	if mp == nil {
		mp = noop.NewMeterProvider()
	}
	m := mp.Meter("github.com/synapse-analytics/synapse/internal/redisdb")
	var out metrics
	var errList [6]error
	out.duration, errList[0] = m.Float64Histogram("db.client.operation.duration", metric.WithUnit("s"),
		metric.WithDescription("Time of a call of a database client."),
		metric.WithExplicitBucketBoundaries(.00005, .0001, .0002, .0005, .001, .002, .005, .01, .02, .05, .1, .5, 1, 5))
	out.refused, errList[1] = m.Int64Counter("synapse.redis.refused", metric.WithUnit("{call}"),
		metric.WithDescription("Calls that were not made since Redis was away a moment ago."))
	state, err := m.Int64ObservableGauge("synapse.redis.breaker.state",
		metric.WithDescription("0: Redis is used; 1: it is looked at; 2: it is away and done without."))
	errList[2] = err
	count, err := m.Int64ObservableUpDownCounter("db.client.connection.count", metric.WithUnit("{connection}"),
		metric.WithDescription("Connections of the pool, by state."))
	errList[3] = err
	most, err := m.Int64ObservableUpDownCounter("db.client.connection.max", metric.WithUnit("{connection}"),
		metric.WithDescription("Most connections that the pool may have."))
	errList[4] = err
	timeouts, err := m.Int64ObservableCounter("db.client.connection.timeouts", metric.WithUnit("{timeout}"),
		metric.WithDescription("Calls that were refused since no connection was free in time."))
	errList[5] = err
	if err := errors.Join(errList[:]...); err != nil {
		return nil, err
	}
	pool := attribute.String("db.client.connection.pool.name", "redis")
	all := metric.WithAttributes(pool)
	idle := metric.WithAttributes(pool, attribute.String("db.client.connection.state", "idle"))
	used := metric.WithAttributes(pool, attribute.String("db.client.connection.state", "used"))
	out.gauges, err = m.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		o.ObserveInt64(state, map[gobreaker.State]int64{gobreaker.StateHalfOpen: 1, gobreaker.StateOpen: 2}[db.breaker.State()])
		s := db.client.PoolStats()
		o.ObserveInt64(count, int64(s.IdleConns), idle)
		o.ObserveInt64(count, int64(s.TotalConns)-int64(s.IdleConns), used)
		o.ObserveInt64(most, int64(db.cfg.MaxConns), all)
		o.ObserveInt64(timeouts, int64(s.Timeouts), all)
		return nil
	}, state, count, most, timeouts)
	return &out, err
}

func (m *metrics) refuse(ctx context.Context) { m.refused.Add(ctx, 1) }

func (m *metrics) done(ctx context.Context, operation string, took time.Duration, err error) {
	kv := []attribute.KeyValue{system, attribute.String("db.operation.name", operation)}
	switch {
	case err == nil:
	case errors.Is(err, context.DeadlineExceeded):
		kv = append(kv, attribute.String("error.type", "timeout"))
	case errors.Is(err, ErrAway):
		kv = append(kv, attribute.String("error.type", "away"))
	default:
		kv = append(kv, attribute.String("error.type", "_OTHER"))
	}
	m.duration.Record(ctx, took.Seconds(), metric.WithAttributeSet(attribute.NewSet(kv...)))
}

func (m *metrics) close() error { return m.gauges.Unregister() }
