package grpctelemetry

import (
	"context"
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	otelcodes "go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	ingestv1 "github.com/synapse-analytics/synapse/gen/go/synapse/ingest/v1"
	queryv1 "github.com/synapse-analytics/synapse/gen/go/synapse/query/v1"
	typev1 "github.com/synapse-analytics/synapse/gen/go/synapse/type/v1"
	"github.com/synapse-analytics/synapse/internal/errs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type service struct {
	queryv1.UnimplementedQueryServiceServer
	ingestv1.UnimplementedIngestServiceServer
	answer error
}

func (s *service) GetEvent(context.Context, *queryv1.GetEventRequest) (*typev1.Event, error) {
	return &typev1.Event{}, s.answer
}

func (s *service) TailEvents(r *queryv1.TailEventsRequest, ss grpc.ServerStreamingServer[queryv1.TailEventsResponse]) error {
	if err := ss.Send(&queryv1.TailEventsResponse{}); err != nil {
		return err
	}
	if r.GetCursor() == "wait" {
		<-ss.Context().Done()
		return ss.Context().Err()
	}
	return s.answer
}

type fixture struct {
	*service
	spans  *tracetest.SpanRecorder
	reader *sdkmetric.ManualReader
	conn   *grpc.ClientConn
	query  queryv1.QueryServiceClient
	tp     trace.TracerProvider
}

func start(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{service: &service{}, spans: tracetest.NewSpanRecorder(), reader: sdkmetric.NewManualReader()}
	f.tp = sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(f.spans))
	o := Options{TracerProvider: f.tp, MeterProvider: sdkmetric.NewMeterProvider(sdkmetric.WithReader(f.reader))}
	st, err := NewServer(o)
	require.NoError(t, err)
	ct, err := NewClient(o)
	require.NoError(t, err)
	recoverAll := func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, h grpc.UnaryHandler) (r any, err error) {
		defer func() {
			if recover() != nil {
				err = errs.Fault(nil)
			}
		}()
		return h(ctx, req)
	}
	explode := func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, h grpc.UnaryHandler) (any, error) {
		if r, ok := req.(*queryv1.GetEventRequest); ok && r.GetName() == "panic" {
			panic("x")
		}
		return h(ctx, req)
	}
	g := grpc.NewServer(grpc.ChainUnaryInterceptor(recoverAll, st.Unary, explode), grpc.StreamInterceptor(st.Stream))
	queryv1.RegisterQueryServiceServer(g, f.service)
	ingestv1.RegisterIngestServiceServer(g, f.service)
	hs := health.NewServer()
	grpc_health_v1.RegisterHealthServer(g, hs)
	lis := bufconn.Listen(1 << 16)
	served := make(chan struct{})
	go func() { defer close(served); _ = g.Serve(lis) }()
	f.conn, err = grpc.NewClient("passthrough:///x", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return lis.DialContext(ctx) }),
		grpc.WithUnaryInterceptor(ct.Unary), grpc.WithStreamInterceptor(ct.Stream))
	require.NoError(t, err)
	f.query = queryv1.NewQueryServiceClient(f.conn)
	t.Cleanup(func() {
		require.NoError(t, f.conn.Close())
		g.Stop()
		<-served
	})
	return f
}

// ended waits for n spans and returns them by kind.
func (f *fixture) ended(t *testing.T, n int) (server, client []sdktrace.ReadOnlySpan) {
	t.Helper()
	require.Eventually(t, func() bool { return len(f.spans.Ended()) >= n }, 5*time.Second, time.Millisecond)
	require.Len(t, f.spans.Ended(), n)
	for _, s := range f.spans.Ended() {
		if s.SpanKind() == trace.SpanKindServer {
			server = append(server, s)
		} else {
			require.Equal(t, trace.SpanKindClient, s.SpanKind())
			client = append(client, s)
		}
	}
	return server, client
}

func attributes(s sdktrace.ReadOnlySpan) map[string]string {
	m := map[string]string{}
	for _, a := range s.Attributes() {
		m[string(a.Key)] = a.Value.String()
	}
	return m
}

func TestUnary(t *testing.T) {
	f := start(t)
	_, err := f.query.GetEvent(context.Background(), &queryv1.GetEventRequest{Name: "secret"})
	require.NoError(t, err)
	f.answer = errs.MissingThing("gone")
	_, err = f.query.GetEvent(context.Background(), &queryv1.GetEventRequest{})
	require.Error(t, err)
	f.answer = errors.New("secret")
	_, err = f.query.GetEvent(context.Background(), &queryv1.GetEventRequest{})
	require.Error(t, err)
	_, err = f.query.GetEvent(context.Background(), &queryv1.GetEventRequest{Name: "panic"})
	require.Error(t, err)

	server, client := f.ended(t, 8)
	for i, want := range []struct {
		server, client     string
		serverErr, fromErr otelcodes.Code
	}{
		{"OK", "OK", otelcodes.Unset, otelcodes.Unset},
		{"NOT_FOUND", "NOT_FOUND", otelcodes.Unset, otelcodes.Error},
		{"UNKNOWN", "UNKNOWN", otelcodes.Error, otelcodes.Error},
		{"INTERNAL", "INTERNAL", otelcodes.Error, otelcodes.Error},
	} {
		require.Equal(t, map[string]string{
			"rpc.system.name": "grpc", "rpc.method": "synapse.query.v1.QueryService/GetEvent", "rpc.response.status_code": want.server,
		}, attributes(server[i]))
		require.Equal(t, want.client, attributes(client[i])["rpc.response.status_code"])
		require.Equal(t, want.serverErr, server[i].Status().Code)
		require.Equal(t, want.fromErr, client[i].Status().Code)
		require.NotContains(t, server[i].Status().Description, "secret")
		require.Equal(t, "synapse.query.v1.QueryService/GetEvent", server[i].Name())
		require.Equal(t, client[i].SpanContext().SpanID(), server[i].Parent().SpanID(), "one trace")
		require.True(t, server[i].Parent().IsRemote())
	}
}

func TestStreams(t *testing.T) {
	f := start(t)
	ss, err := f.query.TailEvents(context.Background(), &queryv1.TailEventsRequest{})
	require.NoError(t, err)
	for err == nil {
		_, err = ss.Recv()
	}
	server, client := f.ended(t, 2)
	require.Equal(t, "OK", attributes(server[0])["rpc.response.status_code"])
	require.Equal(t, "OK", attributes(client[0])["rpc.response.status_code"])
	require.Equal(t, client[0].SpanContext().SpanID(), server[0].Parent().SpanID())

	// a caller that walks away: both spans end
	ctx, cancel := context.WithCancel(context.Background())
	ss, err = f.query.TailEvents(ctx, &queryv1.TailEventsRequest{Cursor: "wait"})
	require.NoError(t, err)
	_, err = ss.Recv()
	require.NoError(t, err)
	cancel()
	server, client = f.ended(t, 4)
	require.Equal(t, "CANCELLED", attributes(server[1])["rpc.response.status_code"])
	require.Equal(t, "CANCELLED", attributes(client[1])["rpc.response.status_code"])

	f.answer = errs.Down("away", 0, nil)
	ss, err = f.query.TailEvents(context.Background(), &queryv1.TailEventsRequest{})
	for err == nil {
		_, err = ss.Recv()
	}
	server, client = f.ended(t, 6)
	require.Equal(t, "UNAVAILABLE", attributes(server[2])["rpc.response.status_code"])
	require.Equal(t, "UNAVAILABLE", attributes(client[2])["rpc.response.status_code"])
}

// Methods outside of the contracts leave nothing, whatever they are called.
func TestUnknownMethods(t *testing.T) {
	f := start(t)
	_, err := grpc_health_v1.NewHealthClient(f.conn).Check(context.Background(), &grpc_health_v1.HealthCheckRequest{})
	require.NoError(t, err)
	for i := range 20 {
		require.Error(t, f.conn.Invoke(context.Background(), fmt.Sprintf("/no.Service%d/Method", i), &typev1.Event{}, &typev1.Event{}))
	}
	w, err := grpc_health_v1.NewHealthClient(f.conn).Watch(context.Background(), &grpc_health_v1.HealthCheckRequest{})
	require.NoError(t, err)
	_, err = w.Recv()
	require.NoError(t, err)
	require.Empty(t, f.spans.Started())
	var m metricdata.ResourceMetrics
	require.NoError(t, f.reader.Collect(context.Background(), &m))
	require.Empty(t, m.ScopeMetrics)
}

func TestMetrics(t *testing.T) {
	f := start(t)
	for range 3 {
		_, err := f.query.GetEvent(context.Background(), &queryv1.GetEventRequest{})
		require.NoError(t, err)
	}
	f.answer = errs.Down("away", 0, nil)
	_, err := f.query.GetEvent(context.Background(), &queryv1.GetEventRequest{})
	require.Error(t, err)
	f.ended(t, 8)
	got := map[string]uint64{}
	require.Eventually(t, func() bool {
		clear(got)
		var m metricdata.ResourceMetrics
		require.NoError(t, f.reader.Collect(context.Background(), &m))
		for _, s := range m.ScopeMetrics {
			for _, i := range s.Metrics {
				require.Equal(t, "s", i.Unit)
				for _, p := range i.Data.(metricdata.Histogram[float64]).DataPoints {
					code, _ := p.Attributes.Value("rpc.response.status_code")
					errType, _ := p.Attributes.Value("error.type")
					got[i.Name+" "+code.String()+" "+errType.AsString()] += p.Count
				}
			}
		}
		return len(got) == 4
	}, 5*time.Second, time.Millisecond)
	require.Equal(t, map[string]uint64{
		"rpc.server.call.duration OK ": 3, "rpc.server.call.duration UNAVAILABLE UNAVAILABLE": 1,
		"rpc.client.call.duration OK ": 3, "rpc.client.call.duration UNAVAILABLE UNAVAILABLE": 1,
	}, got)
}

func TestNothingIsNeeded(t *testing.T) {
	s, err := NewServer(Options{})
	require.NoError(t, err)
	_, err = NewClient(Options{Propagator: propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{})})
	require.NoError(t, err)
	_, err = s.Unary(context.Background(), nil, &grpc.UnaryServerInfo{FullMethod: "/synapse.query.v1.QueryService/GetEvent"},
		func(context.Context, any) (any, error) { return nil, nil })
	require.NoError(t, err)
}

func TestCodes(t *testing.T) {
	for c, want := range map[codes.Code]string{
		codes.OK: "OK", codes.Canceled: "CANCELLED", codes.InvalidArgument: "INVALID_ARGUMENT", codes.DeadlineExceeded: "DEADLINE_EXCEEDED",
		codes.Unauthenticated: "UNAUTHENTICATED", codes.DataLoss: "DATA_LOSS", codes.Aborted: "ABORTED", codes.OutOfRange: "OUT_OF_RANGE",
	} {
		require.Equal(t, want, codeText(c))
	}
	require.Equal(t, codes.OK, codeOf(nil))
	require.Equal(t, codes.Unknown, codeOf(errors.New("x")))
	require.Equal(t, codes.Canceled, codeOf(context.Canceled))
	require.Equal(t, codes.DeadlineExceeded, codeOf(fmt.Errorf("x: %w", context.DeadlineExceeded)))
	require.Equal(t, codes.NotFound, codeOf(fmt.Errorf("x: %w", errs.MissingThing("x"))))
	require.Equal(t, codes.Aborted, codeOf(status.Error(codes.Aborted, "x")))
	require.Equal(t, codes.Unknown, codeOf(status.Error(codes.Code(99), "x")))
	require.True(t, isServerError(codes.DataLoss))
	require.False(t, isServerError(codes.NotFound))
}

func TestCarriers(t *testing.T) {
	var o outgoing
	o.Set("a", "1")
	require.Equal(t, "1", o.Get("a"))
	require.Empty(t, o.Get("b"))
	require.Equal(t, []string{"a"}, o.Keys())
	in := incoming{context.Background()}
	in.Set("a", "1")
	require.Empty(t, in.Keys())
	require.Empty(t, in.Get("a"))
}
