package auth_test

import (
	"context"
	"log/slog"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	authv1 "github.com/synapse-analytics/synapse/gen/go/synapse/auth/v1"
	"github.com/synapse-analytics/synapse/services/auth"
	"github.com/synapse-analytics/synapse/services/auth/store/sqlite"
)

func benchService(b *testing.B) (*auth.Service, *auth.Credentials) {
	b.Helper()
	dir, log := b.TempDir(), slog.New(slog.DiscardHandler)
	store, err := sqlite.Open(b.Context(), filepath.Join(dir, "auth.db"), sqlite.WithLogger(log))
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, store.Close()) })
	svc, err := auth.New(auth.Deps{Config: auth.DefaultConfig(), Store: store, Logger: log})
	require.NoError(b, err)
	creds, _, err := svc.Bootstrap(b.Context(), auth.BootstrapInput{DataDir: dir})
	require.NoError(b, err)
	require.NoError(b, svc.Start(b.Context()))
	b.Cleanup(func() { require.NoError(b, svc.Stop(context.Background())) })
	return svc, creds
}

func BenchmarkIntrospectApiKey(b *testing.B) {
	svc, creds := benchService(b)
	req := &authv1.IntrospectApiKeyRequest{ApiKey: creds.ReadKey}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := svc.IntrospectApiKey(b.Context(), req); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkExchangeApiKey(b *testing.B) {
	svc, creds := benchService(b)
	req := &authv1.ExchangeApiKeyRequest{ApiKey: creds.ReadKey}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := svc.ExchangeApiKey(b.Context(), req); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkSignIn shows what one sign-in costs: nearly all of it argon2id.
func BenchmarkSignIn(b *testing.B) {
	svc, creds := benchService(b)
	req := &authv1.SignInRequest{Email: creds.AdminEmail, Password: creds.AdminPassword}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := svc.SignIn(b.Context(), req); err != nil {
			b.Fatal(err)
		}
	}
}
