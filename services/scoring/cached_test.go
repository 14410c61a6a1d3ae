package scoring

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/synapse-analytics/synapse/internal/cache"
	"github.com/synapse-analytics/synapse/model"
)

// asked counts the texts that a scorer is given.
type asked struct {
	Scorer
	texts   atomic.Int64
	version string
	err     error
}

func (a *asked) Analyze(in []model.Input, want model.Extra, out []model.Analysis) error {
	a.texts.Add(int64(len(in)))
	if a.err != nil {
		return a.err
	}
	return a.Scorer.Analyze(in, want, out)
}

func (a *asked) Version() string { return a.version }

func TestCachedScorer(t *testing.T) {
	inner := &asked{Scorer: NewModelScorer(model.Default()), version: "1"}
	s := NewCachedScorer(inner, cache.NewMemory(cache.Config{TTL: time.Minute, MaxBytes: 8 << 20}, nil))
	texts := []model.Input{
		{Text: "The battery is great, the screen is awful."}, {Text: "So so."}, {Text: ""},
		{Text: "The battery is great, the screen is awful.", Targets: []model.Target{{Text: "battery"}, {Text: "price"}}},
		{Text: "Great battery", Source: "review"}, {Text: "Great battery", Language: "de"}, {Text: "Great battery"}, {Text: strings.Repeat("good. ", 500)},
	}
	for _, want := range []model.Extra{0, model.Emotions, model.AllExtras} {
		plain, cold, warm := make([]model.Analysis, len(texts)), make([]model.Analysis, len(texts)), make([]model.Analysis, len(texts))
		require.NoError(t, inner.Scorer.Analyze(texts, want, plain))
		before := inner.texts.Load()
		require.NoError(t, s.Analyze(texts, want, cold))
		require.EqualValues(t, len(texts), inner.texts.Load()-before, "every one is another question")
		require.NoError(t, s.Analyze(texts, want, warm))
		require.EqualValues(t, len(texts), inner.texts.Load()-before)
		require.Equal(t, plain, cold)
		require.Equal(t, plain, warm, "bit for bit")
	}
	mixed := []model.Input{{Text: "new"}, texts[1], {Text: "newer"}}
	before := inner.texts.Load()
	out, plain := make([]model.Analysis, 3), make([]model.Analysis, 3)
	require.NoError(t, s.Analyze(mixed, 0, out))
	require.EqualValues(t, 2, inner.texts.Load()-before)
	require.NoError(t, inner.Scorer.Analyze(mixed, 0, plain))
	require.Equal(t, plain, out)

	inner.version = "2"
	require.NoError(t, s.Analyze(mixed, 0, out))
	require.EqualValues(t, 5, inner.texts.Load()-before, "of another model")

	inner.err = errors.New("broken")
	require.NoError(t, s.Analyze(mixed, 0, out))
	require.ErrorIs(t, s.Analyze([]model.Input{{Text: "other"}}, 0, out[:1]), inner.err)
	inner.err = nil
	require.NoError(t, s.Analyze([]model.Input{{Text: "other"}}, 0, out[:1]), "an error is not kept")
}
