package queuetest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/synapse-analytics/synapse/internal/queue"
)

// follows checks that the messages are those after a sequence, without a gap.
func follows(t *testing.T, after uint64, ms []queue.Message) {
	t.Helper()
	for _, m := range ms {
		after++
		require.Equal(t, after, m.Position.Sequence)
	}
}

func testOrderedReplay(t *testing.T, h Harness) {
	const n = 500
	q := open(t, h)
	last := publish(t, q, 0, n)
	c, err := q.Consume(within(t), queue.ConsumerConfig{Stream: queue.Events, Name: "reader", StartAfter: &queue.Position{}})
	require.NoError(t, err)
	var ms []queue.Message
	for len(ms) < n {
		got, err := c.Fetch(within(t), 37)
		require.NoError(t, err)
		ackAll(t, got[len(got)-1:]) // with all before it
		ms = append(ms, got...)
	}
	follows(t, 0, ms)
	require.Equal(t, last, ms[n-1].Position)
	for i, m := range ms {
		require.Equal(t, string(body(i)), string(m.Data))
		require.Equal(t, 1, m.Deliveries)
	}
	require.NoError(t, c.Close())

	// From any older position, also the last, again and in order.
	for _, after := range []uint64{0, 1, 100, n - 1, n} {
		c, err := q.Consume(within(t), queue.ConsumerConfig{
			Stream: queue.Events, Name: "reader", MaxPending: n + 1,
			StartAfter: &queue.Position{Epoch: last.Epoch, Sequence: after},
		})
		require.NoError(t, err)
		follows(t, after, fetch(t, c, n-int(after)))
		nothing(t, c)
		require.NoError(t, c.Close())
	}
	// What comes later is delivered as well.
	c2 := consume(t, q, queue.ConsumerConfig{StartAfter: &last})
	publish(t, q, n, 1)
	follows(t, n, fetch(t, c2, 1))
}

func testOrderedAck(t *testing.T, h Harness) {
	q := open(t, h)
	last := publish(t, q, 0, 20)
	// Its messages do not come again by themselves, however long it takes.
	c := consume(t, q, queue.ConsumerConfig{StartAfter: &queue.Position{Epoch: last.Epoch, Sequence: 5}, AckWait: 200 * time.Millisecond, MaxPending: 10})
	ms := fetch(t, c, 10)
	follows(t, 5, ms)
	time.Sleep(500 * time.Millisecond)
	nothing(t, c)
	require.NoError(t, ms[9].InProgress())
	require.NoError(t, ms[9].Ack(), "acknowledges all before it")
	eventually(t, q, "ack floor", func(i queue.Info) bool {
		c := i.Consumers["reader"]
		return c.AckFloor == 15 && c.Unacknowledged <= 5
	})
	follows(t, 15, fetch(t, c, 5))
}

func testOrderedNak(t *testing.T, h Harness) {
	q := open(t, h)
	publish(t, q, 0, 50)
	c := consume(t, q, queue.ConsumerConfig{StartAfter: &queue.Position{}})
	ms := fetch(t, c, 10)
	require.NoError(t, ms[3].Nak(50*time.Millisecond))
	again := fetch(t, c, 47)
	follows(t, 3, again)
	require.Equal(t, 2, again[0].Deliveries)
	require.Equal(t, 1, again[46].Deliveries)
	require.NoError(t, ms[3].Ack(), "that of the first delivery counts no more")
	require.NoError(t, again[46].Ack())
	eventually(t, q, "ack floor", func(i queue.Info) bool { return i.Consumers["reader"].AckFloor == 50 })
}

func testOrderedTakeover(t *testing.T, h Harness) {
	q := open(t, h)
	other := h.Second(t, q)
	t.Cleanup(func() { require.NoError(t, other.Close()) })
	publish(t, q, 0, 10)
	old := consume(t, q, queue.ConsumerConfig{StartAfter: &queue.Position{}})
	follows(t, 0, fetch(t, old, 10))
	ended := make(chan error, 1)
	go func() {
		for {
			if _, err := old.Fetch(t.Context(), 1); err != nil {
				ended <- err
				return
			}
		}
	}()
	c := consume(t, other, queue.ConsumerConfig{StartAfter: &queue.Position{}})
	require.ErrorIs(t, <-ended, queue.ErrClosed)
	publish(t, q, 10, 10)
	follows(t, 0, fetch(t, c, 20))
}

func testPositionLost(t *testing.T, h Harness) {
	q := h.Open(t)
	last := publish(t, q, 0, 10)
	epoch := last.Epoch
	require.NoError(t, q.Trim(within(t), queue.Events, 4))
	for _, c := range []struct {
		after queue.Position
		lost  bool
	}{
		{queue.Position{}, false}, // the beginning of what there is
		{queue.Position{Epoch: epoch}, true},
		{queue.Position{Epoch: epoch, Sequence: 3}, true},
		{queue.Position{Epoch: epoch, Sequence: 4}, false},
		{queue.Position{Epoch: epoch, Sequence: 10}, false},
		{queue.Position{Epoch: epoch, Sequence: 11}, true},
		{queue.Position{Epoch: epoch + 1, Sequence: 5}, true},
		{queue.Position{Sequence: 5}, true},
	} {
		got, err := q.Consume(within(t), queue.ConsumerConfig{Stream: queue.Events, Name: "reader", StartAfter: &c.after})
		if c.lost {
			require.ErrorIs(t, err, queue.ErrPositionLost, "%+v", c.after)
			continue
		}
		require.NoError(t, err, "%+v", c.after)
		if c.after.Sequence < 10 {
			follows(t, max(c.after.Sequence, 4), fetch(t, got, 10-int(max(c.after.Sequence, 4))))
		}
		require.NoError(t, got.Close())
	}
	// Empty, but not new.
	require.NoError(t, q.Trim(within(t), queue.Events, 10))
	_, err := q.Consume(within(t), queue.ConsumerConfig{Stream: queue.Events, Name: "reader", StartAfter: &queue.Position{Epoch: epoch, Sequence: 9}})
	require.ErrorIs(t, err, queue.ErrPositionLost)
	c, err := q.Consume(within(t), queue.ConsumerConfig{Stream: queue.Events, Name: "reader", StartAfter: &last})
	require.NoError(t, err)
	publish(t, q, 10, 1)
	follows(t, 10, fetch(t, c, 1))
	require.NoError(t, q.Close())

	h.Wipe(t)
	q = open(t, h)
	now := publish(t, q, 0, 20)
	require.NotEqual(t, epoch, now.Epoch, "a stream that was made anew has another epoch")
	_, err = q.Consume(within(t), queue.ConsumerConfig{Stream: queue.Events, Name: "reader", StartAfter: &last})
	require.ErrorIs(t, err, queue.ErrPositionLost)
}

func testPositionLostWhileReading(t *testing.T, h Harness) {
	q := open(t, h)
	c := consume(t, q, queue.ConsumerConfig{StartAfter: &queue.Position{}})
	var read, end uint64
	for rounds := 1; read == end; rounds++ {
		require.LessOrEqual(t, rounds, 20, "the reader is always faster")
		end = publish(t, q, 0, 200).Sequence
		ms := fetch(t, c, 5)
		require.NoError(t, q.Trim(within(t), queue.Events, end-50))
		// The server that the reader reads from may be the last to trim: it may read
		// all of it yet.
		for read+uint64(len(ms)) < end {
			got, err := c.Fetch(within(t), 5)
			if err != nil {
				require.ErrorIs(t, err, queue.ErrPositionLost)
				break
			}
			ms = append(ms, got...)
		}
		follows(t, read, ms)
		read += uint64(len(ms))
	}
	require.Less(t, read, end-50)
	_, err := c.Fetch(within(t), 5)
	require.ErrorIs(t, err, queue.ErrPositionLost, "it stays so")
}

// testStartAfterTime: a place counts only with the message that was there, and
// a time alone is a place too.
func testStartAfterTime(t *testing.T, h Harness) {
	q := open(t, h)
	last := publish(t, q, 0, 10)
	c := consume(t, q, queue.ConsumerConfig{StartAfter: &queue.Position{}})
	ms := fetch(t, c, 10)
	at := func(seq uint64, came time.Time) (queue.Consumer, error) {
		return q.Consume(within(t), queue.ConsumerConfig{
			Stream: queue.Events, Name: "placed", StartAfter: &queue.Position{Epoch: last.Epoch, Sequence: seq}, StartAfterTime: came,
		})
	}
	for _, seq := range []uint64{1, 5, 10} {
		got, err := at(seq, ms[seq-1].Time.Truncate(time.Microsecond))
		require.NoError(t, err)
		if seq < 10 {
			follows(t, seq, fetch(t, got, 10-int(seq)))
		}
		require.NoError(t, got.Close())
		for _, other := range []time.Duration{-time.Millisecond, time.Millisecond} {
			_, err = at(seq, ms[seq-1].Time.Add(other))
			require.ErrorIs(t, err, queue.ErrPositionLost, "another message stands at %d", seq)
		}
	}
	require.NoError(t, q.Trim(within(t), queue.Events, 4))
	got, err := at(4, ms[3].Time.Add(time.Hour))
	require.NoError(t, err, "what was removed proves nothing")
	require.NoError(t, got.Close())

	for _, c := range []struct {
		after time.Time
		first uint64
	}{{ms[0].Time, 5}, {ms[9].Time.Add(-time.Hour), 5}, {ms[6].Time, 8}, {ms[9].Time, 11}} {
		got := consume(t, q, queue.ConsumerConfig{Name: "later", StartAfter: &queue.Position{}, StartAfterTime: c.after})
		if c.first <= 10 {
			follows(t, c.first-1, fetch(t, got, 11-int(c.first)))
		} else {
			nothing(t, got)
			last := publish(t, q, 10, 1)
			require.Equal(t, last, fetch(t, got, 1)[0].Position)
		}
		require.NoError(t, got.Close())
	}
}

func testEpochAndRestart(t *testing.T, h Harness) {
	q := h.Open(t)
	before := map[queue.Stream]queue.Info{}
	last := publish(t, q, 0, 10)
	require.NoError(t, q.Trim(within(t), queue.Events, 2))
	for _, s := range queue.Streams() {
		info, err := q.Info(within(t), s)
		require.NoError(t, err)
		before[s] = info
	}
	require.NoError(t, q.Close())
	for range 2 {
		q = h.Open(t)
		for _, s := range queue.Streams() {
			info, err := q.Info(within(t), s)
			require.NoError(t, err)
			require.Equal(t, withoutCounts(before[s]), withoutCounts(info))
		}
		c, err := q.Consume(within(t), queue.ConsumerConfig{Stream: queue.Events, Name: "probe", StartAfter: &queue.Position{Epoch: last.Epoch, Sequence: 2}})
		require.NoError(t, err)
		follows(t, 2, fetch(t, c, 8))
		require.NoError(t, c.Close())
		before[queue.Events] = eventually(t, q, "the consumer is there", func(i queue.Info) bool { return len(i.Consumers) == 1 })
		require.NoError(t, q.Close())
	}
	q = open(t, h)
	require.Equal(t, queue.Position{Epoch: last.Epoch, Sequence: 11}, publish(t, q, 10, 1))
}

// withoutCounts leaves out what was delivered and not acknowledged: a restart
// may count that differently.
func withoutCounts(i queue.Info) queue.Info {
	out := map[string]queue.ConsumerInfo{}
	for n, c := range i.Consumers {
		out[n] = queue.ConsumerInfo{AckFloor: c.AckFloor}
	}
	i.Consumers = out
	return i
}
