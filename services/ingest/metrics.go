package ingest

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/trace"
	tracenoop "go.opentelemetry.io/otel/trace/noop"

	"github.com/synapse-analytics/synapse/internal/errs"
)

// metrics counts what the role does. No label has a project, key or id; the
// values of each are a closed list.
type metrics struct {
	events     metric.Int64Counter
	duration   metric.Float64Histogram
	batchSize  metric.Int64Histogram
	batchBytes metric.Int64Histogram

	accepted, duplicate metric.MeasurementOption
	reasons             map[errs.Reason]metric.MeasurementOption
	otherReason         metric.MeasurementOption
	stored, notStored   metric.MeasurementOption
	unknown             metric.MeasurementOption

	gauges metric.Registration
}

// rejectReasons is the closed list of reasons in the metrics.
var rejectReasons = []errs.Reason{
	errs.InvalidField, errs.IDRepeatedInBatch, errs.RateLimited, errs.BacklogFull,
	errs.DiskFull, errs.Unavailable, errs.ShuttingDown,
}

func newMetrics(m metric.Meter) (*metrics, error) {
	out := &metrics{reasons: map[errs.Reason]metric.MeasurementOption{}}
	set := func(kv ...attribute.KeyValue) metric.MeasurementOption {
		return metric.WithAttributeSet(attribute.NewSet(kv...))
	}
	out.accepted = set(attribute.String("outcome", "accepted"))
	out.duplicate = set(attribute.String("outcome", "duplicate"))
	for _, r := range rejectReasons {
		out.reasons[r] = set(attribute.String("outcome", "rejected"), attribute.String("reason", string(r)))
	}
	out.otherReason = set(attribute.String("outcome", "rejected"), attribute.String("reason", "OTHER"))
	out.stored = set(attribute.String("outcome", "stored"))
	out.notStored = set(attribute.String("outcome", "refused"))
	out.unknown = set(attribute.String("outcome", "unknown"))

	var errList [4]error
	out.events, errList[0] = m.Int64Counter("synapse.ingest.events", metric.WithUnit("{event}"),
		metric.WithDescription("Events by what became of them."))
	out.duration, errList[1] = m.Float64Histogram("synapse.ingest.publish.duration", metric.WithUnit("s"),
		metric.WithDescription("Time to append a message durably, with repetitions."),
		metric.WithExplicitBucketBoundaries(.0002, .0005, .001, .002, .005, .01, .02, .05, .1, .25, .5, 1, 2.5, 10))
	out.batchSize, errList[2] = m.Int64Histogram("synapse.ingest.batch.events", metric.WithUnit("{event}"),
		metric.WithDescription("Events packed in a message."),
		metric.WithExplicitBucketBoundaries(1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000))
	out.batchBytes, errList[3] = m.Int64Histogram("synapse.ingest.batch.size", metric.WithUnit("By"),
		metric.WithDescription("Bytes packed in a message."),
		metric.WithExplicitBucketBoundaries(1<<9, 1<<10, 1<<12, 1<<14, 1<<16, 1<<18, 1<<19, 1<<20, 1<<21))
	if err := errors.Join(errList[:]...); err != nil {
		return nil, err
	}
	return out, nil
}

// observe reports the state of a service from now on.
func (m *metrics) observe(meter metric.Meter, s *Service) error {
	var errList [5]error
	var backlogBytes, backlogAge metric.Float64ObservableGauge
	var backlogMessages, waiting metric.Int64ObservableGauge
	backlogBytes, errList[0] = meter.Float64ObservableGauge("synapse.ingest.backlog.size", metric.WithUnit("By"),
		metric.WithDescription("Bytes of accepted events that wait to be scored, estimated."))
	backlogMessages, errList[1] = meter.Int64ObservableGauge("synapse.ingest.backlog.messages", metric.WithUnit("{message}"),
		metric.WithDescription("Messages of accepted events that wait to be scored."))
	backlogAge, errList[2] = meter.Float64ObservableGauge("synapse.ingest.backlog.age", metric.WithUnit("s"),
		metric.WithDescription("Age of the oldest message that waits to be scored."))
	waiting, errList[3] = meter.Int64ObservableGauge("synapse.ingest.waiting.size", metric.WithUnit("By"),
		metric.WithDescription("Bytes of calls that wait to be packed into a message."))
	if err := errors.Join(errList[:4]...); err != nil {
		return err
	}
	m.gauges, errList[4] = meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		st := s.backlog.state.Load()
		o.ObserveFloat64(backlogBytes, st.unscored)
		o.ObserveInt64(backlogMessages, int64(st.messages))
		o.ObserveFloat64(backlogAge, st.lag.Seconds())
		o.ObserveInt64(waiting, int64(s.batcher.waitingNow()))
		return nil
	}, backlogBytes, backlogMessages, backlogAge, waiting)
	return errList[4]
}

// close takes the gauges away.
func (m *metrics) close() {
	if m.gauges != nil {
		_ = m.gauges.Unregister() // never fails for a registration of ours
	}
}

// decided counts the verdicts of a call.
func (m *metrics) decided(t *tally) {
	ctx := context.Background()
	if t.accepted > 0 {
		m.events.Add(ctx, int64(t.accepted), m.accepted)
	}
	if t.duplicate > 0 {
		m.events.Add(ctx, int64(t.duplicate), m.duplicate)
	}
	for _, r := range t.reasons {
		m.events.Add(ctx, int64(r.n), m.reason(r.reason))
	}
}

// refused counts the events of a call that failed as a whole.
func (m *metrics) refused(events int, err error) {
	reason := errs.Reason("")
	if e, ok := err.(*errs.Error); ok { //nolint:errorlint // made here, never wrapped
		reason = e.Reason
	}
	m.events.Add(context.Background(), int64(events), m.reason(reason))
}

func (m *metrics) reason(r errs.Reason) metric.MeasurementOption {
	if o, ok := m.reasons[r]; ok {
		return o
	}
	return m.otherReason
}

// published records an append.
func (m *metrics) published(events, bytes int, took time.Duration, err error) {
	ctx, outcome := context.Background(), m.stored
	switch {
	case err == nil:
		m.batchSize.Record(ctx, int64(events))
		m.batchBytes.Record(ctx, int64(bytes))
	case isUnknown(err):
		outcome = m.unknown
	default:
		outcome = m.notStored
	}
	m.duration.Record(ctx, took.Seconds(), outcome)
}

func noopTracer() trace.TracerProvider { return tracenoop.NewTracerProvider() }

func noopMeter() metric.MeterProvider { return metricnoop.NewMeterProvider() }
