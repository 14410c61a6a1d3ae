// Package grpcserver is the one gRPC server of every role: the chain of
// interceptors, the access rules read from the contracts, the bounds of a
// hardened server, health, reflection and an ordered stop.
//
// Guarantees:
//   - A method that is unknown, or whose contract declares no access rule, is
//     refused with PERMISSION_DENIED, whatever the spelling of its path.
//   - A handler runs only for a caller who was authenticated and holds the
//     declared right in the project that the request names; it finds the caller
//     and the project in its context (package authn) and nowhere else. That
//     holds for streams too: their first message is read before the handler
//     runs.
//   - A foreign project, a missing project and a missing right give the same
//     answer.
//   - A request that breaks a rule of its contract never reaches a handler.
//   - Stop ends every stream with a typed status and returns by its deadline.
package grpcserver

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"buf.build/go/protovalidate"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection"

	"github.com/synapse-analytics/synapse/internal/authn"
	"github.com/synapse-analytics/synapse/internal/limits"
	"github.com/synapse-analytics/synapse/internal/validation"
)

// Defaults of Options.
const (
	// DefaultMaxMessageBytes bounds one message, in both directions.
	DefaultMaxMessageBytes = 8 << 20
	// DefaultDeadline of a unary call that comes without one.
	DefaultDeadline = 30 * time.Second
	// DefaultFirstMessageTimeout bounds the wait for a stream's first message.
	DefaultFirstMessageTimeout = 30 * time.Second
	// DefaultMaxConcurrentStreams per connection from the network.
	DefaultMaxConcurrentStreams = 100
	// DefaultMaxConnections from the network, per listener.
	DefaultMaxConnections = 10_000
	// DefaultMaxConnectionAge after which a connection from the network is asked
	// to be made anew, so that new replicas get their share. Open streams go on.
	DefaultMaxConnectionAge = 5 * time.Minute
	// KeepaliveMinTime is how often a client may ask for a sign of life.
	KeepaliveMinTime = 5 * time.Second
)

// Options of a server. Verifier is needed; every other zero field gets its
// default.
type Options struct {
	// Logger takes one line per call; nil is slog.Default.
	Logger *slog.Logger
	// Verifier tells who calls.
	Verifier authn.Verifier
	// TracerProvider and MeterProvider take spans and metrics; nil is none.
	TracerProvider trace.TracerProvider
	MeterProvider  metric.MeterProvider
	// Propagator reads the trace of incoming calls; nil is W3C trace context.
	Propagator propagation.TextMapPropagator
	// Validator checks requests; nil is a new validation.New.
	Validator protovalidate.Validator
	// MaxMessageBytes bounds one message.
	MaxMessageBytes int
	// DefaultDeadline of a unary call that comes without one.
	DefaultDeadline time.Duration
	// FirstMessageTimeout bounds the wait for a stream's first message.
	FirstMessageTimeout time.Duration
	// MaxStreamsPerProject bounds the open streams of a project, and those of one
	// caller that name no project; 0 is no bound.
	MaxStreamsPerProject int
	// MaxConcurrentStreams bounds the open calls of one connection from the
	// network. Connections in one process carry the calls of all callers and have
	// no such bound.
	MaxConcurrentStreams uint32
	// MaxConnections bounds the connections from the network, per listener.
	MaxConnections int
	// MaxConnectionAge is when a connection from the network is asked to be made
	// anew, give or take a tenth; negative is never.
	MaxConnectionAge time.Duration
	// MaxConnectionAgeGrace is how long after that its open streams are cut; 0 is
	// never.
	MaxConnectionAgeGrace time.Duration
	// Reflection lets clients ask for the contracts (v1 and v1alpha).
	Reflection bool
	// TLS secures connections from the network; nil is plain text.
	TLS *tls.Config
	// Now is the clock of the access log; nil is time.Now.
	Now func() time.Time
}

func (o *Options) setDefaults() error {
	if o.Verifier == nil {
		return errors.New("grpcserver: Options.Verifier is needed")
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Validator == nil {
		v, err := validation.New()
		if err != nil {
			return fmt.Errorf("grpcserver: %w", err)
		}
		o.Validator = v
	}
	def(&o.MaxMessageBytes, DefaultMaxMessageBytes)
	def(&o.DefaultDeadline, DefaultDeadline)
	def(&o.FirstMessageTimeout, DefaultFirstMessageTimeout)
	def(&o.MaxConcurrentStreams, DefaultMaxConcurrentStreams)
	def(&o.MaxConnections, DefaultMaxConnections)
	def(&o.MaxConnectionAge, DefaultMaxConnectionAge)
	if o.Now == nil {
		o.Now = time.Now
	}
	return nil
}

func def[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}

// Server serves the services that are registered with it, on any number of
// listeners. Register all before the first Serve.
type Server struct {
	o         Options
	rules     rules
	chain     []link
	metrics   *metrics
	streams   *openStreams
	perCaller *limits.Open
	health    *healthState

	// Two servers with the same services and chain: their bounds of connections
	// differ.
	network   *grpc.Server
	inProcess *grpc.Server

	stop    sync.Once
	stopErr error
}

// New returns a server that has health, and reflection if asked for, and serves
// nothing yet.
func New(o Options) (*Server, error) {
	if err := o.setDefaults(); err != nil {
		return nil, err
	}
	m, err := newMetrics(o.MeterProvider)
	if err != nil {
		return nil, err
	}
	s := &Server{
		o: o, rules: rules{}, metrics: m, streams: newOpenStreams(),
		perCaller: limits.NewOpen(o.MaxStreamsPerProject), health: newHealthState(),
	}
	telemetry, err := o.telemetry()
	if err != nil {
		return nil, err
	}
	s.chain = s.makeChain(telemetry)
	s.network = grpc.NewServer(append(s.commonOptions(), s.networkOptions()...)...)
	s.inProcess = grpc.NewServer(append(s.commonOptions(), inProcessOptions()...)...)
	for _, g := range s.servers() {
		grpc_health_v1.RegisterHealthServer(g, s.health.server)
		if o.Reflection {
			reflection.Register(g)
		}
		for name, info := range g.GetServiceInfo() {
			s.rules.allow(name, info)
		}
	}
	return s, nil
}

func (s *Server) servers() []*grpc.Server { return []*grpc.Server{s.network, s.inProcess} }

// RegisterService implements grpc.ServiceRegistrar. It reads the access rules of
// the service's methods from its contract; a method without one is refused when
// called. Until SetServing says otherwise the service's health is NOT_SERVING.
func (s *Server) RegisterService(desc *grpc.ServiceDesc, impl any) {
	s.rules.add(desc)
	s.health.add(desc.ServiceName)
	for _, g := range s.servers() {
		g.RegisterService(desc, impl)
	}
}

// Serve takes connections from the listener until Stop, and then returns nil. A
// *bufconn.Listener is a connection in this process: it has no TLS and no bounds
// of connections. Serve may run for several listeners at the same time.
func (s *Server) Serve(lis net.Listener) error {
	g := s.network
	if isInProcess(lis) {
		g = s.inProcess
	} else {
		lis = limitConnections(lis, s.o.MaxConnections)
	}
	if err := g.Serve(lis); err != nil && !errors.Is(err, grpc.ErrServerStopped) {
		return fmt.Errorf("grpcserver: serve on %s: %w", lis.Addr(), err)
	}
	return nil
}

// SetServing sets the health (grpc.health.v1) of a service by its full name, for
// example "synapse.query.v1.QueryService"; "" means all. The overall health, of
// the name "", is SERVING while every service is.
func (s *Server) SetServing(service string, ok bool) { s.health.set(service, ok) }
