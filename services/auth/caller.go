package auth

import (
	"context"

	typev1 "github.com/synapse-analytics/synapse/gen/go/synapse/type/v1"
	"github.com/synapse-analytics/synapse/internal/authn"
	"github.com/synapse-analytics/synapse/internal/errs"
)

// The server's interceptors have authorised a call before it comes here by the
// rule that its RPC declares. What follows asks again, so that a handler that is
// reached some other way still denies.

// caller returns who calls.
func caller(ctx context.Context) (*authn.Principal, error) {
	p := authn.FromContext(ctx)
	if p == nil {
		return nil, errs.Unauthenticated(errs.CredentialMissing, "the call carries no credential", "send an API key or a token as bearer")
	}
	return p, nil
}

// person returns the caller, who must be a signed-in person.
func person(ctx context.Context) (*authn.Principal, error) {
	p, err := caller(ctx)
	if err != nil {
		return nil, err
	}
	if p.Kind != authn.KindUser || p.SessionID == "" {
		return nil, errs.Denied("the session of a signed-in person")
	}
	return p, nil
}

// in returns the caller and the project of the call, in which the caller must
// hold the scope.
func in(ctx context.Context, scope typev1.Access_Scope) (*authn.Principal, string, error) {
	p, err := caller(ctx)
	if err != nil {
		return nil, "", err
	}
	project := authn.ProjectFrom(ctx)
	if project == "" || !p.Can(project, scope) {
		return nil, "", errs.Denied("the scope " + scope.String())
	}
	return p, project, nil
}
