package grpcserver

import (
	"context"
	"errors"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/synapse-analytics/synapse/internal/errs"
)

// mapUnary makes of a handler's error one that gRPC knows to send.
func mapUnary(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	resp, err := handler(ctx, req)
	if err != nil {
		return nil, mapError(ctx, err)
	}
	return resp, nil
}

func mapStream(srv any, ss grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	if err := handler(srv, ss); err != nil {
		return mapError(ss.Context(), err)
	}
	return nil
}

// mapError returns an error whose status is what the caller shall see, and whose
// text, which the caller does not see, says all that is known.
func mapError(ctx context.Context, err error) error {
	if e, ok := err.(*errs.Error); ok { //nolint:errorlint // a wrapped one goes the long way
		return e
	}
	// a handler that stopped because its context ended usually says only that it
	// was cancelled; why is in the context's cause
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || status.Code(err) == codes.Canceled {
		if e := errs.As(context.Cause(ctx)); e != nil {
			return e.With(err)
		}
	}
	return &mappedError{status: errs.ToStatus(err), err: err}
}

type mappedError struct {
	status *status.Status
	err    error
}

func (m *mappedError) Error() string              { return m.err.Error() }
func (m *mappedError) Unwrap() error              { return m.err }
func (m *mappedError) GRPCStatus() *status.Status { return m.status }
