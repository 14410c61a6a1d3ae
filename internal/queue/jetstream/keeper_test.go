package jetstream

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/synapse-analytics/synapse/internal/queue"
	"github.com/synapse-analytics/synapse/internal/queue/natstest"
)

// both runs a test with a shared and an ordered consumer.
func both(t *testing.T, test func(t *testing.T, cfg queue.ConsumerConfig)) {
	t.Run("shared", func(t *testing.T) {
		test(t, queue.ConsumerConfig{Stream: queue.Events, Name: "r", AckWait: time.Second})
	})
	t.Run("ordered", func(t *testing.T) {
		test(t, queue.ConsumerConfig{Stream: queue.Events, Name: "r", StartAfter: &queue.Position{}})
	})
}

func publishN(t *testing.T, q *Queue, n int) {
	t.Helper()
	for i := range n {
		_, _, err := q.Publish(t.Context(), queue.Events, queue.Outgoing{Data: fmt.Append(nil, i)})
		require.NoError(t, err)
	}
}

// fetchAll fetches until every sequence up to last has come, and acknowledges.
func fetchAll(t *testing.T, c queue.Consumer, last uint64, inOrder bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	seen := map[uint64]bool{}
	for uint64(len(seen)) < last {
		ms, err := c.Fetch(ctx, 7)
		require.NoError(t, err, "%d of %d", len(seen), last)
		for _, m := range ms {
			if inOrder {
				require.EqualValues(t, len(seen)+1, m.Position.Sequence)
			}
			seen[m.Position.Sequence] = true
			require.NoError(t, m.Ack())
		}
	}
}

// TestWatchdog: a request that the server has lost without a word.
func TestWatchdog(t *testing.T) {
	both(t, func(t *testing.T, cc queue.ConsumerConfig) {
		cfg := withDir(t)
		cfg.Watchdog = time.Second
		q := openClosed(t, cfg)
		qc, err := q.Consume(t.Context(), cc)
		require.NoError(t, err)
		c := qc.(*consumer) //nolint:forcetypeassert // of this package
		done := make(chan struct{})
		go func() {
			defer close(done)
			fetchAll(t, c, 20, c.ordered)
		}()
		require.Eventually(t, func() bool { c.mu.Lock(); defer c.mu.Unlock(); return c.pull.left > 0 }, time.Minute, time.Millisecond)
		c.mu.Lock()
		sub := c.pull.sub
		c.mu.Unlock()
		require.NoError(t, sub.Unsubscribe())
		publishN(t, q, 20)
		<-done
		require.EqualValues(t, 1, q.Stats().PullsRenewed)
		require.NoError(t, c.Close())
	})
}

// TestLostAck: the acknowledgement of all that may be unacknowledged did not reach the
// server, which delivers nothing more.
func TestLostAck(t *testing.T) {
	cfg := withDir(t)
	cfg.Watchdog = time.Second
	q := openClosed(t, cfg)
	publishN(t, q, 8)
	opened, err := q.Consume(t.Context(), queue.ConsumerConfig{Stream: queue.Events, Name: "r", StartAfter: &queue.Position{}, MaxPending: 4})
	require.NoError(t, err)
	c := opened.(*consumer) //nolint:forcetypeassert // this engine's
	defer func() { require.NoError(t, c.Close()) }()
	for n := 0; n < 4; {
		ms, err := c.Fetch(t.Context(), 4)
		require.NoError(t, err)
		n += len(ms)
	}
	c.mu.Lock()
	c.acked = 4
	c.mu.Unlock()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	next, err := c.Fetch(ctx, 4)
	require.NoError(t, err)
	require.EqualValues(t, 5, next[0].Position.Sequence)
}

// TestConsumerDeleted: an operator deletes the consumer under its reader.
func TestConsumerDeleted(t *testing.T) {
	both(t, func(t *testing.T, cc queue.ConsumerConfig) {
		q := openClosed(t, withDir(t))
		c, err := q.Consume(t.Context(), cc)
		require.NoError(t, err)
		done := make(chan struct{})
		go func() {
			defer close(done)
			fetchAll(t, c, 20, cc.StartAfter != nil)
		}()
		publishN(t, q, 10)
		require.NoError(t, q.js.DeleteConsumer(t.Context(), string(queue.Events), "r"))
		publishN(t, q, 10)
		<-done
		require.NoError(t, c.Close())
	})
}

// TestGapInStream: messages that an operator deleted are passed over; what was
// lost on the way is fetched again.
func TestGapInStream(t *testing.T) {
	q := openClosed(t, withDir(t))
	publishN(t, q, 30)
	st, err := q.js.Stream(t.Context(), string(queue.Events))
	require.NoError(t, err)
	for _, s := range []uint64{5, 6, 20} {
		require.NoError(t, st.DeleteMsg(t.Context(), s))
	}
	c, err := q.Consume(t.Context(), queue.ConsumerConfig{Stream: queue.Events, Name: "r", StartAfter: &queue.Position{}})
	require.NoError(t, err)
	var last uint64
	for n := 0; n < 27; {
		ms, err := c.Fetch(t.Context(), 4)
		require.NoError(t, err)
		for _, m := range ms {
			require.Greater(t, m.Position.Sequence, last)
			last = m.Position.Sequence
			n++
		}
		require.NoError(t, ms[len(ms)-1].Ack())
	}
	require.EqualValues(t, 30, last)
	require.EqualValues(t, 2, q.Stats().ConsumersRemade)
	require.NoError(t, c.Close())

	c2, err := q.Consume(t.Context(), queue.ConsumerConfig{Stream: queue.Dead, Name: "r", StartAfter: &queue.Position{}})
	require.NoError(t, err)
	oc := c2.(*consumer) //nolint:forcetypeassert // of this package
	for i := range 40 {
		_, _, err := q.Publish(t.Context(), queue.Dead, queue.Outgoing{})
		require.NoError(t, err)
		if i%10 == 5 {
			oc.mu.Lock()
			oc.nextDseq += 3 // as if messages had been lost
			oc.mu.Unlock()
		}
		ms, err := c2.Fetch(t.Context(), 1)
		require.NoError(t, err)
		require.EqualValues(t, i+1, ms[0].Position.Sequence)
	}
	require.NoError(t, c2.Close())
}

// TestNakWhileRemade: a Nak that comes while the consumer is made anew after a
// later message is not passed by.
func TestNakWhileRemade(t *testing.T) {
	q := openClosed(t, withDir(t))
	opened, err := q.Consume(t.Context(), queue.ConsumerConfig{Stream: queue.Events, Name: "r", StartAfter: &queue.Position{}})
	require.NoError(t, err)
	c := opened.(*consumer) //nolint:forcetypeassert // this engine's
	defer func() { require.NoError(t, c.Close()) }()
	publishN(t, q, 20)
	var ms []queue.Message
	for len(ms) < 20 {
		more, err := c.Fetch(t.Context(), 20-len(ms))
		require.NoError(t, err)
		ms = append(ms, more...)
	}
	c.mu.Lock()
	after, came, rewinds := ms[19].Position, c.lastTime, c.rewinds
	c.rewinding = true
	c.mu.Unlock()
	require.NoError(t, ms[4].Nak(2*time.Second))
	publishN(t, q, 1)
	require.Eventually(t, func() bool { // the server may still be closing the old one
		return c.remakeAfter(t.Context(), after, came, false, rewinds) == nil
	}, time.Second, 10*time.Millisecond)
	next, err := c.Fetch(t.Context(), 1)
	require.NoError(t, err)
	require.EqualValues(t, 5, next[0].Position.Sequence)
	require.Equal(t, 2, next[0].Deliveries)
}

// TestServerRestart: the server goes and comes back under publishers and
// readers that stay.
func TestServerRestart(t *testing.T) {
	both(t, func(t *testing.T, cc queue.ConsumerConfig) {
		servers := startServers(t, natstest.Options{})
		cfg := configOf(servers, natstest.Options{})
		cfg.PublishTimeout = 2 * time.Second
		q := openClosed(t, cfg)
		c, err := q.Consume(t.Context(), cc)
		require.NoError(t, err)
		done := make(chan struct{})
		go func() {
			defer close(done)
			fetchAll(t, c, 20, cc.StartAfter != nil)
		}()
		publishN(t, q, 10)
		require.NoError(t, servers.Nodes[0].Kill())
		_, _, err = q.Publish(t.Context(), queue.Events, queue.Outgoing{})
		require.ErrorIs(t, err, queue.ErrUnavailable)
		require.ErrorIs(t, q.Ready(t.Context()), queue.ErrUnavailable)
		_, _, err = q.Publish(t.Context(), queue.Events, queue.Outgoing{})
		require.ErrorIs(t, err, queue.ErrUnavailable)
		require.ErrorContains(t, err, "no connection to the NATS server; check that it runs")
		require.NoError(t, servers.Nodes[0].Run())
		require.Eventually(t, func() bool { return q.Ready(t.Context()) == nil }, time.Minute, 10*time.Millisecond)
		publishN(t, q, 10)
		<-done
		require.NoError(t, c.Close())
	})
}

// TestStaleIsReturned: what was fetched ahead and not asked for in time goes to
// another reader.
func TestStaleIsReturned(t *testing.T) {
	cfg := withDir(t)
	q := openClosed(t, cfg)
	publishN(t, q, 8)
	cc := queue.ConsumerConfig{Stream: queue.Events, Name: "r", AckWait: 2 * time.Second}
	slow, err := q.Consume(t.Context(), cc)
	require.NoError(t, err)
	// Two fetches of four were asked for; one is taken.
	for n := 0; n < 4; {
		ms, err := slow.Fetch(t.Context(), 4-n)
		require.NoError(t, err)
		for _, m := range ms {
			require.NoError(t, m.Ack())
		}
		n += len(ms)
	}
	other, err := q.Consume(t.Context(), cc)
	require.NoError(t, err)
	seen := map[uint64]bool{}
	for len(seen) < 4 {
		ms, err := other.Fetch(t.Context(), 4)
		require.NoError(t, err)
		for _, m := range ms {
			seen[m.Position.Sequence] = true
			require.NoError(t, m.Ack())
		}
	}
	require.NoError(t, slow.Close())
	require.NoError(t, other.Close())
}

// TestTroubleIsToldOnce: what stays the same is in the log once in toldEvery.
func TestTroubleIsToldOnce(t *testing.T) {
	var log bytes.Buffer
	c := &consumer{q: &Queue{log: slog.New(slog.NewTextHandler(&log, nil))}}
	for range 3 {
		c.trouble(queue.ErrUnavailable)
	}
	require.Equal(t, 1, strings.Count(log.String(), "consumer in trouble"))
	c.trouble(context.DeadlineExceeded)
	require.Equal(t, 2, strings.Count(log.String(), "consumer in trouble"))
	c.toldAt = time.Now().Add(-toldEvery)
	c.trouble(context.DeadlineExceeded)
	require.Equal(t, 3, strings.Count(log.String(), "consumer in trouble"))
}

// TestNobodyForAMoment: a stream that has no leader for a moment is waited for, one that
// is gone is not.
func TestNobodyForAMoment(t *testing.T) {
	q := openClosed(t, withDir(t))
	stream, err := q.js.Stream(t.Context(), string(queue.Dead))
	require.NoError(t, err)
	require.NoError(t, q.js.DeleteStream(t.Context(), string(queue.Dead)))
	publish := func() error {
		_, _, err := q.Publish(t.Context(), queue.Dead, queue.Outgoing{Data: []byte("x")})
		return err
	}
	err = publish()
	require.ErrorIs(t, err, queue.ErrUnavailable)
	require.ErrorContains(t, err, "no stream takes the message")
	published := make(chan error)
	go func() { published <- publish() }()
	time.Sleep(100 * time.Millisecond)
	_, err = q.js.CreateStream(t.Context(), stream.CachedInfo().Config)
	require.NoError(t, err)
	require.NoError(t, <-published)
}
