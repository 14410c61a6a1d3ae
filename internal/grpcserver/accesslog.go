package grpcserver

import (
	"context"
	"log/slog"
	"time"

	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"github.com/synapse-analytics/synapse/internal/errs"
)

func (s *Server) logUnary(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	resp, err := handler(ctx, req)
	s.logCall(ctx, err)
	return resp, err
}

func (s *Server) logStream(srv any, ss grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	err := handler(srv, ss)
	s.logCall(ss.Context(), err)
	return err
}

// logCall writes the one line of a call: debug for a call that went well and for
// mistakes of the caller, which are counted in the metrics; info for one that
// took too long; error, with the cause, for a fault of the server.
func (s *Server) logCall(ctx context.Context, err error) {
	level := slog.LevelDebug
	var e *errs.Error
	if err != nil {
		e = errs.FromError(err)
		switch {
		case e.ServerFault():
			level = slog.LevelError
		case e.Code == codes.DeadlineExceeded:
			level = slog.LevelInfo
		}
	}
	if !s.o.Logger.Enabled(ctx, level) {
		return
	}
	attrs := s.callAttrs(ctx, callFrom(ctx), e)
	if err != nil {
		attrs = append(attrs, slog.String("error", err.Error()))
	}
	s.o.Logger.LogAttrs(ctx, level, "rpc", attrs...)
}

// callAttrs says what is known of a call: never its content, its credential, or
// the name of a method that does not exist, which a stranger chooses.
func (s *Server) callAttrs(ctx context.Context, c *call, e *errs.Error) []slog.Attr {
	method := "unknown"
	if c.rule != nil {
		method = c.method
	}
	attrs := make([]slog.Attr, 0, 10)
	attrs = append(attrs, slog.String("method", method))
	if e == nil {
		attrs = append(attrs, slog.String("code", "OK"))
	} else {
		attrs = append(attrs, slog.String("code", e.Code.String()), slog.String("reason", string(e.Reason)))
	}
	attrs = append(attrs, slog.Duration("duration", s.o.Now().Sub(c.start).Round(time.Microsecond)))
	if p := c.principal; p != nil {
		attrs = append(attrs, slog.String("principal", p.Kind.String()), slog.String("principal_id", p.ID))
	}
	if c.project != "" {
		attrs = append(attrs, slog.String("project", c.project))
	}
	if sc := trace.SpanContextFromContext(ctx); sc.HasTraceID() {
		attrs = append(attrs, slog.String("trace_id", sc.TraceID().String()))
	}
	return attrs
}
