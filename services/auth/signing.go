package auth

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	authv1 "github.com/synapse-analytics/synapse/gen/go/synapse/auth/v1"
	"github.com/synapse-analytics/synapse/internal/authn"
)

// keyring holds the signing keys. The one that signs is the latest whose time
// has come; the next one is published before, so that every verifier knows it by
// then; one that has stopped signing stays published until no token of it can be
// valid.
type keyring struct {
	store Secrets
	now   func() time.Time
	cfg   Config
	keys  atomic.Pointer[[]signer]
}

type signer struct {
	id       string
	private  ed25519.PrivateKey
	activate time.Time
}

var errNoSigningKey = errors.New("no signing key is loaded")

// refresh loads the keys, makes the next one when it is time to publish it, and
// drops those that are of no more use. It reports whether the published set
// changed by that.
func (k *keyring) refresh(ctx context.Context) (changed bool, err error) {
	now := k.now()
	fresh, err := newSigningKey(now)
	if err != nil {
		return false, err
	}
	stored, err := k.store.UpdateSigningKeys(ctx, func(have []SigningKey) ([]SigningKey, []string) {
		add, drop := k.plan(have, fresh, now)
		changed = len(add) > 0
		return add, drop
	})
	if err != nil {
		return false, fmt.Errorf("signing keys: %w", err)
	}
	ring := make([]signer, 0, len(stored))
	for _, s := range stored {
		if len(s.Seed) != ed25519.SeedSize {
			return false, fmt.Errorf("signing key %s: its seed has %d bytes instead of %d", s.ID, len(s.Seed), ed25519.SeedSize)
		}
		ring = append(ring, signer{id: s.ID, private: ed25519.NewKeyFromSeed(s.Seed), activate: s.ActivateTime})
	}
	k.keys.Store(&ring)
	return changed, nil
}

// plan decides what to add and drop; have is ordered by ActivateTime.
func (k *keyring) plan(have []SigningKey, fresh SigningKey, now time.Time) (add []SigningKey, drop []string) {
	if len(have) == 0 {
		fresh.ActivateTime = now
		return []SigningKey{fresh}, nil
	}
	// After a long stop the next key still gets its time ahead; until then the
	// last one signs on.
	last := have[len(have)-1].ActivateTime
	if next := last.Add(k.cfg.SigningKeyPeriod); !next.After(now.Add(k.cfg.SigningKeyAhead)) {
		fresh.ActivateTime = now.Add(k.cfg.SigningKeyAhead)
		if next.After(fresh.ActivateTime) {
			fresh.ActivateTime = next
		}
		add = []SigningKey{fresh}
	}
	grace := k.cfg.AccessTokenTTL + 2*authn.TokenSkew + refreshEvery
	for i := range len(have) - 1 {
		if stopped := have[i+1].ActivateTime; now.Sub(stopped) > grace {
			drop = append(drop, have[i].ID)
		}
	}
	return add, drop
}

func newSigningKey(now time.Time) (SigningKey, error) {
	id, seed := make([]byte, 12), make([]byte, ed25519.SeedSize)
	for _, b := range [][]byte{id, seed} {
		if _, err := rand.Read(b); err != nil {
			return SigningKey{}, fmt.Errorf("random source: %w", err)
		}
	}
	return SigningKey{ID: base64.RawURLEncoding.EncodeToString(id), Seed: seed, CreateTime: now}, nil
}

// sign makes a token for the principal and returns when it ends.
func (k *keyring) sign(p authn.Principal) (token string, end time.Time, err error) {
	now := k.now()
	s, ok := k.current(now)
	if !ok {
		return "", time.Time{}, errNoSigningKey
	}
	end = now.Add(k.cfg.AccessTokenTTL)
	if !p.ExpireTime.IsZero() && p.ExpireTime.Before(end) {
		end = p.ExpireTime
	}
	token, err = authn.SignToken(p, s.id, s.private, now, k.cfg.AccessTokenTTL)
	return token, end.Truncate(time.Second), err
}

func (k *keyring) current(now time.Time) (signer, bool) {
	ring := k.keys.Load()
	if ring == nil {
		return signer{}, false
	}
	for _, s := range slices.Backward(*ring) {
		if !s.activate.After(now) {
			return s, true
		}
	}
	return signer{}, false
}

// public returns the published keys.
func (k *keyring) public() ([]*authv1.Jwk, error) {
	ring := k.keys.Load()
	if ring == nil {
		return nil, errNoSigningKey
	}
	out := make([]*authv1.Jwk, 0, len(*ring))
	for _, s := range *ring {
		pub, ok := s.private.Public().(ed25519.PublicKey)
		if !ok {
			return nil, fmt.Errorf("signing key %s has no public key", s.id)
		}
		out = append(out, &authv1.Jwk{
			Kty: "OKP", Crv: "Ed25519", Alg: "EdDSA", Use: "sig", Kid: s.id,
			X: base64.RawURLEncoding.EncodeToString(pub),
		})
	}
	return out, nil
}
