package sqlite

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/synapse-analytics/synapse/services/query"
	"github.com/synapse-analytics/synapse/services/query/filter"

	"log/slog"
)

func fuzzStore(f *testing.F) *Store {
	s, err := Open(f.Context(), filepath.Join(f.TempDir(), "query.db"), Options{Logger: slog.New(slog.DiscardHandler), Readers: 1})
	require.NoError(f, err)
	f.Cleanup(func() { require.NoError(f, s.Close()) })
	return s
}

// FuzzFilterSQL: whatever filter is accepted can be run, by lists, tails and
// rollups.
func FuzzFilterSQL(f *testing.F) {
	for _, text := range []string{
		`label = "NEGATIVE" AND score < -0.5`, `attributes."k" >= "v" OR NOT attributes:x`, `text:"'; DROP TABLE events; --"`,
		`occurred_at > "2026-01-01" AND -(source = 'a' OR language != b)`, `model_version = "\x01?"`,
		`emotion:"joy" OR -emotions = anger`, `mixed != true`,
	} {
		f.Add(text)
	}
	s := fuzzStore(f)
	f.Fuzz(func(t *testing.T, text string) {
		if p, err := filter.Parse(text, filter.Events); err == nil {
			_, err := s.ListEvents(t.Context(), query.ListQuery{Project: "p", Filter: p, Limit: 1, Scan: 10, After: &query.ListKey{}})
			require.NoError(t, err)
			_, err = s.EventsAfter(t.Context(), query.AfterQuery{Project: "p", Filter: p, UpTo: 1, Limit: 1})
			require.NoError(t, err)
		}
		if p, err := filter.Parse(text, filter.Dimensions); err == nil {
			err := s.Series(t.Context(), query.SeriesQuery{
				Project: "p", Grain: query.Hour, EndUS: query.Day.US(), GroupBy: []query.Dimension{query.BySource}, Filter: p,
			}, func(query.SeriesRow) error { return nil })
			require.NoError(t, err)
		}
	})
}
