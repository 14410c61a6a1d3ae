package jetstream

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/synapse-analytics/synapse/internal/queue"
	"github.com/synapse-analytics/synapse/internal/queue/natstest"
)

// TestStreamLostItsEnd: a server that comes back with an older copy of its
// streams has the same epoch and gives the same sequences out again. A reader
// that has been further never takes what stands there now for what it knows.
func TestStreamLostItsEnd(t *testing.T) {
	servers := startServers(t, natstest.Options{})
	n := servers.Nodes[0]
	cfg := configOf(servers, natstest.Options{})
	cfg.Watchdog = time.Second
	q := openClosed(t, cfg)
	var last queue.Position
	publish := func(count int) {
		t.Helper()
		for i := range count {
			require.Eventually(t, func() bool {
				var err error
				last, _, err = q.Publish(t.Context(), queue.Events, queue.Outgoing{Data: fmt.Append(nil, i)})
				return err == nil
			}, 30*time.Second, 20*time.Millisecond)
		}
	}
	fetch := func(c queue.Consumer, count int) (m queue.Message) {
		t.Helper()
		for range count {
			ms, err := c.Fetch(t.Context(), 1)
			require.NoError(t, err)
			m = ms[0]
			require.NoError(t, m.Ack())
		}
		return m
	}
	publish(10)
	shared, err := q.Consume(t.Context(), queue.ConsumerConfig{Stream: queue.Events, Name: "shared"})
	require.NoError(t, err)
	defer shared.Close()
	fetch(shared, 10)

	copied := filepath.Join(t.TempDir(), "copy")
	require.NoError(t, n.Kill())
	require.NoError(t, os.CopyFS(copied, os.DirFS(n.Dir())))
	require.NoError(t, n.Run())

	publish(10)
	open := func(name string, at queue.Position, came time.Time) (queue.Consumer, error) {
		return q.Consume(t.Context(), queue.ConsumerConfig{Stream: queue.Events, Name: name, StartAfter: &at, StartAfterTime: came})
	}
	reader, err := open("reader", queue.Position{}, time.Time{})
	require.NoError(t, err)
	defer reader.Close()
	m := fetch(reader, 20)
	require.Equal(t, last, m.Position)
	fetch(shared, 10)

	require.NoError(t, n.Kill())
	require.NoError(t, n.Wipe())
	require.NoError(t, os.CopyFS(n.Dir(), os.DirFS(copied)))
	require.NoError(t, n.Run())
	var info queue.Info
	require.Eventually(t, func() bool {
		info, err = q.Info(t.Context(), queue.Events)
		return err == nil
	}, 30*time.Second, 20*time.Millisecond)
	require.Equal(t, m.Position.Epoch, info.Epoch, "the same stream")
	require.EqualValues(t, 10, info.Last)
	_, err = open("opened", m.Position, m.Time)
	require.ErrorIs(t, err, queue.ErrPositionLost)
	require.ErrorContains(t, err, "ends at 10")

	require.Zero(t, q.Stats().RepeatedSequences)
	publish(15)
	require.EqualValues(t, 10, q.Stats().RepeatedSequences, "11 to 20 were acknowledged before: who publishes learns it too")
	require.Greater(t, last.Sequence, m.Position.Sequence, "it has grown past the position")
	_, err = open("opened", m.Position, m.Time)
	require.ErrorIs(t, err, queue.ErrPositionLost)
	require.ErrorContains(t, err, "another message stands at 20")
	c, err := open("opened", queue.Position{}, m.Time)
	require.NoError(t, err)
	require.EqualValues(t, 11, fetch(c, 1).Position.Sequence, "what came after the loss begins where the copy ended")
	require.EqualValues(t, 25, fetch(c, 14).Position.Sequence)
	require.NoError(t, c.Close())

	// The reader that was open all the time finds it too.
	soon, cancel := context.WithTimeout(t.Context(), 40*time.Second)
	defer cancel()
	_, err = reader.Fetch(soon, 1)
	require.ErrorIs(t, err, queue.ErrPositionLost)
	// So does one that asks anew after the stream has grown past it.
	late, err := open("late", last, time.Time{})
	require.NoError(t, err)
	defer late.Close()
	publish(1)
	fetch(late, 1)
	lc := late.(*consumer) //nolint:forcetypeassert // this engine's
	lc.mu.Lock()
	lc.lastTime = lc.lastTime.Add(-time.Minute) // as of a message that was there before
	lc.mu.Unlock()
	lc.poke(wakeRestart)
	_, err = late.Fetch(soon, 1)
	require.ErrorIs(t, err, queue.ErrPositionLost)
	// The shared one, whose state the server keeps, gets all that is new.
	seen := map[uint64]bool{}
	for len(seen) < 15 {
		if m := fetch(shared, 1); m.Position.Sequence > 10 {
			seen[m.Position.Sequence] = true
		}
	}
}

// TestStreamMadeAnew: the streams are gone with the server's disk, and another process
// makes them, and the reader's consumer, anew. What a shared reader gets then has the new
// epoch, since its sequences begin anew.
func TestStreamMadeAnew(t *testing.T) {
	servers := startServers(t, natstest.Options{})
	n := servers.Nodes[0]
	cfg := configOf(servers, natstest.Options{})
	q := openClosed(t, cfg)
	config := queue.ConsumerConfig{Stream: queue.Events, Name: "shared"}
	c, err := q.Consume(t.Context(), config)
	require.NoError(t, err)
	defer c.Close()
	publish := func(q *Queue) {
		for range 5 {
			_, _, err := q.Publish(t.Context(), queue.Events, queue.Outgoing{Data: []byte("x")})
			require.NoError(t, err)
		}
	}
	epochs := func() map[uint64]int {
		out := map[uint64]int{}
		for range 5 {
			m, err := c.Fetch(t.Context(), 1)
			require.NoError(t, err)
			require.NoError(t, m[0].Ack())
			out[m[0].Position.Epoch]++
		}
		return out
	}
	before, err := q.Info(t.Context(), queue.Events)
	require.NoError(t, err)
	publish(q)
	require.Equal(t, map[uint64]int{before.Epoch: 5}, epochs())

	require.NoError(t, n.Kill())
	require.NoError(t, n.Wipe())
	require.NoError(t, n.Run())
	other := openClosed(t, cfg)
	oc, err := other.Consume(t.Context(), config)
	require.NoError(t, err)
	require.NoError(t, oc.Close())
	after, err := other.Info(t.Context(), queue.Events)
	require.NoError(t, err)
	require.NotEqual(t, before.Epoch, after.Epoch)
	publish(other)
	require.Equal(t, map[uint64]int{after.Epoch: 5}, epochs())
}
