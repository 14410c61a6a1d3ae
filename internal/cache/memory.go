package cache

import (
	"context"
	"math"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// entryOverhead is about what an entry takes besides its key and value.
const entryOverhead = 200

// Memory is the engine in this process: the least recently used values go when there
// is no room for a new one.
type Memory struct {
	ttl     time.Duration
	max     int
	metrics *Metrics

	mu    sync.Mutex
	lru   *simplelru.LRU[string, kept]
	bytes int
}

type kept struct {
	value []byte
	until time.Time
}

func (k kept) size(key string) int { return len(key) + len(k.value) + entryOverhead }

// NewMemory returns an empty cache of the time and memory of c. metrics may be nil.
func NewMemory(c Config, metrics *Metrics) *Memory {
	m := &Memory{ttl: c.TTL, max: int(c.MaxBytes), metrics: metrics}
	// Bytes are the bound, not entries; it fails only for a size below 1.
	m.lru, _ = simplelru.NewLRU(math.MaxInt, func(key string, k kept) { m.bytes -= k.size(key) })
	return m
}

// Get implements Cache.
func (m *Memory) Get(ctx context.Context, keys ...string) [][]byte {
	out := make([][]byte, len(keys))
	now, hits := time.Now(), 0
	m.mu.Lock()
	for i, key := range keys {
		k, ok := m.lru.Get(key)
		switch {
		case !ok:
		case now.Before(k.until):
			out[i] = k.value
			hits++
		default:
			m.lru.Remove(key)
		}
	}
	m.mu.Unlock()
	m.metrics.Looked(ctx, hits, len(keys)-hits)
	return out
}

// Set implements Cache. A value of more than a quarter of the memory is not kept.
func (m *Memory) Set(ctx context.Context, entries ...Entry) {
	until, evicted := time.Now().Add(m.ttl), 0
	m.mu.Lock()
	for _, e := range entries {
		k := kept{e.Value, until}
		size := k.size(e.Key)
		if size > m.max/4 || len(e.Key) > MaxKey {
			continue
		}
		m.lru.Remove(e.Key)
		for m.bytes+size > m.max {
			m.lru.RemoveOldest()
			evicted++
		}
		m.lru.Add(e.Key, k)
		m.bytes += size
	}
	m.mu.Unlock()
	m.metrics.Evicted(ctx, evicted)
}

// Bytes returns the memory that the values take.
func (m *Memory) Bytes() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.bytes
}
