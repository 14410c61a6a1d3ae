package grpcclient_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	queryv1 "github.com/synapse-analytics/synapse/gen/go/synapse/query/v1"
	scoringv1 "github.com/synapse-analytics/synapse/gen/go/synapse/scoring/v1"
	typev1 "github.com/synapse-analytics/synapse/gen/go/synapse/type/v1"
	"github.com/synapse-analytics/synapse/internal/authn"
	"github.com/synapse-analytics/synapse/internal/errs"
	"github.com/synapse-analytics/synapse/internal/grpcclient"
	"github.com/synapse-analytics/synapse/internal/grpcserver"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// reader verifies every credential as one reader.
type reader struct{}

func (reader) Verify(_ context.Context, credential string) (*authn.Principal, error) {
	if credential != "good" {
		return nil, errs.Unauthenticated(errs.CredentialUnknown, "no such key", "check it")
	}
	return &authn.Principal{Kind: authn.KindAPIKey, ID: "k", Projects: map[string][]typev1.Access_Scope{
		"demo": {typev1.Access_READ, typev1.Access_SCORE, typev1.Access_INGEST},
	}}, nil
}

type query struct {
	queryv1.UnimplementedQueryServiceServer
	calls atomic.Int64
	get   func(ctx context.Context, call int64) (*typev1.Event, error)
}

func (q *query) GetEvent(ctx context.Context, _ *queryv1.GetEventRequest) (*typev1.Event, error) {
	return q.get(ctx, q.calls.Add(1))
}

func (q *query) TailEvents(_ *queryv1.TailEventsRequest, ss grpc.ServerStreamingServer[queryv1.TailEventsResponse]) error {
	q.calls.Add(1)
	return errs.Down("away", 0, nil)
}

type scoring struct {
	scoringv1.UnimplementedScoringServiceServer
	client queryv1.QueryServiceClient
}

// ScoreText calls the next role with the caller's credential.
func (s *scoring) ScoreText(ctx context.Context, _ *scoringv1.ScoreTextRequest) (*scoringv1.ScoredText, error) {
	e, err := s.client.GetEvent(grpcclient.WithForwardedCredential(ctx), &queryv1.GetEventRequest{Name: event})
	return &scoringv1.ScoredText{Language: e.GetId()}, err
}

const event = "projects/demo/events/a"

func serve(t testing.TB, lis net.Listener, o grpcserver.Options, register func(grpc.ServiceRegistrar)) {
	t.Helper()
	o.Verifier = reader{}
	s, err := grpcserver.New(o)
	require.NoError(t, err)
	register(s)
	var wg sync.WaitGroup
	wg.Go(func() { _ = s.Serve(lis) })
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = s.Stop(ctx)
		wg.Wait()
	})
}

func inProcess(t testing.TB, lis *bufconn.Listener, o grpcclient.Options) *grpc.ClientConn {
	t.Helper()
	conn, err := grpcclient.InProcess(lis, o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, conn.Close()) })
	return conn
}

func good() context.Context { return grpcclient.WithCredential(context.Background(), "good") }

func TestReadsAreRetried(t *testing.T) {
	q := &query{get: func(_ context.Context, call int64) (*typev1.Event, error) {
		if call < 3 {
			return nil, errs.Down("away", 0, nil)
		}
		return &typev1.Event{Id: "a"}, nil
	}}
	lis := bufconn.Listen(1 << 16)
	serve(t, lis, grpcserver.Options{}, func(r grpc.ServiceRegistrar) { queryv1.RegisterQueryServiceServer(r, q) })
	client := queryv1.NewQueryServiceClient(inProcess(t, lis, grpcclient.Options{}))
	_, err := client.GetEvent(good(), &queryv1.GetEventRequest{Name: event})
	require.NoError(t, err)
	require.EqualValues(t, 3, q.calls.Load())
}

func TestWhatIsNotRetried(t *testing.T) {
	answer := errs.Exhausted(errs.RateLimited, "too fast", "wait", time.Second, nil)
	q := &query{get: func(context.Context, int64) (*typev1.Event, error) { return nil, answer }}
	lis := bufconn.Listen(1 << 16)
	serve(t, lis, grpcserver.Options{}, func(r grpc.ServiceRegistrar) { queryv1.RegisterQueryServiceServer(r, q) })
	client := queryv1.NewQueryServiceClient(inProcess(t, lis, grpcclient.Options{}))
	_, err := client.GetEvent(good(), &queryv1.GetEventRequest{Name: event})
	require.Equal(t, errs.RateLimited, errs.ReasonOf(err))
	require.EqualValues(t, 1, q.calls.Load(), "RESOURCE_EXHAUSTED waits for its RetryInfo")

	ss, err := client.TailEvents(good(), &queryv1.TailEventsRequest{Parent: "projects/demo"})
	require.NoError(t, err)
	_, err = ss.Recv()
	require.Equal(t, errs.Unavailable, errs.ReasonOf(err))
	require.EqualValues(t, 2, q.calls.Load(), "a stream is the caller's to resume")

	answer = errs.Down("away", 0, nil)
	client = queryv1.NewQueryServiceClient(inProcess(t, lis, grpcclient.Options{NoRetry: true}))
	_, err = client.GetEvent(good(), &queryv1.GetEventRequest{Name: event})
	require.Equal(t, errs.Unavailable, errs.ReasonOf(err))
	require.EqualValues(t, 3, q.calls.Load())
}

// When most calls fail, retries stop by themselves.
func TestRetriesAreThrottled(t *testing.T) {
	q := &query{get: func(context.Context, int64) (*typev1.Event, error) { return nil, errs.Down("away", 0, nil) }}
	lis := bufconn.Listen(1 << 16)
	serve(t, lis, grpcserver.Options{}, func(r grpc.ServiceRegistrar) { queryv1.RegisterQueryServiceServer(r, q) })
	client := queryv1.NewQueryServiceClient(inProcess(t, lis, grpcclient.Options{}))
	const calls = 50
	for range calls {
		_, err := client.GetEvent(good(), &queryv1.GetEventRequest{Name: event})
		require.Error(t, err)
	}
	require.Less(t, q.calls.Load(), int64(calls+calls/4))
}

func TestDefaultDeadline(t *testing.T) {
	var left time.Duration
	q := &query{get: func(ctx context.Context, _ int64) (*typev1.Event, error) {
		d, _ := ctx.Deadline()
		left = time.Until(d)
		return &typev1.Event{}, nil
	}}
	lis := bufconn.Listen(1 << 16)
	serve(t, lis, grpcserver.Options{DefaultDeadline: time.Hour}, func(r grpc.ServiceRegistrar) { queryv1.RegisterQueryServiceServer(r, q) })
	get := func(ctx context.Context, o grpcclient.Options) time.Duration {
		_, err := queryv1.NewQueryServiceClient(inProcess(t, lis, o)).GetEvent(ctx, &queryv1.GetEventRequest{Name: event})
		require.NoError(t, err)
		return left
	}
	require.InDelta(t, 30, get(good(), grpcclient.Options{}).Seconds(), 5)
	require.InDelta(t, 600, get(good(), grpcclient.Options{DefaultDeadline: 10 * time.Minute}).Seconds(), 5)
	require.Greater(t, get(good(), grpcclient.Options{DefaultDeadline: -1}), 50*time.Minute, "the server's own")
	ctx, cancel := context.WithTimeout(good(), 5*time.Minute)
	defer cancel()
	require.InDelta(t, 300, get(ctx, grpcclient.Options{}).Seconds(), 5)
}

// The next role sees the first caller's credential and the same trace, and
// nothing else that the caller sent.
func TestForwarding(t *testing.T) {
	spans := tracetest.NewSpanRecorder()
	tp := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans))
	var md metadata.MD
	var traceID trace.TraceID
	q := &query{get: func(ctx context.Context, _ int64) (*typev1.Event, error) {
		md, _ = metadata.FromIncomingContext(ctx)
		traceID = trace.SpanContextFromContext(ctx).TraceID()
		return &typev1.Event{Id: "a"}, nil
	}}
	first, second := bufconn.Listen(1<<16), bufconn.Listen(1<<16)
	so, co := grpcserver.Options{TracerProvider: tp}, grpcclient.Options{TracerProvider: tp}
	serve(t, second, so, func(r grpc.ServiceRegistrar) { queryv1.RegisterQueryServiceServer(r, q) })
	s := &scoring{client: queryv1.NewQueryServiceClient(inProcess(t, second, co))}
	serve(t, first, so, func(r grpc.ServiceRegistrar) { scoringv1.RegisterScoringServiceServer(r, s) })
	client := scoringv1.NewScoringServiceClient(inProcess(t, first, co))

	ctx, root := tp.Tracer("test").Start(metadata.AppendToOutgoingContext(good(), "x-project", "other"), "root")
	got, err := client.ScoreText(ctx, &scoringv1.ScoreTextRequest{Text: "x"})
	require.NoError(t, err)
	require.Equal(t, "a", got.GetLanguage())
	require.Equal(t, []string{"Bearer good"}, md.Get("authorization"))
	require.Empty(t, md.Get("x-project"))
	require.Equal(t, root.SpanContext().TraceID(), traceID)

	ctx = context.Background()
	require.Equal(t, ctx, grpcclient.WithForwardedCredential(ctx), "nothing to forward")
	two := metadata.NewIncomingContext(ctx, metadata.Pairs("authorization", "a", "authorization", "b"))
	require.Equal(t, two, grpcclient.WithForwardedCredential(two))
}

func TestInterceptorsAndUserAgent(t *testing.T) {
	var agent []string
	q := &query{get: func(ctx context.Context, _ int64) (*typev1.Event, error) {
		agent = metadata.ValueFromIncomingContext(ctx, "user-agent")
		return &typev1.Event{}, nil
	}}
	lis := bufconn.Listen(1 << 16)
	serve(t, lis, grpcserver.Options{}, func(r grpc.ServiceRegistrar) { queryv1.RegisterQueryServiceServer(r, q) })
	var seen []string
	conn := inProcess(t, lis, grpcclient.Options{UserAgent: "synapse/1.2.3", Unary: []grpc.UnaryClientInterceptor{
		func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
			_, hasDeadline := ctx.Deadline()
			require.True(t, hasDeadline)
			seen = append(seen, method)
			return invoke(grpcclient.WithCredential(ctx, "good"), method, req, reply, cc, opts...)
		},
	}})
	_, err := queryv1.NewQueryServiceClient(conn).GetEvent(context.Background(), &queryv1.GetEventRequest{Name: event})
	require.NoError(t, err)
	require.Equal(t, []string{"/synapse.query.v1.QueryService/GetEvent"}, seen)
	require.Contains(t, agent[0], "synapse/1.2.3")
}

// Calls go over TLS when asked for, in both directions checked.
func TestTLS(t *testing.T) {
	cert, pool := selfSigned(t)
	q := &query{get: func(context.Context, int64) (*typev1.Event, error) { return &typev1.Event{}, nil }}
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	serve(t, lis, grpcserver.Options{TLS: &tls.Config{
		Certificates: []tls.Certificate{cert}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: tls.VersionTLS13,
	}}, func(r grpc.ServiceRegistrar) { queryv1.RegisterQueryServiceServer(r, q) })
	get := func(c *tls.Config) error {
		conn, err := grpcclient.Dial(lis.Addr().String(), grpcclient.Options{TLS: c, NoRetry: true})
		require.NoError(t, err)
		defer conn.Close()
		ctx, cancel := context.WithTimeout(good(), 10*time.Second)
		defer cancel()
		_, err = queryv1.NewQueryServiceClient(conn).GetEvent(ctx, &queryv1.GetEventRequest{Name: event})
		return err
	}
	require.NoError(t, get(&tls.Config{RootCAs: pool, Certificates: []tls.Certificate{cert}, ServerName: "localhost", MinVersion: tls.VersionTLS13}))
	require.Equal(t, codes.Unavailable, status.Code(get(&tls.Config{RootCAs: pool, ServerName: "localhost", MinVersion: tls.VersionTLS13})), "without a certificate of its own")
	require.Equal(t, codes.Unavailable, status.Code(get(nil)), "in plain text")
}

func selfSigned(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	require.NoError(t, err)
	leaf, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

// TestDialList: calls are spread over a list, and one that ends is left out.
func TestDialList(t *testing.T) {
	var servers [2]*grpc.Server
	var calls [2]*query
	var addrs [2]string
	for i := range servers {
		lis, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		addrs[i] = lis.Addr().String()
		calls[i] = &query{get: func(context.Context, int64) (*typev1.Event, error) { return &typev1.Event{}, nil }}
		servers[i] = grpc.NewServer()
		queryv1.RegisterQueryServiceServer(servers[i], calls[i])
		var wg sync.WaitGroup
		wg.Go(func() { _ = servers[i].Serve(lis) })
		t.Cleanup(func() { servers[i].Stop(); wg.Wait() })
	}
	conn, err := grpcclient.Dial(addrs[0]+", "+addrs[1], grpcclient.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, conn.Close()) })
	client := queryv1.NewQueryServiceClient(conn)
	get := func() {
		_, err := client.GetEvent(t.Context(), &queryv1.GetEventRequest{Name: event}, grpc.WaitForReady(true))
		require.NoError(t, err)
	}
	require.Eventually(t, func() bool { get(); return calls[0].calls.Load() > 0 && calls[1].calls.Load() > 0 }, time.Minute, time.Millisecond)
	servers[0].Stop()
	before := calls[1].calls.Load()
	for range 20 {
		get()
	}
	require.Equal(t, before+20, calls[1].calls.Load())
}

func TestDialRefuses(t *testing.T) {
	_, err := grpcclient.Dial("", grpcclient.Options{})
	require.Error(t, err)
	_, err = grpcclient.Dial("no-such-scheme://\x7f", grpcclient.Options{})
	require.Error(t, err)
	_, err = grpcclient.Dial("a:1,b", grpcclient.Options{})
	require.ErrorContains(t, err, "host:port")
}

// A client may not ask for signs of life more often than a server allows.
func TestKeepaliveFitsTheServer(t *testing.T) {
	require.GreaterOrEqual(t, grpcclient.KeepaliveTime, 2*grpcserver.KeepaliveMinTime)
	require.LessOrEqual(t, grpcclient.KeepaliveTime+grpcclient.KeepaliveTimeout, 15*time.Second, "a stuck peer is left soon")
}
