// Package redis is the engine of package cache that processes share. A Redis that is
// away has nothing and keeps nothing.
package redis

import (
	"context"
	"time"

	"github.com/klauspost/compress/s2"

	"github.com/synapse-analytics/synapse/internal/cache"
	"github.com/synapse-analytics/synapse/internal/redisdb"
)

const (
	// MaxValue bounds a value, bytes before it is compressed.
	MaxValue = 4 << 20
	// compressFrom is the size from which on a value is compressed.
	compressFrom = 1 << 10
	// format is part of every key: another one for another way to write values.
	format = "v1"
)

// How a value is written: its first byte.
const (
	plain      = 0
	compressed = 1
)

// Cache keeps values in Redis.
type Cache struct {
	db      *redisdb.DB
	name    string
	ttl     time.Duration
	metrics *cache.Metrics
}

// New returns the cache of that name, shared with those of the same server and
// prefix. metrics may be nil.
func New(db *redisdb.DB, name string, ttl time.Duration, metrics *cache.Metrics) *Cache {
	return &Cache{db, name, ttl, metrics}
}

func (c *Cache) key(k string) string { return c.db.Key("cache", c.name, format, k) }

// Get implements cache.Cache. It takes one round trip, and no longer than a call to
// Redis may.
func (c *Cache) Get(ctx context.Context, keys ...string) [][]byte {
	out := make([][]byte, len(keys))
	full := make([]string, len(keys))
	for i, k := range keys {
		full[i] = c.key(k)
	}
	values, err := c.db.Get(ctx, full)
	if err != nil {
		c.metrics.Failed(ctx)
	}
	hits := 0
	for i, v := range values {
		if out[i] = unwrap(v); out[i] != nil {
			hits++
		}
	}
	c.metrics.Looked(ctx, hits, len(keys)-hits)
	return out
}

// Set implements cache.Cache.
func (c *Cache) Set(ctx context.Context, entries ...cache.Entry) {
	var list []redisdb.Entry
	for _, e := range entries {
		if len(e.Value) <= MaxValue && len(e.Key) <= cache.MaxKey {
			list = append(list, redisdb.Entry{Key: c.key(e.Key), Value: wrap(e.Value), TTL: c.ttl})
		}
	}
	if len(list) == 0 {
		return
	}
	if err := c.db.Set(ctx, list); err != nil {
		c.metrics.Failed(ctx)
	}
}

func wrap(v []byte) []byte {
	if len(v) >= compressFrom {
		if b := s2.Encode(make([]byte, s2.MaxEncodedLen(len(v))), v); len(b) < len(v) {
			return append([]byte{compressed}, b...)
		}
	}
	return append([]byte{plain}, v...)
}

// unwrap reads a value; nil for what no release has written.
func unwrap(b []byte) []byte {
	if len(b) == 0 {
		return nil
	}
	switch b[0] {
	case plain:
		return b[1:]
	case compressed:
		if n, err := s2.DecodedLen(b[1:]); err != nil || n > MaxValue {
			return nil
		}
		if v, err := s2.Decode(nil, b[1:]); err == nil {
			return v
		}
	}
	return nil
}
