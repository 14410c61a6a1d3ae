package storetest

import (
	"fmt"
	"sort"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/synapse-analytics/synapse/services/query"
)

// model is what a store should hold, kept in the simplest way.
type model struct {
	events  map[string]query.Event // by project and id
	sources map[string]bool
	totals  map[string]*query.Counters
}

func newModel() *model {
	return &model{events: map[string]query.Event{}, sources: map[string]bool{}, totals: map[string]*query.Counters{}}
}

func (m *model) apply(b *query.Batch) (stored int) {
	for _, src := range b.Sources {
		key := fmt.Sprint(src.Epoch, src.Sequence, src.QueuedUS)
		if m.sources[key] {
			continue
		}
		m.sources[key] = true
		for _, e := range src.Events {
			c := m.totals[e.Project]
			if c == nil {
				c = &query.Counters{}
				m.totals[e.Project] = c
			}
			old, known := m.events[e.Project+"/"+e.ID]
			switch {
			case !known:
				m.events[e.Project+"/"+e.ID] = e
				c.Stored++
				stored++
			case old.Text != e.Text:
				c.Conflict++
				c.Duplicate++
			default:
				c.Duplicate++
			}
		}
	}
	return stored
}

// seriesOf sums the model's events as a store should.
func (m *model) seriesOf(project string, g query.Grain, by []query.Dimension) []query.SeriesRow {
	rows := map[string]*query.SeriesRow{}
	for _, e := range m.events {
		if e.Project != project {
			continue
		}
		r := query.SeriesRow{StartUS: floor(e.OccurredUS, g.US())}
		for i, d := range by {
			r.Group[i] = map[query.Dimension]string{query.BySource: e.Source, query.ByLanguage: e.Language, query.ByModel: e.Model}[d]
		}
		key := fmt.Sprint(r.StartUS, r.Group)
		if rows[key] == nil {
			rows[key] = &r
		}
		cell := &rows[key].Cells[e.Label-1]
		cell.Count++
		cell.SumE4 += int64(e.ScoreE4)
	}
	var list []query.SeriesRow
	for _, r := range rows {
		list = append(list, *r)
	}
	sort.Slice(list, func(i, j int) bool {
		a, b := list[i], list[j]
		if a.StartUS != b.StartUS {
			return a.StartUS < b.StartUS
		}
		if a.Group[0] != b.Group[0] {
			return a.Group[0] < b.Group[0]
		}
		return a.Group[1] < b.Group[1]
	})
	return list
}

func floor(us, step int64) int64 {
	r := us % step
	if r < 0 {
		r += step
	}
	return us - r
}

// testModel compares a store with the model over random batches that repeat
// messages, ids and texts, come in any order and span days.
func testModel(t *testing.T, h Harness) {
	s := opened(t, h, t.TempDir())
	check := 0
	rapid.Check(t, func(rt *rapid.T) {
		check++
		m := newModel()
		// Each check has projects and an epoch of its own.
		projects := []string{fmt.Sprintf("p%d", check), fmt.Sprintf("q%d", check)}
		for step := range rapid.IntRange(1, 8).Draw(rt, "batches") {
			b := &query.Batch{Position: Position(uint64(step+1), 1), StoredUS: baseUS}
			for range rapid.IntRange(1, 3).Draw(rt, "sources") {
				src := query.Source{Epoch: Epoch + uint64(check), Sequence: uint64(rapid.IntRange(1, 12).Draw(rt, "sequence")), QueuedUS: 1}
				for range rapid.IntRange(0, 120).Draw(rt, "events") {
					e := event(fmt.Sprintf("id-%d", rapid.IntRange(0, 80).Draw(rt, "id")), rapid.SampledFrom([]string{"x", "y"}).Draw(rt, "text"))
					e.Project = rapid.SampledFrom(projects).Draw(rt, "project")
					e.Source = rapid.SampledFrom([]string{"", "web", query.Other}).Draw(rt, "source")
					e.Language = rapid.SampledFrom([]string{"en", "de"}).Draw(rt, "language")
					e.Label = query.Label(rapid.IntRange(1, 3).Draw(rt, "label"))
					e.ScoreE4 = int32(rapid.IntRange(-10000, 10000).Draw(rt, "score"))
					e.OccurredUS += rapid.Int64Range(-3*query.Day.US(), 3*query.Day.US()).Draw(rt, "offset")
					e.AcceptedUS += rapid.Int64Range(0, 2*query.Hour.US()).Draw(rt, "accepted")
					src.Events = append(src.Events, e)
				}
				b.Sources = append(b.Sources, src)
			}
			want := m.apply(b)
			out, err := s.Apply(t.Context(), b)
			require.NoError(rt, err)
			require.Len(rt, out.Stored, want)
		}
		for _, p := range projects {
			want := m.totals[p]
			if want == nil {
				want = &query.Counters{}
			}
			require.Equal(rt, *want, total(t, s, p))
			require.Len(rt, list(t, s, p), int(want.Stored))
			for _, g := range []query.Grain{query.Minute, query.Hour, query.Day} {
				for _, by := range [][]query.Dimension{nil, {query.BySource}, {query.ByLanguage, query.BySource}, {query.ByModel}} {
					got := series(t, s, query.SeriesQuery{
						Project: p, Grain: g, StartUS: baseUS - 4*query.Day.US(), EndUS: baseUS + 4*query.Day.US(), StepUS: g.US(), GroupBy: by,
					})
					require.Equal(rt, m.seriesOf(p, g, by), got)
				}
			}
			r, err := s.Verify(t.Context(), p)
			require.NoError(rt, err)
			require.Zero(rt, r.Count, "%v", r.Differences)
			require.Equal(rt, want.Stored, r.Events)
		}
	})
}
