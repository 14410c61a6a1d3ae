package scoring

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/synapse-analytics/synapse/internal/errs"
	"github.com/synapse-analytics/synapse/internal/queue"
)

// The kinds of failure in the metrics.
const (
	failureScore   = "score"
	failurePublish = "publish"
)

const (
	// watchInterval is how often the backlog is looked at.
	watchInterval = time.Second
	watchTimeout  = 5 * time.Second
)

// metrics counts what the role does; the values of each label are a closed list.
type metrics struct {
	events   metric.Int64Counter
	duration metric.Float64Histogram
	failures metric.Int64Counter

	scored      metric.MeasurementOption
	dead        map[errs.Reason]metric.MeasurementOption
	failureKind map[string]metric.MeasurementOption

	pending  atomic.Int64 // messages, as last seen
	pendedAt atomic.Int64 // when the oldest message that waits came, Unix nanoseconds; 0 for none
	gauges   metric.Registration
}

func newMetrics(m metric.Meter) (*metrics, error) {
	out := &metrics{dead: map[errs.Reason]metric.MeasurementOption{}, failureKind: map[string]metric.MeasurementOption{}}
	set := func(kv ...attribute.KeyValue) metric.MeasurementOption {
		return metric.WithAttributeSet(attribute.NewSet(kv...))
	}
	out.scored = set(attribute.String("outcome", "scored"))
	for _, r := range []errs.Reason{errs.Unprocessable, errs.MalformedRequest, errs.RequestTooLarge} {
		out.dead[r] = set(attribute.String("outcome", "dead_letter"), attribute.String("reason", string(r)))
	}
	for _, k := range []string{failureScore, failurePublish} {
		out.failureKind[k] = set(attribute.String("kind", k))
	}
	var errList [3]error
	out.events, errList[0] = m.Int64Counter("synapse.scoring.events", metric.WithUnit("{event}"),
		metric.WithDescription("Events by what became of them."))
	out.duration, errList[1] = m.Float64Histogram("synapse.scoring.duration", metric.WithUnit("s"),
		metric.WithDescription("Time to read, score and write the events of a message."),
		metric.WithExplicitBucketBoundaries(.0001, .0002, .0005, .001, .002, .005, .01, .02, .05, .1, .25, .5, 1, 5))
	out.failures, errList[2] = m.Int64Counter("synapse.scoring.failures", metric.WithUnit("{failure}"),
		metric.WithDescription("Messages whose scoring failed, and publishes that failed; each is tried again."))
	return out, errors.Join(errList[:]...)
}

// observe reports the state of a worker from now on.
func (m *metrics) observe(meter metric.Meter, w *worker) error {
	pending, err1 := meter.Int64ObservableGauge("synapse.scoring.pending", metric.WithUnit("{message}"),
		metric.WithDescription("Messages of EVENTS that wait to be scored."))
	lag, err2 := meter.Float64ObservableGauge("synapse.scoring.lag", metric.WithUnit("s"),
		metric.WithDescription("Age of the oldest message of EVENTS that this process holds, or that waits."))
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	var err error
	m.gauges, err = meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		o.ObserveInt64(pending, m.pending.Load())
		o.ObserveFloat64(lag, w.lag().Seconds())
		return nil
	}, pending, lag)
	return err
}

func (m *metrics) close() {
	if m.gauges != nil {
		_ = m.gauges.Unregister() // never fails for a registration of ours
	}
}

func (m *metrics) scoredEvents(n int) {
	if n > 0 {
		m.events.Add(context.Background(), int64(n), m.scored)
	}
}

func (m *metrics) deadLetter(reason errs.Reason, events int) {
	m.events.Add(context.Background(), int64(events), m.dead[reason])
}

func (m *metrics) processed(events int, took time.Duration) {
	if events > 0 {
		m.duration.Record(context.Background(), took.Seconds())
	}
}

func (m *metrics) failed(kind string) {
	m.failures.Add(context.Background(), 1, m.failureKind[kind])
}

// watchBacklog looks at the backlog until ctx ends.
func (w *worker) watchBacklog(ctx context.Context) {
	ticker := time.NewTicker(watchInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			w.lookAtBacklog(ctx)
		}
	}
}

func (w *worker) lookAtBacklog(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, watchTimeout)
	defer cancel()
	info, err := w.queue.Info(ctx, queue.Events)
	if err != nil {
		return // what was last seen stays; the fetch tells of the trouble
	}
	c := info.Consumers[consumerName]
	w.metrics.pending.Store(int64(c.Pending) + int64(c.Unacknowledged))
	oldest := int64(0)
	if c.Pending > 0 && c.AckFloor < info.First {
		oldest = info.FirstTime.UnixNano() // nothing of what the stream holds is done
	}
	w.metrics.pendedAt.Store(oldest)
}

// lag is the age of the oldest message that this process holds, or of the oldest
// that waits when none of the stream is done.
func (w *worker) lag() time.Duration {
	oldest := w.holder.oldest()
	if at := w.metrics.pendedAt.Load(); at != 0 && (oldest.IsZero() || at < oldest.UnixNano()) {
		oldest = time.Unix(0, at)
	}
	if oldest.IsZero() {
		return 0
	}
	return max(0, w.now().Sub(oldest))
}
