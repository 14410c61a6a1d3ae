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

func TestEmotionsText(t *testing.T) {
	for _, list := range [][]filter.Emotion{{{Name: "joy", ProbabilityE4: 1}}, {{Name: "a", ProbabilityE4: 10_000}, {Name: "b"}}} {
		got, err := readEmotions([]byte(emotionsText(list)))
		require.NoError(t, err)
		require.Equal(t, list, got)
	}
	none, err := readEmotions(nil)
	require.NoError(t, err)
	require.Nil(t, none)
	for _, bad := range []string{"{", "{}", "null", `{"a"}`, `{"a":x}`, `{a:1}`, `{"":1}`, `{"a":1`, "[]"} {
		_, err := readEmotions([]byte(bad))
		require.Error(t, err, bad)
	}
}

// FuzzReadExtra: any bytes are refused or read, and what was written is read.
func FuzzReadExtra(f *testing.F) {
	e := query.Event{AcceptedUS: 5, NegativeE6: 1, Targets: []string{"a", ""}, TraceID: make([]byte, 16), SpanID: make([]byte, 8)}
	f.Add(appendExtra(nil, &e))
	e.StarsE4, e.LanguageHint = [5]int32{1, 2, 3, 4, 9990}, "en"
	e.TargetScores = []query.TargetScore{{Label: query.Positive, PositiveE4: 10_000, Start: 1, End: 300}, {}}
	f.Add(appendExtra(nil, &e))
	f.Add([]byte{1, extraTraced | extraStars, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Add([]byte{extraVersion, extraTraced, 0, 0, 0, 0, 0, 0, 0, 200})
	f.Fuzz(func(t *testing.T, b []byte) {
		got := query.Event{AcceptedUS: 5}
		if readExtra(b, &got) != nil {
			return
		}
		again := query.Event{AcceptedUS: 5}
		require.NoError(t, readExtra(appendExtra(nil, &got), &again))
		require.Equal(t, got, again)
	})
}
