package grpcserver_test

import (
	"context"
	"crypto/sha256"
	"log/slog"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	"go.opentelemetry.io/otel/propagation"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/test/bufconn"

	authv1 "github.com/synapse-analytics/synapse/gen/go/synapse/auth/v1"
	queryv1 "github.com/synapse-analytics/synapse/gen/go/synapse/query/v1"
	typev1 "github.com/synapse-analytics/synapse/gen/go/synapse/type/v1"
	"github.com/synapse-analytics/synapse/internal/authn"
	"github.com/synapse-analytics/synapse/internal/grpcclient"
	"github.com/synapse-analytics/synapse/internal/grpcserver"
)

// oneKey answers about one key, as the auth service does.
type oneKey struct {
	hash [sha256.Size]byte
	resp *authv1.IntrospectApiKeyResponse
}

func (o *oneKey) IntrospectApiKey(context.Context, *authv1.IntrospectApiKeyRequest, ...grpc.CallOption) (*authv1.IntrospectApiKeyResponse, error) {
	return o.resp, nil
}

func (o *oneKey) GetJwks(context.Context, *authv1.GetJwksRequest, ...grpc.CallOption) (*authv1.Jwks, error) {
	return &authv1.Jwks{}, nil
}

func noop(context.Context, *queryv1.GetEventRequest) (*typev1.Event, error) {
	return &typev1.Event{}, nil
}

// BenchmarkUnary measures a unary call that does nothing, in memory: plain gRPC,
// and through the whole chain with a real verifier whose answer is cached.
func BenchmarkUnary(b *testing.B) {
	key, secret, err := authn.GenerateKey()
	require.NoError(b, err)
	v := authn.NewVerifier(authn.VerifierConfig{}, &oneKey{hash: key.Hash(), resp: &authv1.IntrospectApiKeyResponse{
		KeyId: key.ID, ProjectId: "demo", Scopes: []typev1.Access_Scope{typev1.Access_READ},
	}}, slog.New(slog.DiscardHandler))
	ctx := metadata.AppendToOutgoingContext(context.Background(), "authorization", "Bearer "+secret)

	tp := sdktrace.NewTracerProvider(sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.TraceIDRatioBased(0))))
	mp := sdkmetric.NewMeterProvider(sdkmetric.WithReader(sdkmetric.NewManualReader()))
	for _, c := range []struct {
		name   string
		server []grpc.ServerOption
		client []grpc.DialOption
	}{
		{name: "plain"},
		// for comparison with package grpctelemetry
		{
			"plain_otelgrpc_unsampled",
			[]grpc.ServerOption{grpc.StatsHandler(otelgrpc.NewServerHandler(otelgrpc.WithTracerProvider(tp), otelgrpc.WithMeterProvider(mp), otelgrpc.WithPropagators(propagation.TraceContext{})))},
			[]grpc.DialOption{grpc.WithStatsHandler(otelgrpc.NewClientHandler(otelgrpc.WithTracerProvider(tp), otelgrpc.WithMeterProvider(mp), otelgrpc.WithPropagators(propagation.TraceContext{})))},
		},
	} {
		b.Run(c.name, func(b *testing.B) {
			lis := bufconn.Listen(1 << 20)
			g := grpc.NewServer(c.server...)
			queryv1.RegisterQueryServiceServer(g, &services{getEvent: noop})
			go func() { _ = g.Serve(lis) }()
			defer g.Stop()
			conn, err := grpc.NewClient("passthrough:///x", append(c.client, grpc.WithTransportCredentials(insecure.NewCredentials()),
				grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return lis.DialContext(ctx) }))...)
			require.NoError(b, err)
			defer conn.Close()
			call(b, ctx, conn)
		})
	}
	for _, c := range []struct {
		name      string
		telemetry bool
		sampled   float64
	}{{name: "chain"}, {"chain_telemetry_unsampled", true, 0}, {"chain_telemetry_1pct", true, 0.01}} {
		b.Run(c.name, func(b *testing.B) {
			var co grpcclient.Options
			f := start(b, func(o *grpcserver.Options) {
				o.Verifier = v
				o.Logger = slog.New(slog.NewJSONHandler(discard{}, nil)) // level info, as in production
				if c.telemetry {
					tp := sdktrace.NewTracerProvider(sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.TraceIDRatioBased(c.sampled))))
					mp := sdkmetric.NewMeterProvider(sdkmetric.WithReader(sdkmetric.NewManualReader()))
					o.TracerProvider, o.MeterProvider = tp, mp
					co.TracerProvider, co.MeterProvider = tp, mp
				}
			})
			f.getEvent = noop
			conn, err := grpcclient.InProcess(f.lis, co)
			require.NoError(b, err)
			defer conn.Close()
			call(b, ctx, conn)
		})
	}
}

func call(b *testing.B, ctx context.Context, conn *grpc.ClientConn) {
	client := queryv1.NewQueryServiceClient(conn)
	req := &queryv1.GetEventRequest{Name: "projects/demo/events/abc"}
	_, err := client.GetEvent(ctx, req)
	require.NoError(b, err)
	b.ReportAllocs()
	b.ResetTimer()
	before := cpuTime(b)
	for b.Loop() {
		if _, err := client.GetEvent(ctx, req); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(cpuTime(b)-before)/float64(b.N), "cpu-ns/op")
}

// cpuTime is what the process has used of all cores: on a shared machine it
// tells more than the time that passed.
func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }
