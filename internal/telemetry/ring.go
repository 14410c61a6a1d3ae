package telemetry

import (
	"context"
	"encoding/json"
	"net/http"
	"sync"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// maxSpansPerTrace bounds what the ring keeps of one trace.
const maxSpansPerTrace = 256

// Span is a finished span as the ring keeps it.
type Span struct {
	TraceID  string            `json:"traceId"`
	SpanID   string            `json:"spanId"`
	ParentID string            `json:"parentId,omitempty"`
	Name     string            `json:"name"`
	Kind     string            `json:"kind"`
	Start    time.Time         `json:"start"`
	Duration time.Duration     `json:"durationNs"`
	Status   string            `json:"status"`
	Attrs    map[string]string `json:"attributes,omitempty"`
}

// Ring keeps the spans of the last sampled traces of this process.
type Ring struct {
	mu    sync.Mutex
	max   int
	order []trace.TraceID
	spans map[trace.TraceID][]Span
}

// NewRing returns a ring of at most n traces.
func NewRing(n int) *Ring {
	return &Ring{max: n, spans: make(map[trace.TraceID][]Span, n)}
}

// OnStart implements sdktrace.SpanProcessor.
func (r *Ring) OnStart(context.Context, sdktrace.ReadWriteSpan) {}

// OnEnd implements sdktrace.SpanProcessor.
func (r *Ring) OnEnd(s sdktrace.ReadOnlySpan) {
	if !s.SpanContext().IsSampled() {
		return
	}
	sp := Span{
		TraceID: s.SpanContext().TraceID().String(), SpanID: s.SpanContext().SpanID().String(),
		Name: s.Name(), Kind: s.SpanKind().String(), Start: s.StartTime(),
		Duration: s.EndTime().Sub(s.StartTime()), Status: s.Status().Code.String(),
	}
	if s.Parent().IsValid() {
		sp.ParentID = s.Parent().SpanID().String()
	}
	if attrs := s.Attributes(); len(attrs) > 0 {
		sp.Attrs = make(map[string]string, len(attrs))
		for _, a := range attrs {
			sp.Attrs[string(a.Key)] = a.Value.String()
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	id := s.SpanContext().TraceID()
	have, known := r.spans[id]
	if !known {
		if len(r.order) == r.max {
			delete(r.spans, r.order[0])
			r.order = r.order[1:]
		}
		r.order = append(r.order, id)
	}
	if len(have) < maxSpansPerTrace {
		r.spans[id] = append(have, sp)
	}
}

// Shutdown implements sdktrace.SpanProcessor.
func (r *Ring) Shutdown(context.Context) error { return nil }

// ForceFlush implements sdktrace.SpanProcessor.
func (r *Ring) ForceFlush(context.Context) error { return nil }

// Trace returns the spans of a trace in the order in which they ended.
func (r *Ring) Trace(id trace.TraceID) []Span {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]Span(nil), r.spans[id]...)
}

// Traces returns the ids of the traces kept, the newest first.
func (r *Ring) Traces() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	ids := make([]string, 0, len(r.order))
	for i := len(r.order) - 1; i >= 0; i-- {
		ids = append(ids, r.order[i].String())
	}
	return ids
}

// ServeHTTP answers with the ids of all traces, or with the spans of the one
// that the query parameter `id` names.
func (r *Ring) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	if id := req.URL.Query().Get("id"); id != "" {
		tid, err := trace.TraceIDFromHex(id)
		if err != nil {
			http.Error(w, `{"error":"id must be 32 hexadecimal digits"}`, http.StatusBadRequest)
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"spans": r.Trace(tid)})
		return
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"traces": r.Traces()})
}
