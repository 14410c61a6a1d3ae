package queuetest

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/synapse-analytics/synapse/internal/queue"
)

func testPublishFetchAck(t *testing.T, h Harness) {
	q := open(t, h)
	ctx := within(t)
	require.NoError(t, q.Ready(ctx))
	before := time.Now()
	for _, s := range queue.Streams() {
		info, err := q.Info(ctx, s)
		require.NoError(t, err)
		require.NotZero(t, info.Epoch)
		require.NotZero(t, info.MaxBytes)
		require.Zero(t, info.Messages)
		require.EqualValues(t, 1, info.First)
		require.Zero(t, info.Last)
		require.True(t, info.FirstTime.IsZero() && info.LastTime.IsZero())

		header := map[string]string{queue.CountsHeader: "a@1=2,b@3=4", "X-Other_1": "two words; ü"}
		pos, dup, err := q.Publish(ctx, s, queue.Outgoing{ID: "id-" + string(s), Header: header, Data: []byte{0, 1, 255, '\r', '\n'}})
		require.NoError(t, err)
		require.False(t, dup)
		require.Equal(t, queue.Position{Epoch: info.Epoch, Sequence: 1}, pos)

		c := consume(t, q, queue.ConsumerConfig{Stream: s})
		m := fetch(t, c, 1)[0]
		require.Equal(t, s, m.Stream)
		require.Equal(t, pos, m.Position)
		require.Equal(t, header, m.Header, "as published, no more")
		require.Equal(t, []byte{0, 1, 255, '\r', '\n'}, m.Data)
		require.Equal(t, 1, m.Deliveries)
		require.WithinRange(t, m.Time, before.Add(-time.Minute), time.Now().Add(time.Minute))
		require.NoError(t, m.Ack())

		info, err = q.Info(ctx, s)
		require.NoError(t, err)
		require.EqualValues(t, 1, info.Messages)
		require.EqualValues(t, 1, info.First)
		require.EqualValues(t, 1, info.Last)
		require.Positive(t, info.Bytes)
		require.True(t, info.FirstTime.Equal(m.Time))
		require.Contains(t, info.Consumers, "reader")
	}
}

func testEmptyAndLargest(t *testing.T, h Harness) {
	q := open(t, h)
	ctx := within(t)
	largest := bytes.Repeat([]byte{7}, queue.MaxMessageBytes)
	for _, m := range []queue.Outgoing{{}, {Header: map[string]string{"A": ""}}, {Data: largest}} {
		_, _, err := q.Publish(ctx, queue.Events, m)
		require.NoError(t, err)
	}
	for _, m := range []queue.Outgoing{
		{Data: append(largest, 0)},
		{Data: largest, Header: map[string]string{"A": "b"}},
		{Header: map[string]string{"A": string(largest[:queue.MaxHeaderBytes])}},
	} {
		_, _, err := q.Publish(ctx, queue.Events, m)
		require.ErrorIs(t, err, queue.ErrTooLarge)
	}
	for _, m := range []queue.Outgoing{
		{Header: map[string]string{"A": "b\r\nC: d"}}, {Header: map[string]string{"A:": "b"}}, {Header: map[string]string{"": "b"}},
		{ID: "a\r\nb: c"},
	} {
		_, _, err := q.Publish(ctx, queue.Events, m)
		require.Error(t, err)
	}
	_, _, err := q.Publish(ctx, "NONE", queue.Outgoing{})
	require.Error(t, err)

	ms := fetch(t, consume(t, q, queue.ConsumerConfig{}), 3)
	require.Empty(t, ms[0].Data)
	require.Empty(t, ms[0].Header)
	require.Equal(t, map[string]string{"A": ""}, ms[1].Header)
	require.True(t, bytes.Equal(largest, ms[2].Data))
	ackAll(t, ms)
}

func testDedup(t *testing.T, h Harness) {
	q := open(t, h)
	ctx := within(t)
	first, dup, err := q.Publish(ctx, queue.Events, queue.Outgoing{ID: "one", Data: []byte("first")})
	require.NoError(t, err)
	require.False(t, dup)
	for range 3 {
		pos, dup, err := q.Publish(ctx, queue.Events, queue.Outgoing{ID: "one", Data: []byte("second")})
		require.NoError(t, err)
		require.True(t, dup)
		require.Equal(t, first, pos)
	}
	_, dup, err = q.Publish(ctx, queue.Scored, queue.Outgoing{ID: "one"})
	require.NoError(t, err)
	require.False(t, dup, "another stream knows nothing of it")
	for range 2 {
		_, dup, err = q.Publish(ctx, queue.Events, queue.Outgoing{Data: []byte("no id")})
		require.NoError(t, err)
		require.False(t, dup)
	}
	ms := fetch(t, consume(t, q, queue.ConsumerConfig{}), 3)
	require.Equal(t, "first", string(ms[0].Data))
	require.Equal(t, "no id", string(ms[2].Data))
}

func testDedupAfterRestart(t *testing.T, h Harness) {
	q := h.Open(t)
	first, _, err := q.Publish(within(t), queue.Events, queue.Outgoing{ID: "one"})
	require.NoError(t, err)
	require.NoError(t, q.Close())
	q = open(t, h)
	pos, dup, err := q.Publish(within(t), queue.Events, queue.Outgoing{ID: "one"})
	require.NoError(t, err)
	require.True(t, dup)
	require.Equal(t, first, pos)
}

func testConcurrentPublishers(t *testing.T, h Harness) {
	const publishers, each = 64, 20
	q := open(t, h)
	ctx := within(t)
	c := consume(t, q, queue.ConsumerConfig{StartAfter: &queue.Position{}})
	var mu sync.Mutex
	acked := map[uint64]string{}
	var wg sync.WaitGroup
	for p := range publishers {
		wg.Go(func() {
			var last uint64
			for i := range each {
				id := fmt.Sprintf("p%d-%d", p, i)
				pos, dup, err := q.Publish(ctx, queue.Events, queue.Outgoing{ID: id, Data: []byte(id)})
				if err != nil || dup || pos.Sequence <= last {
					t.Errorf("%s: %v duplicate %v, sequence %d after %d", id, err, dup, pos.Sequence, last)
					return
				}
				last = pos.Sequence
				mu.Lock()
				acked[pos.Sequence] = id
				mu.Unlock()
			}
		})
	}
	got := map[uint64]string{}
	var last uint64
	for len(got) < publishers*each {
		ms, err := c.Fetch(ctx, 100)
		require.NoError(t, err)
		for _, m := range ms {
			require.Equal(t, last+1, m.Position.Sequence)
			last = m.Position.Sequence
			got[last] = string(m.Data)
		}
		ackAll(t, ms[len(ms)-1:])
	}
	wg.Wait()
	require.Equal(t, acked, got)
	nothing(t, c)
}

func testPublishCancelled(t *testing.T, h Harness) {
	q := open(t, h)
	ctx, cancel := context.WithCancel(within(t))
	cancel()
	_, _, err := q.Publish(ctx, queue.Events, queue.Outgoing{})
	require.ErrorIs(t, err, context.Canceled)
	// Cancelled at any moment, an id that is published again is there once.
	const n = 50
	for i := range n {
		ctx, cancel := context.WithTimeout(within(t), time.Duration(i)*20*time.Microsecond)
		_, _, err := q.Publish(ctx, queue.Events, queue.Outgoing{ID: fmt.Sprint(i)})
		cancel()
		if err != nil {
			require.ErrorIs(t, err, context.DeadlineExceeded)
		}
		_, _, err = q.Publish(within(t), queue.Events, queue.Outgoing{ID: fmt.Sprint(i)})
		require.NoError(t, err)
	}
	info, err := q.Info(within(t), queue.Events)
	require.NoError(t, err)
	require.EqualValues(t, n, info.Messages)
}
