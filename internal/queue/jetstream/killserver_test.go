package jetstream

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/synapse-analytics/synapse/internal/queue"
	"github.com/synapse-analytics/synapse/internal/queue/natstest"
)

// TestKillServer kills the server under publishers and a reader that stay. They
// must come back by themselves; what was acknowledged is there once and in
// order.
func TestKillServer(t *testing.T) {
	servers := startServers(t, natstest.Options{})
	cfg := configOf(servers, natstest.Options{})
	cfg.PublishTimeout, cfg.Watchdog = 2*time.Second, time.Second
	q := openClosed(t, cfg)

	c, err := q.Consume(t.Context(), queue.ConsumerConfig{Stream: queue.Events, Name: "reader", StartAfter: &queue.Position{}})
	require.NoError(t, err)

	const publishers, kills = 8, 3
	var mu sync.Mutex
	acked := map[string]bool{}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for n := range publishers {
		wg.Go(func() {
			for i := 0; ; i++ {
				id := fmt.Sprintf("%d-%d", n, i)
				for {
					select {
					case <-stop:
						return
					default:
					}
					_, _, err := q.Publish(t.Context(), queue.Events, queue.Outgoing{ID: id, Data: []byte(id)})
					if err == nil {
						break
					}
					time.Sleep(20 * time.Millisecond)
				}
				mu.Lock()
				acked[id] = true
				mu.Unlock()
			}
		})
	}
	count := func() int {
		mu.Lock()
		defer mu.Unlock()
		return len(acked)
	}
	for range kills {
		target := count() + 50
		require.Eventually(t, func() bool { return count() >= target }, time.Minute, 5*time.Millisecond)
		time.Sleep(time.Duration(rand.IntN(100)) * time.Millisecond)
		require.NoError(t, servers.Nodes[0].Kill())
		require.NoError(t, servers.Nodes[0].Spawn())
	}
	target := count() + 50
	require.Eventually(t, func() bool { return count() >= target }, time.Minute, 5*time.Millisecond)
	close(stop)
	wg.Wait()

	info, err := q.Info(t.Context(), queue.Events)
	require.NoError(t, err)
	times := map[string]int{}
	for last := uint64(0); last < info.Last; {
		ms, err := c.Fetch(t.Context(), 100)
		require.NoError(t, err)
		for _, m := range ms {
			require.Equal(t, last+1, m.Position.Sequence)
			last++
			times[string(m.Data)]++
		}
		require.NoError(t, ms[len(ms)-1].Ack())
	}
	for id := range acked {
		require.Equal(t, 1, times[id], "acknowledged id %s", id)
	}
	for id, n := range times {
		require.Equal(t, 1, n, "id %s", id)
	}
	t.Logf("%d acknowledged, %d stored, %+v", len(acked), len(times), q.Stats())
}
