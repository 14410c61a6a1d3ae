package authn

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"log/slog"
	"sync"
	"time"

	authv1 "github.com/synapse-analytics/synapse/gen/go/synapse/auth/v1"
	"github.com/synapse-analytics/synapse/internal/errs"
)

// maxKeySet bounds the signing keys that are taken from one answer.
const maxKeySet = 64

// keySet holds the public keys that tokens are signed with.
type keySet struct {
	mu        sync.RWMutex
	byID      map[string]ed25519.PublicKey
	fetchedAt time.Time // of the last success; zero for never
	triedAt   time.Time // of the last try; zero for never
	trying    bool      // a try has begun and not ended
	dirty     bool      // a notice said that they changed
}

// ParseKeySet reads the Ed25519 keys of a JSON Web Key Set by their ids. Keys of
// other kinds are left out; a broken one is an error.
func ParseKeySet(set *authv1.Jwks) (map[string]ed25519.PublicKey, error) {
	keys := make(map[string]ed25519.PublicKey, len(set.GetKeys()))
	for _, k := range set.GetKeys() {
		if k.GetKty() != "OKP" || k.GetCrv() != "Ed25519" || (k.GetUse() != "" && k.GetUse() != "sig") {
			continue
		}
		if k.GetKid() == "" || len(k.GetKid()) > maxKeyIDBytes {
			return nil, fmt.Errorf("authn: a signing key's id has 1 to %d bytes", maxKeyIDBytes)
		}
		x, err := base64.RawURLEncoding.Strict().DecodeString(k.GetX())
		if err != nil || len(x) != ed25519.PublicKeySize {
			return nil, fmt.Errorf("authn: signing key %q is not an Ed25519 public key", k.GetKid())
		}
		if len(keys) == maxKeySet {
			return nil, fmt.Errorf("authn: more than %d signing keys", maxKeySet)
		}
		keys[k.GetKid()] = x
	}
	return keys, nil
}

// signingKey returns the public key with the id. An unknown id makes at most
// one fetch per KeySetInterval, whoever asks, and waits for one that has begun; old
// keys are used on while the auth service does not answer.
func (v *CachingVerifier) signingKey(ctx context.Context, kid string) (ed25519.PublicKey, error) {
	key, known, fetch := v.keySet.find(kid, v.cfg.Now(), v.cfg)
	if !fetch {
		if known {
			return key, nil
		}
		if v.keySet.empty() {
			return nil, errs.Down("the auth service has not given its signing keys yet", v.cfg.KeySetInterval, nil)
		}
		return nil, ErrTokenKeyUnknown
	}
	err := v.fetchKeySet(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return nil, err
		}
		v.log.LogAttrs(ctx, slog.LevelWarn, "could not fetch the signing keys", slog.Any("error", err))
	}
	key, known, _ = v.keySet.find(kid, v.cfg.Now(), v.cfg)
	switch {
	case known:
		return key, nil
	case err != nil:
		return nil, errs.Down("the auth service does not answer", time.Second, err)
	default:
		return nil, ErrTokenKeyUnknown
	}
}

// find returns the key if it may be used, and whether the set must be fetched
// before it is relied on.
func (s *keySet) find(kid string, now time.Time, cfg VerifierConfig) (key ed25519.PublicKey, known, fetch bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	age := now.Sub(s.fetchedAt)
	if age <= cfg.KeySetTTL+cfg.KeySetMaxStale {
		key, known = s.byID[kid]
	}
	waited := s.triedAt.IsZero() || now.Sub(s.triedAt) >= cfg.KeySetInterval
	switch {
	case s.dirty: // cleared by the first try
		fetch = true
	case !known:
		fetch = waited || s.trying
	case age > cfg.KeySetTTL:
		fetch = waited
	}
	return key, known, fetch
}

func (s *keySet) empty() bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return len(s.byID) == 0
}

// markDirty makes the next use fetch the set.
func (s *keySet) markDirty() {
	s.mu.Lock()
	s.dirty = true
	s.mu.Unlock()
}

func (s *keySet) tried(now time.Time) {
	s.mu.Lock()
	s.triedAt, s.trying, s.dirty = now, true, false
	s.mu.Unlock()
}

func (s *keySet) ended() {
	s.mu.Lock()
	s.trying = false
	s.mu.Unlock()
}

func (s *keySet) replace(keys map[string]ed25519.PublicKey, now time.Time) {
	s.mu.Lock()
	s.byID, s.fetchedAt = keys, now
	s.mu.Unlock()
}

// fetchKeySet asks the auth service; calls at the same time share one question.
func (v *CachingVerifier) fetchKeySet(ctx context.Context) error {
	_, err := v.lookups.do(ctx, "jwks", func(ctx context.Context) (any, error) {
		v.keySet.tried(v.cfg.Now())
		defer v.keySet.ended()
		set, err := v.client.GetJwks(ctx, &authv1.GetJwksRequest{})
		if err != nil {
			return nil, err
		}
		keys, err := ParseKeySet(set)
		if err != nil {
			return nil, err
		}
		v.keySet.replace(keys, v.cfg.Now())
		return nil, nil
	})
	return err
}
