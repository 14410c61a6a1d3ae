package query_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	pipelinev1 "github.com/synapse-analytics/synapse/gen/go/synapse/pipeline/v1"
	"github.com/synapse-analytics/synapse/internal/pgdb/pgtest"
	"github.com/synapse-analytics/synapse/internal/queue"
	"github.com/synapse-analytics/synapse/services/query"
	"github.com/synapse-analytics/synapse/services/query/store/postgres"
)

// pausable stands for a process that is stopped (SIGSTOP) with a batch in hand.
type pausable struct {
	query.Store
	running sync.RWMutex
	applied atomic.Int32 // calls of Apply
}

func (p *pausable) Apply(ctx context.Context, b *query.Batch) (query.Outcome, error) {
	p.running.RLock()
	defer p.running.RUnlock()
	p.applied.Add(1)
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
	some := func(from, to int) (events []*pipelinev1.QueuedEvent) {
		for ; from < to; from++ {
			events = append(events, queued("p", fmt.Sprintf("e%d", from), "x"))
		}
		return events
	}
	sent := 0
	send := func() {
		for range part {
			sent += per
			a.ingest(some(sent-per, sent)...)
		}
	}
	send()
	require.Eventually(t, func() bool { return b.balance("p").Total.Stored == part*per }, patience, time.Millisecond, "the second shows what the first stored")
	require.Zero(t, b.settled("p").Difference)

	first.running.Lock() // the leader stops with what it has in hand
	send()
	require.Eventually(t, func() bool { return b.balance("p").Total.Stored == 2*part*per }, patience, time.Millisecond, "the second takes over")
	first.running.Unlock()
	// Before long the zombie knows that it leads no more, and leaves the other alone.
	require.Eventually(t, func() bool { return a.svc.Ready(t.Context()) == nil }, patience, time.Millisecond)
	time.Sleep(time.Second) // it asks twice in that
	quietSince := first.applied.Load()
	for i := range part / 4 {
		sent += per / 2
		a.ingest(some(sent-per/2, sent)...)
		require.Eventually(t, func() bool { return b.balance("p").Total.Stored == float64(2*part*per+(i+1)*per/2) }, patience, time.Millisecond)
	}
	require.Equal(t, quietSince, first.applied.Load(), "one process writes")
	for sent < 3*part*per {
		sent += per / 2
		a.ingest(some(sent-per/2, sent)...)
	}
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

	a.stop() // gives the lease back, and does not let it run out
	after := a.open()
	leads, err := after.Lead(t.Context(), "another", time.Minute)
	require.NoError(t, err)
	require.True(t, leads)
	require.NoError(t, after.Close())
}

// TestWrittenByAnother: what another process stored under a writer that did not know,
// which then begins anew, comes on its tails too, once and in its place.
func TestWrittenByAnother(t *testing.T) {
	server, err := pgtest.Start()
	require.NoError(t, err)
	defer func() { require.NoError(t, server.Stop()) }()
	url, err := server.NewDatabase()
	require.NoError(t, err)
	w := newWorld(t)
	w.log = quiet
	w.open = func() query.Store {
		s, err := postgres.Open(context.Background(), pgtest.Config(url), quiet)
		require.NoError(t, err)
		return s
	}
	var held pausable
	w.wrap = func(s query.Store) query.Store { held.Store = s; return &held }
	w.start()
	w.ready()
	told := w.follow("p", 3)
	w.store1(1, queued("p", "a", "x"))
	w.stored("p", 1)

	held.running.Lock()
	w.store1(2, queued("p", "b", "x"))
	info, err := w.queue.Info(t.Context(), queue.Scored)
	require.NoError(t, err)
	now := time.Now().UnixMicro()
	other := w.open()
	_, err = other.Apply(t.Context(), &query.Batch{
		Sources: []query.Source{{Epoch: 1, Sequence: 2, QueuedUS: now, Events: []query.Event{{
			Project: "p", ID: "b", Text: "x", Source: "web", Language: "en", Model: "m1", Label: query.Neutral, OccurredUS: now, AcceptedUS: now, QueuedUS: now, ScoredUS: now,
		}}}},
		Position: query.StoredPosition{Position: queue.Position{Epoch: info.Epoch, Sequence: info.Last}, TimeUS: info.LastTime.UnixMicro()}, StoredUS: now,
	})
	require.NoError(t, err)
	require.NoError(t, other.Close())
	held.running.Unlock()
	w.store1(3, queued("p", "c", "x"))
	select {
	case ids := <-told:
		require.Equal(t, []string{"a", "b", "c"}, ids)
	case <-time.After(patience):
		t.Fatal("not all that is stored came on the tail")
	}
}
