package redis_test

import (
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.uber.org/goleak"

	"github.com/synapse-analytics/synapse/internal/limits"
	"github.com/synapse-analytics/synapse/internal/limits/limitstest"
	"github.com/synapse-analytics/synapse/internal/limits/redis"
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

func buckets(t testing.TB, db *redisdb.DB, c limits.Config, o redis.Options) *redis.Buckets {
	t.Helper()
	b, err := redis.New(db, c, o)
	require.NoError(t, err)
	return b
}

// processes are the buckets of several processes that share a server.
func processes(t testing.TB, server *redistest.Server, n int, c limits.Config) []*redis.Buckets {
	t.Helper()
	var all []*redis.Buckets
	for range n {
		all = append(all, buckets(t, connect(t, server.Config()), c, redis.Options{Name: "project", Share: n}))
	}
	return all
}

func TestSuite(t *testing.T) {
	server := redistest.Start(t)
	var n int
	for _, exact := range []bool{false, true} {
		t.Run(fmt.Sprintf("exact=%t", exact), func(t *testing.T) {
			limitstest.Run(t, func(t testing.TB, c limits.Config) limitstest.Buckets {
				n++
				return buckets(t, connect(t, server.Config()), c, redis.Options{Name: fmt.Sprint("suite", n), Share: 1, Exact: exact})
			})
		})
	}
	t.Run("away", func(t *testing.T) { // the share of one process is the limit
		gone := redistest.Start(t)
		require.NoError(t, gone.Kill())
		limitstest.Run(t, func(t testing.TB, c limits.Config) limitstest.Buckets {
			return buckets(t, connect(t, gone.Config()), c, redis.Options{Name: "project", Share: 1})
		})
	})
}

// load lets callers of each process take for a while, and returns what they got and
// the longest time that a Take took.
func load(all []*redis.Buckets, d time.Duration, during func()) (taken float64, longest, took time.Duration) {
	var sum, most atomic.Int64
	var wg sync.WaitGroup
	start := time.Now()
	for _, b := range all {
		for range 4 {
			wg.Go(func() {
				for time.Since(start) < d {
					began := time.Now()
					ok, _, _ := b.Take("p", 5, began)
					for took := int64(time.Since(began)); ; {
						if old := most.Load(); took <= old || most.CompareAndSwap(old, took) {
							break
						}
					}
					if ok {
						sum.Add(5)
					} else {
						time.Sleep(time.Millisecond)
					}
				}
			})
		}
	}
	if during != nil {
		during()
	}
	wg.Wait()
	return float64(sum.Load()), time.Duration(most.Load()), time.Since(start)
}

var shared = limits.Config{Rate: 3000, Burst: 600}

// lease is what processes may hold beside the limit at most.
var lease = shared.Rate * redis.LeaseTime.Seconds()

// Three processes share one limit.
func TestThreeProcesses(t *testing.T) {
	all := processes(t, redistest.Start(t), 3, shared)
	taken, _, took := load(all, 2*time.Second, nil)
	allowed := shared.Burst + shared.Rate*took.Seconds()
	t.Logf("taken %.0f, allowed %.0f", taken, allowed)
	require.LessOrEqual(t, taken, allowed+lease)
	require.Greater(t, taken, 0.8*allowed)
}

// Whatever happens to the server, the limit holds within twice, and nobody waits
// longer than a call to Redis may take.
func TestServerFaults(t *testing.T) {
	const phase = 700 * time.Millisecond
	for _, f := range []struct {
		name         string
		fault, amend func(*redistest.Server) error
		forgets      float64 // how often the server forgets
	}{
		{"killed", (*redistest.Server).Kill, (*redistest.Server).Run, 1},
		{"paused", (*redistest.Server).Pause, (*redistest.Server).Resume, 0},
		{"flushed", (*redistest.Server).Flush, func(*redistest.Server) error { return nil }, 1},
		{"read only", func(s *redistest.Server) error { return command(s, "REPLICAOF", "127.0.0.1", "1") },
			func(s *redistest.Server) error { return command(s, "REPLICAOF", "NO", "ONE") }, 0},
		{"out of memory", func(s *redistest.Server) error { return command(s, "CONFIG", "SET", "maxmemory", "1") },
			func(s *redistest.Server) error { return command(s, "CONFIG", "SET", "maxmemory", "0") }, 0},
	} {
		t.Run(f.name, func(t *testing.T) {
			server := redistest.Start(t)
			all := processes(t, server, 3, shared)
			taken, longest, took := load(all, 4*phase, func() {
				time.Sleep(phase)
				require.NoError(t, f.fault(server))
				time.Sleep(2 * phase)
				require.NoError(t, f.amend(server))
			})
			allowed := shared.Burst + shared.Rate*took.Seconds()
			t.Logf("taken %.0f, the limit allows %.0f, the longest Take took %s", taken, allowed, longest)
			require.LessOrEqual(t, taken, 2*allowed+f.forgets*shared.Burst+lease)
			require.Greater(t, taken, 0.5*allowed, "what may be taken can be")
			require.Less(t, longest, server.Config().Timeout+400*time.Millisecond, "with time for a busy machine")
		})
	}
}

func command(s *redistest.Server, words ...string) error {
	_, err := s.Command(words...)
	return err
}

// While Redis is away all processes together keep to the limit.
func TestAway(t *testing.T) {
	server := redistest.Start(t)
	all := processes(t, server, 3, shared)
	require.NoError(t, server.Kill())
	load(all, 300*time.Millisecond, nil)
	taken, _, took := load(all, 2*time.Second, nil)
	allowed := shared.Burst + shared.Rate*took.Seconds()
	t.Logf("taken %.0f, allowed %.0f", taken, allowed)
	require.LessOrEqual(t, taken, allowed)
	require.Greater(t, taken, 0.8*shared.Rate*took.Seconds())

	reader := sdkmetric.NewManualReader()
	told := buckets(t, connect(t, server.Config()), shared, redis.Options{
		Name: "project", Share: 3, MeterProvider: sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)),
	})
	ok, _, _ := told.Take("p", 1, time.Now())
	require.True(t, ok)
	var got metricdata.ResourceMetrics
	require.NoError(t, reader.Collect(t.Context(), &got))
	require.Contains(t, fmt.Sprintf("%+v", got.ScopeMetrics), "stringly:share")

	require.NoError(t, server.Run())
	require.Eventually(t, func() bool {
		_, _, _ = all[0].Take("other", 1, time.Now())
		return strings.Contains(keys(t, server), "synapse:limit:project:other")
	}, 20*time.Second, 10*time.Millisecond, "Redis is used again")
}

func keys(t *testing.T, s *redistest.Server) string {
	out, err := s.Command("KEYS", "*limit*")
	require.NoError(t, err)
	return out
}

// A key goes when its bucket is full again: the server's memory is bounded by what
// was used of late.
func TestKeysExpire(t *testing.T) {
	server := redistest.Start(t)
	b := buckets(t, connect(t, server.Config()), limits.Config{Rate: 10, Burst: 5}, redis.Options{Name: "project", Share: 1})
	for i := range 50 {
		b.Take(fmt.Sprint(i), 5, time.Now())
	}
	require.Contains(t, keys(t, server), "*50\r\n")
	require.Eventually(t, func() bool { return keys(t, server) == "*0\r\n" }, 10*time.Second, 50*time.Millisecond)
	ok, _, s := b.Take("1", 5, time.Now())
	require.True(t, ok)
	require.Zero(t, s.Remaining)
}

// What a process took in advance and did not spend is lost after a second, and does
// not come on top of a full bucket.
func TestLeaseEnds(t *testing.T) {
	server := redistest.Start(t)
	b := buckets(t, connect(t, server.Config()), limits.Config{Rate: 1000, Burst: 1000}, redis.Options{Name: "project", Share: 1})
	ok, _, _ := b.Take("p", 1, time.Now())
	require.True(t, ok)
	time.Sleep(1100 * time.Millisecond)
	ok, _, s := b.Take("p", 1000, time.Now())
	require.True(t, ok)
	require.Zero(t, s.Remaining)
	ok, wait, _ := b.Take("p", 500, time.Now())
	require.False(t, ok)
	require.Greater(t, wait, 200*time.Millisecond)
}

func BenchmarkTake(b *testing.B) {
	server := redistest.Start(b)
	for _, batch := range []int{1, 100} {
		for name, exact := range map[string]bool{"lease": false, "exact": true} {
			b.Run(fmt.Sprintf("%s/%d", name, batch), func(b *testing.B) {
				k := buckets(b, connect(b, server.Config()), limits.Config{Rate: 100_000, Burst: 1e12}, redis.Options{Name: "bench", Share: 3, Exact: exact})
				b.RunParallel(func(p *testing.PB) {
					for p.Next() {
						k.Take("p", batch, time.Now())
					}
				})
			})
		}
	}
}
