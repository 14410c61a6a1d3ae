package auth_test

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"

	authv1 "github.com/synapse-analytics/synapse/gen/go/synapse/auth/v1"
	typev1 "github.com/synapse-analytics/synapse/gen/go/synapse/type/v1"
	"github.com/synapse-analytics/synapse/internal/authn"
	"github.com/synapse-analytics/synapse/internal/dberr"
	"github.com/synapse-analytics/synapse/internal/errs"
	"github.com/synapse-analytics/synapse/services/auth"
	"github.com/synapse-analytics/synapse/services/auth/store/sqlstore"
)

// TestStoreAway: with the store away every RPC that needs it says UNAVAILABLE,
// without the store's words; what needs no store goes on.
func TestStoreAway(t *testing.T) {
	w := newWorld(t)
	refresh := w.signIn().GetRefreshToken()
	require.NoError(t, w.store.Close())
	require.ErrorContains(t, w.svc.Ready(t.Context()), "the store does not answer")

	ctx := personOf(t, w)
	for name, call := range storeCalls(w, ctx, refresh) {
		t.Run(name, func(t *testing.T) {
			e := refused(t, call(), codes.Unavailable, errs.Unavailable)
			require.Positive(t, e.RetryAfter)
			require.NotContains(t, errs.ToStatus(call()).Message(), "sql")
		})
	}
	_, err := w.svc.GetJwks(ctx, &authv1.GetJwksRequest{})
	require.NoError(t, err)
	_, _, err = w.svc.Bootstrap(ctx, auth.BootstrapInput{DataDir: w.dir})
	require.ErrorIs(t, err, auth.ErrUnavailable)
}

// personOf is the context of a call by a person who may do everything.
func personOf(t *testing.T, w *world) context.Context {
	p := &authn.Principal{
		Kind: authn.KindUser, ID: "u", SessionID: "s", ExpireTime: w.clock.now().Add(time.Minute),
		Projects: map[string][]typev1.Access_Scope{"default": {ingest, read, score, manage}},
	}
	return authn.NewContext(t.Context(), p, "default")
}

// storeCalls calls every RPC that needs the store.
func storeCalls(w *world, ctx context.Context, refresh string) map[string]func() error {
	key := &authv1.ApiKey{Scopes: []typev1.Access_Scope{read}}
	return map[string]func() error{
		"SignIn": func() error {
			_, err := w.svc.SignIn(ctx, &authv1.SignInRequest{Email: "admin@localhost", Password: "x"})
			return err
		},
		"RefreshSession": func() error {
			_, err := w.svc.RefreshSession(ctx, &authv1.RefreshSessionRequest{RefreshToken: refresh})
			return err
		},
		"GetSession": func() error { _, err := w.svc.GetSession(ctx, &authv1.GetSessionRequest{}); return err },
		"SignOut":    func() error { _, err := w.svc.SignOut(ctx, &authv1.SignOutRequest{}); return err },
		"CreateProject": func() error {
			_, err := w.svc.CreateProject(ctx, &authv1.CreateProjectRequest{ProjectId: "x"})
			return err
		},
		"ListProjects": func() error { _, err := w.svc.ListProjects(ctx, &authv1.ListProjectsRequest{}); return err },
		"GetProject":   func() error { _, err := w.svc.GetProject(ctx, &authv1.GetProjectRequest{}); return err },
		"UpdateProject": func() error {
			_, err := w.svc.UpdateProject(ctx, &authv1.UpdateProjectRequest{Project: &authv1.Project{DisplayName: "x"}})
			return err
		},
		"DeleteProject": func() error { _, err := w.svc.DeleteProject(ctx, &authv1.DeleteProjectRequest{}); return err },
		"CreateApiKey":  func() error { _, err := w.svc.CreateApiKey(ctx, &authv1.CreateApiKeyRequest{ApiKey: key}); return err },
		"ListApiKeys":   func() error { _, err := w.svc.ListApiKeys(ctx, &authv1.ListApiKeysRequest{}); return err },
		"RevokeApiKey":  func() error { _, err := w.svc.RevokeApiKey(ctx, &authv1.RevokeApiKeyRequest{}); return err },
		"RotateApiKey":  func() error { _, err := w.svc.RotateApiKey(ctx, &authv1.RotateApiKeyRequest{}); return err },
		"ExchangeApiKey": func() error {
			_, err := w.svc.ExchangeApiKey(ctx, &authv1.ExchangeApiKeyRequest{ApiKey: w.creds.ReadKey})
			return err
		},
		"IntrospectApiKey": func() error {
			_, err := w.svc.IntrospectApiKey(ctx, &authv1.IntrospectApiKeyRequest{ApiKey: w.creds.ReadKey})
			return err
		},
		"CreateUser":    func() error { _, _, err := w.svc.CreateUser(ctx, "x@example.com", ""); return err },
		"ResetPassword": func() error { _, err := w.svc.ResetPassword(ctx, "x@example.com", ""); return err },
	}
}

// exhausted is the engine of a store whose connections are all taken.
type exhausted struct{}

func (exhausted) Write(context.Context, func(sqlstore.Tx) error) error {
	return fmt.Errorf("write transaction: %w: none of 8 within 5s", dberr.ErrExhausted)
}

func (exhausted) Read(context.Context, func(sqlstore.Tx) error) error {
	return fmt.Errorf("read transaction: %w: none of 8 within 5s", dberr.ErrExhausted)
}

// TestStoreBusy: with all connections taken, a caller is told to come again, and the
// operator what to raise.
func TestStoreBusy(t *testing.T) {
	w := newWorld(t)
	refresh := w.signIn().GetRefreshToken()
	started := w.svc
	defer func() { w.svc = started }()
	var err error
	w.svc, err = auth.New(auth.Deps{Config: w.cfg, Store: sqlstore.New(exhausted{}), Notifier: w.notices, Logger: slog.New(slog.DiscardHandler), Now: w.clock.now})
	require.NoError(t, err)
	calls := storeCalls(w, personOf(t, w), refresh)
	delete(calls, "ListApiKeys") // needs a service that has started, for which the store must answer
	for name, call := range calls {
		t.Run(name, func(t *testing.T) {
			e := refused(t, call(), codes.ResourceExhausted, errs.StoreBusy)
			require.Equal(t, time.Second, e.RetryAfter)
			require.True(t, e.Retryable())
			require.Contains(t, e.Remedy, "stores.auth.max_conns")
		})
	}
}
