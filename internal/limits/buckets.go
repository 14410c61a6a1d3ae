// Package limits holds the limits that a process enforces by itself: token
// buckets for rates and counts of what is open at a time, both per key and in
// bounded memory. Buckets that processes share are those of package limits/redis;
// both pass package limitstest.
package limits

import (
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// DefaultMaxKeys bounds the keys that are remembered where no bound is given.
const DefaultMaxKeys = 100_000

// Config sets the rate of Buckets.
type Config struct {
	// Rate is how many units a second may be taken lastingly; 0 is no limit.
	Rate float64
	// Burst is how many units may be taken at once; below 1 unit it is Rate, and
	// at least 1.
	Burst float64
	// MaxKeys bounds the keys that are remembered, about 150 bytes each; 0 is
	// DefaultMaxKeys. A key that was not used for longest is forgotten first,
	// and then has a full bucket again.
	MaxKeys int
}

// Buckets is one token bucket for each key, safe for concurrent use.
type Buckets struct {
	rate, burst float64

	mu  sync.Mutex
	lru *simplelru.LRU[string, *bucket]
}

type bucket struct {
	tokens float64
	at     time.Time
}

// NewBuckets returns full buckets.
func NewBuckets(c Config) *Buckets {
	b := &Buckets{rate: c.Rate, burst: c.Burst}
	if !(b.rate > 0) { // also not a number
		return &Buckets{}
	}
	if !(b.burst >= 1) {
		b.burst = max(b.rate, 1)
	}
	size := c.MaxKeys
	if size <= 0 {
		size = DefaultMaxKeys
	}
	lru, err := simplelru.NewLRU[string, *bucket](size, nil)
	if err != nil { // only for a size below 1
		return &Buckets{}
	}
	b.lru = lru
	return b
}

// Enabled says whether there is a limit.
func (b *Buckets) Enabled() bool { return b.lru != nil }

// Take takes n units from the key's bucket, or nothing. When it refuses,
// retryAfter is when the same Take can succeed. More units than the burst are
// given when the bucket is full; the debt is paid before the next Take, so that
// the rate holds and a large batch is not refused for ever.
func (b *Buckets) Take(key string, n int, now time.Time) (ok bool, retryAfter time.Duration, state State) {
	if b.lru == nil {
		return true, 0, State{}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	k, found := b.lru.Get(key)
	if !found {
		k = &bucket{tokens: b.burst, at: now}
		b.lru.Add(key, k)
	}
	if elapsed := now.Sub(k.at); elapsed > 0 { // a clock that is set back gives nothing
		k.tokens = min(b.burst, k.tokens+elapsed.Seconds()*b.rate)
		k.at = now
	}
	need := min(float64(max(n, 0)), b.burst)
	// a rounding error of the refill must not refuse what retryAfter promised
	if ok = k.tokens+1e-6 >= need; ok {
		k.tokens -= float64(max(n, 0))
	} else {
		retryAfter = Wait(need-k.tokens, b.rate)
	}
	return ok, retryAfter, StateOf(k.tokens, b.rate, b.burst)
}
