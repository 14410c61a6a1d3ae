package jetstream

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/synapse-analytics/synapse/internal/queue"
	"github.com/synapse-analytics/synapse/internal/queue/natstest"
)

// TestClusterFaults: three servers, three copies, and one fault after the other
// under publishers and readers that stay. Every acknowledged message is there
// exactly once and in order, both kinds of consumer deliver all of them, and all
// go on by themselves.
func TestClusterFaults(t *testing.T) {
	o := natstest.Options{Nodes: 3}
	servers := startServers(t, o)
	cfg := configOf(servers, o)
	cfg.EventsMaxBytes = 256 << 20
	q := openClosed(t, cfg)
	require.NoError(t, q.Ready(t.Context()))
	load := startLoad(t, q)

	// fault does something to the cluster, waits until messages are acknowledged
	// that were first sent after it, heals the cluster and waits for all of it.
	fault := func(name string, do func(), heal func()) {
		t.Helper()
		began := time.Now()
		do()
		load.progress(t)
		took := time.Since(began)
		read := make(map[string]time.Duration)
		for _, name := range []string{"shared", "ordered"} {
			load.caughtUp(t, name)
			read[name] = time.Since(began)
		}
		heal()
		for _, n := range servers.Nodes {
			require.NoError(t, n.WaitHealthy())
		}
		load.progress(t)
		t.Logf("%-28s messages are acknowledged again after %4.1f s, longest wait for one %4.1f s, read by the shared reader after %4.1f s, by the ordered one after %4.1f s, all healthy after %4.1f s",
			name, took.Seconds(), load.longest().Seconds(), read["shared"].Seconds(), read["ordered"].Seconds(), time.Since(began).Seconds())
	}
	stream := string(queue.Events)
	leader := func() *natstest.Node {
		t.Helper()
		n, err := servers.StreamLeader(stream)
		require.NoError(t, err)
		return n
	}
	follower := func() *natstest.Node {
		t.Helper()
		for _, n := range servers.Nodes {
			if n != leader() {
				return n
			}
		}
		return nil
	}
	var victim *natstest.Node
	kill := func(who func() *natstest.Node) func() {
		return func() {
			victim = who()
			require.NoError(t, victim.Kill())
		}
	}
	back := func() { require.NoError(t, victim.Run()) }

	for range 2 {
		fault("kill the stream's leader", kill(leader), back)
	}
	fault("kill a follower", kill(follower), back)
	for _, consumer := range []string{"shared", "ordered"} {
		fault("kill the leader of "+consumer, kill(func() *natstest.Node {
			n, err := servers.ConsumerLeader(stream, consumer)
			require.NoError(t, err)
			return n
		}), back)
	}
	fault("pause the stream's leader", func() {
		victim = leader()
		require.NoError(t, victim.Pause())
	}, func() { require.NoError(t, victim.Resume()) })

	var others []*natstest.Node
	fault("kill two of three", func() {
		others = servers.Nodes[:2]
		for _, n := range others {
			require.NoError(t, n.Kill())
		}
		// No majority: refused, in bounded time, and readiness tells it.
		for range 2 {
			began := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			_, _, err := q.Publish(ctx, queue.Events, queue.Outgoing{ID: "refused", Data: []byte("refused")})
			cancel()
			require.ErrorIs(t, err, queue.ErrUnavailable)
			require.Less(t, time.Since(began), cfg.PublishTimeout+5*time.Second)
		}
		require.Eventually(t, func() bool { // the one that is left leads until it misses the others
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
			defer cancel()
			return q.Ready(ctx) != nil
		}, time.Minute, 10*time.Millisecond)
		for _, n := range others {
			require.NoError(t, n.Spawn())
		}
	}, func() {})

	fault("wipe a server's disk", func() {
		victim = leader()
		require.NoError(t, victim.Kill())
		require.NoError(t, victim.Wipe())
	}, back)
	// It has all of it again: another one may go.
	fault("kill one after the wipe", kill(func() *natstest.Node {
		for _, n := range servers.Nodes {
			if n != victim {
				return n
			}
		}
		return nil
	}), back)

	// Leaders that change again and again, with nobody dead.
	moved := 0
	for range 10 {
		for _, api := range []string{"CONSUMER.LEADER.STEPDOWN.EVENTS.ordered", "CONSUMER.LEADER.STEPDOWN.EVENTS.shared", "STREAM.LEADER.STEPDOWN.EVENTS"} {
			// Refused while there is none.
			if m, err := q.nc.Request("$JS.API."+api, nil, 2*time.Second); err == nil && strings.Contains(string(m.Data), `"success":true`) {
				moved++
			}
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Logf("leaders moved %d times", moved)
	require.Positive(t, moved)
	load.progress(t)
	load.finish(t)
	require.Zero(t, q.Stats().RepeatedSequences)
	t.Logf("%+v", q.Stats())
}

// load is publishers and readers of one queue.
type load struct {
	q    *Queue
	stop chan struct{}

	mu      sync.Mutex
	acked   map[string]bool
	slowest time.Duration // from the first try of a message to its acknowledgement

	publishers, readers sync.WaitGroup
	endReaders          context.CancelFunc
	shared, ordered     map[string]int // how often each message came; with mu
}

const loadPublishers = 8

func startLoad(t *testing.T, q *Queue) *load {
	t.Helper()
	l := &load{q: q, stop: make(chan struct{}), acked: map[string]bool{}, shared: map[string]int{}, ordered: map[string]int{}}
	ctx := t.Context()
	for p := range loadPublishers {
		l.publishers.Go(func() {
			for i := 0; ; i++ {
				id := fmt.Sprintf("%d-%d", p, i)
				if !l.publish(ctx, id) {
					return
				}
			}
		})
	}
	reading, end := context.WithCancel(ctx)
	l.endReaders = end
	l.read(reading, t, l.ordered, queue.ConsumerConfig{Name: "ordered", StartAfter: &queue.Position{}})
	l.read(reading, t, l.shared, queue.ConsumerConfig{Name: "shared", AckWait: 5 * time.Second})
	l.progress(t)
	return l
}

// publish tries the message with the same id until it is acknowledged; it says
// false when the load ends.
func (l *load) publish(ctx context.Context, id string) bool {
	began := time.Now()
	for {
		select {
		case <-l.stop:
			return false
		default:
		}
		if _, _, err := l.q.Publish(ctx, queue.Events, queue.Outgoing{ID: id, Data: []byte(id)}); err == nil {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	l.mu.Lock()
	l.acked[id] = true
	l.slowest = max(l.slowest, time.Since(began))
	l.mu.Unlock()
	time.Sleep(5 * time.Millisecond) // a load, not a race
	return true
}

// progress waits until messages are acknowledged that no publisher had begun
// with before.
func (l *load) progress(t *testing.T) {
	t.Helper()
	count := func() int {
		l.mu.Lock()
		defer l.mu.Unlock()
		return len(l.acked)
	}
	target := count() + 2*loadPublishers
	require.Eventually(t, func() bool { return count() >= target }, time.Minute, 5*time.Millisecond)
}

// caughtUp waits until a reader has got all that is acknowledged by now.
func (l *load) caughtUp(t *testing.T, reader string) {
	t.Helper()
	l.mu.Lock()
	want := slices.Collect(maps.Keys(l.acked))
	l.mu.Unlock()
	seen := map[string]map[string]int{"shared": l.shared, "ordered": l.ordered}[reader]
	require.Eventually(t, func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return !slices.ContainsFunc(want, func(id string) bool { return seen[id] == 0 })
	}, time.Minute, 5*time.Millisecond, "%s reader", reader)
}

// longest returns the longest wait for an acknowledgement since the last call.
func (l *load) longest() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	d := l.slowest
	l.slowest = 0
	return d
}

// read reads until ctx ends.
func (l *load) read(ctx context.Context, t *testing.T, seen map[string]int, cc queue.ConsumerConfig) {
	t.Helper()
	cc.Stream = queue.Events
	c, err := l.q.Consume(ctx, cc)
	require.NoError(t, err)
	l.readers.Go(func() {
		defer c.Close()
		var last uint64
		for {
			ms, err := c.Fetch(ctx, 50)
			if ctx.Err() != nil {
				return
			}
			if err != nil {
				t.Errorf("%s: %v", cc.Name, err)
				return
			}
			l.mu.Lock()
			for _, m := range ms {
				if cc.StartAfter != nil && m.Position.Sequence != last+1 {
					t.Errorf("sequence %d after %d", m.Position.Sequence, last)
				}
				last = m.Position.Sequence
				seen[string(m.Data)]++
			}
			l.mu.Unlock()
			for _, m := range ms {
				_ = m.Ack()
			}
		}
	})
}

// finish ends the load and checks what came of it.
func (l *load) finish(t *testing.T) {
	t.Helper()
	close(l.stop)
	l.publishers.Wait()
	var last uint64
	require.Eventually(t, func() bool {
		info, err := l.q.Info(t.Context(), queue.Events)
		last = info.Last
		return err == nil
	}, time.Minute, 50*time.Millisecond)
	for name, seen := range map[string]map[string]int{"shared": l.shared, "ordered": l.ordered} {
		require.Eventually(t, func() bool {
			l.mu.Lock()
			defer l.mu.Unlock()
			return uint64(len(seen)) >= last
		}, time.Minute, 50*time.Millisecond, "%s reader", name)
	}
	l.endReaders()
	l.readers.Wait()
	twice := 0
	for id := range l.acked {
		require.Equal(t, 1, l.ordered[id], "ordered reader: acknowledged %s", id)
	}
	for id, n := range l.ordered {
		require.Equal(t, 1, n, "stored: %s", id)
		require.Positive(t, l.shared[id], "shared reader: %s", id)
		twice += btoi(l.shared[id] > 1)
	}
	t.Logf("%d acknowledged, %d stored, %d delivered again to the shared reader", len(l.acked), len(l.ordered), twice)
}

// TestOrderedConsumerIsKept: a reader that missed nothing goes on with the consumer
// that it has when this gets another leader, and when the server that leads it and
// the one that the reader is connected to are killed.
func TestOrderedConsumerIsKept(t *testing.T) {
	o := natstest.Options{Nodes: 3}
	servers := startServers(t, o)
	cfg := configOf(servers, o)
	cfg.Watchdog = time.Minute // it makes consumers anew when an election takes long
	q := openClosed(t, cfg)
	c, err := q.Consume(t.Context(), queue.ConsumerConfig{Stream: queue.Events, Name: "r", StartAfter: &queue.Position{}})
	require.NoError(t, err)
	var last uint64
	pass := func() {
		t.Helper()
		id := fmt.Sprint("m", last)
		require.Eventually(t, func() bool {
			_, _, err := q.Publish(t.Context(), queue.Events, queue.Outgoing{ID: id})
			return err == nil
		}, time.Minute, 10*time.Millisecond)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		ms, err := c.Fetch(ctx, 10)
		require.NoError(t, err)
		require.Len(t, ms, 1)
		last++
		require.Equal(t, last, ms[0].Position.Sequence)
		require.NoError(t, ms[0].Ack())
	}
	leader := func() *natstest.Node {
		t.Helper()
		n, err := servers.ConsumerLeader(string(queue.Events), "r")
		require.NoError(t, err)
		return n
	}
	connected := func() *natstest.Node { return servers.Node(q.nc.ConnectedServerName()) }
	pass()
	for again := true; again; again = leader() == connected() {
		_, err = q.nc.Request("$JS.API.CONSUMER.LEADER.STEPDOWN.EVENTS.r", nil, 2*time.Second)
		require.NoError(t, err)
		pass()
	}
	kill := func(n *natstest.Node) {
		t.Helper()
		require.NoError(t, n.Kill())
		pass()
		require.NoError(t, n.Run())
		require.NoError(t, n.WaitHealthy())
		pass()
	}
	kill(connected())
	kill(leader())
	require.Zero(t, q.Stats().ConsumersRemade)
	require.NoError(t, c.Close())
}

// TestInfoWithoutLeader: a question to a leader that does not answer any more is asked
// again, and does not take all the time that the caller has.
func TestInfoWithoutLeader(t *testing.T) {
	o := natstest.Options{Nodes: 3}
	servers := startServers(t, o)
	q := openClosed(t, configOf(servers, o))
	publishN(t, q, 3)
	leader, err := servers.StreamLeader(string(queue.Events))
	require.NoError(t, err)
	require.NoError(t, leader.Pause())
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		info, err := q.Info(ctx, queue.Events)
		if err == nil {
			require.EqualValues(t, 3, info.Last)
			break
		}
		require.ErrorIs(t, err, queue.ErrUnavailable)
	}
	require.NoError(t, leader.Resume())
}
