package query

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/synapse-analytics/synapse/internal/queue"
)

// scopeName names the tracer and meter.
const scopeName = "github.com/synapse-analytics/synapse/services/query"

// metrics are the service's numbers; none has a label for project or caller.
type metrics struct {
	storedEvents, duplicates, conflicts metric.Int64Counter
	repeated, deadLetters, badHeaders   metric.Int64Counter
	withheld, removed, lost             metric.Int64Counter
	oldestUS                            atomic.Int64 // Expired.OldestUS
	commit                              metric.Float64Histogram
	rows                                metric.Int64Histogram
	gauges                              metric.Registration
}

func newMetrics(meter metric.Meter) (*metrics, error) {
	var m metrics
	var errList []error
	counter := func(to *metric.Int64Counter, name, unit, help string) {
		var err error
		*to, err = meter.Int64Counter(name, metric.WithUnit(unit), metric.WithDescription(help))
		errList = append(errList, err)
	}
	counter(&m.storedEvents, "synapse.query.events.stored", "{event}", "Events stored and counted.")
	counter(&m.duplicates, "synapse.query.events.duplicate", "{event}", "Events whose id was stored before.")
	counter(&m.conflicts, "synapse.query.events.conflict", "{event}", "Duplicates with another text than the stored one.")
	counter(&m.repeated, "synapse.query.messages.repeated", "{message}", "Messages that were applied before and counted nothing.")
	counter(&m.deadLetters, "synapse.query.events.dead_letter", "{event}", "Events counted as dead letters.")
	counter(&m.badHeaders, "synapse.query.headers.invalid", "{message}", "Messages of EVENTS without a readable count.")
	counter(&m.withheld, "synapse.query.tail.withheld", "{event}", "Events left out of tails whose reader was too slow.")
	counter(&m.removed, "synapse.query.events.removed", "{event}", "Events removed since they were older than the retention.")
	counter(&m.lost, "synapse.query.positions.lost", "{position}", "Times that a reader went on in a stream that was created anew or had lost messages.")
	var err error
	m.commit, err = meter.Float64Histogram("synapse.query.commit.duration", metric.WithUnit("s"),
		metric.WithDescription("Time of one transaction of scored events."),
		metric.WithExplicitBucketBoundaries(.0005, .001, .002, .005, .01, .02, .05, .1, .2, .5, 1, 2, 5))
	errList = append(errList, err)
	m.rows, err = meter.Int64Histogram("synapse.query.commit.rows", metric.WithUnit("{event}"),
		metric.WithDescription("Events in one transaction."),
		metric.WithExplicitBucketBoundaries(1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000))
	errList = append(errList, err)
	return &m, errors.Join(errList...)
}

// observe registers the gauges.
func (m *metrics) observe(meter metric.Meter, s *Service) error {
	lag, err := meter.Float64ObservableGauge("synapse.query.lag", metric.WithUnit("s"),
		metric.WithDescription("Age of the oldest scored message that is not stored, at most."))
	if err != nil {
		return err
	}
	tails, err := meter.Int64ObservableGauge("synapse.query.tail.open", metric.WithUnit("{tail}"), metric.WithDescription("Tails open."))
	if err != nil {
		return err
	}
	oldest, err := meter.Float64ObservableGauge("synapse.query.events.oldest", metric.WithUnit("s"),
		metric.WithDescription("Age of the oldest event that is kept, to a day; with a retention only."))
	if err != nil {
		return err
	}
	waits, err := meter.Int64ObservableGauge("synapse.query.readers.waiting", metric.WithUnit("{reader}"),
		metric.WithDescription("Readers that wait for an operator, since their stream lost messages."))
	if err != nil {
		return err
	}
	m.gauges, err = meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		o.ObserveFloat64(lag, s.progress.lag().Seconds())
		o.ObserveInt64(tails, int64(s.hub.open()))
		if us := m.oldestUS.Load(); us != 0 {
			o.ObserveFloat64(oldest, s.now().Sub(time.UnixMicro(us)).Seconds())
		}
		for _, f := range s.followers {
			n := int64(0)
			if f.waits.Load() {
				n = 1
			}
			o.ObserveInt64(waits, n, metric.WithAttributes(attribute.String("stream", string(f.stream))))
		}
		return nil
	}, lag, tails, oldest, waits)
	return err
}

func (m *metrics) committed(ctx context.Context, b *Batch, out Outcome, took time.Duration) {
	m.storedEvents.Add(ctx, int64(len(out.Stored)))
	add := func(c metric.Int64Counter, n int) {
		if n > 0 {
			c.Add(ctx, int64(n))
		}
	}
	add(m.duplicates, out.Duplicates)
	add(m.conflicts, out.Conflicts)
	add(m.repeated, out.RepeatedSources)
	add(m.deadLetters, out.DeadLetters)
	m.commit.Record(ctx, took.Seconds())
	m.rows.Record(ctx, int64(b.Rows()))
}

func (m *metrics) expired(ctx context.Context, out Expired) {
	m.removed.Add(ctx, int64(out.Events))
	if !out.More {
		m.oldestUS.Store(out.OldestUS)
	}
}

func (m *metrics) dead(ctx context.Context, n int) { m.deadLetters.Add(ctx, int64(n)) }

func (m *metrics) headerFault(ctx context.Context) { m.badHeaders.Add(ctx, 1) }

func (m *metrics) positionLost(ctx context.Context, stream queue.Stream) {
	m.lost.Add(ctx, 1, metric.WithAttributes(attribute.String("stream", string(stream))))
}

func (m *metrics) left(ctx context.Context, n int) {
	if n > 0 {
		m.withheld.Add(ctx, int64(n))
	}
}
