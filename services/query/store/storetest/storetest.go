// Package storetest is the suite that every engine of query.Store passes.
package storetest

import (
	"context"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/synapse-analytics/synapse/internal/queue"
	"github.com/synapse-analytics/synapse/services/query"
	"github.com/synapse-analytics/synapse/services/query/filter"
)

// Harness is how the suite gets at an engine.
type Harness struct {
	// Open opens the store in a folder, new or as it was left there. The test
	// closes it.
	Open func(t testing.TB, dir string) query.Store
	// Crash returns the command of a process that runs Child on the store in
	// the folder; the suite kills it.
	Crash func(dir string) *exec.Cmd
}

// Run runs the suite.
func Run(t *testing.T, h Harness) {
	for _, tc := range []struct {
		name string
		f    func(*testing.T, Harness)
	}{
		{"RoundTrip", testRoundTrip},
		{"Repeats", testRepeats},
		{"Conflicts", testConflicts},
		{"Reopen", testReopen},
		{"Canceled", testCanceled},
		{"Moved", testMoved},
		{"Lease", testLease},
		{"Model", testModel},
		{"Accepted", testAccepted},
		{"DeadLetters", testDeadLetters},
		{"DeadOrScored", testDeadOrScored},
		{"Isolation", testIsolation},
		{"Paging", testPaging},
		{"ScanBound", testScanBound},
		{"Filters", testFilters},
		{"RollupFilters", testRollupFilters},
		{"LateAndEarly", testLateAndEarly},
		{"Days", testDays},
		{"ManySources", testManySources},
		{"BigBatch", testBigBatch},
		{"ReadsDuringWrites", testReadsDuringWrites},
		{"Forget", testForget},
		{"Retention", testRetention},
		{"RetentionReopen", testRetentionReopen},
		{"RetentionEdge", testRetentionEdge},
		{"RetentionDuring", testRetentionDuring},
		{"RetentionKill", testRetentionKill},
		{"Kill", testKill},
	} {
		t.Run(tc.name, func(t *testing.T) { tc.f(t, h) })
	}
}

// opened opens a store that is closed with the test.
func opened(t testing.TB, h Harness, dir string) query.Store {
	t.Helper()
	s := h.Open(t, dir)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

func apply(t testing.TB, s query.Store, b *query.Batch) query.Outcome {
	t.Helper()
	out, err := s.Apply(context.Background(), b)
	require.NoError(t, err)
	return out
}

// clone copies a batch: Apply writes into it.
func clone(b *query.Batch) *query.Batch {
	c := *b
	c.Sources = append([]query.Source(nil), b.Sources...)
	for i := range c.Sources {
		c.Sources[i].Events = append([]query.Event(nil), b.Sources[i].Events...)
	}
	return &c
}

// batchOf makes a batch of one source.
func batchOf(sequence uint64, events ...query.Event) *query.Batch {
	return &query.Batch{
		Sources:  []query.Source{{Epoch: Epoch, Sequence: sequence, QueuedUS: int64(sequence) * 1000, Events: events}},
		Position: Position(sequence, int64(sequence)*1000), StoredUS: baseUS + int64(sequence),
	}
}

// baseUS is a time in 2026, at the start of a day.
const baseUS = int64(20_775 * 86400e6)

// event makes an event of project "p".
func event(id, text string) query.Event {
	return query.Event{
		Project: "p", ID: id, Text: text, Source: "web", Language: "en", LanguageSupported: true, Model: "m1",
		Label: query.Negative, ScoreE4: -2500, NegativeE6: 500_000, PositiveE6: 250_000,
		OccurredUS: baseUS + 1, AcceptedUS: baseUS + 2, QueuedUS: baseUS + 3, ScoredUS: baseUS + 4,
	}
}

func verify(t testing.TB, s query.Store) {
	t.Helper()
	projects, err := s.Projects(context.Background())
	require.NoError(t, err)
	for _, p := range projects {
		r, err := s.Verify(context.Background(), p)
		require.NoError(t, err)
		require.Zero(t, r.Count, "%v", r.Differences)
	}
}

func total(t testing.TB, s query.Store, project string) query.Counters {
	t.Helper()
	st, err := s.Balance(context.Background(), project, 48)
	require.NoError(t, err)
	return st.Total
}

func list(t testing.TB, s query.Store, project string) []*query.Event {
	t.Helper()
	page, err := s.ListEvents(context.Background(), query.ListQuery{Project: project, Limit: 1_000_000})
	require.NoError(t, err)
	require.Nil(t, page.Next)
	return page.Events
}

// series sums the rollups of a project, all time, by the finest bucket of the
// grain.
func series(t testing.TB, s query.Store, q query.SeriesQuery) []query.SeriesRow {
	t.Helper()
	var rows []query.SeriesRow
	require.NoError(t, s.Series(context.Background(), q, func(r query.SeriesRow) error {
		rows = append(rows, r)
		return nil
	}))
	return rows
}

func testRoundTrip(t *testing.T, h Harness) {
	s := opened(t, h, t.TempDir())
	full := event("full", "täxt \U0001F600 'quoted' \"double\" \\ \u2028 <b>")
	full.UserID, full.Source = "u-1", ""
	full.Attributes = map[string]string{"k": "v", "a \"b\".c": "\u2028 'x' <y>", "empty": ""}
	full.Targets = []string{"battery", "ünit"}
	full.TraceID, full.SpanID = []byte("0123456789abcdef"), []byte("01234567")
	full.EventsSequence, full.ScoredSequence = 1, 1<<60
	full.QueuedUS, full.ScoredUS = full.AcceptedUS-5, full.AcceptedUS+1<<40
	full.ScoreE4, full.Label = 10000, query.Positive
	full.Mixed, full.LanguageHint, full.StarsE4 = true, "pt-BR", [5]int32{0, 1, 2, 9997, 0}
	full.Emotions = []filter.Emotion{{Name: "joy", ProbabilityE4: 10_000}, {Name: "anger", ProbabilityE4: 5000}}
	full.TargetScores = []query.TargetScore{
		{Label: query.Positive, NegativeE4: 1, PositiveE4: 9999, Start: 2, End: 1 << 16}, {Label: query.Negative, NegativeE4: 10_000},
	}
	bare := event("bare", "x")
	bare.LanguageSupported, bare.Language = false, "und"
	bare.ScoreE4, bare.Label, bare.NegativeE6, bare.PositiveE6 = -10000, query.Neutral, 0, 1_000_000
	out := apply(t, s, batchOf(1, full, bare))
	require.Len(t, out.Stored, 2)
	require.Less(t, out.Stored[0].Seq, out.Stored[1].Seq)
	full.Seq, full.StoredUS = out.Stored[0].Seq, baseUS+1
	bare.Seq, bare.StoredUS = out.Stored[1].Seq, baseUS+1
	for _, want := range []query.Event{full, bare} {
		got, err := s.GetEvent(t.Context(), "p", want.ID)
		require.NoError(t, err)
		require.Equal(t, &want, got)
	}
	require.Equal(t, []*query.Event{&bare, &full}, list(t, s, "p"), "of one time, the latest stored first")
	after, err := s.EventsAfter(t.Context(), query.AfterQuery{Project: "p", After: full.Seq, UpTo: bare.Seq, Limit: 9})
	require.NoError(t, err)
	require.Equal(t, []*query.Event{&bare}, after)
	last, err := s.LastSeq(t.Context())
	require.NoError(t, err)
	require.Equal(t, bare.Seq, last)
	_, err = s.GetEvent(t.Context(), "p", "none")
	require.ErrorIs(t, err, query.ErrNotFound)
	require.NoError(t, s.Ready(t.Context()))
	verify(t, s)
}

func testRepeats(t *testing.T, h Harness) {
	s := opened(t, h, t.TempDir())
	traffic := NewTraffic(3)
	b := traffic.Batch(1000, 50)
	out := apply(t, s, clone(b))
	require.Len(t, out.Stored, 1000)
	before := total(t, s, "alpha")

	out = apply(t, s, clone(b))
	require.Empty(t, out.Stored)
	require.Equal(t, 20, out.RepeatedSources)
	require.Zero(t, out.Duplicates)

	// Half old, half new, in one batch.
	mixed := traffic.Batch(500, 50)
	fresh := clone(mixed)
	mixed.Sources = append(append([]query.Source(nil), b.Sources[:10]...), mixed.Sources...)
	out = apply(t, s, clone(mixed))
	require.Len(t, out.Stored, 500)
	require.Equal(t, 10, out.RepeatedSources)
	require.Equal(t, fresh.Sources[0].Events[0].ID, out.Stored[0].ID)

	// The same events in another message: duplicates, each counted once.
	other := clone(b)
	for i := range other.Sources {
		other.Sources[i].Sequence += 1000
	}
	out = apply(t, s, other)
	require.Empty(t, out.Stored)
	require.Equal(t, 1000, out.Duplicates)
	require.Zero(t, out.Conflicts)
	require.Equal(t, before.Stored, total(t, s, "alpha").Duplicate)

	// A message of the same number that came at another time is another one.
	reused := clone(b)
	reused.Sources = reused.Sources[:1]
	reused.Sources[0].QueuedUS++
	out = apply(t, s, reused)
	require.Equal(t, 50, out.Duplicates)
	verify(t, s)
}

func testConflicts(t *testing.T, h Harness) {
	s := opened(t, h, t.TempDir())
	out := apply(t, s, batchOf(1, event("a", "first"), event("a", "second"), event("b", "b"), event("a", "first")))
	require.Len(t, out.Stored, 2)
	require.Equal(t, 2, out.Duplicates)
	require.Equal(t, 1, out.Conflicts)
	other := event("a", "third")
	other.Project = "q"
	late := event("b", "changed")
	late.OccurredUS, late.AcceptedUS = baseUS+query.Day.US(), baseUS+2*query.Hour.US()
	out = apply(t, s, batchOf(2, other, late))
	require.Len(t, out.Stored, 1, "an id is unique in its project only")
	require.Equal(t, query.Counters{Stored: 2, Duplicate: 3, Conflict: 2}, total(t, s, "p"))
	require.Equal(t, query.Counters{Stored: 1}, total(t, s, "q"))
	e, err := s.GetEvent(t.Context(), "p", "a")
	require.NoError(t, err)
	require.Equal(t, "first", e.Text, "the first text stays")
	st, err := s.Balance(t.Context(), "p", 48)
	require.NoError(t, err)
	require.Equal(t, []query.HourCounters{
		{Hour: baseUS/query.Hour.US() + 2, Counters: query.Counters{Duplicate: 1, Conflict: 1}},
		{Hour: baseUS / query.Hour.US(), Counters: query.Counters{Stored: 2, Duplicate: 2, Conflict: 1}},
	}, st.Hours, "by the hour of acceptance")
	verify(t, s)
}

func testReopen(t *testing.T, h Harness) {
	dir := t.TempDir()
	s := h.Open(t, dir)
	secret, err := s.Secret(t.Context())
	require.NoError(t, err)
	require.Len(t, secret, 32)
	positions, err := s.Positions(t.Context())
	require.NoError(t, err)
	require.Empty(t, positions)
	out := apply(t, s, batchOf(7, event("a", "x")))
	require.NoError(t, s.ApplyAccepted(t.Context(), query.AcceptedBatch{Position: Position(9, 9)}))
	_, err = s.ApplyDead(t.Context(), query.DeadBatch{Position: Position(1<<63+5, 5)})
	require.NoError(t, err)
	require.NoError(t, s.Close())

	s = opened(t, h, dir)
	again, err := s.Secret(t.Context())
	require.NoError(t, err)
	require.Equal(t, secret, again)
	positions, err = s.Positions(t.Context())
	require.NoError(t, err)
	require.Equal(t, map[queue.Stream]query.StoredPosition{
		queue.Scored: Position(7, 7000), queue.Events: Position(9, 9), queue.Dead: Position(1<<63+5, 5),
	}, positions)
	next := apply(t, s, batchOf(8, event("b", "x"), event("a", "x")))
	require.Len(t, next.Stored, 1)
	require.Greater(t, next.Stored[0].Seq, out.Stored[0].Seq)
	verify(t, s)
}

func testCanceled(t *testing.T, h Harness) {
	s := opened(t, h, t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := s.Apply(ctx, batchOf(1, event("a", "x")))
	require.ErrorIs(t, err, context.Canceled)
	require.Empty(t, list(t, s, "p"))
	require.Len(t, apply(t, s, batchOf(1, event("a", "x"))).Stored, 1)
	verify(t, s)
}

// testMoved: a batch that follows another position than the store's changes nothing.
func testMoved(t *testing.T, h Harness) {
	s := opened(t, h, t.TempDir())
	at := func(n uint64) *queue.Position {
		if n == 0 {
			return &queue.Position{}
		}
		p := Position(n, 1).Position
		return &p
	}
	scored := func(after, n uint64) error {
		b := batchOf(n, event(string(rune('a'+n)), "x"))
		b.After = at(after)
		b.Position = Position(n, 1)
		_, err := s.Apply(t.Context(), b)
		return err
	}
	accepted := func(after, n uint64) error {
		counts := []query.HourCount{{Project: "p", Hour: 1, Events: 1}}
		return s.ApplyAccepted(t.Context(), query.AcceptedBatch{Counts: counts, After: at(after), Position: Position(n, 1)})
	}
	dead := func(after, n uint64) error {
		letters := []query.Letter{letterFor(event("dead", "x"), 50+n)}
		_, err := s.ApplyDead(t.Context(), query.DeadBatch{Letters: letters, After: at(after), Position: Position(n, 1)})
		return err
	}
	for stream, apply := range map[queue.Stream]func(after, n uint64) error{queue.Scored: scored, queue.Events: accepted, queue.Dead: dead} {
		require.ErrorIs(t, apply(1, 2), query.ErrMoved, "an empty store is at nothing")
		require.NoError(t, apply(0, 1), stream)
		require.NoError(t, apply(1, 3), stream)
		require.ErrorIs(t, apply(1, 4), query.ErrMoved, "another has been there")
		require.ErrorIs(t, apply(4, 5), query.ErrMoved, "the store is behind")
		require.NoError(t, apply(3, 6), stream)
	}
	require.Equal(t, query.Counters{Accepted: 3, Stored: 3, DeadLetter: 3}, total(t, s, "p"))
	positions, err := s.Positions(t.Context())
	require.NoError(t, err)
	require.Len(t, positions, 3)
	for _, p := range positions {
		require.Equal(t, Position(6, 1), p)
	}
	verify(t, s)
}

// testDays: events that were accepted on different days, late ones and repeats of
// another day's among them, are one order, one list and one set of ids.
func testDays(t *testing.T, h Harness) {
	s := opened(t, h, t.TempDir())
	on := func(id string, day, occurred int64) query.Event {
		e := event(id, "x")
		e.AcceptedUS += day * query.Day.US()
		e.OccurredUS += occurred
		return e
	}
	out := apply(t, s, batchOf(1, on("a", 0, 4), on("b", 3, 2), on("c", -400, 3), on("d", 1, 1)))
	require.Len(t, out.Stored, 4)
	out = apply(t, s, batchOf(2, on("b", 4, 9), on("e", 3, 5), on("a", 0, 9)))
	require.Len(t, out.Stored, 1)
	require.Equal(t, 2, out.Duplicates)
	require.Zero(t, out.Conflicts, "the same text on another day")
	ids := func(list []*query.Event) (out []string) {
		for _, e := range list {
			out = append(out, e.ID)
		}
		return out
	}
	require.Equal(t, []string{"e", "a", "c", "b", "d"}, ids(list(t, s, "p")), "the latest occurred first")
	after, err := s.EventsAfter(t.Context(), query.AfterQuery{Project: "p", UpTo: 1 << 40, Limit: 9})
	require.NoError(t, err)
	require.Equal(t, []string{"a", "b", "c", "d", "e"}, ids(after), "as stored")
	for _, id := range ids(after) {
		e, err := s.GetEvent(t.Context(), "p", id)
		require.NoError(t, err)
		require.Equal(t, id, e.ID)
	}
	verify(t, s)
}

func testAccepted(t *testing.T, h Harness) {
	s := opened(t, h, t.TempDir())
	for i := range uint64(3) {
		require.NoError(t, s.ApplyAccepted(t.Context(), query.AcceptedBatch{
			Counts:   []query.HourCount{{Project: "p", Hour: 100, Events: 5}, {Project: "p", Hour: 101, Events: 1}, {Project: "q", Hour: 100, Events: 7}, {Project: "p", Hour: 100, Events: 1}},
			Position: Position(i+1, 1),
		}))
	}
	st, err := s.Balance(t.Context(), "p", 1)
	require.NoError(t, err)
	require.Equal(t, query.Counters{Accepted: 21}, st.Total)
	require.Equal(t, []query.HourCounters{{Hour: 101, Counters: query.Counters{Accepted: 3}}}, st.Hours)
	require.Equal(t, Position(3, 1), st.Positions[queue.Events])
	require.Equal(t, query.Counters{Accepted: 21}, total(t, s, "q"))
}

func testForget(t *testing.T, h Harness) {
	s := opened(t, h, t.TempDir())
	for i := range uint64(30) {
		apply(t, s, batchOf(i+1, event(string(rune('a'+i)), "x")))
	}
	_, err := s.ApplyDead(t.Context(), query.DeadBatch{Letters: []query.Letter{letterFor(event("dead", "x"), 99)}, Position: Position(1, 1)})
	require.NoError(t, err)
	n, err := s.Forget(t.Context(), baseUS+21, 15)
	require.NoError(t, err)
	require.Equal(t, 15, n)
	n, err = s.Forget(t.Context(), baseUS+21, 15)
	require.NoError(t, err)
	require.Equal(t, 6, n, "sources 1 to 20, and the letter")
	// A forgotten source is known by its events still.
	out := apply(t, s, batchOf(1, event("a", "x")))
	require.Empty(t, out.Stored)
	require.Equal(t, 1, out.Duplicates)
	require.Equal(t, 1, apply(t, s, batchOf(25, event("y", "x"))).RepeatedSources)
	verify(t, s)
}

func letterFor(e query.Event, sequence uint64) query.Letter {
	return query.Letter{
		Epoch: Epoch, Sequence: sequence, Digest: e.Digest(), Project: e.Project, EventID: e.ID, AcceptedUS: e.AcceptedUS,
		Stage: "scoring", Reason: "UNPROCESSABLE", Detail: "no", Attempts: 3, FailedUS: baseUS + 10,
		Counts: []query.HourCount{{Project: e.Project, Hour: e.AcceptedUS / query.Hour.US(), Events: 1}},
	}
}
