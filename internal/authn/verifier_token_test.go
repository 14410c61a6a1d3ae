package authn_test

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"hash/crc32"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	pipelinev1 "github.com/synapse-analytics/synapse/gen/go/synapse/pipeline/v1"
	typev1 "github.com/synapse-analytics/synapse/gen/go/synapse/type/v1"
	"github.com/synapse-analytics/synapse/internal/authn"
	"github.com/synapse-analytics/synapse/internal/errs"
)

// withCheck appends the check of an API key.
func withCheck(body string) string {
	const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	sum, out := crc32.ChecksumIEEE([]byte(body)), make([]byte, 6)
	for i := 5; i >= 0; i-- {
		out[i], sum = digits[sum%62], sum/62
	}
	return body + string(out)
}

// signer signs tokens with keys that the world's auth service publishes.
func (w *world) signer(t testing.TB, kid string) func(authn.Principal, time.Duration) string {
	t.Helper()
	pub, priv := newSigner(t)
	w.set(func() { w.jwks[kid] = pub })
	return func(p authn.Principal, ttl time.Duration) string {
		token, err := authn.SignToken(p, kid, priv, w.now(), ttl)
		require.NoError(t, err)
		return token
	}
}

func TestVerifyToken(t *testing.T) {
	w := newWorld(t, nil)
	sign := w.signer(t, "k1")
	token := sign(person, 10*time.Minute)
	for range 5 {
		p, err := w.verify(token)
		require.NoError(t, err)
		require.Equal(t, "u1", p.ID)
	}
	require.EqualValues(t, 1, w.fetches.Load())
	w.advance(10*time.Minute + 29*time.Second)
	_, err := w.verify(token)
	require.NoError(t, err, "within the skew")
	w.advance(3 * time.Second)
	_, err = w.verify(token)
	requireReason(t, err, errs.CredentialExpired)
	require.NoError(t, w.v.HandleNotice(nil)) // forgets the cache
	_, err = w.verify(token)
	requireReason(t, err, errs.CredentialExpired)
	_, err = w.verify(token[:len(token)-4] + "AAAA")
	requireReason(t, err, errs.CredentialMalformed)
}

// The first tokens of a process, or of a new signing key, come at once: all wait for the
// one question that is on its way.
func TestTokensAtOnce(t *testing.T) {
	w := newWorld(t, nil)
	for round, kid := range []string{"k1", "k2"} {
		sign := w.signer(t, kid)
		var waiting []chan error
		w.authService.mu.Lock() // it answers nobody
		for i := range 5 {
			p := person
			p.ID = fmt.Sprint("u", i)
			token := sign(p, time.Hour)
			done := make(chan error, 1)
			go func() { _, err := w.verify(token); done <- err }()
			if i == 0 {
				require.Eventually(t, func() bool { return w.fetches.Load() == int64(round+1) }, time.Minute, time.Millisecond)
			}
			waiting = append(waiting, done)
		}
		time.Sleep(50 * time.Millisecond) // they have asked
		w.authService.mu.Unlock()
		for _, done := range waiting {
			require.NoError(t, <-done)
		}
		require.EqualValues(t, round+1, w.fetches.Load())
		w.advance(time.Minute)
	}
}

func TestSessionAndKeyNoticesReachTokens(t *testing.T) {
	w := newWorld(t, nil)
	sign := w.signer(t, "k1")
	second := person
	second.SessionID = "s2"
	key := authn.Principal{Kind: authn.KindAPIKey, ID: "abc", Projects: map[string][]typev1.Access_Scope{"demo": {typev1.Access_INGEST}}}
	one, two, three := sign(person, time.Hour), sign(second, time.Hour), sign(key, time.Hour)
	for _, s := range []string{one, two, three} {
		_, err := w.verify(s)
		require.NoError(t, err)
	}
	w.notice(t, &pipelinev1.ControlNotice{Notice: &pipelinev1.ControlNotice_SessionEnded{SessionEnded: "s1"}})
	w.notice(t, keyChanged("abc"))
	_, err := w.verify(one)
	requireReason(t, err, errs.CredentialRevoked)
	_, err = w.verify(three)
	requireReason(t, err, errs.CredentialRevoked)
	_, err = w.verify(two)
	require.NoError(t, err, "another session")
	w.advance(time.Hour + 29*time.Second)
	_, err = w.verify(one)
	requireReason(t, err, errs.CredentialRevoked)
	w.advance(2 * time.Minute)
	_, err = w.verify(one)
	requireReason(t, err, errs.CredentialExpired)
}

// A token that no process has seen before the notice is refused as well.
func TestNoticeBeforeFirstUse(t *testing.T) {
	w := newWorld(t, nil)
	token := w.signer(t, "k1")(person, time.Hour)
	w.notice(t, &pipelinev1.ControlNotice{Notice: &pipelinev1.ControlNotice_SessionEnded{SessionEnded: "s1"}})
	_, err := w.verify(token)
	requireReason(t, err, errs.CredentialRevoked)
}

// After a change of a project, a token from before is refused, and one from
// after is taken: its holder only gets a new one.
func TestProjectNoticeReachesTokens(t *testing.T) {
	w := newWorld(t, nil)
	sign := w.signer(t, "k1")
	before := sign(person, time.Hour)
	_, err := w.verify(before)
	require.NoError(t, err)
	w.notice(t, projectChanged("demo"))
	_, err = w.verify(before)
	requireReason(t, err, errs.CredentialExpired)
	w.advance(time.Millisecond)
	_, err = w.verify(sign(person, time.Hour))
	require.NoError(t, err)
	w.notice(t, projectChanged("unrelated"))
	w.advance(time.Millisecond)
	_, err = w.verify(sign(person, time.Hour))
	require.NoError(t, err)
}

func TestNoticeSkew(t *testing.T) {
	w := newWorld(t, func(c *authn.VerifierConfig) { c.NoticeSkew = 5 * time.Second })
	sign := w.signer(t, "k1")
	w.notice(t, projectChanged("demo"))
	w.advance(5 * time.Second)
	_, err := w.verify(sign(person, time.Minute))
	requireReason(t, err, errs.CredentialExpired)
	w.advance(time.Millisecond)
	_, err = w.verify(sign(person, time.Minute))
	require.NoError(t, err)
}

// 10,000 random key ids make one fetch in 10 s, and none of them gets in.
func TestKeySetFlood(t *testing.T) {
	w := newWorld(t, nil)
	good := w.signer(t, "k1")(person, time.Hour)
	_, err := w.verify(good)
	require.NoError(t, err)
	_, priv := newSigner(t)
	flood := func(from int) {
		for i := range 300 {
			token, err := authn.SignToken(person, fmt.Sprintf("random-%d", from+i), priv, w.now(), time.Minute)
			require.NoError(t, err)
			_, err = w.verify(token)
			requireReason(t, err, errs.CredentialUnknown)
		}
	}
	before := w.fetches.Load()
	flood(0)
	require.LessOrEqual(t, w.fetches.Load()-before, int64(1))
	w.advance(10 * time.Second)
	flood(1000)
	require.LessOrEqual(t, w.fetches.Load()-before, int64(2))
	_, err = w.verify(good)
	require.NoError(t, err)
}

func TestKeyRotation(t *testing.T) {
	w := newWorld(t, nil)
	old := w.signer(t, "k1")
	_, err := w.verify(old(person, time.Hour))
	require.NoError(t, err)
	next := w.signer(t, "k2")
	token := next(person, time.Hour)
	_, err = w.verify(token)
	requireReason(t, err, errs.CredentialUnknown) // asked less than 10 s ago
	w.notice(t, &pipelinev1.ControlNotice{Notice: &pipelinev1.ControlNotice_SigningKeysChanged{SigningKeysChanged: true}})
	_, err = w.verify(token)
	require.NoError(t, err, "the notice makes it ask at once")
	w.set(func() { delete(w.jwks, "k1") })
	w.notice(t, &pipelinev1.ControlNotice{Notice: &pipelinev1.ControlNotice_SigningKeysChanged{SigningKeysChanged: true}})
	w.advance(time.Second)
	_, err = w.verify(old(person, time.Minute))
	requireReason(t, err, errs.CredentialUnknown)
}

func TestKeySetWhileAuthIsDown(t *testing.T) {
	w := newWorld(t, nil)
	sign := w.signer(t, "k1")
	w.set(func() { w.down = errDown })
	_, err := w.verify(sign(person, time.Hour))
	requireReason(t, err, errs.Unavailable)
	_, err = w.verify(sign(person, time.Hour))
	requireReason(t, err, errs.Unavailable) // without another fetch
	require.EqualValues(t, 1, w.fetches.Load())
	w.set(func() { w.down = nil })
	w.advance(10 * time.Second)
	_, err = w.verify(sign(person, time.Hour))
	require.NoError(t, err)

	w.set(func() { w.down = errDown })
	w.advance(6 * time.Minute) // past the key set's time: fetched in vain, used on
	_, err = w.verify(sign(person, time.Hour))
	require.NoError(t, err)
	w.advance(time.Hour)
	_, err = w.verify(sign(person, time.Hour))
	requireReason(t, err, errs.Unavailable)
}

func TestParseKeySet(t *testing.T) {
	w := newWorld(t, nil)
	w.signer(t, "k1")
	set, err := w.GetJwks(context.Background(), nil)
	require.NoError(t, err)
	got, err := authn.ParseKeySet(set)
	require.NoError(t, err)
	require.Equal(t, map[string]ed25519.PublicKey{"k1": w.jwks["k1"]}, got)

	set.Keys[0].X = "AAAA"
	_, err = authn.ParseKeySet(set)
	require.Error(t, err)
	set.Keys[0].Kty = "RSA"
	got, err = authn.ParseKeySet(set)
	require.NoError(t, err, "keys of other kinds are left out")
	require.Empty(t, got)
}

func BenchmarkVerifyCachedToken(b *testing.B) {
	w := newWorld(b, nil)
	token := w.signer(b, "k1")(person, time.Hour)
	ctx := context.Background()
	_, err := w.v.Verify(ctx, token)
	require.NoError(b, err)
	b.ReportAllocs()
	b.ResetTimer()
	for b.Loop() {
		_, _ = w.v.Verify(ctx, token)
	}
}
