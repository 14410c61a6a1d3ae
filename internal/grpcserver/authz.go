package grpcserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/synapse-analytics/synapse/internal/authn"
	"github.com/synapse-analytics/synapse/internal/errs"
)

func (s *Server) authzUnary(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	c := callFrom(ctx)
	if err := c.authorize(req); err != nil {
		return nil, err
	}
	return handler(authn.NewContext(ctx, c.principal, c.project), req)
}

// authorize checks the rule of the call's method against the caller and the
// project that the request names.
func (c *call) authorize(req any) error {
	if err := c.authorizeCaller(); err != nil {
		return err
	}
	if c.rule.kind != ruleScope || c.rule.source == fromNowhere {
		return nil
	}
	project, err := c.rule.source.projectOf(req, c.principal)
	if err != nil {
		return err
	}
	if !c.principal.Can(project, c.rule.scope) {
		return c.rule.denied
	}
	c.project = project
	return nil
}

// authorizeCaller checks what does not depend on the request.
func (c *call) authorizeCaller() error {
	switch {
	case c.rule == nil:
		return errUndeclared
	case c.rule.kind == rulePublic:
		return nil
	case c.principal == nil: // authn lets none pass; a second wall
		return c.rule.denied
	case c.rule.kind == ruleAuthenticated:
		return nil
	case c.rule.kind == ruleUser && c.principal.Kind == authn.KindUser:
		return nil
	case c.rule.kind == ruleScope && c.principal.CanAnywhere(c.rule.scope):
		return nil
	default:
		return c.rule.denied
	}
}

// authzStream reads the first message, which names the project, before the
// handler runs; the handler then receives it as usual.
func (s *Server) authzStream(srv any, ss grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	ctx := ss.Context()
	c := callFrom(ctx)
	if err := c.authorizeCaller(); err != nil {
		return err
	}
	if c.rule.kind != ruleScope || c.rule.source == fromNowhere {
		return handler(srv, &streamWithContext{ServerStream: ss, ctx: authn.NewContext(ctx, c.principal, "")})
	}
	first, err := s.firstMessage(ss, c)
	if errors.Is(err, io.EOF) && c.rule.clientStream {
		return nil // the caller ended the stream without asking for anything
	}
	if err != nil {
		return err
	}
	if err := c.authorize(first); err != nil {
		return err
	}
	return handler(srv, &authorizedStream{
		ServerStream: ss, ctx: authn.NewContext(ctx, c.principal, c.project), call: c, first: first,
	})
}

// firstMessage waits a bounded time for a stream's first message.
func (s *Server) firstMessage(ss grpc.ServerStream, c *call) (proto.Message, error) {
	timer := time.AfterFunc(s.o.FirstMessageTimeout, func() {
		e := errs.Timeout(nil)
		e.Message = fmt.Sprintf("the stream's first message did not come within %s", s.o.FirstMessageTimeout)
		e.Remedy = "open the stream when there is something to send"
		c.end(e)
	})
	defer timer.Stop()
	first := c.rule.input.New().Interface()
	if err := ss.RecvMsg(first); err != nil {
		if errors.Is(err, io.EOF) && !c.rule.clientStream {
			return nil, errs.Malformed("the call carries no request message")
		}
		return nil, err
	}
	return first, nil
}

// authorizedStream hands the first message to the handler and sees to it that
// the others do not name another project.
type authorizedStream struct {
	grpc.ServerStream
	ctx   context.Context //nolint:containedctx // a stream's wrapper
	call  *call
	first proto.Message
}

func (a *authorizedStream) Context() context.Context { return a.ctx }

func (a *authorizedStream) RecvMsg(m any) error {
	if a.first != nil {
		dst, ok := m.(proto.Message)
		if !ok {
			return errs.Fault(fmt.Errorf("grpcserver: %T is no message", m))
		}
		proto.Reset(dst)
		proto.Merge(dst, a.first)
		a.first = nil
		return nil
	}
	if err := a.ServerStream.RecvMsg(m); err != nil {
		return err
	}
	source := a.call.rule.source
	if source.read(m) == "" {
		return nil
	}
	if project, err := source.projectOf(m, a.call.principal); err != nil || project != a.call.project {
		return errs.Invalid(errs.Violation{
			Field: source.field(), Rule: "must be that of the stream's first message, or empty",
			Remedy: "open one stream for each project",
		})
	}
	return nil
}
