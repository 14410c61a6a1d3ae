package pgdb

import (
	"context"
	"errors"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// Observe reports the pool under its name: what OpenTelemetry's semantic conventions
// have for pools of database clients
// (https://opentelemetry.io/docs/specs/semconv/database/database-metrics/), and how
// long callers waited in all. It reports until stop is called.
func (db *DB) Observe(mp metric.MeterProvider, name string) (stop func() error, err error) {
	m := mp.Meter("github.com/synapse-analytics/synapse/internal/pgdb")
	count, err1 := m.Int64ObservableUpDownCounter("db.client.connection.count", metric.WithUnit("{connection}"),
		metric.WithDescription("Connections of the pool, by state."))
	most, err2 := m.Int64ObservableUpDownCounter("db.client.connection.max", metric.WithUnit("{connection}"),
		metric.WithDescription("Most connections that the pool may have."))
	refused, err3 := m.Int64ObservableCounter("db.client.connection.timeouts", metric.WithUnit("{timeout}"),
		metric.WithDescription("Calls that were refused since no connection was free in time."))
	waits, err4 := m.Int64ObservableCounter("synapse.db.pool.waits", metric.WithUnit("{wait}"),
		metric.WithDescription("Calls that had to wait for a connection."))
	waited, err5 := m.Float64ObservableCounter("synapse.db.pool.waited", metric.WithUnit("s"),
		metric.WithDescription("Time that calls waited for a connection, in all."))
	if err := errors.Join(err1, err2, err3, err4, err5); err != nil {
		return nil, err
	}
	pool := attribute.String("db.client.connection.pool.name", name)
	all := metric.WithAttributes(pool)
	idle := metric.WithAttributes(pool, attribute.String("db.client.connection.state", "idle"))
	used := metric.WithAttributes(pool, attribute.String("db.client.connection.state", "used"))
	r, err := m.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		s := db.Stats()
		o.ObserveInt64(count, int64(s.Idle), idle)
		o.ObserveInt64(count, int64(s.InUse), used)
		o.ObserveInt64(most, int64(s.Max), all)
		o.ObserveInt64(refused, s.Refused, all)
		o.ObserveInt64(waits, s.Waits, all)
		o.ObserveFloat64(waited, s.Waited.Seconds(), all)
		return nil
	}, count, most, refused, waits, waited)
	if err != nil {
		return nil, err
	}
	return r.Unregister, nil
}
