package redisdb

import (
	"context"
	"time"

	"github.com/redis/go-redis/v9"
)

// Script is a Lua script of the server. It may use one key, so that every node of a
// cluster can run it.
type Script struct{ script *redis.Script }

// NewScript returns the script with that source.
func NewScript(source string) *Script { return &Script{redis.NewScript(source)} }

// Run runs a script, which returns an array; the server keeps its source and gets it
// again when it has lost it.
func (db *DB) Run(ctx context.Context, s *Script, key string, args ...any) (out []any, err error) {
	err = db.do(ctx, "EVALSHA", func(ctx context.Context) error {
		var err error
		out, err = s.script.Run(ctx, db.client, []string{key}, args...).Slice()
		return err
	})
	return out, err
}

// Get returns the values of keys, in one round trip to each server; nil for a key
// that is not there.
func (db *DB) Get(ctx context.Context, keys []string) (values [][]byte, err error) {
	values = make([][]byte, len(keys))
	err = db.do(ctx, "GET", func(ctx context.Context) error {
		replies := make([]*redis.StringCmd, len(keys))
		_, err := db.client.Pipelined(ctx, func(p redis.Pipeliner) error {
			for i, k := range keys {
				replies[i] = p.Get(ctx, k)
			}
			return nil
		})
		for i, r := range replies {
			if b, err := r.Bytes(); err == nil {
				values[i] = b
			}
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return values, nil
}

// Entry is a value to keep.
type Entry struct {
	// Key and Value.
	Key   string
	Value []byte
	// TTL is how long to keep it, at least a millisecond.
	TTL time.Duration
}

// Set keeps values, in one round trip to each server.
func (db *DB) Set(ctx context.Context, entries []Entry) error {
	return db.do(ctx, "SET", func(ctx context.Context) error {
		_, err := db.client.Pipelined(ctx, func(p redis.Pipeliner) error {
			for _, e := range entries {
				p.Set(ctx, e.Key, e.Value, e.TTL)
			}
			return nil
		})
		return err
	})
}

// Delete removes values.
func (db *DB) Delete(ctx context.Context, keys []string) error {
	return db.do(ctx, "DEL", func(ctx context.Context) error {
		_, err := db.client.Pipelined(ctx, func(p redis.Pipeliner) error {
			for _, k := range keys {
				p.Del(ctx, k)
			}
			return nil
		})
		return err
	})
}
