package auth_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"

	authv1 "github.com/synapse-analytics/synapse/gen/go/synapse/auth/v1"
	typev1 "github.com/synapse-analytics/synapse/gen/go/synapse/type/v1"
	"github.com/synapse-analytics/synapse/internal/errs"
	"github.com/synapse-analytics/synapse/services/auth"
)

func TestSignIn(t *testing.T) {
	w := newWorld(t)
	s, err := w.SignIn(t.Context(), &authv1.SignInRequest{Email: "  ADMIN@localhost ", Password: w.creds.AdminPassword})
	require.NoError(t, err)
	require.Equal(t, w.clock.now().Add(5*time.Minute), s.GetExpireTime().AsTime())
	require.Equal(t, w.clock.now().Add(7*24*time.Hour), s.GetRefreshExpireTime().AsTime())
	require.Equal(t, "admin@localhost", s.GetUser().GetEmail())

	info, err := w.GetSession(w.as(s.GetAccessToken()), &authv1.GetSessionRequest{})
	require.NoError(t, err)
	require.Equal(t, s.GetUser().GetName(), info.GetUser().GetName())
	require.Equal(t, s.GetExpireTime().AsTime(), info.GetExpireTime().AsTime())
	require.Len(t, info.GetProjects(), 1)
	require.Equal(t, "projects/default", info.GetProjects()[0].GetName())
	require.Equal(t, []typev1.Access_Scope{typev1.Access_INGEST, typev1.Access_READ, typev1.Access_SCORE, typev1.Access_MANAGE}, info.GetProjects()[0].GetScopes())
}

func TestSignInRefused(t *testing.T) {
	w := newWorld(t)
	for name, tc := range map[string]struct {
		email, password string
		code            codes.Code
		reason          errs.Reason
	}{
		"wrong password":  {"admin@localhost", "not the password", codes.Unauthenticated, errs.CredentialUnknown},
		"unknown account": {"nobody@localhost", "not the password", codes.Unauthenticated, errs.CredentialUnknown},
		"no e-mail":       {"", "x", codes.InvalidArgument, errs.InvalidField},
		"no password":     {"admin@localhost", "", codes.InvalidArgument, errs.InvalidField},
		"too long":        {"admin@localhost", string(make([]byte, 257)), codes.InvalidArgument, errs.InvalidField},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := w.SignIn(t.Context(), &authv1.SignInRequest{Email: tc.email, Password: tc.password})
			refused(t, err, tc.code, tc.reason)
			if tc.password != "" && tc.password != "x" {
				require.NotContains(t, err.Error(), tc.password)
			}
		})
	}
}

// An unknown account takes the same path as a wrong password: the same hash is
// computed with the same parameters, the failure is counted, the answer is equal.
func TestUnknownAccountTakesTheSamePath(t *testing.T) {
	w := newWorld(t)
	var mu sync.Mutex
	var calls []auth.HashCall
	w.svc.WatchHashes(func(c auth.HashCall) { mu.Lock(); calls = append(calls, c); mu.Unlock() })
	try := func(email string) error {
		_, err := w.SignIn(t.Context(), &authv1.SignInRequest{Email: email, Password: "some password"})
		return err
	}
	known, unknown := try("admin@localhost"), try("nobody@localhost")
	require.Equal(t, errs.FromError(known), errs.FromError(unknown))
	require.Len(t, calls, 2)
	require.Equal(t, calls[0], calls[1])
	require.Equal(t, auth.HashCall{Password: "some password", Passes: 2, MemoryKiB: 19456, Lanes: 1}, calls[0])
	for range 4 {
		require.Error(t, try("admin@localhost"))
		require.Error(t, try("nobody@localhost"))
	}
	refused(t, try("admin@localhost"), codes.ResourceExhausted, errs.SignInThrottled)
	refused(t, try("nobody@localhost"), codes.ResourceExhausted, errs.SignInThrottled)
	require.Len(t, calls, 10, "a throttled try costs no hash")
}

func TestThrottle(t *testing.T) {
	w := newWorld(t)
	try := func(password string) error {
		_, err := w.SignIn(t.Context(), &authv1.SignInRequest{Email: "admin@localhost", Password: password})
		return err
	}
	for range 5 {
		refused(t, try("wrong"), codes.Unauthenticated, errs.CredentialUnknown)
	}
	wait := 30 * time.Second
	for range 8 {
		e := refused(t, try(w.creds.AdminPassword), codes.ResourceExhausted, errs.SignInThrottled)
		require.Equal(t, wait, e.RetryAfter, "the right password is refused as well")
		require.NotNil(t, e.Quota)
		w.clock.add(wait - time.Second)
		e = refused(t, try("wrong"), codes.ResourceExhausted, errs.SignInThrottled)
		require.Equal(t, time.Second, e.RetryAfter, "a refused try does not count")
		w.clock.add(time.Second)
		refused(t, try("wrong"), codes.Unauthenticated, errs.CredentialUnknown)
		wait = min(2*wait, 15*time.Minute)
	}
	// Another account is not concerned.
	_, err := w.SignIn(t.Context(), &authv1.SignInRequest{Email: "other@localhost", Password: "x"})
	refused(t, err, codes.Unauthenticated, errs.CredentialUnknown)

	w.clock.add(15 * time.Minute)
	require.NoError(t, try(w.creds.AdminPassword))
	for range 5 { // success forgets the failures
		refused(t, try("wrong"), codes.Unauthenticated, errs.CredentialUnknown)
	}
	refused(t, try("wrong"), codes.ResourceExhausted, errs.SignInThrottled)
	w.clock.add(24*time.Hour + time.Second) // and so does a quiet day
	refused(t, try("wrong"), codes.Unauthenticated, errs.CredentialUnknown)
	require.NoError(t, try(w.creds.AdminPassword))
}

// Tries at the same time can not outrun the count.
func TestThrottleHoldsForConcurrentTries(t *testing.T) {
	w := newWorld(t)
	hashes := w.svc.CountHashes()
	var throttled atomic.Int64
	var wg sync.WaitGroup
	for range 40 {
		wg.Go(func() {
			_, err := w.SignIn(t.Context(), &authv1.SignInRequest{Email: "admin@localhost", Password: "wrong"})
			if errs.ReasonOf(errs.FromError(err)) == errs.SignInThrottled {
				throttled.Add(1)
			}
		})
	}
	wg.Wait()
	require.LessOrEqual(t, hashes.Load(), int64(5))
	require.EqualValues(t, 40-hashes.Load(), throttled.Load())
}

func TestSignInsAreBoundedTogether(t *testing.T) {
	w := newWorld(t, func(c *auth.Config) { c.SignInQueue = 2; c.HashParallelism = 1 })
	entered, release := make(chan struct{}), make(chan struct{})
	w.svc.WatchHashes(func(auth.HashCall) { entered <- struct{}{}; <-release })
	var wg sync.WaitGroup
	try := func(email string) error {
		_, err := w.SignIn(t.Context(), &authv1.SignInRequest{Email: email, Password: "x"})
		return err
	}
	wg.Go(func() { _ = try("a@localhost") })
	<-entered // one hash runs, which is all that may
	wg.Go(func() { _ = try("b@localhost") })
	require.Eventually(t, func() bool { return w.svc.SignIns() == 2 }, time.Minute, time.Millisecond)
	third := try("c@localhost")
	release <- struct{}{}
	<-entered
	release <- struct{}{}
	wg.Wait()
	require.Equal(t, time.Second, refused(t, third, codes.ResourceExhausted, errs.SignInThrottled).RetryAfter)
	require.Equal(t, 0, w.svc.SignIns())
	wg.Go(func() { <-entered; release <- struct{}{} })
	refused(t, try("d@localhost"), codes.Unauthenticated, errs.CredentialUnknown)
	wg.Wait()
}

func TestWaits(t *testing.T) {
	c := auth.DefaultConfig()
	for n, want := range map[int]time.Duration{
		0: 0, 4: 0, 5: 30 * time.Second, 6: time.Minute, 9: 8 * time.Minute, 10: 15 * time.Minute, 1 << 40: 15 * time.Minute,
	} {
		require.Equal(t, want, auth.Wait(c, n), n)
	}
}

func TestRefresh(t *testing.T) {
	w := newWorld(t)
	first := w.signIn()
	w.clock.add(4 * time.Minute)
	second, err := w.RefreshSession(t.Context(), &authv1.RefreshSessionRequest{RefreshToken: first.GetRefreshToken()})
	require.NoError(t, err)
	require.NotEqual(t, first.GetRefreshToken(), second.GetRefreshToken())
	require.NotEqual(t, first.GetAccessToken(), second.GetAccessToken())
	require.Equal(t, w.clock.now().Add(7*24*time.Hour), second.GetRefreshExpireTime().AsTime())
	require.Equal(t, first.GetUser().GetName(), second.GetUser().GetName())
	_, err = w.GetSession(w.as(first.GetAccessToken()), &authv1.GetSessionRequest{})
	require.NoError(t, err, "the first access token lasts its minutes")
	require.Empty(t, w.notices.take())

	// The old one again: somebody else has it too.
	_, err = w.RefreshSession(t.Context(), &authv1.RefreshSessionRequest{RefreshToken: first.GetRefreshToken()})
	refused(t, err, codes.Unauthenticated, errs.CredentialRevoked)
	got := w.notices.take()
	require.Len(t, got, 1)
	require.Contains(t, got[0], "session ")
	_, err = w.RefreshSession(t.Context(), &authv1.RefreshSessionRequest{RefreshToken: second.GetRefreshToken()})
	refused(t, err, codes.Unauthenticated, errs.CredentialRevoked)
	_, err = w.GetSession(w.as(second.GetAccessToken()), &authv1.GetSessionRequest{})
	refused(t, err, codes.Unauthenticated, errs.CredentialRevoked)
}

func TestRefreshRefused(t *testing.T) {
	w := newWorld(t)
	good := w.signIn().GetRefreshToken()
	for name, tc := range map[string]struct {
		token  string
		reason errs.Reason
	}{
		"missing":   {"", errs.CredentialMissing},
		"malformed": {"x", errs.CredentialMalformed},
		"an API key": {
			w.creds.AdminKey, errs.CredentialMalformed},
		"unknown": {good[:len(good)-1] + string('a'+(good[len(good)-1]+1)%26), errs.CredentialUnknown},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := w.RefreshSession(t.Context(), &authv1.RefreshSessionRequest{RefreshToken: tc.token})
			refused(t, err, codes.Unauthenticated, tc.reason)
		})
	}
	w.clock.add(7 * 24 * time.Hour)
	_, err := w.RefreshSession(t.Context(), &authv1.RefreshSessionRequest{RefreshToken: good})
	refused(t, err, codes.Unauthenticated, errs.CredentialExpired)
}

func TestSessionEndsAtItsLongest(t *testing.T) {
	w := newWorld(t)
	s := w.signIn()
	end := w.clock.now().Add(30 * 24 * time.Hour)
	for range 4 {
		w.clock.add(6 * 24 * time.Hour)
		var err error
		s, err = w.RefreshSession(t.Context(), &authv1.RefreshSessionRequest{RefreshToken: s.GetRefreshToken()})
		require.NoError(t, err)
	}
	require.Equal(t, end, s.GetRefreshExpireTime().AsTime())
	w.clock.add(6 * 24 * time.Hour)
	_, err := w.RefreshSession(t.Context(), &authv1.RefreshSessionRequest{RefreshToken: s.GetRefreshToken()})
	refused(t, err, codes.Unauthenticated, errs.CredentialExpired)
}

func TestSignOut(t *testing.T) {
	w := newWorld(t)
	s, other := w.signIn(), w.signIn()
	_, err := w.SignOut(w.as(s.GetAccessToken()), &authv1.SignOutRequest{})
	require.NoError(t, err)
	require.Len(t, w.notices.take(), 1)
	_, err = w.GetSession(w.as(s.GetAccessToken()), &authv1.GetSessionRequest{})
	refused(t, err, codes.Unauthenticated, errs.CredentialRevoked)
	_, err = w.RefreshSession(t.Context(), &authv1.RefreshSessionRequest{RefreshToken: s.GetRefreshToken()})
	refused(t, err, codes.Unauthenticated, errs.CredentialRevoked)
	_, err = w.GetSession(w.as(other.GetAccessToken()), &authv1.GetSessionRequest{})
	require.NoError(t, err, "another session of the same person goes on")
}

func TestAccessTokenExpires(t *testing.T) {
	w := newWorld(t)
	s := w.signIn()
	w.clock.add(5*time.Minute + 31*time.Second)
	_, err := w.GetSession(w.as(s.GetAccessToken()), &authv1.GetSessionRequest{})
	refused(t, err, codes.Unauthenticated, errs.CredentialExpired)
}

func TestOnlyPeopleHaveSessions(t *testing.T) {
	w := newWorld(t)
	_, err := w.GetSession(w.as(w.creds.AdminKey), &authv1.GetSessionRequest{})
	refused(t, err, codes.PermissionDenied, errs.PermissionDenied)
	_, err = w.SignOut(t.Context(), &authv1.SignOutRequest{})
	refused(t, err, codes.Unauthenticated, errs.CredentialMissing)
}

func TestSessionsPerUserAreBounded(t *testing.T) {
	w := newWorld(t)
	first := w.signIn()
	for range 50 {
		w.clock.add(time.Second)
		w.signIn()
	}
	_, err := w.RefreshSession(t.Context(), &authv1.RefreshSessionRequest{RefreshToken: first.GetRefreshToken()})
	refused(t, err, codes.Unauthenticated, errs.CredentialRevoked)
	require.Len(t, w.notices.take(), 1)
}
