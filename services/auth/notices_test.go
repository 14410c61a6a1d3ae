package auth_test

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"

	authv1 "github.com/synapse-analytics/synapse/gen/go/synapse/auth/v1"
	"github.com/synapse-analytics/synapse/internal/authn"
	"github.com/synapse-analytics/synapse/internal/errs"
	"github.com/synapse-analytics/synapse/services/auth"
)

// A notice that could not be sent does not fail the call, and is made good.
func TestLostNoticeIsMadeGood(t *testing.T) {
	w := newWorld(t)
	made := w.createKey(w.creds.AdminKey, read)
	use := func() error {
		_, err := w.GetProject(w.as(made.GetSecret()), &authv1.GetProjectRequest{Name: "projects/-"})
		return err
	}
	require.NoError(t, use())
	w.notices.setDown(true)
	_, err := w.RevokeApiKey(w.as(w.creds.AdminKey), &authv1.RevokeApiKeyRequest{Name: made.GetApiKey().GetName()})
	require.NoError(t, err)
	require.NoError(t, use(), "the verifier's cache does not know yet")
	w.notices.setDown(false)
	// The background task does it, too, within a second; whoever is first.
	require.Eventually(t, func() bool {
		_ = w.svc.Look(t.Context())
		return slices.Contains(w.notices.take(), "key "+keyID(made.GetApiKey().GetName()))
	}, time.Minute, time.Millisecond)
	refused(t, use(), codes.Unauthenticated, errs.CredentialRevoked)
}

// A verifier that starts late, or a service that died between the commit and the
// notice, is helped by the repeats; they stop when no token can be left.
func TestNoticesAreRepeated(t *testing.T) {
	w := newWorld(t)
	made := w.createKey(w.creds.AdminKey, read)
	ex, err := w.ExchangeApiKey(t.Context(), &authv1.ExchangeApiKeyRequest{ApiKey: made.GetSecret()})
	require.NoError(t, err)
	id := keyID(made.GetApiKey().GetName())
	require.NoError(t, w.store.RevokeKey(t.Context(), "default", id, w.clock.now())) // as by a process that died then

	late := authn.NewVerifier(authn.VerifierConfig{Now: w.clock.now}, w.AuthServiceClient, nil)
	_, err = late.Verify(t.Context(), ex.GetAccessToken())
	require.NoError(t, err)
	heard := &notices{forward: late.HandleNotice}
	again, err := auth.New(auth.Deps{Config: w.cfg, Store: w.store, Notifier: heard, Now: w.clock.now})
	require.NoError(t, err)
	require.NoError(t, again.Look(t.Context()))
	require.Equal(t, []string{"key " + id}, heard.take())
	_, err = late.Verify(t.Context(), ex.GetAccessToken())
	refused(t, err, codes.Unauthenticated, errs.CredentialRevoked)

	require.NoError(t, again.Look(t.Context()))
	require.Empty(t, heard.take(), "not more often than needed")
	w.clock.add(15 * time.Second)
	require.NoError(t, again.Look(t.Context()))
	require.Equal(t, []string{"key " + id}, heard.take())
	w.clock.add(6 * time.Minute)
	require.NoError(t, again.Look(t.Context()))
	require.Empty(t, heard.take())
}

func TestPruneKeepsWhatIsNeeded(t *testing.T) {
	w := newWorld(t)
	s := w.signIn()
	require.NoError(t, w.svc.Prune(t.Context()))
	_, err := w.RefreshSession(t.Context(), &authv1.RefreshSessionRequest{RefreshToken: s.GetRefreshToken()})
	require.NoError(t, err)
	w.clock.add(9 * 24 * time.Hour)
	require.NoError(t, w.svc.Prune(t.Context()))
	_, err = w.RefreshSession(t.Context(), &authv1.RefreshSessionRequest{RefreshToken: s.GetRefreshToken()})
	refused(t, err, codes.Unauthenticated, errs.CredentialUnknown)
}
