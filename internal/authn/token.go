package authn

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/golang-jwt/jwt/v5"

	typev1 "github.com/synapse-analytics/synapse/gen/go/synapse/type/v1"
)

// What every token says of itself.
const (
	// TokenIssuer is the `iss` of every token.
	TokenIssuer = "synapse"
	// TokenAudience is the `aud` of every token.
	TokenAudience = "synapse"
	// TokenType is the `typ` of every token's header (RFC 9068).
	TokenType = "at+jwt"
	// TokenSkew is by how much the clocks of two machines may differ.
	TokenSkew = 30 * time.Second
	// MaxTokenTTL bounds a token's life, and with it how long a process must
	// remember that a key or session was revoked.
	MaxTokenTTL = time.Hour
	// MaxTokenBytes bounds a token before it is looked at: enough for about 150
	// projects, and half of the headers that a server takes.
	MaxTokenBytes = 16 << 10

	maxKeyIDBytes = 64
)

// Errors of ParseToken, for errors.Is.
var (
	// ErrTokenMalformed: it is not a token of ours, or was changed.
	ErrTokenMalformed = errors.New("authn: not a token of this system")
	// ErrTokenExpired: its time is over.
	ErrTokenExpired = errors.New("authn: the token has expired")
	// ErrTokenEarly: its time has not begun; a clock is wrong.
	ErrTokenEarly = errors.New("authn: the token is not valid yet")
	// ErrTokenKeyUnknown: it names a signing key that is not known.
	ErrTokenKeyUnknown = errors.New("authn: the token's signing key is unknown")
)

// Claims is the payload of a token (RFC 7519). Scopes are the enum's numbers, to
// keep tokens small: they travel with every call, and in a cookie.
type Claims struct {
	// Issuer is TokenIssuer.
	Issuer string `json:"iss"`
	// Audience is TokenAudience.
	Audience string `json:"aud"`
	// Subject is the id of the API key or user.
	Subject string `json:"sub"`
	// Kind is "key" or "user".
	Kind string `json:"kind"`
	// Session is the session of a user's token.
	Session string `json:"sid,omitempty"`
	// Projects maps project ids to scopes.
	Projects map[string][]int32 `json:"prj"`
	// IssuedAt, NotBefore and ExpiresAt are seconds since 1970; IssuedAt to the
	// millisecond, so that it can be told whether a token is older than a change
	// of its key or project.
	IssuedAt  float64 `json:"iat"`
	NotBefore int64   `json:"nbf"`
	ExpiresAt int64   `json:"exp"`
}

// GetExpirationTime implements jwt.Claims.
func (c *Claims) GetExpirationTime() (*jwt.NumericDate, error) { return date(c.ExpiresAt), nil }

// GetNotBefore implements jwt.Claims.
func (c *Claims) GetNotBefore() (*jwt.NumericDate, error) { return date(c.NotBefore), nil }

// GetIssuedAt implements jwt.Claims.
func (c *Claims) GetIssuedAt() (*jwt.NumericDate, error) { return date(int64(c.IssuedAt)), nil }

// GetIssuer implements jwt.Claims.
func (c *Claims) GetIssuer() (string, error) { return c.Issuer, nil }

// GetSubject implements jwt.Claims.
func (c *Claims) GetSubject() (string, error) { return c.Subject, nil }

// GetAudience implements jwt.Claims.
func (c *Claims) GetAudience() (jwt.ClaimStrings, error) { return jwt.ClaimStrings{c.Audience}, nil }

func date(sec int64) *jwt.NumericDate { return &jwt.NumericDate{Time: time.Unix(sec, 0)} }

// SignToken makes a token for the principal that is valid from now for ttl, at
// most MaxTokenTTL and never longer than the principal's own ExpireTime. kid
// names the key among the published ones.
func SignToken(p Principal, kid string, key ed25519.PrivateKey, now time.Time, ttl time.Duration) (string, error) {
	switch {
	case ttl <= 0 || ttl > MaxTokenTTL:
		return "", fmt.Errorf("authn: a token lives more than 0 and at most %s, not %s", MaxTokenTTL, ttl)
	case len(key) != ed25519.PrivateKeySize:
		return "", errors.New("authn: not an Ed25519 private key")
	case kid == "" || len(kid) > maxKeyIDBytes:
		return "", fmt.Errorf("authn: a signing key's id has 1 to %d bytes", maxKeyIDBytes)
	case p.ID == "" || (p.Kind != KindAPIKey && p.Kind != KindUser):
		return "", errors.New("authn: a token needs a principal with kind and id")
	}
	end := now.Add(ttl)
	if !p.ExpireTime.IsZero() && p.ExpireTime.Before(end) {
		end = p.ExpireTime
	}
	claims := &Claims{
		Issuer: TokenIssuer, Audience: TokenAudience, Subject: p.ID, Kind: p.Kind.String(), Session: p.SessionID,
		Projects: make(map[string][]int32, len(p.Projects)),
		IssuedAt: float64(now.UnixMilli()) / 1000, NotBefore: now.Unix(), ExpiresAt: end.Unix(),
	}
	for project, scopes := range p.Projects {
		numbers := make([]int32, len(scopes))
		for i, s := range scopes {
			numbers[i] = int32(s)
		}
		claims.Projects[project] = numbers
	}
	t := jwt.NewWithClaims(jwt.SigningMethodEdDSA, claims)
	t.Header["kid"], t.Header["typ"] = kid, TokenType
	token, err := t.SignedString(key)
	if err != nil {
		return "", fmt.Errorf("authn: sign token: %w", err)
	}
	if len(token) > MaxTokenBytes {
		return "", fmt.Errorf("authn: a token of %d bytes is larger than %d; the principal has too many projects", len(token), MaxTokenBytes)
	}
	return token, nil
}

// ParseToken verifies a token at the time now and returns whom it stands for.
// keyfunc finds the public key by its id and is called before anything of the
// payload is trusted; its error is returned wrapped. Only Ed25519 is accepted,
// and of the header only `alg`, `kid` and `typ` are read. The errors are those
// of this file; none holds the token.
func ParseToken(token string, keyfunc func(kid string) (ed25519.PublicKey, error), now time.Time) (*Principal, error) {
	t, err := parseToken(token, keyfunc, now)
	if err != nil {
		return nil, err
	}
	return t.principal, nil
}

// verifiedToken is what a valid token says.
type verifiedToken struct {
	principal *Principal
	issuedAt  time.Time
}

func parseToken(token string, keyfunc func(kid string) (ed25519.PublicKey, error), now time.Time) (*verifiedToken, error) {
	if len(token) > MaxTokenBytes {
		return nil, ErrTokenMalformed
	}
	var (
		claims Claims
		keyErr error
	)
	parser := jwt.NewParser(
		jwt.WithValidMethods([]string{jwt.SigningMethodEdDSA.Alg()}), jwt.WithStrictDecoding(),
		jwt.WithIssuer(TokenIssuer), jwt.WithAudience(TokenAudience), jwt.WithExpirationRequired(),
		jwt.WithLeeway(TokenSkew), jwt.WithTimeFunc(func() time.Time { return now }),
	)
	_, err := parser.ParseWithClaims(token, &claims, func(t *jwt.Token) (any, error) {
		if typ, _ := t.Header["typ"].(string); typ != TokenType {
			return nil, ErrTokenMalformed
		}
		kid, _ := t.Header["kid"].(string)
		if kid == "" || len(kid) > maxKeyIDBytes {
			return nil, ErrTokenMalformed
		}
		var key ed25519.PublicKey
		if key, keyErr = keyfunc(kid); keyErr != nil {
			return nil, keyErr
		}
		if len(key) != ed25519.PublicKeySize {
			return nil, ErrTokenKeyUnknown
		}
		return key, nil
	})
	switch {
	case err == nil:
		return claims.verified()
	case keyErr != nil:
		return nil, fmt.Errorf("authn: signing key: %w", keyErr)
	case errors.Is(err, jwt.ErrTokenExpired):
		return nil, ErrTokenExpired
	case errors.Is(err, jwt.ErrTokenNotValidYet):
		return nil, ErrTokenEarly
	case errors.Is(err, ErrTokenKeyUnknown):
		return nil, ErrTokenKeyUnknown
	default:
		// without jwt's text, which may quote parts of the token
		return nil, ErrTokenMalformed
	}
}

// verified checks what only this system's tokens hold. Scopes of a later
// release are left out: they open nothing here.
func (c *Claims) verified() (*verifiedToken, error) {
	p := &Principal{
		ID: c.Subject, SessionID: c.Session, ExpireTime: time.Unix(c.ExpiresAt, 0),
		Projects: make(map[string][]typev1.Access_Scope, len(c.Projects)),
	}
	switch c.Kind {
	case KindAPIKey.String():
		p.Kind = KindAPIKey
	case KindUser.String():
		p.Kind = KindUser
	default:
		return nil, ErrTokenMalformed
	}
	if c.IssuedAt <= 0 || c.IssuedAt > math.MaxInt32*100.0 { // the year 8800: a float that is no time
		return nil, ErrTokenMalformed
	}
	issued := time.UnixMilli(int64(math.Round(c.IssuedAt * 1000)))
	if p.ID == "" || p.ExpireTime.Sub(issued) > MaxTokenTTL+TokenSkew {
		return nil, ErrTokenMalformed
	}
	for project, numbers := range c.Projects {
		scopes := make([]typev1.Access_Scope, 0, len(numbers))
		for _, n := range numbers {
			if _, known := typev1.Access_Scope_name[n]; known && n != 0 {
				scopes = append(scopes, typev1.Access_Scope(n))
			}
		}
		p.Projects[project] = scopes
	}
	return &verifiedToken{principal: p, issuedAt: issued}, nil
}
