package grpcserver_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	queryv1 "github.com/synapse-analytics/synapse/gen/go/synapse/query/v1"
	scoringv1 "github.com/synapse-analytics/synapse/gen/go/synapse/scoring/v1"
	typev1 "github.com/synapse-analytics/synapse/gen/go/synapse/type/v1"
	"github.com/synapse-analytics/synapse/internal/errs"
	"github.com/synapse-analytics/synapse/internal/grpcserver"
)

// logBuffer collects JSON log lines.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// lines waits for n lines: a line is written after the caller has the answer.
func (l *logBuffer) lines(t *testing.T, n int) []map[string]any {
	t.Helper()
	require.Eventually(t, func() bool { return strings.Count(l.text(), "\n") >= n }, 5*time.Second, time.Millisecond)
	var out []map[string]any
	dec := json.NewDecoder(strings.NewReader(l.text()))
	for dec.More() {
		var m map[string]any
		require.NoError(t, dec.Decode(&m))
		out = append(out, m)
	}
	require.Len(t, out, n)
	return out
}

func (l *logBuffer) logger(level slog.Level) *slog.Logger {
	return slog.New(slog.NewJSONHandler(l, &slog.HandlerOptions{Level: level}))
}

const event = "projects/demo/events/a"

func TestRecovery(t *testing.T) {
	var log logBuffer
	reader := sdkmetric.NewManualReader()
	f := start(t, func(o *grpcserver.Options) {
		o.Logger = log.logger(slog.LevelInfo)
		o.MeterProvider = sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))
	})
	f.getEvent = func(context.Context, *queryv1.GetEventRequest) (*typev1.Event, error) { panic("secret inside") }
	_, err := f.query.GetEvent(as(t, readKey), &queryv1.GetEventRequest{Name: event})
	requireError(t, err, errs.Internal)
	require.NotContains(t, err.Error(), "secret inside")

	f.tail = func(*queryv1.TailEventsRequest, tailServer) error { panic(errors.New("in a stream")) }
	ss, err := f.query.TailEvents(as(t, readKey), &queryv1.TailEventsRequest{Parent: "projects/demo"})
	require.NoError(t, err)
	_, err = ss.Recv()
	requireError(t, err, errs.Internal)

	lines := log.lines(t, 2)
	require.Equal(t, "ERROR", lines[0]["level"])
	require.Equal(t, "/synapse.query.v1.QueryService/GetEvent", lines[0]["method"])
	require.Contains(t, lines[0]["error"], "secret inside")
	require.Contains(t, lines[0]["stack"], "behaviour_test.go")
	require.Equal(t, "k2", lines[0]["principal_id"])
	require.EqualValues(t, 2, counter(t, reader, "synapse.rpc.server.panics"))
}

func TestAccessLog(t *testing.T) {
	var log logBuffer
	f := start(t, func(o *grpcserver.Options) {
		o.Logger = log.logger(slog.LevelDebug)
		o.TracerProvider = sdktrace.NewTracerProvider()
	})
	var answer error
	f.getEvent = func(context.Context, *queryv1.GetEventRequest) (*typev1.Event, error) { return &typev1.Event{}, answer }
	get := func(credential string) {
		_, _ = f.query.GetEvent(as(t, credential), &queryv1.GetEventRequest{Name: event})
	}
	get(readKey)
	answer = errs.MissingThing("no such event")
	get(readKey)
	answer = fmt.Errorf("read row: %w", io.ErrUnexpectedEOF)
	get(readKey)
	answer = context.DeadlineExceeded
	get(readKey)
	answer = errs.Stopping()
	get(readKey)
	get("no-such-key")
	_ = f.conn.Invoke(as(t, readKey), "/no.such.Service/Chosen-by-a-stranger", &typev1.Event{}, &typev1.Event{})

	lines := log.lines(t, 7)
	for i, want := range []struct{ level, code, reason, method string }{
		{"DEBUG", "OK", "", "/synapse.query.v1.QueryService/GetEvent"},
		{"DEBUG", "NotFound", "NOT_FOUND", "/synapse.query.v1.QueryService/GetEvent"},
		{"ERROR", "Internal", "INTERNAL", "/synapse.query.v1.QueryService/GetEvent"},
		{"INFO", "DeadlineExceeded", "DEADLINE_EXCEEDED", "/synapse.query.v1.QueryService/GetEvent"},
		{"DEBUG", "Unavailable", "SHUTTING_DOWN", "/synapse.query.v1.QueryService/GetEvent"},
		{"DEBUG", "Unauthenticated", "CREDENTIAL_UNKNOWN", "/synapse.query.v1.QueryService/GetEvent"},
		{"DEBUG", "PermissionDenied", "PERMISSION_DENIED", "unknown"},
	} {
		require.Equal(t, want.level, lines[i]["level"], i)
		require.Equal(t, want.code, lines[i]["code"], i)
		require.Equal(t, want.method, lines[i]["method"], i)
		if want.reason != "" {
			require.Equal(t, want.reason, lines[i]["reason"], i)
		}
		require.Contains(t, lines[i], "duration")
	}
	require.Equal(t, "key", lines[0]["principal"])
	require.Equal(t, "k2", lines[0]["principal_id"])
	require.Equal(t, "demo", lines[0]["project"])
	require.Len(t, lines[0]["trace_id"], 32)
	require.Contains(t, lines[2]["error"], "read row: unexpected EOF", "the log has the whole cause")
	require.NotContains(t, lines[5], "principal")
	require.NotContains(t, log.text(), "no-such-key")
	require.NotContains(t, log.text(), "stranger")
}

// With the level above debug a good call must not even build its line.
func TestAccessLogIsSilentForGoodCalls(t *testing.T) {
	var log logBuffer
	f := start(t, func(o *grpcserver.Options) { o.Logger = log.logger(slog.LevelInfo) })
	f.getEvent = noop
	_, err := f.query.GetEvent(as(t, readKey), &queryv1.GetEventRequest{Name: event})
	require.NoError(t, err)
	require.NoError(t, f.server.Stop(as(t, "")))
	require.Empty(t, log.text())
}

func TestDeadline(t *testing.T) {
	f := start(t, func(o *grpcserver.Options) { o.DefaultDeadline = time.Hour })
	var left time.Duration
	f.getEvent = func(ctx context.Context, _ *queryv1.GetEventRequest) (*typev1.Event, error) {
		d, ok := ctx.Deadline()
		require.True(t, ok)
		left = time.Until(d)
		return &typev1.Event{}, nil
	}
	raw := dialWithoutDefaults(t, f)
	_, err := queryv1.NewQueryServiceClient(raw).GetEvent(appendAuthorization(context.Background(), "Bearer "+readKey), &queryv1.GetEventRequest{Name: event})
	require.NoError(t, err)
	require.Greater(t, left, 50*time.Minute)
	_, err = f.query.GetEvent(as(t, readKey), &queryv1.GetEventRequest{Name: event})
	require.NoError(t, err)
	require.Less(t, left, time.Minute, "the caller's own deadline stands")

	f.getEvent = func(ctx context.Context, _ *queryv1.GetEventRequest) (*typev1.Event, error) {
		<-ctx.Done()
		return nil, fmt.Errorf("waiting: %w", ctx.Err())
	}
	ctx, cancel := context.WithTimeout(as(t, readKey), 20*time.Millisecond)
	defer cancel()
	_, err = f.query.GetEvent(ctx, &queryv1.GetEventRequest{Name: event})
	require.Equal(t, codes.DeadlineExceeded, status.Code(err))
}

func TestErrorMapping(t *testing.T) {
	f := start(t, nil)
	var answer error
	f.getEvent = func(context.Context, *queryv1.GetEventRequest) (*typev1.Event, error) { return nil, answer }
	f.tail = func(*queryv1.TailEventsRequest, tailServer) error { return answer }
	for name, tc := range map[string]struct {
		err    error
		code   codes.Code
		reason errs.Reason
		hidden string
	}{
		"ours":           {errs.Exhausted(errs.BacklogFull, "full", "wait", time.Second, nil), codes.ResourceExhausted, errs.BacklogFull, ""},
		"wrapped":        {fmt.Errorf("secret: %w", errs.MissingThing("gone")), codes.NotFound, errs.NotFound, "secret"},
		"with a cause":   {errs.Down("the store is away", time.Second, errors.New("dial 10.0.0.1")), codes.Unavailable, errs.Unavailable, "10.0.0.1"},
		"unknown":        {errors.New("sql: secret"), codes.Internal, errs.Internal, "secret"},
		"foreign status": {status.Error(codes.Unavailable, "dial 10.0.0.1"), codes.Unavailable, errs.Unavailable, "10.0.0.1"},
		"peer's answer":  {fmt.Errorf("call auth: %w", errs.Denied("x").GRPCStatus().Err()), codes.PermissionDenied, errs.PermissionDenied, "call auth"},
		"cancelled":      {fmt.Errorf("secret: %w", context.Canceled), codes.Canceled, errs.Canceled, "secret"},
	} {
		t.Run(name, func(t *testing.T) {
			answer = tc.err
			_, err := f.query.GetEvent(as(t, readKey), &queryv1.GetEventRequest{Name: event})
			ss, serr := f.query.TailEvents(as(t, readKey), &queryv1.TailEventsRequest{Parent: "projects/demo"})
			require.NoError(t, serr)
			_, serr = ss.Recv()
			for _, err := range []error{err, serr} {
				require.Equal(t, tc.code, requireError(t, err, tc.reason).Code)
				if tc.hidden != "" {
					require.NotContains(t, err.Error(), tc.hidden)
				}
			}
		})
	}
}

func TestValidation(t *testing.T) {
	f := start(t, nil)
	f.score = func(context.Context, *scoringv1.ScoreTextRequest) (*scoringv1.ScoredText, error) {
		return &scoringv1.ScoredText{}, nil
	}
	_, err := f.scoring.ScoreText(as(t, person), &scoringv1.ScoreTextRequest{Text: "bad\x00secret", Source: strings.Repeat("x", 65)})
	e := requireError(t, err, errs.InvalidField)
	require.Equal(t, []errs.Violation{
		{Field: "text", Rule: "must not contain the character NUL (U+0000)", Remedy: "remove it"},
		{Field: "source", Rule: "must have at most 64 bytes, has 65", Remedy: "shorten it"},
	}, e.Violations)
	require.NotContains(t, err.Error(), "secret")

	// who may not call learns nothing about the rules
	_, err = f.scoring.ScoreText(as(t, readKey), &scoringv1.ScoreTextRequest{})
	require.Empty(t, requireError(t, err, errs.PermissionDenied).Violations)

	ss, err := f.query.TailEvents(as(t, readKey), &queryv1.TailEventsRequest{Parent: "projects/demo", Cursor: strings.Repeat("c", 257)})
	require.NoError(t, err)
	_, err = ss.Recv()
	require.Equal(t, "cursor", requireError(t, err, errs.InvalidField).Violations[0].Field)
}

// gRPC itself answers to a message that it cannot read; the log must not blame
// the server for it.
func TestUnreadableMessages(t *testing.T) {
	var log logBuffer
	f := start(t, func(o *grpcserver.Options) { o.MaxMessageBytes, o.Logger = 1<<10, log.logger(slog.LevelInfo) })
	for _, method := range []string{"/synapse.query.v1.QueryService/GetEvent", "/synapse.ingest.v1.IngestService/StreamEvents"} {
		err := f.conn.Invoke(as(t, person), method, []byte("\xff\xff\xff"), new([]byte), rawCodec)
		require.Equal(t, codes.Internal, status.Code(err))
		err = f.conn.Invoke(as(t, person), method, bytes.Repeat([]byte("x"), 2<<10), new([]byte), rawCodec)
		requireError(t, err, errs.RequestTooLarge)
	}
	require.NoError(t, f.server.Stop(as(t, "")))
	require.Empty(t, log.text())
}

func TestTelemetry(t *testing.T) {
	spans := tracetest.NewSpanRecorder()
	reader := sdkmetric.NewManualReader()
	f := start(t, func(o *grpcserver.Options) {
		o.TracerProvider = sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans))
		o.MeterProvider = sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))
		o.Reflection = true
	})
	f.getEvent = noop
	_, err := f.query.GetEvent(as(t, readKey), &queryv1.GetEventRequest{Name: event})
	require.NoError(t, err)
	_, err = f.query.GetEvent(as(t, ""), &queryv1.GetEventRequest{Name: event})
	require.Error(t, err)
	_, err = grpc_health_v1.NewHealthClient(f.conn).Check(as(t, ""), &grpc_health_v1.HealthCheckRequest{})
	require.NoError(t, err)
	for i := range 50 { // labels that a stranger chooses
		_ = f.conn.Invoke(as(t, readKey), fmt.Sprintf("/no.Service%d/Method", i), &typev1.Event{}, &typev1.Event{})
	}
	require.Eventually(t, func() bool { return len(spans.Ended()) == 2 }, 5*time.Second, time.Millisecond)
	var codes []string
	for _, s := range spans.Ended() {
		require.Equal(t, "synapse.query.v1.QueryService/GetEvent", s.Name())
		require.Empty(t, s.Events(), "no message is recorded")
		for _, a := range s.Attributes() {
			if a.Key == "rpc.response.status_code" {
				codes = append(codes, a.Value.AsString())
			}
			require.NotContains(t, a.Value.String(), "demo", "neither project nor name is an attribute")
		}
	}
	require.Equal(t, []string{"OK", "UNAUTHENTICATED"}, codes)

	var points []metricdata.HistogramDataPoint[float64]
	require.Eventually(t, func() bool { // a call is measured after it is answered
		points = histogram(t, reader, "rpc.server.call.duration")
		return len(points) >= 2
	}, 5*time.Second, time.Millisecond)
	require.Len(t, points, 2, "one series for each method and code of the contracts")
	for _, p := range points {
		method, _ := p.Attributes.Value(attribute.Key("rpc.method"))
		require.Equal(t, "synapse.query.v1.QueryService/GetEvent", method.AsString())
	}
}

func counter(t *testing.T, r *sdkmetric.ManualReader, name string) int64 {
	t.Helper()
	var m metricdata.ResourceMetrics
	require.NoError(t, r.Collect(context.Background(), &m))
	var sum int64
	for _, s := range m.ScopeMetrics {
		for _, i := range s.Metrics {
			if d, ok := i.Data.(metricdata.Sum[int64]); ok && i.Name == name {
				for _, p := range d.DataPoints {
					sum += p.Value
				}
			}
		}
	}
	return sum
}

func histogram(t *testing.T, r *sdkmetric.ManualReader, name string) []metricdata.HistogramDataPoint[float64] {
	t.Helper()
	var m metricdata.ResourceMetrics
	require.NoError(t, r.Collect(context.Background(), &m))
	for _, s := range m.ScopeMetrics {
		for _, i := range s.Metrics {
			if d, ok := i.Data.(metricdata.Histogram[float64]); ok && i.Name == name {
				return d.DataPoints
			}
		}
	}
	return nil
}
