package grpcserver

import (
	"context"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/synapse-analytics/synapse/internal/errs"
)

const bearer = "Bearer "

func (s *Server) authnUnary(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	if err := s.authenticate(ctx, callFrom(ctx)); err != nil {
		return nil, err
	}
	return handler(ctx, req)
}

func (s *Server) authnStream(srv any, ss grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	ctx := ss.Context()
	if err := s.authenticate(ctx, callFrom(ctx)); err != nil {
		return err
	}
	return handler(srv, ss)
}

// authenticate finds out who calls. A public method's credential is not looked
// at, so that a stale one does not keep its holder from getting a new one; nor
// is that of a method without a rule, which is refused anyway.
func (s *Server) authenticate(ctx context.Context, c *call) error {
	if c.rule == nil || c.rule.kind == rulePublic {
		return nil
	}
	credential, err := credentialOf(ctx)
	if err != nil {
		return err
	}
	if c.principal, err = s.o.Verifier.Verify(ctx, credential); err != nil {
		return err
	}
	return nil
}

// credentialOf returns the API key or token of a call; "" if it has none.
func credentialOf(ctx context.Context) (string, error) {
	values := metadata.ValueFromIncomingContext(ctx, "authorization")
	switch len(values) {
	case 0:
		return "", nil
	case 1:
	default:
		return "", errs.Unauthenticated(errs.CredentialMalformed, "the call carries several credentials", "send one")
	}
	v := values[0]
	if len(v) < len(bearer) || !strings.EqualFold(v[:len(bearer)], bearer) {
		return "", errs.Unauthenticated(errs.CredentialMalformed, "the credential is not of the form `Bearer <API key or token>`",
			"put the word Bearer and a space before the API key or token")
	}
	return strings.TrimSpace(v[len(bearer):]), nil
}
