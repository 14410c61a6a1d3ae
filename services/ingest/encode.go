package ingest

import (
	"unicode/utf8"

	"go.opentelemetry.io/otel/trace"
	"google.golang.org/protobuf/encoding/protowire"

	typev1 "github.com/synapse-analytics/synapse/gen/go/synapse/type/v1"
)

// Events are encoded by hand, as fields of a pipeline.v1.EventBatch: a message is
// then the calls' bytes one after the other (protobuf joins repeated fields), it
// costs a fifth of the generated code, and unknown fields of a request, which
// no rule bounds, never reach the queue. TestEncodeMatchesGenerated compares the
// result with the generated code field by field.

// Field numbers of pipeline.v1.EventBatch, pipeline.v1.QueuedEvent and
// type.v1.EventInput.
const (
	batchEvents = 1

	queuedProject    = 1
	queuedEvent      = 2
	queuedAcceptedAt = 3
	queuedTraceID    = 4
	queuedSpanID     = 5

	inputID         = 1
	inputText       = 2
	inputSource     = 3
	inputUserID     = 4
	inputOccurredAt = 5
	inputLanguage   = 6
	inputAttributes = 7
	inputTargets    = 8
)

// stamp is what ingest adds to the events of one call.
type stamp struct {
	project    string
	acceptedUS int64
	span       trace.SpanContext // of the call; valid only when sampled
	fixed      []byte            // the encoded fields above, the same for all events of the call
}

// encode fills st.fixed.
func (st *stamp) encode() {
	b := st.fixed[:0]
	b = appendString(b, queuedProject, st.project)
	if st.acceptedUS != 0 {
		b = protowire.AppendTag(b, queuedAcceptedAt, protowire.VarintType)
		b = protowire.AppendVarint(b, uint64(st.acceptedUS))
	}
	if st.span.IsSampled() {
		traceID, spanID := st.span.TraceID(), st.span.SpanID()
		b = protowire.AppendTag(b, queuedTraceID, protowire.BytesType)
		b = protowire.AppendBytes(b, traceID[:])
		b = protowire.AppendTag(b, queuedSpanID, protowire.BytesType)
		b = protowire.AppendBytes(b, spanID[:])
	}
	st.fixed = b
}

// occurred returns when the event occurred: its own time, or that of acceptance.
func (st *stamp) occurred(e *typev1.EventInput) (seconds int64, nanos int32) {
	if t := e.GetOccurredAt(); t != nil {
		return t.Seconds, t.Nanos
	}
	return st.acceptedUS / 1e6, int32(st.acceptedUS % 1e6 * 1e3)
}

// appendEvent appends an event as an element of EventBatch.events. It must be
// valid. id replaces the event's own.
func appendEvent(b []byte, st *stamp, e *typev1.EventInput, id string) []byte {
	seconds, nanos := st.occurred(e)
	timeSize := sizeVarintField(uint64(seconds)) + sizeVarintField(uint64(int64(nanos)))
	inner := sizeString(id) + sizeString(e.Text) + sizeString(e.Source) + sizeString(e.UserId) +
		1 + protowire.SizeBytes(timeSize) + sizeString(e.Language)
	for k, v := range e.Attributes {
		inner += 1 + protowire.SizeBytes(sizeEntry(k, v))
	}
	for _, t := range e.Targets {
		inner += 1 + protowire.SizeBytes(len(t))
	}
	b = protowire.AppendTag(b, batchEvents, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(len(st.fixed)+1+protowire.SizeBytes(inner)))
	b = append(b, st.fixed...)
	b = protowire.AppendTag(b, queuedEvent, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(inner))
	b = appendString(b, inputID, id)
	b = appendString(b, inputText, e.Text)
	b = appendString(b, inputSource, e.Source)
	b = appendString(b, inputUserID, e.UserId)
	b = protowire.AppendTag(b, inputOccurredAt, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(timeSize))
	b = appendVarintField(b, 1, uint64(seconds))
	b = appendVarintField(b, 2, uint64(int64(nanos)))
	b = appendString(b, inputLanguage, e.Language)
	for k, v := range e.Attributes {
		b = protowire.AppendTag(b, inputAttributes, protowire.BytesType)
		b = protowire.AppendVarint(b, uint64(sizeEntry(k, v)))
		b = protowire.AppendTag(b, 1, protowire.BytesType)
		b = protowire.AppendString(b, k)
		b = protowire.AppendTag(b, 2, protowire.BytesType)
		b = protowire.AppendString(b, v)
	}
	for _, t := range e.Targets {
		b = protowire.AppendTag(b, inputTargets, protowire.BytesType)
		b = protowire.AppendString(b, t)
	}
	return b
}

// sizeEntry is the size of a map entry; the generated code writes both fields
// also when they are empty.
func sizeEntry(k, v string) int {
	return 2 + protowire.SizeBytes(len(k)) + protowire.SizeBytes(len(v))
}

func sizeString(s string) int {
	if s == "" {
		return 0
	}
	return 1 + protowire.SizeBytes(len(s))
}

func sizeVarintField(v uint64) int {
	if v == 0 {
		return 0
	}
	return 1 + protowire.SizeVarint(v)
}

func appendString(b []byte, num protowire.Number, s string) []byte {
	if s == "" {
		return b
	}
	b = protowire.AppendTag(b, num, protowire.BytesType)
	return protowire.AppendString(b, s)
}

func appendVarintField(b []byte, num protowire.Number, v uint64) []byte {
	if v == 0 {
		return b
	}
	b = protowire.AppendTag(b, num, protowire.VarintType)
	return protowire.AppendVarint(b, v)
}

// validText says whether s is UTF-8 without NUL.
func validText(s string) bool {
	return utf8.ValidString(s) && !containsNUL(s)
}
