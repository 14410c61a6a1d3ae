package gateway

import (
	"context"
	"net"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/test/bufconn"

	ingestv1 "github.com/synapse-analytics/synapse/gen/go/synapse/ingest/v1"
	"github.com/synapse-analytics/synapse/internal/grpcclient"
)

type nothing struct {
	ingestv1.UnimplementedIngestServiceServer
}

func (nothing) IngestEvents(_ context.Context, r *ingestv1.IngestEventsRequest) (*ingestv1.IngestEventsResponse, error) {
	return &ingestv1.IngestEventsResponse{Accepted: int32(len(r.GetEvents()))}, nil
}

// benchEdge is a gateway on a socket before a server that does nothing, with
// the telemetry of production.
func benchEdge(b *testing.B, merge, generated bool) string {
	b.Helper()
	lis := bufconn.Listen(1 << 20)
	srv := grpc.NewServer()
	ingestv1.RegisterIngestServiceServer(srv, nothing{})
	done := make(chan struct{})
	go func() { defer close(done); _ = srv.Serve(lis) }()
	tp := sdktrace.NewTracerProvider(sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.NeverSample())))
	mp := sdkmetric.NewMeterProvider(sdkmetric.WithReader(sdkmetric.NewManualReader()))
	conn, err := grpcclient.InProcess(lis, grpcclient.Options{TracerProvider: tp, MeterProvider: metricnoop.NewMeterProvider()})
	require.NoError(b, err)
	cfg := DefaultConfig()
	cfg.MergeCalls = merge
	g, err := New(Deps{Config: cfg, Auth: conn, Ingest: conn, Scoring: conn, Query: conn, TracerProvider: tp, MeterProvider: mp})
	require.NoError(b, err)
	if generated { // what grpc-gateway alone would do
		g.ingestRoute.serve = g.unary
	}
	sock, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(b, err)
	require.NoError(b, g.Start(context.Background(), sock))
	b.Cleanup(func() {
		_ = g.Stop(context.Background())
		_ = conn.Close()
		srv.Stop()
		<-done
	})
	return sock.Addr().String()
}

// BenchmarkIngestRoute measures single and packed REST calls from 64 callers,
// the callers included. The callers write raw HTTP, as a load generator does.
func BenchmarkIngestRoute(b *testing.B) {
	event := `{"id":"01997a3e-7a4c-7c3e-9b1d-000000000000","text":"@airline my flight was delayed again for three hours, and nobody at the desk could say why.","source":"tweet"}`
	for _, bb := range []struct {
		name             string
		events           int
		merge, generated bool
	}{
		{"single/merged", 1, true, false}, {"single/alone", 1, false, false}, {"single/grpc-gateway", 1, false, true},
		{"hundred/own", 100, false, false}, {"hundred/grpc-gateway", 100, false, true},
	} {
		b.Run(bb.name, func(b *testing.B) {
			addr := benchEdge(b, bb.merge, bb.generated)
			body := `{"events":[` + strings.TrimSuffix(strings.Repeat(event+",", bb.events), ",") + `]}`
			body = uniqueIDs(body)
			req := "POST /v1/projects/-/events:ingest HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer good\r\nContent-Type: application/json\r\nContent-Length: " +
				itoa(len(body)) + "\r\n\r\n" + body
			b.SetParallelism(32)
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) { caller(b, addr, req, pb) })
			b.ReportMetric(float64(b.N*bb.events)/b.Elapsed().Seconds(), "events/s")
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "req/s")
		})
	}
}

func BenchmarkStatic(b *testing.B) {
	addr := benchEdge(b, false, false)
	req := "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) { caller(b, addr, req, pb) })
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "req/s")
}
