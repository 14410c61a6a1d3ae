package grpcserver

import (
	"context"

	"google.golang.org/grpc"
)

// deadlineUnary gives a call that came without a deadline the default one, so
// that nothing waits for ever on behalf of a caller who may be gone.
func (s *Server) deadlineUnary(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	if _, ok := ctx.Deadline(); ok {
		return handler(ctx, req)
	}
	ctx, cancel := context.WithTimeout(ctx, s.o.DefaultDeadline)
	defer cancel()
	return handler(ctx, req)
}
