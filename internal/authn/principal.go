// Package authn says who calls: it verifies API keys and tokens for every
// service and puts the caller and the project of the call into the context.
package authn

import (
	"context"
	"slices"
	"time"

	typev1 "github.com/synapse-analytics/synapse/gen/go/synapse/type/v1"
)

// Kind tells what a credential stands for.
type Kind int

// The kinds.
const (
	// KindAPIKey is a program with an API key or a token made from one.
	KindAPIKey Kind = iota + 1
	// KindUser is a signed-in person.
	KindUser
)

// String returns "key" or "user".
func (k Kind) String() string {
	switch k {
	case KindAPIKey:
		return "key"
	case KindUser:
		return "user"
	default:
		return "none"
	}
}

// Principal is the caller of an RPC.
type Principal struct {
	// Kind of the credential.
	Kind Kind
	// ID is the API key's or the user's id.
	ID string
	// SessionID is the session of a user's token; empty for keys.
	SessionID string
	// Projects maps each project that the caller may use to its scopes there.
	Projects map[string][]typev1.Access_Scope
	// ExpireTime is when the credential ends; zero for never.
	ExpireTime time.Time
}

// Can says whether the caller holds the scope in the project.
func (p *Principal) Can(project string, scope typev1.Access_Scope) bool {
	return p != nil && slices.Contains(p.Projects[project], scope)
}

// CanAnywhere says whether the caller holds the scope in any project.
func (p *Principal) CanAnywhere(scope typev1.Access_Scope) bool {
	if p == nil {
		return false
	}
	for _, scopes := range p.Projects {
		if slices.Contains(scopes, scope) {
			return true
		}
	}
	return false
}

// OnlyProject returns the caller's project if it has exactly one.
func (p *Principal) OnlyProject() (string, bool) {
	if p == nil || len(p.Projects) != 1 {
		return "", false
	}
	for id := range p.Projects {
		return id, true
	}
	return "", false
}

type ctxKey struct{}

type call struct {
	principal *Principal
	project   string
}

// NewContext returns a context that carries the caller and the project of the
// call; project is empty for a call that names none.
func NewContext(ctx context.Context, p *Principal, project string) context.Context {
	return context.WithValue(ctx, ctxKey{}, call{p, project})
}

// FromContext returns the caller; nil for a public RPC, whose credential, if
// there is one, is not looked at.
func FromContext(ctx context.Context) *Principal {
	c, _ := ctx.Value(ctxKey{}).(call)
	return c.principal
}

// ProjectFrom returns the id of the project that the call is about, with
// `projects/-` resolved. It is the only source of a project id in a handler.
func ProjectFrom(ctx context.Context) string {
	c, _ := ctx.Value(ctxKey{}).(call)
	return c.project
}
