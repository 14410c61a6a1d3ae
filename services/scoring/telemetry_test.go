package scoring

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/codes"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
)

// The trace goes on: accepted, scored, and the id of the scoring span goes with
// the event, so that the writer can be its child.
func TestSpans(t *testing.T) {
	spans := tracetest.NewInMemoryExporter()
	tp := sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans),
		sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.NeverSample())))
	q := openQueue(t)
	events := texts("m", 4)
	for _, i := range []int{1, 3} {
		events[i].TraceId = fmt.Appendf(nil, "0123456789abcde%d", i)
		events[i].SpanId = fmt.Appendf(nil, "0123456%d", i)
	}
	accept(t, q, events...)
	accept(t, q, texts("quiet", 4)...)
	s := start(t, Deps{Queue: q, Scorer: &fixed{}, TracerProvider: tp})
	waitDone(t, q)
	stop(t, s)

	byName := map[string][]tracetest.SpanStub{}
	for _, sp := range spans.GetSpans() {
		byName[sp.Name] = append(byName[sp.Name], sp)
	}
	require.Len(t, byName["process EVENTS"], 1, "only for a message with a sampled event")
	process := byName["process EVENTS"][0]
	require.Equal(t, trace.SpanKindConsumer, process.SpanKind)
	require.Equal(t, trace.SpanID([]byte("01234561")), process.Parent.SpanID())
	require.Len(t, process.Links, 1)
	require.Len(t, byName["score event"], 2)
	ids := map[trace.TraceID]trace.SpanID{}
	for _, sp := range byName["score event"] {
		require.True(t, sp.Parent.IsRemote())
		require.False(t, sp.EndTime.Before(sp.StartTime))
		ids[sp.SpanContext.TraceID()] = sp.SpanContext.SpanID()
	}
	for _, b := range scoredOf(t, q) {
		for _, e := range b.Events {
			if len(e.Queued.TraceId) == 0 {
				require.Empty(t, e.Queued.SpanId)
				continue
			}
			want := ids[trace.TraceID(e.Queued.TraceId)]
			require.Equal(t, want[:], e.Queued.SpanId)
		}
	}
}

func TestSpanOfADeadLetter(t *testing.T) {
	spans := tracetest.NewInMemoryExporter()
	tp := sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans))
	q := openQueue(t)
	e := queued("m", "POISON")
	e.TraceId, e.SpanId = []byte("0123456789abcdef"), []byte("01234567")
	accept(t, q, e)
	s := start(t, Deps{Queue: q, Scorer: &fixed{}, TracerProvider: tp})
	waitDone(t, q)
	stop(t, s)
	failed := 0
	for _, sp := range spans.GetSpans() {
		if sp.Name == "score event" && sp.Status.Code == codes.Error {
			failed++
		}
	}
	require.Equal(t, 1, failed)
	require.Equal(t, e.SpanId, deadOf(t, q)[0].Queued.SpanId)
}

func TestMetrics(t *testing.T) {
	reader := sdkmetric.NewManualReader()
	mp := sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))
	q := openQueue(t)
	events := texts("m", 10)
	events[3].Event.Text = "POISON"
	accept(t, q, events...)
	acceptRaw(t, q, []byte{0xff}, 7)
	s := start(t, Deps{Queue: q, Scorer: &fixed{}, MeterProvider: mp})
	waitDone(t, q)
	s.worker.lookAtBacklog(t.Context())
	var rm metricdata.ResourceMetrics
	require.NoError(t, reader.Collect(t.Context(), &rm))
	got := map[string]float64{}
	for _, m := range rm.ScopeMetrics[0].Metrics {
		switch d := m.Data.(type) {
		case metricdata.Sum[int64]:
			for _, p := range d.DataPoints {
				outcome, _ := p.Attributes.Value("outcome")
				reason, _ := p.Attributes.Value("reason")
				kind, _ := p.Attributes.Value("kind")
				got[fmt.Sprint(m.Name, " ", outcome.AsString(), reason.AsString(), kind.AsString())] = float64(p.Value)
			}
		case metricdata.Gauge[int64]:
			got[m.Name] = float64(d.DataPoints[0].Value)
		case metricdata.Gauge[float64]:
			got[m.Name] = d.DataPoints[0].Value
		case metricdata.Histogram[float64]:
			got[m.Name] = float64(d.DataPoints[0].Count)
		}
	}
	for name, want := range map[string]float64{
		"synapse.scoring.events scored":                       9,
		"synapse.scoring.events dead_letterUNPROCESSABLE":     1,
		"synapse.scoring.events dead_letterMALFORMED_REQUEST": 7,
		"synapse.scoring.failures score":                      5,
		"synapse.scoring.pending":                             0,
		"synapse.scoring.lag":                                 0,
		"synapse.scoring.duration":                            1,
	} {
		require.Contains(t, got, name)
		require.Equal(t, want, got[name], name)
	}
	stop(t, s)
}

func TestLag(t *testing.T) {
	w := &worker{now: func() time.Time { return testNow }, metrics: &metrics{}}
	require.Zero(t, w.lag())
	j := &job{}
	j.msg.Time = testNow.Add(-time.Second)
	w.holder.add(j)
	require.Equal(t, time.Second, w.lag())
	w.metrics.pendedAt.Store(testNow.Add(-time.Minute).UnixNano())
	require.Equal(t, time.Minute, w.lag())
	w.holder.remove(j)
	require.Equal(t, time.Minute, w.lag())
}
