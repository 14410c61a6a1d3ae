package redis_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/synapse-analytics/synapse/internal/cache"
	"github.com/synapse-analytics/synapse/internal/cache/cachetest"
	"github.com/synapse-analytics/synapse/internal/cache/redis"
	"github.com/synapse-analytics/synapse/internal/redisdb"
	"github.com/synapse-analytics/synapse/internal/redisdb/redistest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func connect(t testing.TB, c redisdb.Config) *redisdb.DB {
	t.Helper()
	db, err := redisdb.Open(c, nil, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return db
}

func TestSuite(t *testing.T) {
	server := redistest.Start(t)
	n := 0
	cachetest.Run(t, func(t testing.TB, ttl time.Duration) cache.Cache {
		n++
		return redis.New(connect(t, server.Config()), fmt.Sprint("suite", n), ttl, nil)
	})
}

// Processes share values, caches and installations do not.
func TestShared(t *testing.T) {
	server := redistest.Start(t)
	one := redis.New(connect(t, server.Config()), "a", time.Minute, nil)
	two := redis.New(connect(t, server.Config()), "a", time.Minute, nil)
	one.Set(t.Context(), cache.Entry{Key: "k", Value: []byte("v")})
	require.Equal(t, "v", string(two.Get(t.Context(), "k")[0]))
	require.Nil(t, redis.New(connect(t, server.Config()), "b", time.Minute, nil).Get(t.Context(), "k")[0])
	other := server.Config()
	other.Prefix = "other"
	require.Nil(t, redis.New(connect(t, other), "a", time.Minute, nil).Get(t.Context(), "k")[0])
}

// Whatever happens to the server: a value is the right one or none, in bounded time.
func TestServerFaults(t *testing.T) {
	server := redistest.Start(t)
	c := redis.New(connect(t, server.Config()), "a", time.Minute, nil)
	works := func() bool {
		c.Set(t.Context(), cache.Entry{Key: "k", Value: []byte("v")})
		return bytes.Equal(c.Get(t.Context(), "k")[0], []byte("v"))
	}
	for _, f := range []struct{ fault, amend func() error }{
		{server.Kill, server.Run}, {server.Pause, server.Resume}, {server.Flush, nil},
	} {
		require.Eventually(t, works, 20*time.Second, 10*time.Millisecond)
		require.NoError(t, f.fault())
		for until := time.Now().Add(time.Second); time.Now().Before(until); time.Sleep(time.Millisecond) {
			began := time.Now()
			v := c.Get(t.Context(), "k")[0]
			require.Less(t, time.Since(began), server.Config().Timeout+500*time.Millisecond)
			if v != nil {
				require.Equal(t, "v", string(v))
			}
		}
		if f.amend != nil {
			require.NoError(t, f.amend())
		}
	}
}

// What is in Redis and was not written by this release is a miss.
func TestForeignValue(t *testing.T) {
	server := redistest.Start(t)
	c := redis.New(connect(t, server.Config()), "a", time.Minute, nil)
	for _, v := range []string{"", "\x07abc", "\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", "\x01\x05\x01"} {
		_, err := server.Command("SET", "synapse:cache:a:v1:k", v)
		require.NoError(t, err)
		require.Nil(t, c.Get(t.Context(), "k")[0], "%q", v)
	}
	_, err := server.Command("DEL", "synapse:cache:a:v1:k")
	require.NoError(t, err)
	_, err = server.Command("LPUSH", "synapse:cache:a:v1:k", "x") // of another type
	require.NoError(t, err)
	require.Nil(t, c.Get(t.Context(), "k")[0])
}
