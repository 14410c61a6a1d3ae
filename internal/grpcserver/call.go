package grpcserver

import (
	"context"
	"time"

	"google.golang.org/grpc"

	"github.com/synapse-analytics/synapse/internal/authn"
)

// call is what the interceptors of one call share: the outermost makes it, the
// inner ones fill it in, and the access log reads it.
type call struct {
	method    string
	rule      *rule // nil: unknown or undeclared
	start     time.Time
	principal *authn.Principal
	project   string
	// end ends a stream's context with a cause; nil for a unary call.
	end context.CancelCauseFunc
}

type callKey struct{}

func (s *Server) newCall(ctx context.Context, method string) (context.Context, *call) {
	c := &call{method: method, rule: s.rules[method], start: s.o.Now()}
	return context.WithValue(ctx, callKey{}, c), c
}

// callFrom returns the call of the context. There is always one inside the
// chain; one without a rule, which everything refuses, stands in for a mistake.
func callFrom(ctx context.Context) *call {
	if c, ok := ctx.Value(callKey{}).(*call); ok {
		return c
	}
	return &call{}
}

// streamWithContext is a stream with another context.
type streamWithContext struct {
	grpc.ServerStream
	ctx context.Context //nolint:containedctx // that is what a stream's wrapper is for
}

func (s *streamWithContext) Context() context.Context { return s.ctx }
