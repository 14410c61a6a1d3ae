package storetest

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/synapse-analytics/synapse/services/query"
	"github.com/synapse-analytics/synapse/services/query/filter"
)

// Same requires that two stores answer every read method alike; removed is the last
// Seq of the events that were removed from both, 0 if none was.
func Same(t testing.TB, want, got query.Store, removed int64) {
	t.Helper()
	ctx := t.Context()
	ask := func(f func(s query.Store) (any, error)) any {
		t.Helper()
		a, err := f(want)
		require.NoError(t, err)
		b, err := f(got)
		require.NoError(t, err)
		require.Equal(t, a, b)
		return a
	}
	ask(func(s query.Store) (any, error) { return s.Secret(ctx) })
	ask(func(s query.Store) (any, error) { return s.Positions(ctx) })
	last := ask(func(s query.Store) (any, error) { return s.LastSeq(ctx) }).(int64)
	ask(func(s query.Store) (any, error) { return s.Verify(ctx, "") })
	for _, s := range []query.Store{want, got} {
		_, err := s.EventsAfter(ctx, query.AfterQuery{Project: "none", UpTo: last, Limit: 1})
		require.Equal(t, removed > 0, errors.Is(err, query.ErrRemoved))
	}
	projects := ask(func(s query.Store) (any, error) { return s.Projects(ctx) }).([]string)
	for _, p := range append(projects, "none") {
		ask(func(s query.Store) (any, error) { return s.Balance(ctx, p, 1000) })
		for _, text := range []string{"", `label = NEGATIVE OR text:"a"`, `emotion:joy`, `attributes.k = "v"`, `NOT attributes.k:*`, `mixed = true AND source > "a"`} {
			f, err := filter.Parse(text, filter.Events)
			require.NoError(t, err)
			pages := 0
			for q := (query.ListQuery{Project: p, Filter: f, Limit: 97, Scan: 300}); ; pages++ {
				page := ask(func(s query.Store) (any, error) { return s.ListEvents(ctx, q) }).(query.ListPage)
				if page.Next == nil {
					break
				}
				q.After = page.Next
			}
			events := ask(func(s query.Store) (any, error) {
				return s.EventsAfter(ctx, query.AfterQuery{Project: p, Filter: f, After: removed, UpTo: last, Limit: 1_000_000})
			}).([]*query.Event)
			for i := 0; i < len(events); i += 1 + len(events)/50 {
				ask(func(s query.Store) (any, error) { return s.GetEvent(ctx, p, events[i].ID) })
			}
		}
		for _, g := range []query.Grain{query.Minute, query.Hour, query.Day} {
			for _, by := range [][]query.Dimension{nil, {query.BySource}, {query.ByLanguage, query.ByModel}} {
				for _, text := range []string{"", `source = "web" OR language = "de"`} {
					f, err := filter.Parse(text, filter.Dimensions)
					require.NoError(t, err)
					ask(func(s query.Store) (any, error) {
						var rows []query.SeriesRow
						q := query.SeriesQuery{Project: p, Grain: g, StartUS: -50_000 * query.Day.US(), EndUS: 50_000 * query.Day.US(), StepUS: g.US(), GroupBy: by, Filter: f}
						err := s.Series(ctx, q, func(r query.SeriesRow) error { rows = append(rows, r); return nil })
						return rows, err
					})
				}
			}
		}
	}
}
