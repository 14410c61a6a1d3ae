package ingest

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/synapse-analytics/synapse/internal/queue"
)

func TestPublishSpan(t *testing.T) {
	spans := tracetest.NewInMemoryExporter()
	tp := sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans))
	release := make(chan struct{})
	q := &memory{before: func(_ context.Context, n int, _ queue.Outgoing) error {
		if n == 1 {
			<-release
		}
		return nil
	}}
	s := newService(t, q, func(d *Deps) { d.TracerProvider = tp; d.Config.Batch.MaxInFlight = 1 })
	var calls sync.WaitGroup
	call := func(id string, sampled bool) {
		cfg := trace.SpanContextConfig{TraceID: trace.TraceID{id[0]}, SpanID: trace.SpanID{id[0]}}
		if sampled {
			cfg.TraceFlags = trace.FlagsSampled
		}
		ctx := trace.ContextWithSpanContext(callerCtx(context.Background(), project), trace.NewSpanContext(cfg))
		calls.Go(func() {
			resp, err := s.IngestEvents(ctx, request(textEvent(id, "x")))
			if err != nil {
				t.Error(err)
				return
			}
			if want := cfg.TraceID.String(); sampled != (resp.TraceId == want) {
				t.Errorf("trace id %q", resp.TraceId)
			}
		})
	}
	call("x", false) // goes alone and without a span
	require.Eventually(t, func() bool { q.mu.Lock(); defer q.mu.Unlock(); return q.publishes == 1 }, 10*time.Second, time.Millisecond)
	for i, id := range []string{"a", "b", "c", "d"} {
		call(id, i != 2)
	}
	require.Eventually(t, func() bool { s.batcher.mu.Lock(); defer s.batcher.mu.Unlock(); return s.batcher.waitingCount == 4 }, 10*time.Second, time.Millisecond)
	close(release)
	calls.Wait()
	got := spans.GetSpans()
	require.Len(t, got, 1)
	require.Equal(t, "publish EVENTS", got[0].Name)
	require.Equal(t, trace.SpanKindProducer, got[0].SpanKind)
	require.True(t, got[0].Parent.IsValid())
	require.Len(t, got[0].Links, 2, "three sampled calls: a parent and two links")
	for _, e := range q.events(t) {
		if sampled := e.Event.Id != "x" && e.Event.Id != "c"; !sampled {
			require.Empty(t, e.TraceId)
			require.Empty(t, e.SpanId)
			continue
		}
		require.Equal(t, e.Event.Id[0], e.TraceId[0])
		require.Equal(t, e.Event.Id[0], e.SpanId[0], "the span that accepted it")
	}
}

func TestMetrics(t *testing.T) {
	reader := sdkmetric.NewManualReader()
	mp := sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))
	q := &memory{info: backlogInfo(1000, 10, 5, 10)}
	s := newService(t, q, func(d *Deps) { d.MeterProvider = mp; d.Now = func() time.Time { return testNow } })
	_, err := s.IngestEvents(callerCtx(t.Context(), project), request(textEvent("a", "x"), textEvent("a", "x"), textEvent("a", "y"), textEvent("b", "")))
	require.NoError(t, err)
	var rm metricdata.ResourceMetrics
	require.NoError(t, reader.Collect(t.Context(), &rm))
	got := map[string]float64{}
	for _, m := range rm.ScopeMetrics[0].Metrics {
		switch d := m.Data.(type) {
		case metricdata.Sum[int64]:
			for _, p := range d.DataPoints {
				outcome, _ := p.Attributes.Value("outcome")
				reason, _ := p.Attributes.Value(attribute.Key("reason"))
				got[fmt.Sprint(m.Name, " ", outcome.AsString(), " ", reason.AsString())] = float64(p.Value)
			}
		case metricdata.Gauge[int64]:
			got[m.Name] = float64(d.DataPoints[0].Value)
		case metricdata.Gauge[float64]:
			got[m.Name] = d.DataPoints[0].Value
		case metricdata.Histogram[int64]:
			got[m.Name] = float64(d.DataPoints[0].Sum)
		case metricdata.Histogram[float64]:
			got[m.Name] = float64(d.DataPoints[0].Count)
		}
	}
	for name, want := range map[string]float64{
		"synapse.ingest.events accepted ":                     1,
		"synapse.ingest.events duplicate ":                    1,
		"synapse.ingest.events rejected INVALID_FIELD":        1,
		"synapse.ingest.events rejected ID_REPEATED_IN_BATCH": 1,
		"synapse.ingest.batch.events":                         1,
		"synapse.ingest.publish.duration":                     1,
		"synapse.ingest.backlog.size":                         500,
		"synapse.ingest.backlog.messages":                     5,
		"synapse.ingest.waiting.size":                         0,
	} {
		require.Contains(t, got, name)
		require.Equal(t, want, got[name], name)
	}
	require.Positive(t, got["synapse.ingest.backlog.age"])
	require.Positive(t, got["synapse.ingest.batch.size"])
}
