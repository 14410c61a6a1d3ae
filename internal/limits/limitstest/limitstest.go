// Package limitstest is the suite that every engine of token buckets passes.
package limitstest

import (
	"math"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/synapse-analytics/synapse/internal/limits"
)

// Buckets is what an engine offers.
type Buckets interface {
	Enabled() bool
	Take(key string, n int, now time.Time) (ok bool, retryAfter time.Duration, state limits.State)
}

// Run runs the suite. open returns full buckets, of which no other call knows the
// keys. Time is that of the clock, so rates are low enough for a busy machine.
func Run(t *testing.T, open func(testing.TB, limits.Config) Buckets) {
	take := func(b Buckets, key string, n int) (bool, time.Duration, limits.State) {
		return b.Take(key, n, time.Now())
	}

	t.Run("Take", func(t *testing.T) {
		b := open(t, limits.Config{Rate: 5, Burst: 20})
		require.True(t, b.Enabled())
		ok, wait, s := take(b, "a", 15)
		require.True(t, ok)
		require.Zero(t, wait)
		require.Equal(t, 20, s.Limit)
		require.InDelta(t, 5, s.Remaining, 2)
		require.InDelta(t, 3, s.Reset.Seconds(), 0.4)

		ok, wait, s = take(b, "a", 10)
		require.False(t, ok)
		require.InDelta(t, 5, s.Remaining, 2, "a refused Take takes nothing")
		require.Greater(t, wait, 600*time.Millisecond)
		require.LessOrEqual(t, wait, time.Second)

		ok, _, _ = take(b, "b", 20)
		require.True(t, ok, "another key has its own")

		time.Sleep(wait)
		ok, _, s = take(b, "a", 10)
		require.True(t, ok, "after retryAfter it succeeds")
		require.InDelta(t, 0, s.Remaining, 2)
		for range 3 { // also once it has not to ask any more
			ok, wait, _ = take(b, "a", 10)
			require.False(t, ok)
			require.InDelta(t, 2, wait.Seconds(), 0.4)
		}
		ok, _, _ = take(b, "a", 0)
		require.True(t, ok)
		ok, _, s = take(b, "a", -50)
		require.True(t, ok)
		require.InDelta(t, 0, s.Remaining, 2, "a negative number gives nothing")
	})

	t.Run("LargerThanBurst", func(t *testing.T) {
		b := open(t, limits.Config{Rate: 100, Burst: 50})
		ok, _, s := take(b, "a", 150)
		require.True(t, ok, "a full bucket gives it")
		require.Zero(t, s.Remaining)
		ok, wait, _ := take(b, "a", 1)
		require.False(t, ok, "the debt is paid first")
		require.Greater(t, wait, 700*time.Millisecond, "100 of debt and 1")
		require.LessOrEqual(t, wait, 1010*time.Millisecond)
		time.Sleep(wait)
		ok, _, _ = take(b, "a", 1)
		require.True(t, ok)
	})

	t.Run("Off", func(t *testing.T) {
		for _, c := range []limits.Config{{}, {Rate: -1, Burst: 5}, {Rate: math.NaN()}} {
			b := open(t, c)
			require.False(t, b.Enabled())
			ok, wait, s := take(b, "a", 1<<30)
			require.True(t, ok)
			require.Zero(t, wait)
			require.Zero(t, s)
		}
	})

	t.Run("Bounds", func(t *testing.T) {
		_, _, s := take(open(t, limits.Config{Rate: 7}), "a", 0)
		require.Equal(t, 7, s.Limit)
		_, _, s = take(open(t, limits.Config{Rate: 0.1}), "a", 0)
		require.Equal(t, 1, s.Limit)
		_, _, s = take(open(t, limits.Config{Rate: 1, Burst: math.MaxFloat64}), "a", 0)
		require.Equal(t, math.MaxInt, s.Limit)
		b := open(t, limits.Config{Rate: math.SmallestNonzeroFloat64})
		ok, _, _ := take(b, "a", 1)
		require.True(t, ok)
		ok, wait, _ := take(b, "a", 1)
		require.False(t, ok)
		require.Equal(t, time.Duration(math.MaxInt64), wait)
	})

	t.Run("Concurrent", func(t *testing.T) {
		const rate, burst = 2000, 500
		b := open(t, limits.Config{Rate: rate, Burst: burst})
		var taken atomic.Int64
		var wg sync.WaitGroup
		start := time.Now()
		for range 8 {
			wg.Go(func() {
				for time.Since(start) < time.Second {
					if ok, wait, _ := take(b, "a", 3); ok {
						taken.Add(3)
					} else {
						time.Sleep(min(wait, 10*time.Millisecond))
					}
				}
			})
		}
		wg.Wait()
		allowed := burst + rate*time.Since(start).Seconds()
		require.LessOrEqual(t, float64(taken.Load()), allowed+0.02*rate)
		require.Greater(t, float64(taken.Load()), 0.7*allowed, "what may be taken can be")
	})
}
