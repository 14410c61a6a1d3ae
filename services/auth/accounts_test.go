package auth_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"

	authv1 "github.com/synapse-analytics/synapse/gen/go/synapse/auth/v1"
	"github.com/synapse-analytics/synapse/internal/errs"
	"github.com/synapse-analytics/synapse/services/auth"
)

func TestPasswordRules(t *testing.T) {
	for name, tc := range map[string]struct {
		password string
		ok       bool
	}{
		"four words":         {"correct horse battery staple", true},
		"15 characters":      {"abcdefghijklmno", true},
		"14 characters":      {"abcdefghijklmn", false},
		"15 of two bytes":    {"äöüßéèêàâîïôœçñ", true},
		"14 of two bytes":    {"äöüßéèêàâîïôœç", false},
		"256 bytes":          {strings.Repeat("abcdefgh", 32), true},
		"257 bytes":          {strings.Repeat("abcdefgh", 32) + "x", false},
		"one character":      {strings.Repeat("a", 30), false},
		"the address":        {"Someone Someone Someone", false},
		"not UTF-8":          {"abcdefghijklmno\xff", false},
		"no digits needed":   {"just some plain words", true},
		"spaces are counted": {"a b c d e f g h", true},
	} {
		t.Run(name, func(t *testing.T) {
			err := auth.CheckPassword("someone@example.com", tc.password)
			if tc.ok {
				require.NoError(t, err)
				return
			}
			violated(t, err, "password")
			require.NotContains(t, err.Error(), tc.password)
		})
	}
}

func TestCreateUserAndResetPassword(t *testing.T) {
	w := newWorld(t)
	w.svc.RealHashes()
	signIn := func(password string) (*authv1.Session, error) {
		return w.SignIn(t.Context(), &authv1.SignInRequest{Email: "ann@example.com", Password: password})
	}
	// Composed and decomposed forms are the same password.
	_, plain, err := w.svc.CreateUser(t.Context(), "Ann@Example.com", "caf\u00e9 horse battery")
	require.NoError(t, err)
	require.Equal(t, "caf\u00e9 horse battery", plain)
	s, err := signIn("cafe\u0301 horse battery")
	require.NoError(t, err)
	info, err := w.GetSession(w.as(s.GetAccessToken()), &authv1.GetSessionRequest{})
	require.NoError(t, err)
	require.Empty(t, info.GetProjects())

	_, _, err = w.svc.CreateUser(t.Context(), "ann@example.com", "")
	refused(t, err, codes.AlreadyExists, errs.AlreadyExists)
	for _, bad := range []string{"", "x", "a b@example.com", "Ann <ann@example.com>", strings.Repeat("a", 250) + "@example.com"} {
		_, _, err = w.svc.CreateUser(t.Context(), bad, "")
		violated(t, err, "email")
	}
	_, _, err = w.svc.CreateUser(t.Context(), "bob@example.com", "short")
	violated(t, err, "password")

	for range 6 {
		_, err = signIn("wrong")
		require.Error(t, err)
	}
	w.notices.take()
	plain, err = w.svc.ResetPassword(t.Context(), "ann@example.com", "")
	require.NoError(t, err)
	require.Len(t, plain, 24)
	require.Len(t, w.notices.take(), 1, "its session ended")
	_, err = w.GetSession(w.as(s.GetAccessToken()), &authv1.GetSessionRequest{})
	refused(t, err, codes.Unauthenticated, errs.CredentialRevoked)
	_, err = signIn(plain)
	require.NoError(t, err, "the failures are forgotten")
	_, err = signIn("caf\u00e9 horse battery")
	refused(t, err, codes.Unauthenticated, errs.CredentialUnknown)
	_, err = w.svc.ResetPassword(t.Context(), "nobody@example.com", "")
	refused(t, err, codes.NotFound, errs.NotFound)
}

func TestOldHashIsRenewed(t *testing.T) {
	w := newWorld(t)
	w.svc.RealHashes()
	// "password" with m=64, t=1, p=1 and the salt "saltsaltsaltsalt".
	old := "$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHRzYWx0c2FsdA$" + argonSum(t, "password", "saltsaltsaltsalt", 1, 64, 1)
	require.NoError(t, w.store.CreateUser(t.Context(), auth.User{ID: "old", Email: "old@example.com", PasswordHash: old, CreateTime: w.clock.now()}))
	_, err := w.SignIn(t.Context(), &authv1.SignInRequest{Email: "old@example.com", Password: "password"})
	require.NoError(t, err)
	u, err := w.store.UserByID(t.Context(), "old")
	require.NoError(t, err)
	require.Contains(t, u.PasswordHash, "$argon2id$v=19$m=19456,t=2,p=1$")
	_, err = w.SignIn(t.Context(), &authv1.SignInRequest{Email: "old@example.com", Password: "password"})
	require.NoError(t, err)
}

func TestHashForm(t *testing.T) {
	good := "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0c2FsdA$c2FsdHNhbHRzYWx0c2FsdA"
	_, err := auth.ParseHash(good)
	require.NoError(t, err)
	for _, bad := range []string{
		"", "$", good + "$x", strings.Replace(good, "argon2id", "argon2i", 1), strings.Replace(good, "v=19", "v=16", 1),
		strings.Replace(good, "m=19456", "m=99999999", 1), strings.Replace(good, "t=2", "t=0", 1), strings.Replace(good, "p=1", "p=300", 1),
		strings.Replace(good, "c2FsdHNhbHRzYWx0c2FsdA", "!", 1), strings.Replace(good, "$c2FsdHNhbHRzYWx0c2FsdA", "$YQ", 1),
	} {
		_, err := auth.ParseHash(bad)
		require.Error(t, err, bad)
	}
}
