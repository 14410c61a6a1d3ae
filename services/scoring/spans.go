package scoring

import (
	"context"
	"strconv"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/synapse-analytics/synapse/internal/queue"
)

// maxSpanLinks bounds the links of the span of a message.
const maxSpanLinks = 128

// sampledContext is the span that accepted an event; ok is false for one that
// was not sampled.
func sampledContext(e *event) (sc trace.SpanContext, ok bool) {
	if len(e.traceID) != 16 || len(e.spanID) != 8 {
		return sc, false
	}
	sc = trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: trace.TraceID(e.traceID), SpanID: trace.SpanID(e.spanID),
		TraceFlags: trace.FlagsSampled, Remote: true,
	})
	return sc, sc.IsValid()
}

// beginSpans starts the span of the message if one of its events is sampled: a
// child of the first one, so that a sampler which follows parents keeps it, with
// links to the others.
func (w *worker) beginSpans(j *job) {
	var parent trace.SpanContext
	var links []trace.Link
	for i := range j.events {
		sc, ok := sampledContext(&j.events[i])
		switch {
		case !ok:
		case !parent.IsValid():
			parent = sc
		case len(links) < maxSpanLinks:
			links = append(links, trace.Link{SpanContext: sc})
		}
	}
	if !parent.IsValid() {
		return
	}
	_, j.span = w.tracer.Start(trace.ContextWithRemoteSpanContext(context.Background(), parent), "process EVENTS",
		trace.WithSpanKind(trace.SpanKindConsumer),
		trace.WithLinks(links...),
		trace.WithAttributes(
			attribute.String("messaging.system", "synapse"),
			attribute.String("messaging.destination.name", string(queue.Events)),
			attribute.String("messaging.consumer.group.name", consumerName),
			attribute.String("messaging.operation.type", "process"),
			attribute.String("messaging.operation.name", "process"),
			attribute.String("messaging.message.id", strconv.FormatUint(j.msg.Position.Sequence, 10)),
			attribute.Int("messaging.batch.message_count", len(j.events)),
			attribute.Int("synapse.deliveries", j.msg.Deliveries),
		))
}

// endSpans makes the span of each sampled event: a child of the span that
// accepted it. Its id goes on with the event.
func (w *worker) endSpans(j *job, began, ended time.Time) {
	if j.span == nil {
		return
	}
	if cap(j.spans) < len(j.events) {
		j.spans = make([]trace.SpanContext, len(j.events))
	}
	j.spans = j.spans[:len(j.events)]
	clear(j.spans)
	failed := j.failed
	for i := range j.events {
		dead := len(failed) > 0 && failed[0].index == i
		var detail string
		if dead {
			detail, failed = failed[0].detail, failed[1:]
		}
		sc, ok := sampledContext(&j.events[i])
		if !ok {
			continue
		}
		_, span := w.tracer.Start(trace.ContextWithRemoteSpanContext(context.Background(), sc), "score event",
			trace.WithTimestamp(began),
			trace.WithLinks(trace.Link{SpanContext: j.span.SpanContext()}),
			trace.WithAttributes(attribute.String("synapse.model.version", w.scorer.Version())))
		if dead {
			span.SetStatus(codes.Error, detail)
		} else {
			span.SetAttributes(
				attribute.String("synapse.sentiment.label", labelOf(j.scores[i].Label).String()),
				attribute.Float64("synapse.sentiment.score", roundScore(j.scores[i].Score)),
				attribute.String("synapse.language", j.scores[i].Language),
			)
		}
		span.End(trace.WithTimestamp(ended))
		if span.SpanContext().TraceID() == sc.TraceID() && span.SpanContext().SpanID() != sc.SpanID() {
			j.spans[i] = span.SpanContext()
		}
	}
}

// endMessageSpan ends the span of the message.
func (w *worker) endMessageSpan(j *job, err error) {
	if j.span == nil {
		return
	}
	if err != nil {
		j.span.SetStatus(codes.Error, err.Error())
	}
	if len(j.letters) > 0 {
		j.span.SetAttributes(attribute.Int("synapse.dead_letters", len(j.letters)))
	}
	j.span.End()
	j.span = nil
}
