package grpctelemetry

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
)

// Client makes the spans and metrics of a client's calls, and hands the trace
// on. A call that is retried is one call.
type Client struct{ t *telemetry }

// NewClient returns a client's telemetry for all contracts that are linked in.
func NewClient(o Options) (*Client, error) {
	t, err := newTelemetry(o, trace.SpanKindClient, "rpc.client.call.duration",
		"Measures the duration of an outgoing Remote Procedure Call (RPC).",
		func(c codes.Code) bool { return c != codes.OK })
	return &Client{t}, err
}

// Unary is a grpc.UnaryClientInterceptor.
func (c *Client) Unary(ctx context.Context, name string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	m := c.t.methods[name]
	if m == nil {
		return invoke(ctx, name, req, reply, cc, opts...)
	}
	begin := time.Now()
	ctx, span := c.start(ctx, m)
	err := invoke(ctx, name, req, reply, cc, opts...)
	c.t.finish(ctx, m, span, begin, err)
	return err
}

// Stream is a grpc.StreamClientInterceptor. The span of a stream ends when it has
// been read to its end or its context has ended, which is also when gRPC lets go
// of it.
func (c *Client) Stream(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, name string, streamer grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	m := c.t.methods[name]
	if m == nil {
		return streamer(ctx, desc, cc, name, opts...)
	}
	begin := time.Now()
	ctx, span := c.start(ctx, m)
	var once sync.Once
	finish := func(err error) { once.Do(func() { c.t.finish(ctx, m, span, begin, err) }) }
	cs, err := streamer(ctx, desc, cc, name, opts...)
	if err != nil {
		finish(err)
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { finish(context.Cause(ctx)) })
	return &clientStream{ClientStream: cs, oneAnswer: !desc.ServerStreams, finish: func(err error) { stop(); finish(err) }}, nil
}

type clientStream struct {
	grpc.ClientStream
	oneAnswer bool
	finish    func(error)
}

// RecvMsg implements grpc.ClientStream.
func (s *clientStream) RecvMsg(m any) error {
	err := s.ClientStream.RecvMsg(m)
	switch {
	case errors.Is(err, io.EOF):
		s.finish(nil)
	case err != nil:
		s.finish(err)
	case s.oneAnswer:
		s.finish(nil)
	}
	return err
}

func (c *Client) start(ctx context.Context, m *method) (context.Context, trace.Span) {
	ctx, span := c.t.tracer.Start(ctx, m.name, m.start...)
	var out outgoing
	c.t.propagator.Inject(ctx, &out)
	if len(out.kv) > 0 {
		ctx = metadata.AppendToOutgoingContext(ctx, out.kv...)
	}
	return ctx, span
}

// outgoing collects what a propagator sends.
type outgoing struct{ kv []string }

var _ propagation.TextMapCarrier = (*outgoing)(nil)

// Get implements propagation.TextMapCarrier.
func (o *outgoing) Get(key string) string {
	for i := 0; i < len(o.kv); i += 2 {
		if o.kv[i] == key {
			return o.kv[i+1]
		}
	}
	return ""
}

// Set implements propagation.TextMapCarrier.
func (o *outgoing) Set(key, value string) { o.kv = append(o.kv, key, value) }

// Keys implements propagation.TextMapCarrier.
func (o *outgoing) Keys() []string {
	keys := make([]string, 0, len(o.kv)/2)
	for i := 0; i < len(o.kv); i += 2 {
		keys = append(keys, o.kv[i])
	}
	return keys
}
