package grpcproxy

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"

	"github.com/stretchr/testify/require"
	ingestv1 "github.com/synapse-analytics/synapse/gen/go/synapse/ingest/v1"
	queryv1 "github.com/synapse-analytics/synapse/gen/go/synapse/query/v1"
	typev1 "github.com/synapse-analytics/synapse/gen/go/synapse/type/v1"
	"github.com/synapse-analytics/synapse/internal/errs"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	tracenoop "go.opentelemetry.io/otel/trace/noop"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// query answers with the credential that reached it.
type queryServer struct {
	queryv1.UnimplementedQueryServiceServer
}

func (queryServer) GetEvent(ctx context.Context, req *queryv1.GetEventRequest) (*typev1.Event, error) {
	if req.GetName() == "missing" {
		return nil, errs.MissingThing("no event of that name")
	}
	md, _ := metadata.FromIncomingContext(ctx)
	_ = grpc.SetHeader(ctx, metadata.Pairs("ratelimit", "x"))
	return &typev1.Event{Name: req.GetName(), Text: md.Get("authorization")[0], UserId: first(md.Get("x-spoofed"))}, nil
}

func first(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return list[0]
}

func (queryServer) TailEvents(req *queryv1.TailEventsRequest, st grpc.ServerStreamingServer[queryv1.TailEventsResponse]) error {
	for range 3 {
		if err := st.Send(&queryv1.TailEventsResponse{Cursor: req.GetCursor()}); err != nil {
			return err
		}
	}
	if req.GetFilter() == "hang" {
		<-st.Context().Done()
	}
	return nil
}

func start(t *testing.T, serve func(net.Listener) error, stop func()) *grpc.ClientConn {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() { done <- serve(lis) }()
	conn, err := grpc.NewClient(lis.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, conn.Close())
		stop()
		require.NoError(t, <-done)
	})
	return conn
}

func proxied(t *testing.T) queryv1.QueryServiceClient {
	backend := grpc.NewServer()
	queryv1.RegisterQueryServiceServer(backend, queryServer{})
	toBackend := start(t, backend.Serve, backend.Stop)
	p, err := New(Options{
		Backends: map[string]grpc.ClientConnInterface{"synapse.query.v1.QueryService": toBackend}, Reflection: true,
		TracerProvider: tracenoop.NewTracerProvider(), MeterProvider: metricnoop.NewMeterProvider(),
	})
	require.NoError(t, err)
	require.Contains(t, p.GetServiceInfo(), "synapse.query.v1.QueryService")
	conn := start(t, p.Serve, func() { p.Stop(context.Background()) })
	_, err = typeOnly(conn)
	require.Equal(t, codes.Unimplemented, status.Code(err))
	return queryv1.NewQueryServiceClient(conn)
}

func typeOnly(conn *grpc.ClientConn) (any, error) {
	return nil, conn.Invoke(context.Background(), "/no.such.Service/Call", &typev1.Event{}, &typev1.Event{})
}

func TestUnary(t *testing.T) {
	q := proxied(t)
	ctx := metadata.AppendToOutgoingContext(context.Background(), "authorization", "Bearer k", "x-spoofed", "admin")
	var head metadata.MD
	ev, err := q.GetEvent(ctx, &queryv1.GetEventRequest{Name: "n"}, grpc.Header(&head))
	require.NoError(t, err)
	require.Equal(t, "n", ev.GetName())
	require.Equal(t, "Bearer k", ev.GetText(), "the credential is passed on")
	require.Empty(t, ev.GetUserId(), "other metadata is not")
	require.Equal(t, []string{"x"}, head.Get("ratelimit"))
}

func TestStatusKeepsItsDetails(t *testing.T) {
	q := proxied(t)
	_, err := q.GetEvent(metadata.AppendToOutgoingContext(context.Background(), "authorization", "k"), &queryv1.GetEventRequest{Name: "missing"})
	require.Equal(t, codes.NotFound, status.Code(err))
	require.NotEmpty(t, status.Convert(err).Details())
}

func TestStream(t *testing.T) {
	q := proxied(t)
	st, err := q.TailEvents(context.Background(), &queryv1.TailEventsRequest{Cursor: "c"})
	require.NoError(t, err)
	n := 0
	for {
		m, err := st.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		require.Equal(t, "c", m.GetCursor())
		n++
	}
	require.Equal(t, 3, n)
}

func TestCallerThatLeavesEndsTheCall(t *testing.T) {
	q := proxied(t)
	ctx, cancel := context.WithCancel(context.Background())
	st, err := q.TailEvents(ctx, &queryv1.TailEventsRequest{Filter: "hang"})
	require.NoError(t, err)
	_, err = st.Recv()
	require.NoError(t, err)
	cancel()
	for err == nil {
		_, err = st.Recv()
	}
	require.Equal(t, codes.Canceled, status.Code(err))
}

// TestRefusalOfAnOpenStream: the role refuses while the caller has not finished
// sending; the caller must hear of it at once.
func TestRefusalOfAnOpenStream(t *testing.T) {
	backend := grpc.NewServer(grpc.UnknownServiceHandler(func(any, grpc.ServerStream) error {
		return errs.MissingThing("refused at once")
	}))
	toBackend := start(t, backend.Serve, backend.Stop)
	p, err := New(Options{
		Backends:       map[string]grpc.ClientConnInterface{"synapse.ingest.v1.IngestService": toBackend},
		TracerProvider: tracenoop.NewTracerProvider(), MeterProvider: metricnoop.NewMeterProvider(),
	})
	require.NoError(t, err)
	conn := start(t, p.Serve, func() { p.Stop(context.Background()) })
	st, err := ingestv1.NewIngestServiceClient(conn).StreamEvents(t.Context())
	require.NoError(t, err)
	_, err = st.Recv()
	require.Equal(t, codes.NotFound, status.Code(err))
}
