package authn

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"

	authv1 "github.com/synapse-analytics/synapse/gen/go/synapse/auth/v1"
	"github.com/synapse-analytics/synapse/internal/errs"
)

// Verifier tells who a credential stands for.
type Verifier interface {
	// Verify returns the caller that the credential stands for. Its errors are
	// *errs.Error: UNAUTHENTICATED, UNAVAILABLE when the auth service does not
	// answer, RESOURCE_EXHAUSTED when its store is busy, or the end of ctx. The principal is shared: do not change it.
	Verify(ctx context.Context, credential string) (*Principal, error)
}

// AuthClient is the part of auth.v1.AuthService that a verifier asks.
type AuthClient interface {
	// IntrospectApiKey tells what a key may do.
	IntrospectApiKey(ctx context.Context, in *authv1.IntrospectApiKeyRequest, opts ...grpc.CallOption) (*authv1.IntrospectApiKeyResponse, error)
	// GetJwks gets the public keys of tokens.
	GetJwks(ctx context.Context, in *authv1.GetJwksRequest, opts ...grpc.CallOption) (*authv1.Jwks, error)
}

// MaxKeyTTL bounds VerifierConfig.KeyTTL: a revocation notice may be lost, and
// then a revoked key still works for this long.
const MaxKeyTTL = 30 * time.Second

// VerifierConfig sets the bounds of a CachingVerifier; a zero field gets its
// default.
type VerifierConfig struct {
	// KeyTTL is how long the auth service's answer about a key is used; default
	// and maximum MaxKeyTTL.
	KeyTTL time.Duration
	// NegativeTTL is how long a refusal is remembered; default 5 s.
	NegativeTTL time.Duration
	// MaxKeys, MaxTokens and MaxNegative bound the caches, in entries; defaults
	// 10,000, 50,000 and 10,000.
	MaxKeys, MaxTokens, MaxNegative int
	// MaxLookups bounds the questions to the auth service that are open at a
	// time; default 64.
	MaxLookups int
	// LookupTimeout bounds one question to the auth service; default 2 s.
	LookupTimeout time.Duration
	// KeySetTTL is how long the published signing keys are used before they are
	// fetched again; default 5 min. When that fails, they are used on for
	// KeySetMaxStale; default 1 h.
	KeySetTTL, KeySetMaxStale time.Duration
	// KeySetInterval is the least time between two fetches that unknown key ids
	// cause; default 10 s.
	KeySetInterval time.Duration
	// NoticeSkew is by how much the auth service's clock may be ahead of this
	// process's: tokens made up to this long after a notice about their project
	// are refused too. Default 0, right where both run on one machine.
	NoticeSkew time.Duration
	// Now is the clock; default time.Now.
	Now func() time.Time
}

func (c *VerifierConfig) setDefaults() {
	def(&c.KeyTTL, MaxKeyTTL)
	c.KeyTTL = min(c.KeyTTL, MaxKeyTTL)
	def(&c.NegativeTTL, 5*time.Second)
	def(&c.MaxKeys, 10_000)
	def(&c.MaxTokens, 50_000)
	def(&c.MaxNegative, 10_000)
	def(&c.MaxLookups, 64)
	def(&c.LookupTimeout, 2*time.Second)
	def(&c.KeySetTTL, 5*time.Minute)
	def(&c.KeySetMaxStale, time.Hour)
	def(&c.KeySetInterval, 10*time.Second)
	if c.Now == nil {
		c.Now = time.Now
	}
}

func def[T int | time.Duration](v *T, d T) {
	if *v <= 0 {
		*v = d
	}
}

// CachingVerifier asks the auth service about API keys and verifies tokens with
// its published keys, and remembers both for a bounded time in bounded caches.
// It holds no credential in the clear, only SHA-256 hashes.
//
// Guarantee: a Verify that begins after HandleNotice has returned uses nothing
// that was learnt before the notice about what it names.
type CachingVerifier struct {
	cfg    VerifierConfig
	client AuthClient
	log    *slog.Logger

	// generation counts the notices. An answer is cached only if no notice came
	// between the question and the answer.
	generation atomic.Uint64

	mu       sync.Mutex // guards the fields below; never held during a call
	keys     *keyCache
	tokens   *tokenCache
	negative *negativeCache
	refused  refusals

	keySet  keySet
	lookups lookups
}

// NewVerifier returns a verifier that asks client. Run must run for its clean-up.
// A nil log is slog.Default.
func NewVerifier(cfg VerifierConfig, client AuthClient, log *slog.Logger) *CachingVerifier {
	cfg.setDefaults()
	if log == nil {
		log = slog.Default()
	}
	v := &CachingVerifier{
		cfg: cfg, client: client, log: log,
		keys: newKeyCache(cfg.MaxKeys), tokens: newTokenCache(cfg.MaxTokens), negative: newNegativeCache(cfg.MaxNegative),
		refused: newRefusals(maxRefusals),
	}
	v.lookups.init(cfg.MaxLookups, cfg.LookupTimeout)
	return v
}

// Verify implements Verifier. A cached answer costs well under a microsecond.
func (v *CachingVerifier) Verify(ctx context.Context, credential string) (*Principal, error) {
	switch {
	case credential == "":
		return nil, errMissing
	case strings.HasPrefix(credential, KeyPrefix):
		return v.verifyKey(ctx, credential)
	default:
		return v.verifyToken(ctx, credential)
	}
}

// Refusals that hold nothing of the call are made once.
var (
	errMissing = errs.Unauthenticated(errs.CredentialMissing, "the call carries no credential",
		"send `authorization: Bearer <API key or token>`")
	errKeyMalformed = errs.Unauthenticated(errs.CredentialMalformed, "the credential has the prefix of an API key but not its form",
		"copy the key again, whole and unchanged")
	errTokenMalformed = errs.Unauthenticated(errs.CredentialMalformed, "the credential is neither an API key nor a token of this system",
		"send an API key (syn_sk_…) or a token from SignIn or ExchangeApiKey")
	errTokenExpired = errs.Unauthenticated(errs.CredentialExpired, "the token has expired",
		"get a new one: refresh the session, or exchange the API key again")
	errTokenEarly = errs.Unauthenticated(errs.CredentialMalformed, "the token is not valid yet",
		"set the clocks of the machines: they may differ by 30 seconds")
	errTokenKeyUnknown = errs.Unauthenticated(errs.CredentialUnknown, "the token was signed with a key that this system does not know",
		"get a new one: refresh the session, or exchange the API key again")
	errTokenOutdated = errs.Unauthenticated(errs.CredentialExpired, "the rights behind the token changed after it was made",
		"get a new one: refresh the session, or exchange the API key again")
	errTokenRevoked = errs.Unauthenticated(errs.CredentialRevoked, "the API key or session behind the token was revoked",
		"sign in again, or use another API key")
	errKeyExpired = errs.Unauthenticated(errs.CredentialExpired, "the API key has expired",
		"create a new key, or rotate it before it ends")
)

func (v *CachingVerifier) verifyKey(ctx context.Context, secret string) (*Principal, error) {
	id, ok := splitKey(secret)
	if !ok {
		return nil, errKeyMalformed
	}
	hash := hashString(secret)
	now := v.cfg.Now()
	v.mu.Lock()
	p, ok := v.keys.get(id, hash, now)
	var refusal *errs.Error
	if !ok {
		refusal, _ = v.negative.get(hash, now)
	}
	v.mu.Unlock()
	switch {
	case ok && ended(p, now):
		return nil, errKeyExpired
	case ok:
		return p, nil
	case refusal != nil:
		return nil, refusal
	}
	return v.introspect(ctx, id, secret, hash)
}

// ended says whether an API key is past its end; there is no skew, since the
// auth service and this process judge by one time each.
func ended(p *Principal, now time.Time) bool {
	return !p.ExpireTime.IsZero() && !now.Before(p.ExpireTime)
}

func (v *CachingVerifier) verifyToken(ctx context.Context, token string) (*Principal, error) {
	if len(token) > MaxTokenBytes || strings.Count(token, ".") != 2 {
		return nil, errTokenMalformed
	}
	hash := hashString(token)
	now := v.cfg.Now()
	v.mu.Lock()
	t, hit := v.tokens.get(hash)
	var refusal *errs.Error
	if hit {
		refusal = v.refused.check(t, now)
	} else {
		refusal, _ = v.negative.get(hash, now)
	}
	v.mu.Unlock()
	switch {
	case refusal != nil:
		return nil, refusal
	case hit && now.After(t.principal.ExpireTime.Add(TokenSkew)):
		return nil, errTokenExpired
	case hit:
		return t.principal, nil
	}
	return v.checkToken(ctx, token, hash, now)
}

// checkToken verifies a token that is not cached.
func (v *CachingVerifier) checkToken(ctx context.Context, token string, hash digest, now time.Time) (*Principal, error) {
	generation := v.generation.Load()
	t, err := parseToken(token, func(kid string) (ed25519.PublicKey, error) { return v.signingKey(ctx, kid) }, now)
	var refusal *errs.Error
	switch {
	case err == nil:
	case errors.Is(err, ErrTokenExpired):
		refusal = errTokenExpired
	case errors.Is(err, ErrTokenEarly):
		return nil, errTokenEarly // the clock will make it valid: not remembered
	case errors.Is(err, ErrTokenKeyUnknown):
		return nil, errTokenKeyUnknown // the next key set may hold it: not remembered
	case errors.Is(err, ErrTokenMalformed):
		refusal = errTokenMalformed
	default:
		return nil, errs.FromError(err)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if refusal == nil {
		// the token itself holds, yet a notice may be against it: that is checked
		// on every call, so it may be cached
		if generation == v.generation.Load() {
			v.tokens.add(hash, t)
		}
		if refusal = v.refused.check(t, now); refusal == nil {
			return t.principal, nil
		}
		return nil, refusal
	}
	v.negative.add(hash, refusal, now.Add(v.cfg.NegativeTTL))
	return nil, refusal
}

// hashString is SHA-256 without copying short strings to the heap.
func hashString(s string) digest {
	var buf [1024]byte
	if len(s) <= len(buf) {
		return sha256.Sum256(buf[:copy(buf[:], s)])
	}
	return sha256.Sum256([]byte(s))
}
