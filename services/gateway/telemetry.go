package gateway

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	otelcodes "go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	tracenoop "go.opentelemetry.io/otel/trace/noop"
	"google.golang.org/grpc/metadata"

	"github.com/synapse-analytics/synapse/internal/errs"
)

const scope = "github.com/synapse-analytics/synapse/services/gateway"

// telemetry makes the server span, the metrics and the log line of each request
// by OpenTelemetry's conventions for HTTP. It names requests by their route
// template: no address, query, host or client address gets into spans, labels
// or logs, which a caller could fill with secrets or without end. That is why
// the ready-made otelhttp handler is not used: it records the address and the
// Host header as they come.
type telemetry struct {
	tracer   trace.Tracer
	duration metric.Float64Histogram
	active   metric.Int64UpDownCounter
	log      *slog.Logger
	now      func() time.Time
	// sets caches attribute sets; its size is bounded by the routes, the known
	// methods and the statuses.
	sets sync.Map
}

var traceContext = propagation.TraceContext{}

func newTelemetry(d Deps) (*telemetry, error) {
	tp, mp := d.TracerProvider, d.MeterProvider
	if tp == nil {
		tp = tracenoop.NewTracerProvider()
	}
	if mp == nil {
		mp = metricnoop.NewMeterProvider()
	}
	m := mp.Meter(scope)
	t := &telemetry{tracer: tp.Tracer(scope), log: d.Logger, now: d.Now}
	var err error
	t.duration, err = m.Float64Histogram("http.server.request.duration", metric.WithUnit("s"),
		metric.WithDescription("Duration of HTTP server requests."),
		metric.WithExplicitBucketBoundaries(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10))
	if err != nil {
		return nil, err
	}
	t.active, err = m.Int64UpDownCounter("http.server.active_requests", metric.WithUnit("{request}"),
		metric.WithDescription("Number of HTTP server requests in flight."))
	if err != nil {
		return nil, err
	}
	return t, nil
}

// begin opens the span of a call, as a child of the caller's if it sent one.
func (t *telemetry) begin(c *call) {
	c.start = t.now()
	ctx := c.r.Context()
	if len(c.r.Header["Traceparent"]) > 0 {
		ctx = traceContext.Extract(ctx, propagation.HeaderCarrier(c.r.Header))
	}
	name := methodName(c.r.Method)
	c.ctx, c.span = t.tracer.Start(ctx, c.route.spanName(name), trace.WithSpanKind(trace.SpanKindServer))
	if sc := c.span.SpanContext(); sc.HasTraceID() {
		c.traceID = sc.TraceID().String()
		c.Header()["X-Trace-Id"] = []string{c.traceID}
	}
	if c.span.IsRecording() {
		c.span.SetAttributes(
			attribute.String("http.request.method", name),
			attribute.String("http.route", c.route.template),
		)
	}
	t.active.Add(c.ctx, 1, metric.WithAttributeSet(t.set(c.route.template, name, 0)))
}

// end closes the span and writes metric and log line.
func (t *telemetry) end(c *call) {
	took := t.now().Sub(c.start)
	name := methodName(c.r.Method)
	t.active.Add(c.ctx, -1, metric.WithAttributeSet(t.set(c.route.template, name, 0)))
	t.duration.Record(c.ctx, took.Seconds(), metric.WithAttributeSet(t.set(c.route.template, name, c.status)))
	if c.span.IsRecording() {
		c.span.SetAttributes(attribute.Int("http.response.status_code", c.status))
		if c.status >= http.StatusInternalServerError {
			c.span.SetStatus(otelcodes.Error, "")
		}
	}
	c.span.End()
	level := slog.LevelDebug
	switch {
	case c.status >= http.StatusInternalServerError && c.status != http.StatusServiceUnavailable:
		level = slog.LevelError
	case c.status >= http.StatusInternalServerError:
		level = slog.LevelWarn
	case c.status >= http.StatusBadRequest:
		level = slog.LevelInfo
	}
	if !t.log.Enabled(c.ctx, level) {
		return
	}
	attrs := []slog.Attr{
		slog.String("method", name), slog.String("route", c.route.template), slog.Int("status", c.status),
		slog.Duration("took", took), slog.Int64("bytes", c.written), slog.String("trace_id", c.traceID),
	}
	if c.err != nil {
		attrs = append(attrs, slog.String("reason", string(errs.ReasonOf(c.err))))
		// The text of the caller's own errors may repeat what the caller sent.
		if c.status >= http.StatusInternalServerError {
			attrs = append(attrs, slog.String("error", c.err.Error()))
		}
	}
	t.log.LogAttrs(c.ctx, level, "request", attrs...)
}

type setKey struct {
	route, method string
	status        int
}

// set returns the attributes of a metric; status 0 is none.
func (t *telemetry) set(route, method string, status int) attribute.Set {
	key := setKey{route, method, status}
	if s, ok := t.sets.Load(key); ok {
		return s.(attribute.Set) //nolint:forcetypeassert // only this method stores
	}
	kvs := []attribute.KeyValue{attribute.String("http.request.method", method), attribute.String("http.route", route)}
	if status != 0 {
		kvs = append(kvs, attribute.Int("http.response.status_code", status))
	}
	s := attribute.NewSet(kvs...)
	t.sets.Store(key, s)
	return s
}

// inject writes the trace of a call into the metadata for a service. The
// telemetry of the connection replaces it by its own span's, where it has one.
func (t *telemetry) inject(ctx context.Context, md metadata.MD) {
	traceContext.Inject(ctx, mdCarrier(md))
}

type mdCarrier metadata.MD

func (m mdCarrier) Get(key string) string {
	if v := m[key]; len(v) > 0 {
		return v[0]
	}
	return ""
}

func (m mdCarrier) Set(key, value string) { m[key] = []string{value} }

func (m mdCarrier) Keys() []string { return nil }

// methodName folds methods that are not standard into one, so that a caller can
// not make up labels.
func methodName(m string) string {
	switch m {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch,
		http.MethodDelete, http.MethodOptions, http.MethodConnect, http.MethodTrace:
		return m
	}
	return "_OTHER"
}
