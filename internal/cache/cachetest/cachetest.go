// Package cachetest is the suite that every engine of package cache passes.
package cachetest

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/synapse-analytics/synapse/internal/cache"
)

// Run runs the suite. open returns an empty cache whose values last that long.
func Run(t *testing.T, open func(t testing.TB, ttl time.Duration) cache.Cache) {
	ctx := t.Context()

	t.Run("Values", func(t *testing.T) {
		c := open(t, time.Minute)
		require.Equal(t, [][]byte{nil, nil}, c.Get(ctx, "a", "b"))
		random := make([]byte, 100<<10)
		for i := range random {
			random[i] = byte(rand.Uint32())
		}
		for name, v := range map[string][]byte{
			"empty": {}, "small": []byte("x"), "zeros": make([]byte, 100<<10), "random": random, "text": bytes.Repeat([]byte("abc "), 1000),
		} {
			c.Set(ctx, cache.Entry{Key: name, Value: v})
			got := c.Get(ctx, name)
			require.Len(t, got, 1)
			require.NotNil(t, got[0], name)
			require.True(t, bytes.Equal(v, got[0]), name)
		}
		got := c.Get(ctx, "none", "small", "none", "text")
		require.Nil(t, got[0])
		require.Equal(t, "x", string(got[1]))
		require.Nil(t, got[2])
		require.Len(t, got[3], 4000)

		c.Set(ctx, cache.Entry{Key: "a", Value: []byte("1")}, cache.Entry{Key: "b", Value: []byte("2")}, cache.Entry{Key: "a", Value: []byte("3")})
		got = c.Get(ctx, "a", "b")
		require.Equal(t, "3", string(got[0]), "the last one counts")
		require.Equal(t, "2", string(got[1]))
		require.Empty(t, c.Get(ctx))
		c.Set(ctx)
	})

	t.Run("Time", func(t *testing.T) {
		c := open(t, time.Second)
		c.Set(ctx, cache.Entry{Key: "a", Value: []byte("1")})
		require.NotNil(t, c.Get(ctx, "a")[0])
		time.Sleep(500 * time.Millisecond)
		c.Get(ctx, "a") // does not renew it
		time.Sleep(550 * time.Millisecond)
		require.Nil(t, c.Get(ctx, "a")[0])
	})

	t.Run("Bounds", func(t *testing.T) {
		c := open(t, time.Minute)
		long := strings.Repeat("k", cache.MaxKey)
		c.Set(ctx, cache.Entry{Key: long, Value: []byte("1")}, cache.Entry{Key: long + "k", Value: []byte("1")}, cache.Entry{Key: "huge", Value: make([]byte, 64<<20)})
		require.NotNil(t, c.Get(ctx, long)[0])
		require.Nil(t, c.Get(ctx, long+"k")[0])
		require.Nil(t, c.Get(ctx, "huge")[0])
	})

	t.Run("Concurrent", func(t *testing.T) {
		c := open(t, time.Minute)
		var wg sync.WaitGroup
		for w := range 8 {
			wg.Go(func() {
				for i := range 200 {
					k := fmt.Sprint((w*7 + i) % 50)
					c.Set(ctx, cache.Entry{Key: k, Value: []byte("value of " + k)})
					if v := c.Get(ctx, k)[0]; v != nil && string(v) != "value of "+k {
						t.Errorf("%s has %q", k, v)
					}
				}
			})
		}
		wg.Wait()
	})
}
