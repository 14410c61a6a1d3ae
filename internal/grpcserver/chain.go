package grpcserver

import (
	"google.golang.org/grpc"
)

// link is one part of the chain that every call passes. A part may have nothing
// to do for unary calls or for streams.
type link struct {
	name   string
	unary  grpc.UnaryServerInterceptor
	stream grpc.StreamServerInterceptor
}

// makeChain is the order in which a call passes the parts, the outermost first.
// The order matters:
//   - recovery sees a panic of any other part;
//   - telemetry and the access log see the refusals of the parts below;
//   - shutdown can end whatever a stream waits for below it;
//   - authz needs the caller, limits the project, and validation comes after
//     both, so that who may not call learns nothing about the contract;
//   - errormap is next to the handler, so that all above see one kind of error.
func (s *Server) makeChain(telemetry link) []link {
	return []link{
		{name: "recovery", unary: s.recoverUnary, stream: s.recoverStream},
		telemetry,
		{name: "accesslog", unary: s.logUnary, stream: s.logStream},
		{name: "shutdown", stream: s.endableStream},
		{name: "deadline", unary: s.deadlineUnary},
		{name: "authn", unary: s.authnUnary, stream: s.authnStream},
		{name: "authz", unary: s.authzUnary, stream: s.authzStream},
		{name: "limits", stream: s.limitStream},
		{name: "validation", unary: s.validateUnary, stream: s.validateStream},
		{name: "errormap", unary: mapUnary, stream: mapStream},
	}
}

// chainOptions hands the chain to a gRPC server.
func chainOptions(chain []link) []grpc.ServerOption {
	var (
		unary  []grpc.UnaryServerInterceptor
		stream []grpc.StreamServerInterceptor
	)
	for _, l := range chain {
		if l.unary != nil {
			unary = append(unary, l.unary)
		}
		if l.stream != nil {
			stream = append(stream, l.stream)
		}
	}
	return []grpc.ServerOption{grpc.ChainUnaryInterceptor(unary...), grpc.ChainStreamInterceptor(stream...)}
}
