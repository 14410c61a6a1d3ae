package storetest

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/synapse-analytics/synapse/internal/queue"
	"github.com/synapse-analytics/synapse/services/query"
)

// aged makes an event of project "p" that was accepted on a day after baseUS and
// occurred some minutes after its beginning.
func aged(id string, day, minutes int64) query.Event {
	e := event(id, "x")
	e.AcceptedUS += day * query.Day.US()
	e.OccurredUS += day*query.Day.US() + minutes*query.Minute.US()
	return e
}

// agedBatch is batchOf for a message that EVENTS had when the first event was
// accepted.
func agedBatch(sequence uint64, events ...query.Event) *query.Batch {
	b := batchOf(sequence, events...)
	b.Sources[0].QueuedUS = events[0].AcceptedUS
	for i := range b.Sources[0].Events {
		b.Sources[0].Events[i].EventsSequence = sequence
	}
	return b
}

// before is an ExpireQuery of a store that has applied all that came before.
func before(us int64, limit int) query.ExpireQuery {
	return query.ExpireQuery{BeforeUS: us, AppliedUS: us, Limit: limit}
}

// expire removes what was accepted before a day, calls between after each step but
// the last, and returns the number of events.
func expire(t testing.TB, s query.Store, day int64, limit int, between func(step int)) (removed int, last query.Expired) {
	t.Helper()
	for step := 0; ; step++ {
		require.Less(t, step, 10_000, "it does not end")
		var err error
		last, err = s.Expire(context.Background(), before(baseUS+day*query.Day.US()+1, limit))
		require.NoError(t, err)
		removed += last.Events
		if !last.More {
			return removed, last
		}
		if between != nil {
			between(step)
		}
	}
}

// manyDays stores n events a day on days 0 to days-1, one message a day, with some
// that occurred on another day.
func manyDays(t testing.TB, s query.Store, days, n int) {
	t.Helper()
	for day := range days {
		var events []query.Event
		for i := range n {
			e := aged(fmt.Sprintf("e-%d-%d", day, i), int64(day), int64(i%180))
			e.Source, e.Label, e.ScoreE4 = fmt.Sprint("s", i%3), query.Label(1+i%3), int32(i*37%20001-10000)
			if i%10 == 9 { // late, or early
				e.OccurredUS = baseUS + int64(i%days)*query.Day.US() + 7*query.Minute.US()
			}
			if i%4 == 3 {
				e.Project = "q"
			}
			events = append(events, e)
		}
		require.Len(t, apply(t, s, agedBatch(uint64(day+1), events...)).Stored, n)
	}
}

// testRetention: what is older goes with its ids, in steps; the rest, the charts and
// the counters stay, and a recount still finds each fault.
func testRetention(t *testing.T, h Harness) {
	s := opened(t, h, t.TempDir())
	none, err := s.Expire(t.Context(), before(baseUS, 10))
	require.NoError(t, err)
	require.Equal(t, query.Expired{}, none, "of an empty store")
	const days, n = 4, 40
	manyDays(t, s, days, n)
	chart := func() (all []query.SeriesRow) {
		for _, p := range []string{"p", "q"} {
			for _, g := range []query.Grain{query.Minute, query.Hour, query.Day} {
				all = append(all, series(t, s, query.SeriesQuery{Project: p, Grain: g, StartUS: baseUS, EndUS: baseUS + 9*query.Day.US(), StepUS: g.US(), GroupBy: []query.Dimension{query.BySource}})...)
			}
		}
		return all
	}
	charts, counters := chart(), total(t, s, "p")
	last, err := s.LastSeq(t.Context())
	require.NoError(t, err)

	removed, _ := expire(t, s, 0, 7, nil)
	require.Zero(t, removed, "nothing is as old")
	removed, end := expire(t, s, 2, 17, func(int) {
		verify(t, s) // at each moment
		batch := total(t, s, "r").Stored
		e := aged(fmt.Sprint("new-", batch), 3, 1)
		e.Project = "r"
		require.Len(t, apply(t, s, agedBatch(uint64(100+batch), e)).Stored, 1, "the writer goes on between two steps")
	})
	require.Equal(t, 2*n, removed)
	require.Equal(t, baseUS+2*query.Day.US(), end.OldestUS)
	require.Greater(t, total(t, s, "r").Stored, int64(3))
	verify(t, s)
	require.Equal(t, charts, chart(), "charts show the past")
	require.Equal(t, counters, total(t, s, "p"), "stored is what was stored")
	require.Len(t, list(t, s, "p"), 2*n*3/4)
	_, err = s.GetEvent(t.Context(), "p", "e-1-0")
	require.ErrorIs(t, err, query.ErrNotFound)
	_, err = s.GetEvent(t.Context(), "p", "e-2-0")
	require.NoError(t, err)
	_, err = s.EventsAfter(t.Context(), query.AfterQuery{Project: "p", After: 2*n - 1, UpTo: last, Limit: 10})
	require.ErrorIs(t, err, query.ErrRemoved)
	after, err := s.EventsAfter(t.Context(), query.AfterQuery{Project: "p", After: 2 * n, UpTo: last, Limit: 10})
	require.NoError(t, err)
	require.Equal(t, "e-2-0", after[0].ID)

	// All go, and come again as new ones: Seq goes on.
	last, err = s.LastSeq(t.Context())
	require.NoError(t, err)
	_, end = expire(t, s, 8, 1000, nil)
	require.Zero(t, end.OldestUS)
	require.Empty(t, list(t, s, "p"))
	now, err := s.LastSeq(t.Context())
	require.NoError(t, err)
	require.Equal(t, last, now)
	out := apply(t, s, agedBatch(999, aged("e-0-0", 9, 0)))
	require.Len(t, out.Stored, 1, "an id is free when its event is gone")
	require.Greater(t, out.Stored[0].Seq, last)
	verify(t, s)
}

// testRetentionReopen: a store that is opened anew after each step, as after a crash,
// comes to the same end.
func testRetentionReopen(t *testing.T, h Harness) {
	dir := t.TempDir()
	s := h.Open(t, dir)
	manyDays(t, s, 3, 16)
	removed, more := 0, true
	for more {
		out, err := s.Expire(t.Context(), before(baseUS+2*query.Day.US(), 7))
		require.NoError(t, err)
		removed, more = removed+out.Events, out.More
		require.NoError(t, s.Close())
		s = h.Open(t, dir)
		verify(t, s)
		// At each moment an id is known that has an event.
		for _, e := range list(t, s, "p") {
			got, err := s.GetEvent(t.Context(), "p", e.ID)
			require.NoError(t, err)
			require.Equal(t, e, got)
		}
	}
	require.Equal(t, 32, removed)
	require.Len(t, list(t, s, "p"), 12)
	last, err := s.LastSeq(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 48, last)
	require.NoError(t, s.Close())
}

// testRetentionEdge: what the queue delivers again of what was removed counts as
// applied, also when its notes are forgotten and its ids are gone; what comes to the
// day of a removal and is new is stored, and removed in its turn.
func testRetentionEdge(t *testing.T, h Harness) {
	s := opened(t, h, t.TempDir())
	old := agedBatch(1, aged("a", 0, 0), aged("b", 0, 1))
	kept := agedBatch(2, aged("c", 2, 0))
	apply(t, s, clone(old))
	apply(t, s, clone(kept))
	forget := func() {
		_, err := s.Forget(t.Context(), baseUS+9*query.Day.US(), 100)
		require.NoError(t, err)
	}
	again := func(repeatedIDs bool) {
		t.Helper()
		forget()
		out := apply(t, s, clone(old))
		require.Empty(t, out.Stored, "stored anew after its id was dropped")
		require.Equal(t, 1, out.RepeatedSources+out.Duplicates/2)
		require.Zero(t, out.Conflicts)
		require.Equal(t, repeatedIDs, out.RepeatedSources == 0)
		verify(t, s)
	}
	again(true) // known by its ids
	duplicates := total(t, s, "p").Duplicate
	expire(t, s, 1, 1, func(int) { again(false) })
	again(false)
	// A letter about the same message, which was scored and failed too.
	n, err := s.ApplyDead(t.Context(), query.DeadBatch{Letters: []query.Letter{letterFor(old.Sources[0].Events[0], 1)}, Position: Position(1, 1)})
	require.NoError(t, err)
	require.Zero(t, n)
	require.Equal(t, query.Counters{Stored: 3, Duplicate: duplicates}, total(t, s, "p"))
	forget()
	out := apply(t, s, clone(kept))
	require.Equal(t, 1, out.Duplicates, "what is kept is known by its id")

	// The clock that accepted it is wrong: the message is new all the same.
	wrong := aged("wrong", 0, 3)
	b := agedBatch(7, wrong)
	b.Sources[0].QueuedUS = baseUS + 3*query.Day.US()
	require.Len(t, apply(t, s, b).Stored, 1)
	verify(t, s)
	removed, end := expire(t, s, 1, 10, nil)
	require.Equal(t, 1, removed)
	require.Equal(t, baseUS+2*query.Day.US(), end.OldestUS)
	require.Len(t, list(t, s, "p"), 1)
	require.EqualValues(t, 4, total(t, s, "p").Stored)
	verify(t, s)

	// What is not known to be applied is not taken for it, however old it looks.
	_, err = s.Expire(t.Context(), query.ExpireQuery{BeforeUS: baseUS + 9*query.Day.US(), AppliedUS: baseUS + 3*query.Day.US(), Limit: 10})
	require.NoError(t, err)
	require.Len(t, apply(t, s, agedBatch(8, aged("later", 3, 0))).Stored, 1)
	verify(t, s)
}

// testRetentionDuring: events come, are read and recounted while others go.
func testRetentionDuring(t *testing.T, h Harness) {
	s := opened(t, h, t.TempDir())
	manyDays(t, s, 6, 400)
	done := make(chan struct{})
	var others sync.WaitGroup
	for range 2 {
		others.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if r, err := s.Verify(context.Background(), ""); err != nil || r.Count != 0 {
					t.Errorf("verify during a removal: %v, %v", r.Differences, err)
					return
				}
				page, err := s.ListEvents(context.Background(), query.ListQuery{Project: "p", Limit: 5000})
				if err != nil {
					t.Error(err)
					return
				}
				days := map[int64]int{}
				for _, e := range page.Events {
					days[floor(e.AcceptedUS-baseUS, query.Day.US())/query.Day.US()]++
				}
				if days[5] < 300 {
					t.Errorf("events that are kept are missing: %v", days)
					return
				}
			}
		})
	}
	stored := 0
	others.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-done:
				return
			default:
			}
			b := agedBatch(uint64(1000+i), aged(fmt.Sprint("n-", i), 5, int64(i%60)), aged(fmt.Sprint("m-", i), 6, 0))
			out, err := s.Apply(context.Background(), b)
			if err != nil || len(out.Stored) != 2 {
				t.Errorf("write during a removal: %v", err)
				return
			}
			stored += 2
		}
	})
	removed := 0
	deadline := time.Now().Add(time.Minute)
	for {
		out, err := s.Expire(t.Context(), before(baseUS+5*query.Day.US(), 100))
		if err != nil {
			require.ErrorIs(t, err, query.ErrBusy) // readers were in the way
			require.True(t, time.Now().Before(deadline), "%v", err)
			continue
		}
		removed += out.Events
		if !out.More {
			break
		}
	}
	close(done)
	others.Wait()
	require.Equal(t, 5*400, removed)
	require.Len(t, list(t, s, "p"), 300+stored)
	verify(t, s)
}

// expiring makes Child remove old events too.
const expiring = "STORETEST_EXPIRE"

// expireSome is what Child does after a batch: a few steps.
func expireSome(s query.Store, sequence uint64) error {
	if os.Getenv(expiring) == "" {
		return nil
	}
	for range 3 {
		if _, err := s.Expire(context.Background(), before(baseUS+(crashDay(sequence)-1)*query.Day.US(), 150)); err != nil {
			return err
		}
	}
	return nil
}

// crashDay is when the batch of crashBatch was accepted.
func crashDay(sequence uint64) int64 { return int64(sequence / 4) }

// testRetentionKill: a process is killed while it writes and removes. What is there
// and what was removed is what was stored, and everything that is kept is found.
func testRetentionKill(t *testing.T, h Harness) {
	dir := t.TempDir()
	rnd := rand.New(rand.NewPCG(3, 4))
	for range 4 {
		cmd := h.Crash(dir)
		if cmd.Env == nil {
			cmd.Env = os.Environ()
		}
		cmd.Env = append(cmd.Env, expiring+"=1")
		out, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		_, err = io.ReadFull(out, make([]byte, 3+rnd.IntN(8)))
		require.NoError(t, err, "the child ended by itself")
		time.Sleep(time.Duration(rnd.IntN(15_000)) * time.Microsecond)
		require.NoError(t, cmd.Process.Kill())
		_, _ = io.ReadAll(out)
		_ = cmd.Wait() // it was killed

		s := h.Open(t, dir)
		at, err := s.Positions(t.Context())
		require.NoError(t, err)
		n := at[queue.Scored].Sequence
		require.Equal(t, int64(n*crashRows), total(t, s, "p").Stored)
		verify(t, s)
		for i, e := range list(t, s, "p") {
			if i%19 != 0 {
				continue
			}
			_, err := s.GetEvent(t.Context(), "p", e.ID)
			require.NoError(t, err)
		}
		require.Empty(t, apply(t, s, crashBatch(n-1)).Stored)
		expire(t, s, crashDay(n)-1, 1000, nil)
		kept := list(t, s, "p")
		require.NotEmpty(t, kept)
		require.Less(t, len(kept), 9*crashRows)
		require.GreaterOrEqual(t, kept[len(kept)-1].AcceptedUS, baseUS+(crashDay(n)-1)*query.Day.US())
		verify(t, s)
		require.NoError(t, s.Close())
	}
}
