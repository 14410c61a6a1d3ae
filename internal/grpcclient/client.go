// Package grpcclient makes the connections between the roles, with the same
// bounds, retries and telemetry over the network and in one process.
package grpcclient

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"
	"google.golang.org/grpc/test/bufconn"

	"github.com/synapse-analytics/synapse/internal/grpctelemetry"
)

// Defaults and bounds of every connection.
const (
	// DefaultDeadline of a unary call whose context has none.
	DefaultDeadline = 30 * time.Second
	// DefaultMaxMessageBytes bounds one message, in both directions.
	DefaultMaxMessageBytes = 8 << 20
	// KeepaliveTime is how long a connection may be silent before the peer is
	// asked for a sign of life. A server must allow it: grpcserver's
	// KeepaliveMinTime is shorter.
	KeepaliveTime = 10 * time.Second
	// KeepaliveTimeout is how long the peer may take for that sign. A peer that
	// is stuck is left after KeepaliveTime + KeepaliveTimeout.
	KeepaliveTimeout = 5 * time.Second

	maxHeaderBytes    = 32 << 10
	minConnectTimeout = 5 * time.Second
	maxBackoff        = 5 * time.Second
)

// Options of a connection; the zero value is right for calls in one process and
// over a trusted network.
type Options struct {
	// TLS secures the connection; nil is plain text. Ignored by InProcess.
	TLS *tls.Config
	// TracerProvider and MeterProvider take spans and metrics of calls; nil is
	// none.
	TracerProvider trace.TracerProvider
	MeterProvider  metric.MeterProvider
	// Propagator carries the trace over the connection; nil is W3C trace context.
	Propagator propagation.TextMapPropagator
	// DefaultDeadline of a unary call whose context has none; 0 is the package's,
	// negative none.
	DefaultDeadline time.Duration
	// MaxMessageBytes bounds one message; 0 is the package's default.
	MaxMessageBytes int
	// UserAgent names the program, for example "synapse/1.2.0".
	UserAgent string
	// NoRetry turns the repetition of failed reads off.
	NoRetry bool
	// Unary and Stream interceptors run inside those of this package, the first
	// one outermost.
	Unary  []grpc.UnaryClientInterceptor
	Stream []grpc.StreamClientInterceptor
}

// Dial returns a connection to the target, for example
// "dns:///synapse-query:9090" or "10.0.0.1:9090,10.0.0.2:9090". It does not wait
// for the peer: calls fail with UNAVAILABLE while it is away. Calls are spread over
// all addresses of the name or list that answer. The caller closes the connection.
func Dial(target string, o Options) (*grpc.ClientConn, error) {
	if target == "" {
		return nil, errors.New("grpcclient: no target; give host:port")
	}
	creds := insecure.NewCredentials()
	if o.TLS != nil {
		creds = credentials.NewTLS(o.TLS)
	}
	opts, err := o.dialOptions()
	if err != nil {
		return nil, err
	}
	opts = append(opts,
		grpc.WithTransportCredentials(creds),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{
			Time: KeepaliveTime, Timeout: KeepaliveTimeout, PermitWithoutStream: true,
		}),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: maxBackoff},
			MinConnectTimeout: minConnectTimeout,
		}),
	)
	name := target
	if strings.Contains(target, ",") {
		list, err := listed(target)
		if err != nil {
			return nil, err
		}
		opts = append(opts, grpc.WithResolvers(list))
		name = list.Scheme() + ":///" + target
	}
	conn, err := grpc.NewClient(name, opts...)
	if err != nil {
		return nil, fmt.Errorf("grpcclient: %s: %w", target, err)
	}
	return conn, nil
}

// listed resolves a list of host:port to just these.
func listed(target string) (*manual.Resolver, error) {
	var state resolver.State
	for addr := range strings.SplitSeq(target, ",") {
		addr = strings.TrimSpace(addr)
		host, _, err := net.SplitHostPort(addr)
		if err != nil {
			return nil, fmt.Errorf("grpcclient: %s: each of a list must be host:port: %w", target, err)
		}
		state.Endpoints = append(state.Endpoints, resolver.Endpoint{Addresses: []resolver.Address{{Addr: addr, ServerName: host}}})
	}
	r := manual.NewBuilderWithScheme("list")
	r.InitialState(state)
	return r, nil
}

// InProcess returns a connection to a server in this process that serves on the
// listener: real gRPC with every interceptor, without a socket. The caller
// closes the connection.
func InProcess(lis *bufconn.Listener, o Options) (*grpc.ClientConn, error) {
	opts, err := o.dialOptions()
	if err != nil {
		return nil, err
	}
	opts = append(opts,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return lis.DialContext(ctx) }),
		// there is no network to be careful with: fewer flow control updates
		grpc.WithInitialWindowSize(inProcessWindow), grpc.WithInitialConnWindowSize(inProcessWindow),
	)
	conn, err := grpc.NewClient("passthrough:///in-process", opts...)
	if err != nil {
		return nil, fmt.Errorf("grpcclient: in process: %w", err)
	}
	return conn, nil
}

const inProcessWindow = 1 << 20

func (o Options) dialOptions() ([]grpc.DialOption, error) {
	size := o.MaxMessageBytes
	if size <= 0 {
		size = DefaultMaxMessageBytes
	}
	deadline := o.DefaultDeadline
	if deadline == 0 {
		deadline = DefaultDeadline
	}
	var (
		unary  []grpc.UnaryClientInterceptor
		stream []grpc.StreamClientInterceptor
	)
	if deadline > 0 {
		unary = append(unary, withDeadline(deadline))
	}
	if o.TracerProvider != nil || o.MeterProvider != nil {
		t, err := grpctelemetry.NewClient(grpctelemetry.Options{
			TracerProvider: o.TracerProvider, MeterProvider: o.MeterProvider, Propagator: o.Propagator,
		})
		if err != nil {
			return nil, fmt.Errorf("grpcclient: %w", err)
		}
		unary, stream = append(unary, t.Unary), append(stream, t.Stream)
	}
	opts := []grpc.DialOption{
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(size), grpc.MaxCallSendMsgSize(size)),
		grpc.WithMaxHeaderListSize(maxHeaderBytes),
		grpc.WithDefaultServiceConfig(serviceConfig(!o.NoRetry)),
		grpc.WithDisableServiceConfig(), // DNS has no say in retries
		grpc.WithChainUnaryInterceptor(append(unary, o.Unary...)...),
		grpc.WithChainStreamInterceptor(append(stream, o.Stream...)...),
		// idle connections are kept: the first call after a quiet night is not slow
		grpc.WithIdleTimeout(0),
	}
	if o.UserAgent != "" {
		opts = append(opts, grpc.WithUserAgent(o.UserAgent))
	}
	return opts, nil
}

func withDeadline(d time.Duration) grpc.UnaryClientInterceptor {
	return func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
		if _, ok := ctx.Deadline(); !ok {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, d)
			defer cancel()
		}
		return invoke(ctx, method, req, reply, cc, opts...)
	}
}
