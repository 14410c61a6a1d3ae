package record

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/synapse-analytics/synapse/services/query"
	"github.com/synapse-analytics/synapse/services/query/filter"
)

func TestEmotionsText(t *testing.T) {
	for _, list := range [][]filter.Emotion{{{Name: "joy", ProbabilityE4: 1}}, {{Name: "a", ProbabilityE4: 10_000}, {Name: "b"}}} {
		got, err := ReadEmotions([]byte(EmotionsText(list)))
		require.NoError(t, err)
		require.Equal(t, list, got)
	}
	none, err := ReadEmotions(nil)
	require.NoError(t, err)
	require.Nil(t, none)
	for _, bad := range []string{"{", "{}", "null", `{"a"}`, `{"a":x}`, `{a:1}`, `{"":1}`, `{"a":1`, "[]"} {
		_, err := ReadEmotions([]byte(bad))
		require.Error(t, err, bad)
	}
}

// FuzzReadExtra: any bytes are refused or read, and what was written is read.
func FuzzReadExtra(f *testing.F) {
	e := query.Event{AcceptedUS: 5, NegativeE6: 1, Targets: []string{"a", ""}, TraceID: make([]byte, 16), SpanID: make([]byte, 8)}
	f.Add(AppendExtra(nil, &e))
	e.StarsE4, e.LanguageHint = [5]int32{1, 2, 3, 4, 9990}, "en"
	e.TargetScores = []query.TargetScore{{Label: query.Positive, PositiveE4: 10_000, Start: 1, End: 300}, {}}
	f.Add(AppendExtra(nil, &e))
	f.Add([]byte{1, extraTraced | extraStars, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Add([]byte{extraVersion, extraTraced, 0, 0, 0, 0, 0, 0, 0, 200})
	f.Fuzz(func(t *testing.T, b []byte) {
		got := query.Event{AcceptedUS: 5}
		if ReadExtra(b, &got) != nil {
			return
		}
		again := query.Event{AcceptedUS: 5}
		require.NoError(t, ReadExtra(AppendExtra(nil, &got), &again))
		require.Equal(t, got, again)
	})
}
