package auth

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/emptypb"

	authv1 "github.com/synapse-analytics/synapse/gen/go/synapse/auth/v1"
	typev1 "github.com/synapse-analytics/synapse/gen/go/synapse/type/v1"
	"github.com/synapse-analytics/synapse/internal/authn"
	"github.com/synapse-analytics/synapse/internal/errs"
)

const (
	// maxWorkingKeys bounds the keys of a project that are neither revoked nor
	// expired.
	maxWorkingKeys = 1000
	defaultPage    = 100
	maxPage        = 1000
	maxOverlap     = 7 * 24 * time.Hour
	keysKind       = "/apiKeys/"
)

// CreateApiKey implements authv1.AuthServiceServer.
func (s *Service) CreateApiKey(ctx context.Context, req *authv1.CreateApiKeyRequest) (*authv1.ApiKeyWithSecret, error) {
	p, project, err := in(ctx, typev1.Access_MANAGE)
	if err != nil {
		return nil, err
	}
	now := s.now()
	want, err := readKey(req.GetApiKey(), now)
	if err != nil {
		return nil, err
	}
	if err := holdsAll(p, project, want.Scopes); err != nil {
		return nil, err
	}
	key, secret, err := generateKey(project, want, now)
	if err != nil {
		return nil, edge(err)
	}
	switch err := s.store.CreateKey(ctx, key, maxWorkingKeys); {
	case errors.Is(err, ErrNotFound):
		return nil, errs.Denied("the scope MANAGE")
	case errors.Is(err, ErrLimit):
		return nil, errs.Exhausted(errs.RateLimited, "the project has as many working API keys as allowed", "revoke keys that are not used", 0,
			&errs.Quota{Subject: "project:" + project, Description: fmt.Sprintf("%d working API keys of %d", maxWorkingKeys, maxWorkingKeys)})
	case err != nil:
		return nil, edge(err)
	}
	s.log.InfoContext(ctx, "API key created", "audit", true, "project", project, "key", key.ID, "by", p.ID)
	return &authv1.ApiKeyWithSecret{ApiKey: keyProto(key), Secret: secret}, nil
}

// readKey checks what a caller wishes for a key.
func readKey(in *authv1.ApiKey, now time.Time) (APIKey, error) {
	var bad []errs.Violation
	if err := checkDisplayName("api_key.display_name", in.GetDisplayName()); err != nil {
		bad = append(bad, errs.As(err).Violations...)
	}
	scopes := slices.Clone(in.GetScopes())
	slices.Sort(scopes)
	scopes = slices.Compact(scopes)
	if len(scopes) == 0 {
		bad = append(bad, errs.Violation{Field: "api_key.scopes", Rule: "must name at least one scope", Remedy: "name what the key may do, for example INGEST"})
	}
	for _, sc := range scopes {
		if _, known := typev1.Access_Scope_name[int32(sc)]; !known || sc == typev1.Access_SCOPE_UNSPECIFIED {
			bad = append(bad, errs.Violation{Field: "api_key.scopes", Rule: "must name known scopes only", Remedy: "use INGEST, READ, SCORE or MANAGE"})
			break
		}
	}
	k := APIKey{DisplayName: in.GetDisplayName(), Scopes: scopes}
	if in.GetExpireTime() != nil {
		k.ExpireTime = in.GetExpireTime().AsTime().Truncate(time.Microsecond)
		if in.GetExpireTime().CheckValid() != nil || !k.ExpireTime.After(now) {
			bad = append(bad, errs.Violation{Field: "api_key.expire_time", Rule: "must be in the future", Remedy: "choose a later time, or leave it out for a key that does not end"})
		}
	}
	if len(bad) > 0 {
		return APIKey{}, errs.Invalid(bad...)
	}
	return k, nil
}

// holdsAll denies to give what the caller does not hold.
func holdsAll(p *authn.Principal, project string, scopes []typev1.Access_Scope) error {
	for _, sc := range scopes {
		if !p.Can(project, sc) {
			return errs.Denied("the scope " + sc.String() + ", which the key would have")
		}
	}
	return nil
}

func generateKey(project string, want APIKey, now time.Time) (APIKey, string, error) {
	k, secret, err := authn.GenerateKey()
	if err != nil {
		return APIKey{}, "", err
	}
	want.ID, want.Hash, want.Prefix = k.ID, k.Hash(), authn.Prefix(secret)
	want.ProjectID, want.CreateTime = project, now.Truncate(time.Microsecond)
	return want, secret, nil
}

// ListApiKeys implements authv1.AuthServiceServer.
func (s *Service) ListApiKeys(ctx context.Context, req *authv1.ListApiKeysRequest) (*authv1.ListApiKeysResponse, error) {
	_, project, err := in(ctx, typev1.Access_MANAGE)
	if err != nil {
		return nil, err
	}
	size := int(req.GetPageSize())
	switch {
	case size < 0 || size > maxPage:
		return nil, errs.Invalid(errs.Violation{Field: "page_size", Rule: fmt.Sprintf("must be 0 to %d", maxPage), Remedy: "ask for smaller pages"})
	case size == 0:
		size = defaultPage
	}
	pages := s.pages.Load()
	if pages == nil {
		return nil, edge(errNotStarted)
	}
	after, err := pages.decode(project, req.GetPageToken())
	if err != nil {
		return nil, err
	}
	keys, err := s.store.ListKeys(ctx, project, after, size+1)
	if err != nil {
		return nil, edge(err)
	}
	out := &authv1.ListApiKeysResponse{}
	if len(keys) > size {
		keys = keys[:size]
		last := keys[size-1]
		out.NextPageToken = pages.encode(project, KeyCursor{CreateTime: last.CreateTime, ID: last.ID})
	}
	for _, k := range keys {
		out.ApiKeys = append(out.ApiKeys, keyProto(k))
	}
	return out, nil
}

// RevokeApiKey implements authv1.AuthServiceServer. Revoking a key again changes
// nothing.
func (s *Service) RevokeApiKey(ctx context.Context, req *authv1.RevokeApiKeyRequest) (*emptypb.Empty, error) {
	p, project, err := in(ctx, typev1.Access_MANAGE)
	if err != nil {
		return nil, err
	}
	id := keyIDOf(req.GetName())
	switch err := s.store.RevokeKey(ctx, project, id, s.now()); {
	case errors.Is(err, ErrNotFound):
		return nil, missingKey(id)
	case err != nil:
		return nil, edge(err)
	}
	s.announce.tell(ctx, keyChanged(id))
	s.log.InfoContext(ctx, "API key revoked", "audit", true, "project", project, "key", id, "by", p.ID)
	return &emptypb.Empty{}, nil
}

// RotateApiKey implements authv1.AuthServiceServer. The new key lives as long as
// the old one was made for. With an overlap the old key and its tokens are good
// until it ends, so nobody is told before.
func (s *Service) RotateApiKey(ctx context.Context, req *authv1.RotateApiKeyRequest) (*authv1.ApiKeyWithSecret, error) {
	p, project, err := in(ctx, typev1.Access_MANAGE)
	if err != nil {
		return nil, err
	}
	overlap := req.GetOverlap().AsDuration()
	if overlap < 0 || overlap > maxOverlap || (req.GetOverlap() != nil && req.GetOverlap().CheckValid() != nil) {
		return nil, errs.Invalid(errs.Violation{Field: "overlap", Rule: "must be 0 to 7 days", Remedy: "choose a shorter overlap"})
	}
	now, id := s.now(), keyIDOf(req.GetName())
	old, _, err := s.store.KeyByID(ctx, id)
	switch {
	case errors.Is(err, ErrNotFound), err == nil && old.ProjectID != project:
		return nil, missingKey(id)
	case err != nil:
		return nil, edge(err)
	}
	// Whoever rotates a key gets to hold its scopes.
	if err := holdsAll(p, project, old.Scopes); err != nil {
		return nil, err
	}
	want := APIKey{DisplayName: old.DisplayName, Scopes: old.Scopes}
	if !old.ExpireTime.IsZero() {
		want.ExpireTime = now.Add(old.ExpireTime.Sub(old.CreateTime))
	}
	next, secret, err := generateKey(project, want, now)
	if err != nil {
		return nil, edge(err)
	}
	switch err := s.store.RotateKey(ctx, project, id, next, now, now.Add(overlap)); {
	case errors.Is(err, ErrNotFound):
		return nil, missingKey(id)
	case errors.Is(err, ErrReplaced):
		return nil, errs.Invalid(errs.Violation{Field: "name", Rule: "names a key that was rotated already", Remedy: "rotate the key that replaced it, see the list of keys"})
	case errors.Is(err, ErrEnded):
		return nil, errs.Invalid(errs.Violation{Field: "name", Rule: "names a key that was revoked or has expired", Remedy: "create a new key"})
	case err != nil:
		return nil, edge(err)
	}
	if overlap == 0 {
		s.announce.tell(ctx, keyChanged(id))
	}
	s.log.InfoContext(ctx, "API key rotated", "audit", true, "project", project, "key", id, "next", next.ID, "overlap", overlap, "by", p.ID)
	return &authv1.ApiKeyWithSecret{ApiKey: keyProto(next), Secret: secret}, nil
}

// keyIDOf takes the id out of projects/{project}/apiKeys/{key}.
func keyIDOf(name string) string {
	_, id, _ := strings.Cut(name, keysKind)
	return id
}

func missingKey(id string) error {
	return errs.MissingThing("the project has no API key %q", id)
}

func keyProto(k APIKey) *authv1.ApiKey {
	return &authv1.ApiKey{
		Name: projectKind + k.ProjectID + keysKind + k.ID, DisplayName: k.DisplayName, Scopes: slices.Clone(k.Scopes),
		CreateTime: stamp(k.CreateTime), ExpireTime: stamp(k.ExpireTime),
		LastUseTime: stamp(k.LastUse), RevokeTime: stamp(k.RevokeTime), Prefix: k.Prefix,
	}
}
