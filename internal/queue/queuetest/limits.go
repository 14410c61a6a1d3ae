package queuetest

import (
	"crypto/rand"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/synapse-analytics/synapse/internal/queue"
)

func testFullStream(t *testing.T, h Harness) {
	q := open(t, h)
	ctx := within(t)
	c := consume(t, q, queue.ConsumerConfig{})
	data := make([]byte, 1<<20)
	_, _ = rand.Read(data)
	stored := 0
	for {
		_, _, err := q.Publish(ctx, queue.Events, queue.Outgoing{ID: fmt.Sprint(stored), Data: data})
		if err != nil {
			require.ErrorIs(t, err, queue.ErrFull)
			break
		}
		stored++
		require.LessOrEqual(t, stored, 64, "a harness's stream holds at most 64 MiB")
	}
	require.Positive(t, stored)
	for range 5 {
		_, _, err := q.Publish(ctx, queue.Events, queue.Outgoing{ID: "refused", Data: data})
		require.ErrorIs(t, err, queue.ErrFull)
	}
	require.ErrorIs(t, q.Ready(ctx), queue.ErrFull, "readiness tells it")
	info, err := q.Info(ctx, queue.Events)
	require.NoError(t, err)
	require.EqualValues(t, stored, info.Messages, "nothing was discarded, nothing refused was stored")
	require.EqualValues(t, 1, info.First)
	require.LessOrEqual(t, info.Bytes, info.MaxBytes)
	_, _, err = q.Publish(ctx, queue.Scored, queue.Outgoing{Data: data})
	require.NoError(t, err, "the other streams go on")

	ms := fetch(t, c, stored)
	ackAll(t, ms)
	require.NoError(t, q.Trim(ctx, queue.Events, ms[stored/2].Position.Sequence))
	_, dup, err := q.Publish(ctx, queue.Events, queue.Outgoing{ID: "refused", Data: data})
	require.NoError(t, err)
	require.False(t, dup, "a refused message leaves no trace")
	require.NoError(t, q.Ready(ctx))
	require.EqualValues(t, stored+1, fetch(t, c, 1)[0].Position.Sequence)
}

func testTrim(t *testing.T, h Harness) {
	q := open(t, h)
	ctx := within(t)
	require.NoError(t, q.Trim(ctx, queue.Events, 100), "of an empty stream")
	publish(t, q, 0, 10)
	for _, c := range []struct{ upTo, first uint64 }{{0, 1}, {3, 4}, {3, 4}, {2, 4}, {9, 10}, {1000, 11}, {10, 11}} {
		require.NoError(t, q.Trim(ctx, queue.Events, c.upTo))
		info, err := q.Info(ctx, queue.Events)
		require.NoError(t, err)
		require.Equal(t, c.first, info.First, "trim up to %d", c.upTo)
		require.EqualValues(t, 10, info.Last)
		require.EqualValues(t, 11-c.first, info.Messages)
		require.Equal(t, info.Messages == 0, info.FirstTime.IsZero())
	}
	require.EqualValues(t, 11, publish(t, q, 10, 1).Sequence, "sequences go on")
	require.Error(t, q.Trim(ctx, "NONE", 1))
}

func testTrimmer(t *testing.T, h Harness) {
	q := open(t, h)
	tr, err := queue.NewTrimmer(q, queue.TrimConfig{Stream: queue.Events, Consumers: []string{"shared", "ordered"}},
		slog.New(slog.DiscardHandler), nil)
	require.NoError(t, err)
	publish(t, q, 0, 10)
	once := func() uint64 {
		upTo, err := tr.Once(within(t))
		require.NoError(t, err)
		return upTo
	}
	shared := consume(t, q, queue.ConsumerConfig{Name: "shared"})
	ackAll(t, fetch(t, shared, 10))
	require.Zero(t, once(), "one consumer does not exist")
	ordered := consume(t, q, queue.ConsumerConfig{Name: "ordered", StartAfter: &queue.Position{}})
	ms := fetch(t, ordered, 10)
	require.Zero(t, once(), "it has acknowledged nothing")
	require.NoError(t, ms[5].Ack())
	eventually(t, q, "ack floor", func(i queue.Info) bool {
		return i.Consumers["ordered"].AckFloor == 6 && i.Consumers["shared"].AckFloor == 10
	})
	require.EqualValues(t, 6, once())
}

func testNotices(t *testing.T, h Harness) {
	q := open(t, h)
	other := h.Second(t, q)
	t.Cleanup(func() { require.NoError(t, other.Close()) })
	type heard struct {
		who  int
		text string
	}
	const probe = "who listens"
	got, probed := make(chan heard, 100), make(chan int, 10_000)
	var stops []func()
	for i, q := range []queue.Queue{q, q, other} {
		stop, err := q.Listen(func(b []byte) {
			if string(b) == probe {
				probed <- i
				return
			}
			got <- heard{i, string(b)}
		})
		require.NoError(t, err)
		stops = append(stops, stop)
	}
	// The servers of a cluster tell each other who listens; that takes a moment.
	for _, from := range []queue.Queue{q, other} {
		known := map[int]bool{}
		require.Eventually(t, func() bool {
			require.NoError(t, from.Notify(within(t), []byte(probe)))
			for {
				select {
				case who := <-probed:
					known[who] = true
				case <-time.After(20 * time.Millisecond):
					return len(known) == 3
				}
			}
		}, patience, time.Millisecond)
	}
	for _, from := range []queue.Queue{q, other} {
		require.NoError(t, from.Notify(within(t), []byte("hello")))
		all := map[heard]bool{}
		for range 3 {
			select {
			case n := <-got:
				all[n] = true
			case <-time.After(patience):
				t.Fatal("a listener heard nothing")
			}
		}
		require.Equal(t, map[heard]bool{{0, "hello"}: true, {1, "hello"}: true, {2, "hello"}: true}, all)
	}
	stops[0]()
	stops[1]()
	require.NoError(t, q.Notify(within(t), nil))
	require.Equal(t, heard{2, ""}, <-got)
	stops[2]()
	require.Empty(t, got)
}

// testBoundedMemory: what is stored and not read does not stay in memory.
func testBoundedMemory(t *testing.T, h Harness) {
	if testing.Short() {
		t.Skip("stores 100 MiB")
	}
	if h.OpenFast == nil {
		t.Skip("the harness has no OpenFast")
	}
	const messages, size, publishers = 100_000, 1 << 10, 64
	q := h.OpenFast(t)
	t.Cleanup(func() { require.NoError(t, q.Close()) })
	ctx := within(t)
	c := consume(t, q, queue.ConsumerConfig{})
	var wg sync.WaitGroup
	for range publishers {
		wg.Go(func() {
			data := make([]byte, size)
			_, _ = rand.Read(data)
			for range messages / publishers {
				if _, _, err := q.Publish(ctx, queue.Events, queue.Outgoing{Data: data}); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	fetch(t, c, 10) // and no more
	info, err := q.Info(ctx, queue.Events)
	require.NoError(t, err)
	require.EqualValues(t, messages/publishers*publishers, info.Messages)
	// The engine may keep what it wrote last for a while. This is all of the
	// process, the engine and the test.
	const most = 64 << 20
	var used int64
	for range 60 {
		if used = heap(); used < most {
			t.Logf("%d MiB of heap in use with %d MiB unread", used>>20, info.Bytes>>20)
			return
		}
		time.Sleep(500 * time.Millisecond)
	}
	t.Errorf("%d MiB of heap in use, at most %d", used>>20, most>>20)
}

// heap returns the bytes in use.
func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
