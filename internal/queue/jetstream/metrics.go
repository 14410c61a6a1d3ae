package jetstream

import (
	"context"
	"errors"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// Observe reports the servers by how they fsync, and what should stay near zero.
// It reports until stop is called.
func (q *Queue) Observe(mp metric.MeterProvider) (stop func() error, err error) {
	m := mp.Meter("github.com/synapse-analytics/synapse/internal/queue/jetstream")
	servers, err1 := m.Int64ObservableGauge("synapse.queue.servers", metric.WithUnit("{server}"),
		metric.WithDescription("Servers that keep the streams, by when they fsync: always before they acknowledge, at an interval, or unknown."))
	disconnects, err2 := m.Int64ObservableCounter("synapse.queue.disconnects", metric.WithUnit("{disconnect}"),
		metric.WithDescription("Connections to the server that were lost."))
	renewed, err3 := m.Int64ObservableCounter("synapse.queue.pulls.renewed", metric.WithUnit("{pull}"),
		metric.WithDescription("Times that the watchdog asked anew since messages waited and none came."))
	remade, err4 := m.Int64ObservableCounter("synapse.queue.consumers.remade", metric.WithUnit("{consumer}"),
		metric.WithDescription("Times that an ordered consumer was made anew to close a gap."))
	failed, err5 := m.Int64ObservableCounter("synapse.queue.publish.errors", metric.WithUnit("{message}"),
		metric.WithDescription("Tries of a publish that were not acknowledged."))
	repeated, err6 := m.Int64ObservableCounter("synapse.queue.sequences.repeated", metric.WithUnit("{sequence}"),
		metric.WithDescription("Sequences acknowledged for two messages: the stream lost acknowledged messages or was made anew."))
	if err := errors.Join(err1, err2, err3, err4, err5, err6); err != nil {
		return nil, err
	}
	r, err := m.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		count := map[string]int64{SyncAlways: 0, SyncInterval: 0, SyncUnknown: 0}
		for _, sv := range q.servers() {
			switch sv.Sync {
			case SyncAlways, SyncUnknown:
				count[sv.Sync]++
			default:
				count[SyncInterval]++
			}
		}
		for sync, n := range count {
			o.ObserveInt64(servers, n, metric.WithAttributes(attribute.String("sync", sync)))
		}
		s := q.Stats()
		o.ObserveInt64(disconnects, int64(s.Disconnects))
		o.ObserveInt64(renewed, int64(s.PullsRenewed))
		o.ObserveInt64(remade, int64(s.ConsumersRemade))
		o.ObserveInt64(failed, int64(s.PublishErrors))
		o.ObserveInt64(repeated, int64(s.RepeatedSequences))
		return nil
	}, servers, disconnects, renewed, remade, failed, repeated)
	if err != nil {
		return nil, err
	}
	return r.Unregister, nil
}
