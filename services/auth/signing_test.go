package auth_test

import (
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"

	authv1 "github.com/synapse-analytics/synapse/gen/go/synapse/auth/v1"
	"github.com/synapse-analytics/synapse/internal/authn"
	"github.com/synapse-analytics/synapse/internal/errs"
	"github.com/synapse-analytics/synapse/services/auth"
)

// keySet returns the published keys by id.
func (w *world) keySet() map[string]ed25519.PublicKey {
	w.Helper()
	set, err := w.GetJwks(w.Context(), &authv1.GetJwksRequest{})
	require.NoError(w, err)
	out := map[string]ed25519.PublicKey{}
	for _, k := range set.GetKeys() {
		require.Equal(w, []string{"OKP", "Ed25519", "EdDSA", "sig"}, []string{k.GetKty(), k.GetCrv(), k.GetAlg(), k.GetUse()})
		x, err := base64.RawURLEncoding.DecodeString(k.GetX())
		require.NoError(w, err)
		out[k.GetKid()] = x
	}
	return out
}

func (w *world) token() (token, kid string) {
	w.Helper()
	ex, err := w.ExchangeApiKey(w.Context(), &authv1.ExchangeApiKeyRequest{ApiKey: w.creds.ReadKey})
	require.NoError(w, err)
	parsed, _, err := jwt.NewParser().ParseUnverified(ex.GetAccessToken(), jwt.MapClaims{})
	require.NoError(w, err)
	kid, ok := parsed.Header["kid"].(string)
	require.True(w, ok)
	return ex.GetAccessToken(), kid
}

func (w *world) verify(token string) (*authn.Principal, error) {
	keys := w.keySet()
	return authn.ParseToken(token, func(kid string) (ed25519.PublicKey, error) {
		if k, ok := keys[kid]; ok {
			return k, nil
		}
		return nil, authn.ErrTokenKeyUnknown
	}, w.clock.now())
}

func TestTokenSaysWhoseItIs(t *testing.T) {
	w := newWorld(t)
	token, _ := w.token()
	p, err := w.verify(token)
	require.NoError(t, err)
	key, err := authn.ParseKey(w.creds.ReadKey)
	require.NoError(t, err)
	require.Equal(t, authn.KindAPIKey, p.Kind)
	require.Equal(t, key.ID, p.ID)
	require.Empty(t, p.SessionID)
	require.True(t, p.Can("default", read))
	require.False(t, p.Can("default", manage))
	require.Equal(t, w.clock.now().Add(5*time.Minute).Unix(), p.ExpireTime.Unix())

	p, err = w.verify(w.signIn().GetAccessToken())
	require.NoError(t, err)
	require.Equal(t, authn.KindUser, p.Kind)
	require.NotEmpty(t, p.SessionID)
	require.True(t, p.Can("default", manage))
}

func TestSigningKeysRotate(t *testing.T) {
	w := newWorld(t)
	w.clock.add(-time.Second) // to when the first key was made
	start := w.clock.now()
	_, first := w.token()
	require.Len(t, w.keySet(), 1)

	// An hour before its time the next key is published, and signs nothing.
	w.clock.add(30*24*time.Hour - time.Hour - time.Second)
	require.NoError(t, w.svc.Rotate(t.Context()))
	require.Len(t, w.keySet(), 1)
	require.Empty(t, w.notices.take())
	w.clock.add(time.Second)
	require.NoError(t, w.svc.Rotate(t.Context()))
	require.NoError(t, w.svc.Rotate(t.Context()), "again makes no other")
	require.Equal(t, []string{"signing keys"}, w.notices.take())
	require.Len(t, w.keySet(), 2)
	w.clock.add(time.Hour - time.Second)
	old, kid := w.token()
	require.Equal(t, first, kid)

	// From its time on it signs, without another look at the store.
	w.clock.add(time.Second)
	require.Equal(t, start.Add(30*24*time.Hour), w.clock.now())
	fresh, second := w.token()
	require.NotEqual(t, first, second)
	require.Contains(t, w.keySet(), second)

	// Tokens of the old key hold to their end, by the real verifier as well.
	w.clock.add(5*time.Minute - 2*time.Second)
	require.NoError(t, w.svc.Rotate(t.Context()))
	for _, token := range []string{old, fresh} {
		_, err := w.verify(token)
		require.NoError(t, err)
		_, err = w.GetProject(w.as(token), &authv1.GetProjectRequest{Name: "projects/-"})
		require.NoError(t, err)
	}

	// When none can be left, the old key goes.
	w.clock.add(10 * time.Minute)
	require.NoError(t, w.svc.Rotate(t.Context()))
	require.Len(t, w.keySet(), 1)
	require.Contains(t, w.keySet(), second)
	_, err := w.GetProject(w.as(old), &authv1.GetProjectRequest{Name: "projects/-"})
	require.Equal(t, codes.Unauthenticated, errs.FromError(err).Code)
}

func TestSigningKeyAfterALongStop(t *testing.T) {
	w := newWorld(t)
	_, first := w.token()
	w.clock.add(365 * 24 * time.Hour)
	require.NoError(t, w.svc.Rotate(t.Context()))
	_, kid := w.token()
	require.Equal(t, first, kid, "the next key is published before it signs, however late it is")
	require.Len(t, w.keySet(), 2)
	w.clock.add(time.Hour)
	_, kid = w.token()
	require.NotEqual(t, first, kid)
}

func TestSigningKeysAreShared(t *testing.T) {
	w := newWorld(t)
	other, err := auth.New(auth.Deps{Config: w.cfg, Store: w.store, Now: w.clock.now})
	require.NoError(t, err)
	require.NoError(t, other.Start(t.Context()))
	defer func() { require.NoError(t, other.Stop(t.Context())) }()
	set, err := other.GetJwks(t.Context(), &authv1.GetJwksRequest{})
	require.NoError(t, err)
	require.Len(t, set.GetKeys(), 1)
	require.Contains(t, w.keySet(), set.GetKeys()[0].GetKid())
}

func TestNothingIsSignedBeforeStart(t *testing.T) {
	w := newWorld(t)
	idle, err := auth.New(auth.Deps{Config: w.cfg, Store: w.store, Now: w.clock.now})
	require.NoError(t, err)
	_, err = idle.ExchangeApiKey(t.Context(), &authv1.ExchangeApiKeyRequest{ApiKey: w.creds.ReadKey})
	refused(t, err, codes.Unavailable, errs.Unavailable)
	_, err = idle.GetJwks(t.Context(), &authv1.GetJwksRequest{})
	refused(t, err, codes.Unavailable, errs.Unavailable)
	require.NoError(t, idle.Stop(t.Context()), "a stop without a start is harmless")
}

func TestHandlersDenyWithoutInterceptors(t *testing.T) {
	w := newWorld(t)
	_, err := w.svc.CreateApiKey(t.Context(), &authv1.CreateApiKeyRequest{Parent: "projects/default"})
	refused(t, err, codes.Unauthenticated, errs.CredentialMissing)
	p := &authn.Principal{Kind: authn.KindAPIKey, ID: "k"}
	for _, project := range []string{"", "default"} {
		ctx := authn.NewContext(t.Context(), p, project)
		for name, call := range map[string]func() error{
			"create":  func() error { _, err := w.svc.CreateApiKey(ctx, &authv1.CreateApiKeyRequest{}); return err },
			"list":    func() error { _, err := w.svc.ListApiKeys(ctx, &authv1.ListApiKeysRequest{}); return err },
			"revoke":  func() error { _, err := w.svc.RevokeApiKey(ctx, &authv1.RevokeApiKeyRequest{}); return err },
			"rotate":  func() error { _, err := w.svc.RotateApiKey(ctx, &authv1.RotateApiKeyRequest{}); return err },
			"get":     func() error { _, err := w.svc.GetProject(ctx, &authv1.GetProjectRequest{}); return err },
			"update":  func() error { _, err := w.svc.UpdateProject(ctx, &authv1.UpdateProjectRequest{}); return err },
			"delete":  func() error { _, err := w.svc.DeleteProject(ctx, &authv1.DeleteProjectRequest{}); return err },
			"project": func() error { _, err := w.svc.CreateProject(ctx, &authv1.CreateProjectRequest{}); return err },
			"session": func() error { _, err := w.svc.GetSession(ctx, &authv1.GetSessionRequest{}); return err },
			"signout": func() error { _, err := w.svc.SignOut(ctx, &authv1.SignOutRequest{}); return err },
		} {
			t.Run(name, func(t *testing.T) { refused(t, call(), codes.PermissionDenied, errs.PermissionDenied) })
		}
	}
}

func TestConfig(t *testing.T) {
	require.NoError(t, auth.DefaultConfig().Validate())
	err := auth.Config{}.Validate()
	var joined interface{ Unwrap() []error }
	require.True(t, errors.As(err, &joined))
	require.GreaterOrEqual(t, len(joined.Unwrap()), 7, "all problems at once: %v", err)
	require.ErrorContains(t, err, "access_token_ttl: must be 1m0s to 1h0m0s; it is 0s")
	_, err = auth.New(auth.Deps{Config: auth.DefaultConfig()})
	require.ErrorContains(t, err, "a store is needed")
	_, err = auth.New(auth.Deps{})
	require.ErrorContains(t, err, "configuration")
}
