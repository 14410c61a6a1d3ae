package authn

import (
	"crypto/sha256"
	"crypto/subtle"
	"strings"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/synapse-analytics/synapse/internal/errs"
)

// The caches are bounded and drop the least recently used entry. None has a lock
// of its own: the verifier's lock makes "look up, check the notices" one step.

// digest stands for a credential, which itself is not kept.
type digest = [sha256.Size]byte

// keyCache remembers what the auth service said about good keys, by their
// public id.
type keyCache struct {
	lru *simplelru.LRU[string, cachedKey]
}

type cachedKey struct {
	hash      digest
	principal *Principal
	project   string
	until     time.Time
}

func newKeyCache(size int) *keyCache { return &keyCache{lru: newLRU[string, cachedKey](size)} }

// get returns the answer about the key whose hash is given, if it is fresh.
func (c *keyCache) get(id string, h digest, now time.Time) (*Principal, bool) {
	e, ok := c.lru.Get(id)
	if !ok || !now.Before(e.until) || subtle.ConstantTimeCompare(e.hash[:], h[:]) != 1 {
		return nil, false
	}
	return e.principal, true
}

func (c *keyCache) add(id, project string, h digest, p *Principal, until time.Time) {
	// a clone: id is a part of the secret, which must not stay in memory
	c.lru.Add(strings.Clone(id), cachedKey{hash: h, principal: p, project: project, until: until})
}

func (c *keyCache) removeKey(id string) { c.lru.Remove(id) }

func (c *keyCache) removeProject(project string) {
	for _, id := range c.lru.Keys() {
		if e, ok := c.lru.Peek(id); ok && e.project == project {
			c.lru.Remove(id)
		}
	}
}

func (c *keyCache) removeStale(now time.Time) {
	for _, id := range c.lru.Keys() {
		if e, ok := c.lru.Peek(id); ok && !now.Before(e.until) {
			c.lru.Remove(id)
		}
	}
}

// tokenCache remembers verified tokens by their hash. Whether a token has ended
// or a notice is against it is asked on each use.
type tokenCache struct {
	lru *simplelru.LRU[digest, *verifiedToken]
}

func newTokenCache(size int) *tokenCache {
	return &tokenCache{lru: newLRU[digest, *verifiedToken](size)}
}

func (c *tokenCache) get(h digest) (*verifiedToken, bool) { return c.lru.Get(h) }

func (c *tokenCache) add(h digest, t *verifiedToken) { c.lru.Add(h, t) }

func (c *tokenCache) purge() { c.lru.Purge() }

func (c *tokenCache) removeStale(now time.Time) {
	for _, h := range c.lru.Keys() {
		if t, ok := c.lru.Peek(h); ok && now.After(t.principal.ExpireTime.Add(TokenSkew)) {
			c.lru.Remove(h)
		}
	}
}

// negativeCache remembers refusals for a short while, by the credential's hash,
// so that a caller with a wrong key cannot make one look-up per call.
type negativeCache struct {
	lru *simplelru.LRU[digest, cachedRefusal]
}

type cachedRefusal struct {
	err   *errs.Error
	until time.Time
}

func newNegativeCache(size int) *negativeCache {
	return &negativeCache{lru: newLRU[digest, cachedRefusal](size)}
}

func (c *negativeCache) get(h digest, now time.Time) (*errs.Error, bool) {
	e, ok := c.lru.Get(h)
	if !ok || !now.Before(e.until) {
		return nil, false
	}
	return e.err, true
}

func (c *negativeCache) add(h digest, err *errs.Error, until time.Time) {
	c.lru.Add(h, cachedRefusal{err: err, until: until})
}

func (c *negativeCache) purge() { c.lru.Purge() }

func (c *negativeCache) removeStale(now time.Time) {
	for _, h := range c.lru.Keys() {
		if e, ok := c.lru.Peek(h); ok && !now.Before(e.until) {
			c.lru.Remove(h)
		}
	}
}

// maxRefusals bounds each list of refusals. Beyond it all tokens made so far
// are refused, which is safe and only makes their holders get new ones.
const maxRefusals = 100_000

// refusals remembers, until it no longer matters, against which tokens there
// was a notice.
type refusals struct {
	limit    int
	keys     map[string]refusal // by API key id
	sessions map[string]refusal
	projects map[string]refusal
	all      time.Time // tokens issued up to then are refused; zero for none
}

type refusal struct {
	issuedUpTo time.Time // tokens issued up to then are refused
	until      time.Time // by then all of them have ended
}

func newRefusals(limit int) refusals {
	return refusals{
		limit: limit, keys: map[string]refusal{}, sessions: map[string]refusal{}, projects: map[string]refusal{},
	}
}

// check returns the refusal that is against the token, or nil.
func (r *refusals) check(t *verifiedToken, now time.Time) *errs.Error {
	if !t.issuedAt.After(r.all) {
		return errTokenOutdated
	}
	if len(r.keys)+len(r.sessions)+len(r.projects) == 0 {
		return nil
	}
	against := func(m map[string]refusal, id string) bool {
		e, ok := m[id]
		return ok && !t.issuedAt.After(e.issuedUpTo) && now.Before(e.until)
	}
	p := t.principal
	switch {
	case p.Kind == KindAPIKey && against(r.keys, p.ID):
		return errTokenRevoked
	case p.Kind == KindUser && against(r.sessions, p.SessionID):
		return errTokenRevoked
	}
	if len(r.projects) > 0 {
		for project := range p.Projects {
			if against(r.projects, project) {
				return errTokenOutdated
			}
		}
	}
	return nil
}

// add refuses what was issued up to then.
func (r *refusals) add(m map[string]refusal, id string, issuedUpTo, now time.Time) {
	if _, known := m[id]; !known && len(m) >= r.limit {
		r.removeStale(now)
		if len(m) >= r.limit {
			r.all = now
			clear(m)
			return
		}
	}
	m[id] = refusal{issuedUpTo: issuedUpTo, until: now.Add(MaxTokenTTL + 2*TokenSkew)}
}

func (r *refusals) removeStale(now time.Time) {
	for _, m := range []map[string]refusal{r.keys, r.sessions, r.projects} {
		for id, e := range m {
			if !now.Before(e.until) {
				delete(m, id)
			}
		}
	}
}

// newLRU makes a cache of at least one entry.
func newLRU[K comparable, V any](size int) *simplelru.LRU[K, V] {
	c, _ := simplelru.NewLRU[K, V](max(size, 1), nil) // fails only for a size below 1
	return c
}
