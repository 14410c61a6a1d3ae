//go:build !race

package overlay

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/synapse-analytics/synapse/model"
)

// The race detector makes sync.Pool drop items at random.
func TestScoreWithoutHitDoesNotAllocate(t *testing.T) {
	s := model.Default()
	o, err := New(Spec{Phrases: manyPhrases(MaxPhrases), Bias: Bias{Polarity: 0.1}})
	require.NoError(t, err)
	in := model.Input{Text: strings.Repeat("A not so long text, with an emoji 👍 and soooo été. ", 40), Source: "review"}
	require.Empty(t, o.Hits(s, in))
	require.LessOrEqual(t, testing.AllocsPerRun(200, func() { o.Score(s, in) }), 0.1)
}
