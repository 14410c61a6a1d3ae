package archive

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/metric"

	"github.com/synapse-analytics/synapse/internal/queue"
)

// metrics counts what the archive does.
type metrics struct {
	objects, messages, size, failures metric.Int64Counter

	lagMessages atomic.Int64
	lagMicros   atomic.Int64
	gauges      metric.Registration
}

func newMetrics(mp metric.MeterProvider) (*metrics, error) {
	m, meter := &metrics{}, mp.Meter("github.com/synapse-analytics/synapse/services/ingest/archive")
	var errList [7]error
	m.objects, errList[0] = meter.Int64Counter("synapse.archive.objects", metric.WithUnit("{object}"), metric.WithDescription("Objects stored."))
	m.messages, errList[1] = meter.Int64Counter("synapse.archive.messages", metric.WithUnit("{message}"), metric.WithDescription("Messages of EVENTS stored."))
	m.size, errList[2] = meter.Int64Counter("synapse.archive.size", metric.WithUnit("By"), metric.WithDescription("Bytes stored, compressed."))
	m.failures, errList[3] = meter.Int64Counter("synapse.archive.failures", metric.WithUnit("{failure}"), metric.WithDescription("Objects that could not be stored at a try."))
	messages, err := meter.Int64ObservableGauge("synapse.archive.lag.messages", metric.WithUnit("{message}"), metric.WithDescription("Messages of EVENTS that are not archived."))
	errList[4] = err
	age, err := meter.Float64ObservableGauge("synapse.archive.lag.age", metric.WithUnit("s"), metric.WithDescription("Age of the oldest message that is not archived, at most."))
	errList[5] = err
	m.gauges, errList[6] = meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		o.ObserveInt64(messages, m.lagMessages.Load())
		o.ObserveFloat64(age, time.Duration(m.lagMicros.Load()*1000).Seconds())
		return nil
	}, messages, age)
	return m, errors.Join(errList[:]...)
}

func (m *metrics) stored(messages, bytes int) {
	ctx := context.Background()
	m.objects.Add(ctx, 1)
	m.messages.Add(ctx, int64(messages))
	m.size.Add(ctx, int64(bytes))
}

func (m *metrics) failed() { m.failures.Add(context.Background(), 1) }

func (m *metrics) close() error { return m.gauges.Unregister() }

// watch looks at the lag until ctx ends.
func (a *Archiver) watch(ctx context.Context) {
	for ctx.Err() == nil {
		if info, err := a.queue.Info(ctx, queue.Events); err == nil {
			behind := behind(info)
			a.metrics.lagMessages.Store(int64(behind))
			a.metrics.lagMicros.Store(a.age(info, behind).Microseconds())
		}
		sleep(ctx, lookEvery)
	}
}

// behind is how many messages are not archived.
func behind(info queue.Info) uint64 {
	floor := info.Consumers[Consumer].AckFloor
	if info.Last <= floor {
		return 0
	}
	return min(info.Last-floor, info.Messages)
}

// age is at most how old the oldest message is that is not archived.
func (a *Archiver) age(info queue.Info, behind uint64) time.Duration {
	if behind == 0 {
		return 0
	}
	since := max(a.newest.Load(), info.FirstTime.UnixMicro())
	if held := a.oldest.Load(); held != 0 {
		since = held
	}
	return max(0, time.Since(time.UnixMicro(since)))
}
