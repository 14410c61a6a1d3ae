// Package cache keeps what can be had again at a cost: a bounded, lossy store of
// values by key. What is not there, or can not be had in time, is a miss and never
// an error, so that nothing depends on it.
//
// A value belongs to its key for ever: who uses a cache makes keys that change when
// the value would (a version, a position), and never takes a value back. The project
// is part of every key of a project's data.
//
// The engines are Memory, in this process, and package cache/redis, which processes
// share; both pass package cachetest.
package cache

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/synapse-analytics/synapse/internal/config"
)

// Entry is a value to keep.
type Entry struct {
	// Key of at most MaxKey bytes.
	Key string
	// Value, which must not be changed after; not nil.
	Value []byte
}

// MaxKey bounds a key.
const MaxKey = 256

// Cache is what an engine offers. It is safe for concurrent use.
type Cache interface {
	// Get returns the values of keys, nil for what is not there. They must not be
	// changed.
	Get(ctx context.Context, keys ...string) [][]byte
	// Set keeps values for the cache's time, if it can; one that is too large is not
	// kept.
	Set(ctx context.Context, entries ...Entry)
}

// The engines of a Config.
const (
	// Off keeps nothing.
	Off = "off"
	// Process keeps values in the memory of the process.
	Process = "process"
	// Redis keeps values in Redis.
	Redis = "redis"
)

// Config configures one cache.
type Config struct {
	Engine   string        `config:"engine" doc:"Where values are kept: off (nowhere), process (in its memory), redis (shared; needs redis.url)."`
	TTL      time.Duration `config:"ttl" doc:"How long a value is kept at most, 1s to 24h."`
	MaxBytes config.Bytes  `config:"max_bytes" doc:"Memory for the values of engine process, 64KiB to 64GiB; the server's maxmemory bounds those of redis."`
}

// Validate returns all problems, each as "field: rule; remedy".
func (c Config) Validate() error {
	var problems []error
	if c.Engine != Off && c.Engine != Process && c.Engine != Redis {
		problems = append(problems, fmt.Errorf("engine: must be off, process or redis, not %q; correct it", c.Engine))
	}
	if c.TTL < time.Second || c.TTL > 24*time.Hour {
		problems = append(problems, fmt.Errorf("ttl: must be 1s to 24h, is %s; change it", c.TTL))
	}
	if c.MaxBytes < 64<<10 || c.MaxBytes > 64<<30 {
		problems = append(problems, fmt.Errorf("max_bytes: must be 64KiB to 64GiB, is %s; change it", c.MaxBytes))
	}
	return errors.Join(problems...)
}
