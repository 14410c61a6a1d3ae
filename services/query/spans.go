package query

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
)

// maxLinks bounds the links of a batch's span.
const maxLinks = 128

// spans writes spans after a commit: one under the call that brought each
// sampled event, and one for the transaction, linked with those.
type spans struct{ tracer trace.Tracer }

func (s *spans) stored(ctx context.Context, events []*Event, began, ended time.Time) {
	var links []trace.Link
	for _, e := range events {
		parent, ok := spanOf(e)
		if !ok {
			continue
		}
		_, span := s.tracer.Start(trace.ContextWithRemoteSpanContext(ctx, parent), "store event",
			trace.WithTimestamp(began), trace.WithSpanKind(trace.SpanKindConsumer), trace.WithAttributes(
				attribute.String("messaging.system", "synapse"), attribute.String("messaging.destination.name", "SCORED"),
				attribute.Int64("synapse.event.row", e.Seq), attribute.Int("synapse.commit.rows", len(events)),
			))
		span.End(trace.WithTimestamp(ended))
		if len(links) < maxLinks {
			links = append(links, trace.Link{SpanContext: span.SpanContext()})
		}
	}
	if len(links) == 0 {
		return
	}
	_, span := s.tracer.Start(ctx, "store batch", trace.WithNewRoot(), trace.WithTimestamp(began),
		trace.WithLinks(links...), trace.WithAttributes(attribute.Int("synapse.commit.rows", len(events))))
	span.End(trace.WithTimestamp(ended))
}

// spanOf returns the span of the call that brought a sampled event.
func spanOf(e *Event) (trace.SpanContext, bool) {
	if len(e.TraceID) != 16 || len(e.SpanID) != 8 {
		return trace.SpanContext{}, false
	}
	c := trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: trace.TraceID(e.TraceID), SpanID: trace.SpanID(e.SpanID), TraceFlags: trace.FlagsSampled, Remote: true,
	})
	return c, c.IsValid()
}
