package telemetry

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSetup(t *testing.T) {
	cfg := DefaultConfig()
	cfg.SampleRatio, cfg.TraceRing = 1, 2
	require.NoError(t, cfg.Validate())
	var log bytes.Buffer
	tel, err := Setup(context.Background(), cfg, "synapse-test", "v0", &log)
	require.NoError(t, err)

	tracer := tel.TracerProvider.Tracer("test")
	var last string
	for range 3 {
		ctx, parent := tracer.Start(context.Background(), "parent")
		_, child := tracer.Start(ctx, "child")
		child.End()
		tel.Logger.InfoContext(ctx, "hello")
		parent.End()
		last = parent.SpanContext().TraceID().String()
	}
	var line map[string]any
	require.NoError(t, json.Unmarshal(bytes.Split(log.Bytes(), []byte("\n"))[2], &line))
	require.Equal(t, last, line["trace_id"], "a log line names its trace")

	require.Len(t, tel.Ring.Traces(), 2, "the ring is bounded")
	require.Equal(t, last, tel.Ring.Traces()[0])
	rec := httptest.NewRecorder()
	tel.Ring.ServeHTTP(rec, httptest.NewRequest("GET", "/debug/traces?id="+last, nil))
	require.Contains(t, rec.Body.String(), `"child"`)
	rec = httptest.NewRecorder()
	tel.Ring.ServeHTTP(rec, httptest.NewRequest("GET", "/debug/traces?id=x", nil))
	require.Equal(t, 400, rec.Code)

	counter, err := tel.MeterProvider.Meter("test").Int64Counter("synapse.test")
	require.NoError(t, err)
	counter.Add(context.Background(), 3)
	rec = httptest.NewRecorder()
	tel.Metrics.ServeHTTP(rec, httptest.NewRequest("GET", "/metrics", nil))
	require.Contains(t, rec.Body.String(), "synapse_test_total")
	require.NoError(t, tel.Shutdown(context.Background()))
}

func TestConfigRules(t *testing.T) {
	err := Config{LogLevel: "loud", LogFormat: "xml", SampleRatio: 2, TraceRing: -1}.Validate()
	for _, field := range []string{"log_level", "log_format", "sample_ratio", "trace_ring"} {
		require.ErrorContains(t, err, field)
	}
}
