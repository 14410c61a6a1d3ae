package authn_test

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	typev1 "github.com/synapse-analytics/synapse/gen/go/synapse/type/v1"
	"github.com/synapse-analytics/synapse/internal/authn"
)

var (
	t0     = time.UnixMilli(1_800_000_000_250)
	person = authn.Principal{
		Kind: authn.KindUser, ID: "u1", SessionID: "s1",
		Projects: map[string][]typev1.Access_Scope{"demo": {typev1.Access_READ, typev1.Access_MANAGE}, "other": {}},
	}
)

func newSigner(t testing.TB) (ed25519.PublicKey, ed25519.PrivateKey) {
	t.Helper()
	pub, priv, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	return pub, priv
}

// keys returns a keyfunc that knows the keys.
func keys(m map[string]ed25519.PublicKey) func(string) (ed25519.PublicKey, error) {
	return func(kid string) (ed25519.PublicKey, error) {
		if k, ok := m[kid]; ok {
			return k, nil
		}
		return nil, authn.ErrTokenKeyUnknown
	}
}

func TestTokenRoundTrip(t *testing.T) {
	pub, priv := newSigner(t)
	key := authn.Principal{Kind: authn.KindAPIKey, ID: "abc", Projects: map[string][]typev1.Access_Scope{"demo": {typev1.Access_INGEST}}}
	for _, p := range []authn.Principal{person, key} {
		token, err := authn.SignToken(p, "k1", priv, t0, 10*time.Minute)
		require.NoError(t, err)
		got, err := authn.ParseToken(token, keys(map[string]ed25519.PublicKey{"k1": pub}), t0.Add(time.Minute))
		require.NoError(t, err)
		want := p
		want.ExpireTime = time.Unix(t0.Add(10*time.Minute).Unix(), 0)
		require.Equal(t, &want, got)
	}
	short := key
	short.ExpireTime = t0.Add(time.Minute)
	token, err := authn.SignToken(short, "k1", priv, t0, time.Hour)
	require.NoError(t, err)
	got, err := authn.ParseToken(token, keys(map[string]ed25519.PublicKey{"k1": pub}), t0)
	require.NoError(t, err)
	require.Equal(t, short.ExpireTime.Unix(), got.ExpireTime.Unix(), "a token does not outlive its key")
}

func TestTokenTimes(t *testing.T) {
	pub, priv := newSigner(t)
	k := keys(map[string]ed25519.PublicKey{"k1": pub})
	token, err := authn.SignToken(person, "k1", priv, t0, 10*time.Minute)
	require.NoError(t, err)
	end := t0.Truncate(time.Second).Add(10 * time.Minute)
	for _, tc := range []struct {
		now  time.Time
		want error
	}{
		{t0.Add(-32 * time.Second), authn.ErrTokenEarly},
		{t0.Add(-29 * time.Second), nil},
		{end.Add(29 * time.Second), nil},
		{end.Add(31 * time.Second), authn.ErrTokenExpired},
	} {
		_, err := authn.ParseToken(token, k, tc.now)
		require.ErrorIs(t, err, tc.want)
	}
}

func TestSignTokenRefuses(t *testing.T) {
	_, priv := newSigner(t)
	many := authn.Principal{Kind: authn.KindUser, ID: "u", Projects: map[string][]typev1.Access_Scope{}}
	for i := range 1000 {
		many.Projects[fmt.Sprintf("project-%060d", i)] = []typev1.Access_Scope{1}
	}
	for name, f := range map[string]func() (string, error){
		"no time":   func() (string, error) { return authn.SignToken(person, "k", priv, t0, 0) },
		"long time": func() (string, error) { return authn.SignToken(person, "k", priv, t0, authn.MaxTokenTTL+1) },
		"no kid":    func() (string, error) { return authn.SignToken(person, "", priv, t0, time.Minute) },
		"no key":    func() (string, error) { return authn.SignToken(person, "k", nil, t0, time.Minute) },
		"nobody":    func() (string, error) { return authn.SignToken(authn.Principal{}, "k", priv, t0, time.Minute) },
		"too large": func() (string, error) { return authn.SignToken(many, "k", priv, t0, time.Minute) },
	} {
		_, err := f()
		require.Error(t, err, name)
	}
}

// forge signs any header and payload with the key.
func forge(header, payload any, sign func(input []byte) []byte) string {
	enc := func(v any) string {
		if s, ok := v.(string); ok {
			return base64.RawURLEncoding.EncodeToString([]byte(s))
		}
		b, _ := json.Marshal(v)
		return base64.RawURLEncoding.EncodeToString(b)
	}
	input := enc(header) + "." + enc(payload)
	return input + "." + base64.RawURLEncoding.EncodeToString(sign([]byte(input)))
}

// The known attacks on JWTs, and each claim that is missing or wrong.
func TestForgedTokens(t *testing.T) {
	pub, priv := newSigner(t)
	_, stranger := newSigner(t)
	k := keys(map[string]ed25519.PublicKey{"k1": pub})
	ours := func(in []byte) []byte { return ed25519.Sign(priv, in) }
	type m = map[string]any
	header := func(change m) m {
		h := m{"alg": "EdDSA", "typ": "at+jwt", "kid": "k1"}
		for k, v := range change {
			h[k] = v
		}
		return h
	}
	claims := func(change m) m {
		c := m{
			"iss": "synapse", "aud": "synapse", "sub": "u1", "kind": "user", "sid": "s1", "prj": m{"demo": []int{2}},
			"iat": t0.Unix(), "nbf": t0.Unix(), "exp": t0.Add(time.Minute).Unix(),
		}
		for k, v := range change {
			if v == nil {
				delete(c, k)
			} else {
				c[k] = v
			}
		}
		return c
	}
	_, err := authn.ParseToken(forge(header(nil), claims(nil), ours), k, t0)
	require.NoError(t, err, "the forger makes good tokens, too")

	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	rs, err := jwt.NewWithClaims(jwt.SigningMethodRS256, jwt.MapClaims(claims(nil))).SignedString(rsaKey)
	require.NoError(t, err)
	_, ownJWK := newSigner(t)
	jwk := m{"kty": "OKP", "crv": "Ed25519", "x": base64.RawURLEncoding.EncodeToString(ownJWK.Public().(ed25519.PublicKey))}
	good := forge(header(nil), claims(nil), ours)
	parts := strings.Split(good, ".")

	for name, token := range map[string]string{
		"none":       forge(header(m{"alg": "none"}), claims(nil), func([]byte) []byte { return nil }),
		"None":       forge(header(m{"alg": "None"}), claims(nil), ours),
		"no alg":     forge(m{"typ": "at+jwt", "kid": "k1"}, claims(nil), ours),
		"hmac":       forge(header(m{"alg": "HS256"}), claims(nil), func(in []byte) []byte { h := hmac.New(sha256.New, pub); h.Write(in); return h.Sum(nil) }),
		"rsa":        rs,
		"stranger":   forge(header(nil), claims(nil), func(in []byte) []byte { return ed25519.Sign(stranger, in) }),
		"own jwk":    forge(header(m{"jwk": jwk}), claims(nil), func(in []byte) []byte { return ed25519.Sign(ownJWK, in) }),
		"typ JWT":    forge(header(m{"typ": "JWT"}), claims(nil), ours),
		"no typ":     forge(m{"alg": "EdDSA", "kid": "k1"}, claims(nil), ours),
		"no kid":     forge(m{"alg": "EdDSA", "typ": "at+jwt"}, claims(nil), ours),
		"kid number": forge(header(m{"kid": 1}), claims(nil), ours),
		"long kid":   forge(header(m{"kid": strings.Repeat("k", 65)}), claims(nil), ours),
		"issuer":     forge(header(nil), claims(m{"iss": "other"}), ours),
		"audience":   forge(header(nil), claims(m{"aud": "other"}), ours),
		"no iss":     forge(header(nil), claims(m{"iss": nil}), ours),
		"no aud":     forge(header(nil), claims(m{"aud": nil}), ours),
		"no subject": forge(header(nil), claims(m{"sub": nil}), ours),
		"kind":       forge(header(nil), claims(m{"kind": "root"}), ours),
		"no kind":    forge(header(nil), claims(m{"kind": nil}), ours),
		"no iat":     forge(header(nil), claims(m{"iat": nil}), ours),
		"odd iat":    forge(header(nil), claims(m{"iat": 1e300}), ours),
		"too long":   forge(header(nil), claims(m{"exp": t0.Add(48 * time.Hour).Unix()}), ours),
		"exp string": forge(header(nil), claims(m{"exp": "tomorrow"}), ours),
		"prj string": forge(header(nil), claims(m{"prj": "demo"}), ours),
		"no json":    forge(header(nil), "{", ours),
		"no sig":     parts[0] + "." + parts[1] + ".",
		"two parts":  parts[0] + "." + parts[1],
		"padded":     good + "=",
		"swapped":    parts[1] + "." + parts[0] + "." + parts[2],
		"huge":       good + strings.Repeat("A", authn.MaxTokenBytes),
	} {
		t.Run(name, func(t *testing.T) {
			p, err := authn.ParseToken(token, k, t0)
			require.ErrorIs(t, err, authn.ErrTokenMalformed)
			require.Nil(t, p)
			require.NotContains(t, err.Error(), parts[1])
		})
	}
	_, err = authn.ParseToken(forge(header(nil), claims(m{"exp": nil}), ours), k, t0)
	require.Error(t, err)
	_, err = authn.ParseToken(forge(header(m{"kid": "k2"}), claims(nil), ours), k, t0)
	require.ErrorIs(t, err, authn.ErrTokenKeyUnknown)
	boom := errors.New("boom")
	_, err = authn.ParseToken(good, func(string) (ed25519.PublicKey, error) { return nil, boom }, t0)
	require.ErrorIs(t, err, boom)
	_, err = authn.ParseToken(good, func(string) (ed25519.PublicKey, error) { return nil, nil }, t0)
	require.ErrorIs(t, err, authn.ErrTokenKeyUnknown)

	// scopes of a later release open nothing, and do not hurt
	p, err := authn.ParseToken(forge(header(nil), claims(m{"prj": m{"demo": []int{0, 2, 99}}}), ours), k, t0)
	require.NoError(t, err)
	require.Equal(t, []typev1.Access_Scope{typev1.Access_READ}, p.Projects["demo"])
}

func FuzzParseToken(f *testing.F) {
	pub, priv, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(f, err)
	good, err := authn.SignToken(person, "k1", priv, t0, time.Minute)
	require.NoError(f, err)
	for _, s := range []string{good, good[:len(good)-2], "..", "a.b.c", "", `eyJhbGciOiJub25lIn0.e30.`, good + "=", strings.Replace(good, ".", "..", 1)} {
		f.Add(s)
	}
	k := keys(map[string]ed25519.PublicKey{"k1": pub})
	f.Fuzz(func(t *testing.T, s string) {
		p, err := authn.ParseToken(s, k, t0)
		if err != nil {
			require.Nil(t, p)
			return
		}
		require.Equal(t, good, s, "only what was signed is a token")
	})
}

func BenchmarkParseToken(b *testing.B) {
	pub, priv := newSigner(b)
	token, err := authn.SignToken(person, "k1", priv, t0, time.Minute)
	require.NoError(b, err)
	k := keys(map[string]ed25519.PublicKey{"k1": pub})
	for b.Loop() {
		if _, err := authn.ParseToken(token, k, t0); err != nil {
			b.Fatal(err)
		}
	}
}
