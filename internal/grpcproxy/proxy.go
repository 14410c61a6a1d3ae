// Package grpcproxy gives callers one gRPC address for roles that run apart: it
// passes each call on, by the name of its service, as the bytes that came. It
// decides nothing: credentials, limits and rules are the role's own.
package grpcproxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/synapse-analytics/synapse/internal/grpctelemetry"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/reflection"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	reflectionv1alpha "google.golang.org/grpc/reflection/grpc_reflection_v1alpha"
	"google.golang.org/grpc/status"
)

// Bounds of one connection and message.
const (
	maxMessageBytes = 8 << 20
	maxStreams      = 100
	maxHeaderBytes  = 32 << 10
)

// forwarded lists the metadata that is passed on to a role.
var forwarded = []string{"authorization", "traceparent", "tracestate", "idempotency-key"}

// Options describe a proxy.
type Options struct {
	// Backends maps the full name of each service to the connection of its role.
	Backends map[string]grpc.ClientConnInterface
	// TracerProvider and MeterProvider are the process's own.
	TracerProvider trace.TracerProvider
	MeterProvider  metric.MeterProvider
	// Reflection says whether callers may list the services.
	Reflection bool
}

// Server is a proxy.
type Server struct {
	grpc     *grpc.Server
	health   *health.Server
	backends map[string]grpc.ClientConnInterface
	readers  sync.WaitGroup
}

// New returns a proxy that does not answer yet.
func New(opts Options) (*Server, error) {
	tel, err := grpctelemetry.NewServer(grpctelemetry.Options{TracerProvider: opts.TracerProvider, MeterProvider: opts.MeterProvider})
	if err != nil {
		return nil, fmt.Errorf("telemetry: %w", err)
	}
	s := &Server{backends: opts.Backends, health: health.NewServer()}
	s.grpc = grpc.NewServer(
		grpc.ForceServerCodecV2(rawCodec{}),
		grpc.UnknownServiceHandler(s.handle),
		grpc.ChainStreamInterceptor(tel.Stream),
		grpc.MaxRecvMsgSize(maxMessageBytes), grpc.MaxSendMsgSize(maxMessageBytes),
		grpc.MaxConcurrentStreams(maxStreams), grpc.MaxHeaderListSize(maxHeaderBytes), grpc.ConnectionTimeout(10*time.Second),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 10 * time.Second, PermitWithoutStream: true}),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: 30 * time.Second, Timeout: 10 * time.Second}),
	)
	healthpb.RegisterHealthServer(s.grpc, s.health)
	if opts.Reflection {
		ro := reflection.ServerOptions{Services: s}
		reflectionv1.RegisterServerReflectionServer(s.grpc, reflection.NewServerV1(ro))
		reflectionv1alpha.RegisterServerReflectionServer(s.grpc, reflection.NewServer(ro))
	}
	return s, nil
}

// GetServiceInfo lists the services for reflection.
func (s *Server) GetServiceInfo() map[string]grpc.ServiceInfo {
	info := s.grpc.GetServiceInfo()
	for name := range s.backends {
		info[name] = grpc.ServiceInfo{}
	}
	return info
}

// Services lists the services that are passed on.
func (s *Server) Services() []string { return slices.Sorted(maps.Keys(s.backends)) }

// SetServing tells gRPC health of a service's state.
func (s *Server) SetServing(service string, ok bool) {
	st := healthpb.HealthCheckResponse_NOT_SERVING
	if ok {
		st = healthpb.HealthCheckResponse_SERVING
	}
	s.health.SetServingStatus(service, st)
}

// Serve answers on lis until Stop.
func (s *Server) Serve(lis net.Listener) error {
	if err := s.grpc.Serve(lis); !errors.Is(err, grpc.ErrServerStopped) {
		return err
	}
	return nil
}

// Stop ends the calls in flight within the context.
func (s *Server) Stop(ctx context.Context) {
	s.health.Shutdown()
	done := make(chan struct{})
	go func() { s.grpc.GracefulStop(); close(done) }()
	select {
	case <-done:
	case <-ctx.Done():
		s.grpc.Stop()
		<-done
	}
	s.readers.Wait()
}

var anyStream = &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}

func (s *Server) handle(_ any, in grpc.ServerStream) error {
	method, ok := grpc.MethodFromServerStream(in)
	if !ok {
		return status.Error(codes.Internal, "the call names no method")
	}
	service, _, _ := strings.Cut(strings.TrimPrefix(method, "/"), "/")
	backend := s.backends[service]
	if backend == nil {
		return status.Errorf(codes.Unimplemented, "unknown service %s", service)
	}
	ctx, cancel := context.WithCancel(in.Context())
	defer cancel()
	md, _ := metadata.FromIncomingContext(ctx)
	pass := metadata.MD{}
	for _, k := range forwarded {
		if v := md.Get(k); len(v) > 0 {
			pass[k] = v
		}
	}
	out, err := backend.NewStream(metadata.NewOutgoingContext(ctx, pass), anyStream, method, grpc.ForceCodecV2(rawCodec{}))
	if err != nil {
		return err
	}
	// A read of the caller's stream ends only once this handler has returned, so
	// it can not be waited for here; Stop waits for all of them.
	s.readers.Go(func() {
		if err := pump(in.RecvMsg, out.SendMsg); err != nil {
			cancel() // the caller is gone
			return
		}
		_ = out.CloseSend()
	})
	return s.answer(in, out)
}

// answer passes header, messages and trailer back to the caller.
func (s *Server) answer(in grpc.ServerStream, out grpc.ClientStream) error {
	head, err := out.Header()
	if err == nil && len(head) > 0 {
		if err := in.SendHeader(head); err != nil {
			return err
		}
	}
	err = pump(out.RecvMsg, in.SendMsg)
	in.SetTrailer(out.Trailer())
	return err
}

// pump passes messages on until the source ends; nil means a clean end.
func pump(recv, send func(any) error) error {
	for {
		var m frame
		if err := recv(&m); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		if err := send(&m); err != nil {
			if errors.Is(err, io.EOF) { // the reason is in recv of the other side
				return nil
			}
			return err
		}
	}
}

// frame is a message that is passed on unread.
type frame struct{ data mem.BufferSlice }

// rawCodec passes frames on as they are, and everything else (health,
// reflection) as protobuf.
type rawCodec struct{}

func (rawCodec) Name() string { return "proto" }

func (rawCodec) Marshal(v any) (mem.BufferSlice, error) {
	if f, ok := v.(*frame); ok {
		return f.data, nil
	}
	return encoding.GetCodecV2("proto").Marshal(v)
}

func (rawCodec) Unmarshal(data mem.BufferSlice, v any) error {
	if f, ok := v.(*frame); ok {
		data.Ref()
		f.data = data
		return nil
	}
	c := encoding.GetCodecV2("proto")
	if c == nil {
		return fmt.Errorf("no protobuf codec")
	}
	return c.Unmarshal(data, v)
}
