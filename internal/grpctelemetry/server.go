package grpctelemetry

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"

	"github.com/synapse-analytics/synapse/internal/errs"
)

// Server makes the spans and metrics of a server's calls.
type Server struct{ t *telemetry }

// NewServer returns a server's telemetry for all contracts that are linked in.
func NewServer(o Options) (*Server, error) {
	t, err := newTelemetry(o, trace.SpanKindServer, "rpc.server.call.duration",
		"Measures the duration of an incoming Remote Procedure Call (RPC).", isServerError)
	return &Server{t}, err
}

// isServerError says whether a code is the server's fault, as the conventions
// count it.
func isServerError(c codes.Code) bool {
	switch c {
	case codes.Unknown, codes.DeadlineExceeded, codes.Unimplemented, codes.Internal, codes.Unavailable, codes.DataLoss:
		return true
	default:
		return false
	}
}

var errPanic = errs.Fault(errors.New("panic"))

// Unary is a grpc.UnaryServerInterceptor.
func (s *Server) Unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (resp any, err error) {
	m := s.t.methods[info.FullMethod]
	if m == nil {
		return handler(ctx, req)
	}
	begin := time.Now()
	ctx, span := s.start(ctx, m)
	err = errPanic // unless the handler returns
	defer func() { s.t.finish(ctx, m, span, begin, err) }()
	resp, err = handler(ctx, req)
	return resp, err
}

// Stream is a grpc.StreamServerInterceptor.
func (s *Server) Stream(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) (err error) {
	m := s.t.methods[info.FullMethod]
	if m == nil {
		return handler(srv, ss)
	}
	begin := time.Now()
	ctx, span := s.start(ss.Context(), m)
	err = errPanic
	defer func() { s.t.finish(ctx, m, span, begin, err) }()
	err = handler(srv, &serverStream{ServerStream: ss, ctx: ctx})
	return err
}

func (s *Server) start(ctx context.Context, m *method) (context.Context, trace.Span) {
	ctx = s.t.propagator.Extract(ctx, incoming{ctx})
	return s.t.tracer.Start(ctx, m.name, m.start...)
}

type serverStream struct {
	grpc.ServerStream
	ctx context.Context //nolint:containedctx // a stream's wrapper
}

func (s *serverStream) Context() context.Context { return s.ctx }

// incoming reads the metadata of an incoming call.
type incoming struct{ ctx context.Context } //nolint:containedctx // lives for one Extract

var _ propagation.TextMapCarrier = incoming{}

// Get implements propagation.TextMapCarrier.
func (c incoming) Get(key string) string {
	if v := metadata.ValueFromIncomingContext(c.ctx, key); len(v) > 0 {
		return v[0]
	}
	return ""
}

// Set implements propagation.TextMapCarrier; a server sends no trace back.
func (incoming) Set(string, string) {}

// Keys implements propagation.TextMapCarrier.
func (c incoming) Keys() []string {
	md, _ := metadata.FromIncomingContext(c.ctx)
	keys := make([]string, 0, len(md))
	for k := range md {
		keys = append(keys, k)
	}
	return keys
}
