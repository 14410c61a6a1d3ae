package grpcserver

import (
	"context"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"google.golang.org/grpc"

	"github.com/synapse-analytics/synapse/internal/errs"
)

// streamRetryAfter is the advice to who has too many streams open.
const streamRetryAfter = 5 * time.Second

// limitStream bounds the open streams of a project; where there is none, those
// of a caller; and those of all strangers together.
func (s *Server) limitStream(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	c := callFrom(ss.Context())
	subject := c.subject()
	release, ok := s.perCaller.Acquire(subject)
	if !ok {
		limit := s.perCaller.Max()
		return errs.Exhausted(errs.TooManyStreams,
			fmt.Sprintf("%s has %d streams open, which is the limit", subject, limit),
			"close streams that are not needed, or ask the operator for a higher limit", streamRetryAfter,
			&errs.Quota{Subject: subject, Description: fmt.Sprintf("open streams: limit %d, used %d", limit, limit)})
	}
	defer release()
	attrs := metric.WithAttributeSet(attribute.NewSet(attribute.String("rpc.method", info.FullMethod[1:])))
	s.metrics.streams.Add(context.WithoutCancel(ss.Context()), 1, attrs)
	defer s.metrics.streams.Add(context.WithoutCancel(ss.Context()), -1, attrs)
	return handler(srv, ss)
}

// subject names whose limit a call falls under.
func (c *call) subject() string {
	switch {
	case c.project != "":
		return "project:" + c.project
	case c.principal != nil:
		return c.principal.Kind.String() + ":" + c.principal.ID
	default:
		return "public"
	}
}
