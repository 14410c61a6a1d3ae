package auth

import (
	"context"
	"crypto/subtle"
	"errors"

	"google.golang.org/protobuf/types/known/timestamppb"

	authv1 "github.com/synapse-analytics/synapse/gen/go/synapse/auth/v1"
	typev1 "github.com/synapse-analytics/synapse/gen/go/synapse/type/v1"
	"github.com/synapse-analytics/synapse/internal/authn"
	"github.com/synapse-analytics/synapse/internal/errs"
)

// checkKey finds the key behind a secret and says why it is not good. What
// became of a key is told only to who holds its secret.
func (s *Service) checkKey(ctx context.Context, secret string) (key APIKey, err error) {
	defer func() { count(ctx, s.metrics.keyChecks, edge(err)) }()
	parsed, err := authn.ParseKey(secret)
	if err != nil {
		return APIKey{}, errs.Unauthenticated(errs.CredentialMalformed, "that is not the form of an API key", "send the whole key as it was shown when it was created")
	}
	key, projectExists, err := s.store.KeyByID(ctx, parsed.ID)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return APIKey{}, err
	}
	// For an unknown id key.Hash is all zeros, which no secret has.
	hash := parsed.Hash()
	now := s.now()
	switch {
	case subtle.ConstantTimeCompare(hash[:], key.Hash[:]) != 1:
		return APIKey{}, errs.Unauthenticated(errs.CredentialUnknown, "the API key is not known", "check the key, or create a new one")
	case !projectExists:
		return APIKey{}, errs.Unauthenticated(errs.CredentialRevoked, "the project of the API key was deleted", "use a key of another project")
	case !key.RevokeTime.IsZero():
		return APIKey{}, errs.Unauthenticated(errs.CredentialRevoked, "the API key was revoked", "create a new key")
	case !key.ExpireTime.IsZero() && !key.ExpireTime.After(now):
		return APIKey{}, errs.Unauthenticated(errs.CredentialExpired, "the API key has expired", "create a new key")
	}
	s.uses.note(key.ID, now)
	return key, nil
}

// IntrospectApiKey implements authv1.AuthServiceServer.
func (s *Service) IntrospectApiKey(ctx context.Context, req *authv1.IntrospectApiKeyRequest) (*authv1.IntrospectApiKeyResponse, error) {
	key, err := s.checkKey(ctx, req.GetApiKey())
	if err != nil {
		return nil, edge(err)
	}
	return &authv1.IntrospectApiKeyResponse{
		KeyId: key.ID, ProjectId: key.ProjectID, Scopes: key.Scopes, ExpireTime: stamp(key.ExpireTime),
	}, nil
}

// ExchangeApiKey implements authv1.AuthServiceServer. The token carries the
// key's id, so it is refused with the key, and does not outlive it.
func (s *Service) ExchangeApiKey(ctx context.Context, req *authv1.ExchangeApiKeyRequest) (*authv1.ExchangeApiKeyResponse, error) {
	key, err := s.checkKey(ctx, req.GetApiKey())
	if err != nil {
		return nil, edge(err)
	}
	token, end, err := s.keys.sign(authn.Principal{
		Kind: authn.KindAPIKey, ID: key.ID, ExpireTime: key.ExpireTime,
		Projects: map[string][]typev1.Access_Scope{key.ProjectID: key.Scopes},
	})
	if err != nil {
		return nil, edge(err)
	}
	return &authv1.ExchangeApiKeyResponse{AccessToken: token, TokenType: "Bearer", ExpireTime: timestamppb.New(end)}, nil
}

// GetJwks implements authv1.AuthServiceServer.
func (s *Service) GetJwks(context.Context, *authv1.GetJwksRequest) (*authv1.Jwks, error) {
	keys, err := s.keys.public()
	if err != nil {
		return nil, edge(err)
	}
	return &authv1.Jwks{Keys: keys}, nil
}
