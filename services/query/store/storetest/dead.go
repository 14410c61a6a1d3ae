package storetest

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/synapse-analytics/synapse/services/query"
)

func testDeadLetters(t *testing.T, h Harness) {
	s := opened(t, h, t.TempDir())
	a, b := letterFor(event("a", "x"), 1), letterFor(event("b", "x"), 1)
	raw := query.Letter{
		Epoch: Epoch, Sequence: 2, Digest: query.RawDigest([]byte("junk")), Stage: "scoring", Reason: "MALFORMED_REQUEST", FailedUS: baseUS,
		Counts: []query.HourCount{{Project: "p", Hour: 3, Events: 40}, {Project: "q", Hour: 3, Events: 2}},
	}
	n, err := s.ApplyDead(t.Context(), query.DeadBatch{Letters: []query.Letter{a, b, raw, a}, Position: Position(4, 4)})
	require.NoError(t, err)
	require.Equal(t, 44, n, "a is told twice and counted once")
	n, err = s.ApplyDead(t.Context(), query.DeadBatch{Letters: []query.Letter{raw, b}, Position: Position(6, 6)})
	require.NoError(t, err)
	require.Zero(t, n)
	// The same event by another message is another letter.
	a.Sequence = 9
	n, err = s.ApplyDead(t.Context(), query.DeadBatch{Letters: []query.Letter{a}, Position: Position(7, 7)})
	require.NoError(t, err)
	require.Equal(t, 1, n)
	require.Equal(t, query.Counters{DeadLetter: 43}, total(t, s, "p"))
	require.Equal(t, query.Counters{DeadLetter: 2}, total(t, s, "q"))

	// Letters that the writer makes are the same.
	batch := batchOf(20, event("ok", "x"))
	batch.Sources[0].Letters = []query.Letter{letterFor(event("broken", "x"), 20)}
	out := apply(t, s, clone(batch))
	require.Equal(t, 1, out.DeadLetters)
	out = apply(t, s, batch)
	require.Zero(t, out.DeadLetters)
	require.Equal(t, query.Counters{Stored: 1, DeadLetter: 44}, total(t, s, "p"))
	verify(t, s)
}

// testDeadOrScored: an event of one message that gave a letter at one try and a
// score at another is counted as what came first.
func testDeadOrScored(t *testing.T, h Harness) {
	s := opened(t, h, t.TempDir())
	first, second, third := event("first", "x"), event("second", "x"), event("third", "x")
	for _, e := range []*query.Event{&first, &second, &third} {
		e.EventsSequence = 5
	}
	n, err := s.ApplyDead(t.Context(), query.DeadBatch{Letters: []query.Letter{letterFor(first, 5)}, Position: Position(1, 1)})
	require.NoError(t, err)
	require.Equal(t, 1, n)
	out := apply(t, s, batchOf(5, first, second, third))
	require.Len(t, out.Stored, 2)
	n, err = s.ApplyDead(t.Context(), query.DeadBatch{Letters: []query.Letter{letterFor(second, 5)}, Position: Position(2, 2)})
	require.NoError(t, err)
	require.Zero(t, n)
	require.Equal(t, query.Counters{Stored: 2, DeadLetter: 1}, total(t, s, "p"))
	// Sent once more, as an event of its own, it is stored.
	again := first
	again.EventsSequence = 6
	require.Len(t, apply(t, s, batchOf(6, again)).Stored, 1)
	verify(t, s)
}
