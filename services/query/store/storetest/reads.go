package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/synapse-analytics/synapse/services/query"
	"github.com/synapse-analytics/synapse/services/query/filter"
)

// testIsolation: no read of one project gives anything of another, or of one
// that does not exist.
func testIsolation(t *testing.T, h Harness) {
	s := opened(t, h, t.TempDir())
	traffic := NewTraffic(5)
	traffic.Projects = []string{"alpha"}
	out := apply(t, s, traffic.Batch(500, 100))
	require.NoError(t, s.ApplyAccepted(t.Context(), query.AcceptedBatch{Counts: []query.HourCount{{Project: "alpha", Hour: 1, Events: 9}}, Position: Position(1, 1)}))
	other := event("own", "x")
	other.Project = "beta"
	apply(t, s, batchOf(999, other))
	all, err := filter.Parse(`text:"" OR NOT id = "x"`, filter.Events)
	require.NoError(t, err)
	dims, err := filter.Parse(`source = "ticket" OR NOT source = "ticket"`, filter.Dimensions)
	require.NoError(t, err)
	for _, p := range []string{"beta", "gamma", "", "alph", "alpha%", "alpha' OR '1'='1"} {
		owns := 0
		if p == "beta" {
			owns = 1
		}
		_, err := s.GetEvent(t.Context(), p, out.Stored[0].ID)
		require.ErrorIs(t, err, query.ErrNotFound)
		for _, f := range []*filter.Filter{nil, all} {
			page, err := s.ListEvents(t.Context(), query.ListQuery{Project: p, Filter: f, Limit: 1000, Scan: 10})
			require.NoError(t, err)
			require.Len(t, page.Events, owns)
			after, err := s.EventsAfter(t.Context(), query.AfterQuery{Project: p, Filter: f, UpTo: 1 << 60, Limit: 1000})
			require.NoError(t, err)
			require.Len(t, after, owns)
		}
		for _, f := range []*filter.Filter{nil, dims} {
			for _, by := range [][]query.Dimension{nil, {query.BySource}} {
				rows := series(t, s, query.SeriesQuery{Project: p, Grain: query.Day, EndUS: 1 << 60 / query.Day.US() * query.Day.US(), GroupBy: by, Filter: f})
				require.Len(t, rows, owns)
			}
		}
		require.EqualValues(t, owns, total(t, s, p).Stored)
		require.Zero(t, total(t, s, p).Accepted)
		if p != "" { // which verifies all
			r, err := s.Verify(t.Context(), p)
			require.NoError(t, err)
			require.EqualValues(t, owns, r.Events)
		}
	}
	r, err := s.Verify(t.Context(), "")
	require.NoError(t, err)
	require.EqualValues(t, 501, r.Events)
	require.Zero(t, r.Count)
	names, err := s.Projects(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{"alpha", "beta"}, names)
}

// testPaging: a walk in pages sees everything that was there when it began, once
// and in order, though events come meanwhile, also of the same microsecond.
func testPaging(t *testing.T, h Harness) {
	s := opened(t, h, t.TempDir())
	traffic := NewTraffic(6)
	traffic.Projects, traffic.Text = []string{"p"}, 5
	traffic.StepUS = 0 // all at one time: only Seq orders them
	first := traffic.Batch(200, 100)
	traffic.StepUS = 7
	second := traffic.Batch(200, 100)
	apply(t, s, first)
	apply(t, s, second)
	before := list(t, s, "p")
	require.Len(t, before, 400)
	f, err := filter.Parse(`score <= 1`, filter.Events)
	require.NoError(t, err)
	for _, f := range []*filter.Filter{nil, f} {
		var seen []*query.Event
		q := query.ListQuery{Project: "p", Filter: f, Limit: 37}
		for {
			page, err := s.ListEvents(t.Context(), q)
			require.NoError(t, err)
			seen = append(seen, page.Events...)
			if page.Next == nil {
				break
			}
			q.After = page.Next
			apply(t, s, traffic.Batch(10, 10)) // later ones
		}
		require.Equal(t, before, seen)
		before = list(t, s, "p")
	}
	require.Empty(t, series(t, s, query.SeriesQuery{Project: "p", Grain: query.Minute, StartUS: 0, EndUS: 60e6, StepUS: 60e6}))
}

// testScanBound: a list whose filter hardly matches comes in pieces, which
// together are the whole.
func testScanBound(t *testing.T, h Harness) {
	s := opened(t, h, t.TempDir())
	traffic := NewTraffic(7)
	traffic.Projects, traffic.Text = []string{"p"}, 5
	b := traffic.Batch(1000, 100)
	for i := range b.Sources {
		b.Sources[i].Events[3].UserID = "rare"
	}
	apply(t, s, b)
	f, err := filter.Parse(`user_id = "rare"`, filter.Events)
	require.NoError(t, err)
	q := query.ListQuery{Project: "p", Filter: f, Limit: 4, Scan: 150}
	var ids []string
	pieces, short := 0, 0
	for {
		page, err := s.ListEvents(t.Context(), q)
		require.NoError(t, err)
		pieces++
		if len(page.Events) < q.Limit {
			short++
		}
		for _, e := range page.Events {
			require.Equal(t, "rare", e.UserID)
			ids = append(ids, e.ID)
		}
		if page.Next == nil {
			break
		}
		q.After = page.Next
	}
	require.Len(t, ids, 10)
	require.Equal(t, b.Sources[9].Events[3].ID, ids[0])
	require.Equal(t, b.Sources[0].Events[3].ID, ids[9])
	require.GreaterOrEqual(t, short, 6, "1000 events in pieces of 150")
}

// testLateAndEarly: a bucket is of UTC, whatever the time of storing, the local
// time or the year.
func testLateAndEarly(t *testing.T, h Harness) {
	s := opened(t, h, t.TempDir())
	times := []time.Time{
		time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC),
		time.Date(2026, 3, 29, 0, 59, 59, 999_999_000, time.UTC), // summer time begins in Europe at 01:00 UTC
		time.Date(2026, 3, 29, 1, 0, 0, 0, time.UTC),
		time.Date(2026, 10, 25, 0, 30, 0, 0, time.UTC),
		time.Date(2026, 10, 25, 1, 30, 0, 0, time.UTC),
		time.Date(2026, 11, 23, 23, 59, 59, 999_999_000, time.UTC),
		time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC),
		time.Date(2028, 2, 29, 12, 0, 0, 0, time.UTC),
		time.Date(2100, 12, 31, 23, 59, 59, 0, time.UTC),
	}
	// The latest first: all others come late.
	for i := range times {
		at := times[len(times)-1-i]
		e := event(fmt.Sprint(i), "x")
		e.OccurredUS = at.UnixMicro()
		apply(t, s, batchOf(uint64(i+1), e))
	}
	for _, g := range []query.Grain{query.Minute, query.Hour, query.Day} {
		want := map[int64]int64{}
		for _, at := range times {
			d := map[query.Grain]time.Duration{query.Minute: time.Minute, query.Hour: time.Hour, query.Day: 24 * time.Hour}[g]
			want[at.Truncate(d).UnixMicro()]++
		}
		got := map[int64]int64{}
		for _, r := range series(t, s, query.SeriesQuery{Project: "p", Grain: g, StartUS: 0, EndUS: 50_000 * query.Day.US(), StepUS: g.US()}) {
			got[r.StartUS] = r.Cells[0].Count
		}
		require.Equal(t, want, got)
	}
	require.EqualValues(t, times[0].UnixMicro(), list(t, s, "p")[len(times)-1].OccurredUS)
	verify(t, s)
}

// testManySources: beyond the bound the rollups count together, the events stay
// as they are, also after a restart.
func testManySources(t *testing.T, h Harness) {
	dir := t.TempDir()
	s := h.Open(t, dir)
	const extra = 60
	add := func(s query.Store, sequence uint64, from, to int) {
		var events []query.Event
		for i := from; i < to; i++ {
			e := event(fmt.Sprintf("%d-%d", sequence, i), "x")
			e.Source = fmt.Sprintf("source-%d", i)
			if i%7 == 0 {
				e.Language = fmt.Sprintf("x-%d", i%1000)
			}
			events = append(events, e)
		}
		apply(t, s, batchOf(sequence, events...))
	}
	add(s, 1, 0, query.MaxSources-10)
	add(s, 2, 0, query.MaxSources+extra/2)
	require.NoError(t, s.Close())
	s = opened(t, h, dir)
	add(s, 3, query.MaxSources-20, query.MaxSources+extra)
	rows := series(t, s, query.SeriesQuery{Project: "p", Grain: query.Day, StartUS: baseUS, EndUS: baseUS + query.Day.US(), StepUS: query.Day.US(), GroupBy: []query.Dimension{query.BySource}})
	require.Len(t, rows, query.MaxSources+1)
	var all, other int64
	for _, r := range rows {
		all += r.Cells[0].Count
		if r.Group[0] == query.Other {
			other = r.Cells[0].Count
		}
	}
	require.EqualValues(t, extra/2+extra, other)
	require.EqualValues(t, total(t, s, "p").Stored, all)
	e, err := s.GetEvent(t.Context(), "p", fmt.Sprintf("3-%d", query.MaxSources+extra-1))
	require.NoError(t, err)
	require.Equal(t, fmt.Sprintf("source-%d", query.MaxSources+extra-1), e.Source)
	f, err := filter.Parse(fmt.Sprintf(`source = "source-%d"`, query.MaxSources+extra-1), filter.Events)
	require.NoError(t, err)
	page, err := s.ListEvents(t.Context(), query.ListQuery{Project: "p", Filter: f, Limit: 10})
	require.NoError(t, err)
	require.Len(t, page.Events, 1)
	verify(t, s)
}
