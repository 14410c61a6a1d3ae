package limits_test

import (
	"fmt"
	"math"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/synapse-analytics/synapse/internal/limits"
)

var t0 = time.Unix(1_700_000_000, 0)

func TestBuckets(t *testing.T) {
	b := limits.NewBuckets(limits.Config{Rate: 10, Burst: 20})
	require.True(t, b.Enabled())
	ok, wait, s := b.Take("a", 15, t0)
	require.True(t, ok)
	require.Zero(t, wait)
	require.Equal(t, limits.State{Remaining: 5, Limit: 20, Reset: 1500 * time.Millisecond}, s)

	ok, wait, s = b.Take("a", 10, t0)
	require.False(t, ok)
	require.Equal(t, 500*time.Millisecond, wait)
	require.Equal(t, 5, s.Remaining, "a refused Take takes nothing")

	ok, _, _ = b.Take("b", 20, t0)
	require.True(t, ok, "another key has its own")

	ok, _, s = b.Take("a", 10, t0.Add(wait))
	require.True(t, ok, "after retryAfter it succeeds")
	require.Zero(t, s.Remaining)

	ok, _, _ = b.Take("a", 1, t0) // a clock that was set back
	require.False(t, ok)
	ok, _, _ = b.Take("a", 0, t0)
	require.True(t, ok)
	ok, _, s = b.Take("a", -5, t0)
	require.True(t, ok)
	require.Zero(t, s.Remaining, "a negative number gives nothing")
}

// A batch larger than the burst is admitted when the bucket is full, and paid
// for before the next one.
func TestLargerThanBurst(t *testing.T) {
	b := limits.NewBuckets(limits.Config{Rate: 100, Burst: 50})
	ok, _, s := b.Take("a", 1000, t0)
	require.True(t, ok)
	require.Zero(t, s.Remaining)
	ok, wait, _ := b.Take("a", 1, t0)
	require.False(t, ok)
	require.Equal(t, 9510*time.Millisecond, wait, "950 of debt and 1")
	ok, _, _ = b.Take("a", 1, t0.Add(wait))
	require.True(t, ok)
}

func TestOff(t *testing.T) {
	for _, c := range []limits.Config{{}, {Rate: -1, Burst: 5}, {Rate: math.NaN()}} {
		b := limits.NewBuckets(c)
		require.False(t, b.Enabled())
		ok, wait, s := b.Take("a", 1<<30, t0)
		require.True(t, ok)
		require.Zero(t, wait)
		require.Zero(t, s)
	}
}

func TestDefaultBurst(t *testing.T) {
	_, _, s := limits.NewBuckets(limits.Config{Rate: 7}).Take("a", 0, t0)
	require.Equal(t, 7, s.Limit)
	_, _, s = limits.NewBuckets(limits.Config{Rate: 0.1}).Take("a", 0, t0)
	require.Equal(t, 1, s.Limit)
	_, _, s = limits.NewBuckets(limits.Config{Rate: 1, Burst: math.MaxFloat64}).Take("a", 0, t0)
	require.Equal(t, math.MaxInt, s.Limit)
	b := limits.NewBuckets(limits.Config{Rate: math.SmallestNonzeroFloat64})
	b.Take("a", 1, t0)
	_, wait, _ := b.Take("a", 1, t0)
	require.Equal(t, time.Duration(math.MaxInt64), wait)
}

func TestMemoryIsBounded(t *testing.T) {
	b := limits.NewBuckets(limits.Config{Rate: 1, Burst: 1, MaxKeys: 10})
	for i := range 1000 {
		ok, _, _ := b.Take(fmt.Sprint(i), 1, t0)
		require.True(t, ok)
	}
	ok, _, _ := b.Take("999", 1, t0)
	require.False(t, ok, "a recent key is remembered")
	ok, _, _ = b.Take("0", 1, t0)
	require.True(t, ok, "the oldest is forgotten, and so full")
}

// Whatever is taken and when, no more than burst + rate × time gets through,
// and the advice to wait is kept.
func TestRateHolds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rate := rapid.Float64Range(0.1, 1e5).Draw(t, "rate")
		burst := rapid.Float64Range(1, 1e5).Draw(t, "burst")
		b := limits.NewBuckets(limits.Config{Rate: rate, Burst: burst})
		now, taken := t0, 0.0
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.Int64Range(0, int64(3*time.Second)).Draw(t, "wait")))
			n := rapid.IntRange(0, int(burst)).Draw(t, "n")
			ok, wait, _ := b.Take("a", n, now)
			if !ok {
				if wait <= 0 {
					t.Fatalf("refused without advice")
				}
				if wait > time.Hour {
					continue
				}
				now = now.Add(wait)
				if ok, _, _ = b.Take("a", n, now); !ok {
					t.Fatalf("refused again after the advised %s", wait)
				}
			}
			taken += float64(n)
			if limit := burst + rate*now.Sub(t0).Seconds() + 1; taken > limit {
				t.Fatalf("took %g, more than %g", taken, limit)
			}
		}
	})
}

func TestOpen(t *testing.T) {
	o := limits.NewOpen(2)
	require.Equal(t, 2, o.Max())
	r1, ok := o.Acquire("a")
	require.True(t, ok)
	_, ok = o.Acquire("a")
	require.True(t, ok)
	_, ok = o.Acquire("a")
	require.False(t, ok)
	_, ok = o.Acquire("b")
	require.True(t, ok)
	r1()
	r1()
	require.Equal(t, 1, o.Count("a"), "a second release does nothing")
	_, ok = o.Acquire("a")
	require.True(t, ok)

	free := limits.NewOpen(0)
	for range 100 {
		release, ok := free.Acquire("a")
		require.True(t, ok)
		release()
	}
}

func TestConcurrentUse(t *testing.T) {
	b := limits.NewBuckets(limits.Config{Rate: 1e-9, Burst: 100, MaxKeys: 4})
	o := limits.NewOpen(3)
	var wg sync.WaitGroup
	var mu sync.Mutex
	taken := 0
	for range 8 {
		wg.Go(func() {
			for range 100 {
				if release, ok := o.Acquire("a"); ok {
					if o.Count("a") > 3 {
						t.Error("more open than the bound")
					}
					release()
				}
				if ok, _, _ := b.Take("a", 1, t0); ok {
					mu.Lock()
					taken++
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	require.Equal(t, 100, taken)
	require.Zero(t, o.Count("a"))
}

func BenchmarkTake(b *testing.B) {
	k := limits.NewBuckets(limits.Config{Rate: 1e12, Burst: 1e12})
	now := time.Now()
	for b.Loop() {
		k.Take("project:default", 100, now)
	}
}
