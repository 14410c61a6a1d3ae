// Package queuetest is the conformance suite of the queue engines: it checks
// what package queue promises on a real engine, with no knowledge of which.
package queuetest

import (
	"context"
	"fmt"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/synapse-analytics/synapse/internal/queue"
)

// Harness is an engine with empty streams.
type Harness struct {
	// Open opens the engine. After Close of what it returned, Open finds what was
	// stored. Each stream may hold at most 64 MiB (the suite fills one), a dedup
	// window is at least a minute.
	Open func(t *testing.T) queue.Queue
	// OpenFast is Open for tests that store much and crash nothing: it may leave
	// fsync out. Its streams hold at least 256 MiB. Nil takes Open's place with a
	// skip.
	OpenFast func(t *testing.T) queue.Queue
	// Second opens one more client of the engine that q is a client of. q stays
	// open longer.
	Second func(t *testing.T, q queue.Queue) queue.Queue
	// Wipe makes all streams anew; no client is open.
	Wipe func(t *testing.T)
	// Crash returns the command that opens the engine in another process and
	// calls Child with the ledger. It is killed. Nil skips the crash test.
	Crash func(t *testing.T, ledger string) *exec.Cmd
}

// patience bounds what must happen at all; it is no measure of speed.
const patience = 60 * time.Second

// Run runs the suite; fresh returns a new Harness for each test.
func Run(t *testing.T, fresh func(t *testing.T) Harness) {
	for _, c := range []struct {
		name string
		test func(*testing.T, Harness)
	}{
		{"PublishFetchAck", testPublishFetchAck},
		{"EmptyAndLargest", testEmptyAndLargest},
		{"Dedup", testDedup},
		{"DedupAfterRestart", testDedupAfterRestart},
		{"ConcurrentPublishers", testConcurrentPublishers},
		{"PublishCancelled", testPublishCancelled},
		{"RedeliveryAfterAckWait", testRedelivery},
		{"InProgress", testInProgress},
		{"Nak", testNak},
		{"ResumeAtAckFloor", testResume},
		{"SharedWork", testShared},
		{"GiveBackOnClose", testGiveBack},
		{"MaxPending", testMaxPending},
		{"HeadersOnly", testHeadersOnly},
		{"FetchContext", testFetchContext},
		{"FetchWakes", testFetchWakes},
		{"CloseWhileFetchWaits", testCloseWhileFetchWaits},
		{"OrderedReplay", testOrderedReplay},
		{"OrderedAck", testOrderedAck},
		{"OrderedNak", testOrderedNak},
		{"OrderedTakeover", testOrderedTakeover},
		{"PositionLost", testPositionLost},
		{"PositionLostWhileReading", testPositionLostWhileReading},
		{"StartAfterTime", testStartAfterTime},
		{"EpochAndRestart", testEpochAndRestart},
		{"FullStream", testFullStream},
		{"Trim", testTrim},
		{"Trimmer", testTrimmer},
		{"Notices", testNotices},
		{"Closed", testClosed},
		{"BoundedMemory", testBoundedMemory},
		{"Crash", testCrash},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, fresh(t)) })
	}
}

// open opens the engine for the time of the test.
func open(t *testing.T, h Harness) queue.Queue {
	t.Helper()
	q := h.Open(t)
	t.Cleanup(func() { require.NoError(t, q.Close()) })
	return q
}

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

func consume(t *testing.T, q queue.Queue, cfg queue.ConsumerConfig) queue.Consumer {
	t.Helper()
	if cfg.Stream == "" {
		cfg.Stream = queue.Events
	}
	if cfg.Name == "" {
		cfg.Name = "reader"
	}
	c, err := q.Consume(within(t), cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	return c
}

// publish publishes n messages with data m<first>, m<first+1>, …
func publish(t *testing.T, q queue.Queue, first, n int) (last queue.Position) {
	t.Helper()
	ctx := within(t)
	for i := first; i < first+n; i++ {
		pos, dup, err := q.Publish(ctx, queue.Events, queue.Outgoing{Data: body(i)})
		require.NoError(t, err)
		require.False(t, dup)
		require.Greater(t, pos.Sequence, last.Sequence)
		last = pos
	}
	return last
}

func body(i int) []byte { return fmt.Appendf(nil, "m%d", i) }

// fetch fetches until it has n messages.
func fetch(t *testing.T, c queue.Consumer, n int) []queue.Message {
	t.Helper()
	ctx := within(t)
	var out []queue.Message
	for len(out) < n {
		ms, err := c.Fetch(ctx, n-len(out))
		require.NoError(t, err, "after %d of %d messages", len(out), n)
		require.NotEmpty(t, ms)
		require.LessOrEqual(t, len(ms), n-len(out))
		out = append(out, ms...)
	}
	return out
}

func ackAll(t *testing.T, ms []queue.Message) {
	t.Helper()
	for _, m := range ms {
		require.NoError(t, m.Ack())
	}
}

// nothing checks that no message comes for a moment.
func nothing(t *testing.T, c queue.Consumer) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	ms, err := c.Fetch(ctx, 10)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Empty(t, ms)
}

// eventually waits until the state of EVENTS is as wanted.
func eventually(t *testing.T, q queue.Queue, what string, ok func(queue.Info) bool) queue.Info {
	t.Helper()
	ctx := within(t)
	for {
		info, err := q.Info(ctx, queue.Events)
		require.NoError(t, err, what)
		if ok(info) {
			return info
		}
		time.Sleep(5 * time.Millisecond)
	}
}
