package query_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	pipelinev1 "github.com/synapse-analytics/synapse/gen/go/synapse/pipeline/v1"
	"github.com/synapse-analytics/synapse/internal/pgdb/pgtest"
	"github.com/synapse-analytics/synapse/services/query"
	"github.com/synapse-analytics/synapse/services/query/store/postgres"
)

// pausable stands for a process that is stopped (SIGSTOP) with a batch in hand.
type pausable struct {
	query.Store
	running sync.RWMutex
}

func (p *pausable) Apply(ctx context.Context, b *query.Batch) (query.Outcome, error) {
	p.running.RLock()
	defer p.running.RUnlock()
	return p.Store.Apply(ctx, b)
}

func (p *pausable) Lead(ctx context.Context, owner string, lease time.Duration) (bool, error) {
	p.running.RLock()
	defer p.running.RUnlock()
	return p.Store.Lead(ctx, owner, lease)
}

// follow collects the ids that a tail brings, in their order, until they are n.
func (w *world) follow(project string, n int) <-chan []string {
	w.t.Helper()
	c, _ := w.begin(w.t.Context(), project, "")
	out := make(chan []string, 1)
	go func() {
		var ids []string
		for len(ids) < n {
			m, err := c.Recv()
			if err != nil {
				ids = append(ids, "error: "+err.Error())
				break
			}
			if m.GetEvent() != nil {
				ids = append(ids, m.GetEvent().Id)
			} else if m.GetHeartbeat() == nil {
				ids = append(ids, "unexpected: "+m.String())
			}
		}
		out <- ids
	}()
	return out
}

// TestTwoProcesses: two processes share the queue and the store. One moves the
// streams, both answer and tail. The one that moves them is stopped with a batch in
// hand, comes back as a zombie, and takes over again when the other ends: every
// event is stored once and told once to every tail, in the same order.
func TestTwoProcesses(t *testing.T) {
	server, err := pgtest.Start()
	require.NoError(t, err)
	defer func() { require.NoError(t, server.Stop()) }()
	url, err := server.NewDatabase()
	require.NoError(t, err)
	a := newWorld(t)
	a.cfg.TailBuffer, a.log = 65_536, quiet
	b := &world{t: t, dir: a.dir, cfg: a.cfg, log: quiet, queue: a.queue, explainer: &explainer{}}
	t.Cleanup(b.stop)
	var first pausable
	for _, w := range []*world{a, b} {
		w.open = func() query.Store {
			s, err := postgres.Open(context.Background(), pgtest.Config(url), quiet)
			require.NoError(t, err)
			return s
		}
	}
	a.wrap = func(s query.Store) query.Store { first.Store = s; return &first }
	a.start()
	a.ready()
	b.start()
	b.ready()
	stopScorer := a.scorer()
	defer stopScorer()

	const part, per = 100, 10
	const all = 4 * part * per
	tailA, tailB := a.follow("p", all), b.follow("p", 3*part*per)
	sent := 0
	send := func() {
		for range part {
			var events []*pipelinev1.QueuedEvent
			for range per {
				events = append(events, queued("p", fmt.Sprintf("e%d", sent), "x"))
				sent++
			}
			a.ingest(events...)
		}
	}
	send()
	require.Eventually(t, func() bool { return b.balance("p").Total.Stored == part*per }, patience, time.Millisecond, "the second shows what the first stored")
	require.Zero(t, b.settled("p").Difference)

	first.running.Lock() // the leader stops with what it has in hand
	send()
	require.Eventually(t, func() bool { return b.balance("p").Total.Stored == 2*part*per }, patience, time.Millisecond, "the second takes over")
	first.running.Unlock()
	send()
	require.Eventually(t, func() bool { return a.balance("p").Total.Stored == 3*part*per }, patience, time.Millisecond)
	told := <-tailB
	b.stop() // and gives the lease back
	send()
	require.Eventually(t, func() bool { return a.balance("p").Total.Stored == all }, patience, time.Millisecond, "the first takes over again")

	toldA := <-tailA
	require.Len(t, toldA, all)
	require.Equal(t, toldA[:len(told)], told, "both tails have the same order")
	seen := map[string]bool{}
	for _, id := range toldA {
		require.False(t, seen[id], "%s came twice", id)
		seen[id] = true
	}
	for i := range all {
		require.True(t, seen[fmt.Sprintf("e%d", i)], "e%d", i)
	}
	require.Zero(t, a.settled("p").Difference)
	r, err := a.store.Verify(t.Context(), "p")
	require.NoError(t, err)
	require.Empty(t, r.Differences)
}
