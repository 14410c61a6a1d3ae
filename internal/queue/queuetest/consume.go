package queuetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/synapse-analytics/synapse/internal/queue"
)

// shortWait is an ack wait that the suite can sit out.
const shortWait = time.Second

func testRedelivery(t *testing.T, h Harness) {
	q := open(t, h)
	publish(t, q, 0, 3)
	c := consume(t, q, queue.ConsumerConfig{AckWait: shortWait})
	ms := fetch(t, c, 3)
	at := time.Now()
	require.NoError(t, ms[0].Ack())
	require.NoError(t, ms[2].Ack())
	for i := 2; i <= 3; i++ {
		m := fetch(t, c, 1)[0]
		require.Equal(t, "m1", string(m.Data), "the one that was not acknowledged")
		require.Equal(t, i, m.Deliveries)
		require.Greater(t, time.Since(at), shortWait/2, "not before its time")
		at = time.Now()
		if i == 3 {
			require.NoError(t, m.Ack())
		}
	}
	eventually(t, q, "all are acknowledged", func(i queue.Info) bool {
		c := i.Consumers["reader"]
		return c.AckFloor == 3 && c.Unacknowledged == 0 && c.Pending == 0
	})
}

func testInProgress(t *testing.T, h Harness) {
	q := open(t, h)
	publish(t, q, 0, 1)
	c := consume(t, q, queue.ConsumerConfig{AckWait: shortWait})
	m := fetch(t, c, 1)[0]
	for range 8 {
		require.NoError(t, m.InProgress())
		nothing(t, c)
		time.Sleep(shortWait / 8)
	}
	require.NoError(t, m.Ack())
	eventually(t, q, "acknowledged", func(i queue.Info) bool { return i.Consumers["reader"].AckFloor == 1 })
}

func testNak(t *testing.T, h Harness) {
	q := open(t, h)
	publish(t, q, 0, 2)
	c := consume(t, q, queue.ConsumerConfig{})
	ms := fetch(t, c, 2)
	require.NoError(t, ms[0].Nak(0))
	m := fetch(t, c, 1)[0]
	require.Equal(t, "m0", string(m.Data))
	require.Equal(t, 2, m.Deliveries)
	require.NoError(t, m.Ack())

	const delay = 500 * time.Millisecond
	at := time.Now()
	require.NoError(t, ms[1].Nak(delay))
	m = fetch(t, c, 1)[0]
	require.Equal(t, "m1", string(m.Data))
	require.Equal(t, 2, m.Deliveries)
	require.GreaterOrEqual(t, time.Since(at), delay*9/10)
	require.NoError(t, m.Ack())
}

func testResume(t *testing.T, h Harness) {
	q := h.Open(t)
	publish(t, q, 0, 10)
	c, err := q.Consume(within(t), queue.ConsumerConfig{Stream: queue.Events, Name: "reader", AckWait: shortWait})
	require.NoError(t, err)
	ms := fetch(t, c, 6)
	ackAll(t, ms[:4])
	eventually(t, q, "four are acknowledged", func(i queue.Info) bool { return i.Consumers["reader"].AckFloor == 4 })
	require.NoError(t, c.Close())
	c2 := consume(t, q, queue.ConsumerConfig{AckWait: shortWait})
	seen := map[string]bool{}
	for len(seen) < 6 {
		for _, m := range fetch(t, c2, 1) {
			require.GreaterOrEqual(t, m.Position.Sequence, uint64(5))
			seen[string(m.Data)] = true
			require.NoError(t, m.Ack())
		}
	}
	eventually(t, q, "all are acknowledged", func(i queue.Info) bool { return i.Consumers["reader"].AckFloor == 10 })
	require.NoError(t, q.Close())

	// After a restart the acknowledged ones do not come again.
	q = open(t, h)
	publish(t, q, 10, 1)
	require.Equal(t, "m10", string(fetch(t, consume(t, q, queue.ConsumerConfig{}), 1)[0].Data))
}

func testShared(t *testing.T, h Harness) {
	const n = 300
	q := open(t, h)
	other := h.Second(t, q)
	t.Cleanup(func() { require.NoError(t, other.Close()) })
	ctx, cancel := context.WithCancel(within(t))
	defer cancel()
	var mu sync.Mutex
	seen := map[uint64]int{}
	var wg sync.WaitGroup
	for _, q := range []queue.Queue{q, other, other} {
		c := consume(t, q, queue.ConsumerConfig{})
		wg.Go(func() {
			for {
				ms, err := c.Fetch(ctx, 8)
				if err != nil {
					return
				}
				mu.Lock()
				for _, m := range ms {
					seen[m.Position.Sequence]++
				}
				done := len(seen) == n
				mu.Unlock()
				for _, m := range ms {
					if err := m.Ack(); err != nil {
						t.Error(err)
					}
				}
				if done {
					cancel()
					return
				}
			}
		})
	}
	publish(t, q, 0, n)
	wg.Wait()
	require.Len(t, seen, n)
	for s, times := range seen {
		require.Equal(t, 1, times, "sequence %d", s)
	}
}

func testGiveBack(t *testing.T, h Harness) {
	q := open(t, h)
	publish(t, q, 0, 20)
	c, err := q.Consume(within(t), queue.ConsumerConfig{Stream: queue.Events, Name: "reader"})
	require.NoError(t, err)
	ackAll(t, fetch(t, c, 1)) // it may have fetched more ahead
	require.NoError(t, c.Close())
	require.NoError(t, c.Close())
	_, err = c.Fetch(within(t), 1)
	require.ErrorIs(t, err, queue.ErrClosed)
	// The ack wait is 30 s: without giving back this would take as long.
	c2 := consume(t, q, queue.ConsumerConfig{})
	seen := map[string]bool{}
	at := time.Now()
	for len(seen) < 19 {
		for _, m := range fetch(t, c2, 1) {
			seen[string(m.Data)] = true
			require.NoError(t, m.Ack())
		}
	}
	require.Less(t, time.Since(at), 25*time.Second)
}

func testMaxPending(t *testing.T, h Harness) {
	q := open(t, h)
	publish(t, q, 0, 10)
	c := consume(t, q, queue.ConsumerConfig{MaxPending: 4})
	ms := fetch(t, c, 4)
	nothing(t, c)
	require.NoError(t, ms[0].Ack())
	ms = append(ms, fetch(t, c, 1)...)
	require.Equal(t, "m4", string(ms[4].Data))
	nothing(t, c)
	ackAll(t, ms[1:])
	ackAll(t, fetch(t, c, 4))
}

func testHeadersOnly(t *testing.T, h Harness) {
	q := open(t, h)
	header := map[string]string{queue.CountsHeader: "a@1=2"}
	_, _, err := q.Publish(within(t), queue.Events, queue.Outgoing{ID: "x", Header: header, Data: make([]byte, 1<<20)})
	require.NoError(t, err)
	_, _, err = q.Publish(within(t), queue.Events, queue.Outgoing{Data: make([]byte, 1<<20)})
	require.NoError(t, err)
	for i, after := range []*queue.Position{nil, {}} {
		c := consume(t, q, queue.ConsumerConfig{Name: fmt.Sprint("r", i), HeadersOnly: true, StartAfter: after})
		ms := fetch(t, c, 2)
		require.Nil(t, ms[0].Data)
		require.Equal(t, header, ms[0].Header)
		require.Nil(t, ms[1].Data)
		require.Empty(t, ms[1].Header)
		ackAll(t, ms)
	}
}

func testFetchContext(t *testing.T, h Harness) {
	q := open(t, h)
	c := consume(t, q, queue.ConsumerConfig{})
	nothing(t, c)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := c.Fetch(ctx, 1)
	require.ErrorIs(t, err, context.Canceled)
	_, err = c.Fetch(within(t), 0)
	require.Error(t, err)
	publish(t, q, 0, 1)
	ackAll(t, fetch(t, c, 1))
}

// testFetchWakes: a message reaches a Fetch that has waited since long before.
func testFetchWakes(t *testing.T, h Harness) {
	q := open(t, h)
	c := consume(t, q, queue.ConsumerConfig{})
	o := consume(t, q, queue.ConsumerConfig{Name: "ordered", StartAfter: &queue.Position{}})
	ctx := within(t)
	for i := range 20 {
		got := make(chan error, 2)
		for _, c := range []queue.Consumer{c, o} {
			go func() {
				ms, err := c.Fetch(ctx, 16)
				if err == nil && (len(ms) != 1 || string(ms[0].Data) != string(body(i))) {
					err = fmt.Errorf("message %d: got %d messages", i, len(ms))
				}
				if err == nil {
					err = ms[0].Ack()
				}
				got <- err
			}()
		}
		publish(t, q, i, 1)
		require.NoError(t, <-got)
		require.NoError(t, <-got)
	}
}

func testCloseWhileFetchWaits(t *testing.T, h Harness) {
	q := h.Open(t)
	ended := make(chan error, 4)
	wait := func(c queue.Consumer) {
		go func() {
			_, err := c.Fetch(context.Background(), 1)
			ended <- err
		}()
	}
	a, err := q.Consume(within(t), queue.ConsumerConfig{Stream: queue.Events, Name: "a"})
	require.NoError(t, err)
	b, err := q.Consume(within(t), queue.ConsumerConfig{Stream: queue.Events, Name: "b", StartAfter: &queue.Position{}})
	require.NoError(t, err)
	wait(a)
	wait(a)
	wait(b)
	time.Sleep(20 * time.Millisecond)
	require.NoError(t, a.Close())
	for range 2 {
		require.ErrorIs(t, <-ended, queue.ErrClosed)
	}
	require.NoError(t, q.Close())
	require.ErrorIs(t, <-ended, queue.ErrClosed)
	require.NoError(t, b.Close())
}

func testClosed(t *testing.T, h Harness) {
	q := h.Open(t)
	publish(t, q, 0, 1)
	c, err := q.Consume(within(t), queue.ConsumerConfig{Stream: queue.Events, Name: "a"})
	require.NoError(t, err)
	m := fetch(t, c, 1)[0]
	stop, err := q.Listen(func([]byte) {})
	require.NoError(t, err)

	// Publishes in flight end well or are refused; none hangs.
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for {
				if _, _, err := q.Publish(context.Background(), queue.Events, queue.Outgoing{}); err != nil {
					if !errors.Is(err, queue.ErrClosed) {
						t.Errorf("publish while closing: %v", err)
					}
					return
				}
			}
		})
	}
	time.Sleep(20 * time.Millisecond)
	require.NoError(t, q.Close())
	wg.Wait()
	require.NoError(t, q.Close(), "again")
	stop()
	ctx := within(t)
	_, _, err = q.Publish(ctx, queue.Events, queue.Outgoing{})
	require.ErrorIs(t, err, queue.ErrClosed)
	_, err = q.Consume(ctx, queue.ConsumerConfig{Stream: queue.Events, Name: "a"})
	require.ErrorIs(t, err, queue.ErrClosed)
	_, err = q.Info(ctx, queue.Events)
	require.ErrorIs(t, err, queue.ErrClosed)
	require.ErrorIs(t, q.Trim(ctx, queue.Events, 1), queue.ErrClosed)
	require.ErrorIs(t, q.Notify(ctx, nil), queue.ErrClosed)
	_, err = q.Listen(func([]byte) {})
	require.ErrorIs(t, err, queue.ErrClosed)
	require.ErrorIs(t, q.Ready(ctx), queue.ErrClosed)
	require.ErrorIs(t, m.Ack(), queue.ErrClosed)
}
