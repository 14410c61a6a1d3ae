package grpcserver

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"

	"google.golang.org/grpc"

	"github.com/synapse-analytics/synapse/internal/errs"
)

// recoverUnary begins a call, and makes INTERNAL of a panic below it.
func (s *Server) recoverUnary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (resp any, err error) {
	ctx, c := s.newCall(ctx, info.FullMethod)
	defer func() {
		if p := recover(); p != nil {
			resp, err = nil, s.panicked(ctx, c, p)
		}
	}()
	return handler(ctx, req)
}

func (s *Server) recoverStream(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) (err error) {
	ctx, c := s.newCall(ss.Context(), info.FullMethod)
	defer func() {
		if p := recover(); p != nil {
			err = s.panicked(ctx, c, p)
		}
	}()
	return handler(srv, &streamWithContext{ServerStream: ss, ctx: ctx})
}

// panicked logs a panic with its stack; this is also the access log's line of
// the call.
func (s *Server) panicked(ctx context.Context, c *call, p any) error {
	s.metrics.panics.Add(ctx, 1)
	err := errs.Fault(fmt.Errorf("panic: %v", p))
	s.o.Logger.LogAttrs(ctx, slog.LevelError, "rpc panicked",
		append(s.callAttrs(ctx, c, err), slog.Any("error", err), slog.String("stack", string(debug.Stack())))...)
	return err
}
