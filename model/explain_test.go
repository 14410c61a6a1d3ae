package model

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

// checkExplanation holds an explanation to its sums, order and offsets.
func checkExplanation(t *testing.T, in Input, e Explanation, r Result) {
	t.Helper()
	require.Equal(t, r, e.Result, "Explain and Score differ")
	sum := e.Bias
	last, lastUnits := 0, 0
	for _, ev := range e.Evidence {
		sum += ev.Weight
		require.LessOrEqual(t, last, ev.StartByte)
		require.Less(t, ev.StartByte, ev.EndByte)
		require.LessOrEqual(t, ev.EndByte, len(in.Text))
		require.LessOrEqual(t, lastUnits, ev.StartUTF16)
		require.Less(t, ev.StartUTF16, ev.EndUTF16)
		last, lastUnits = ev.EndByte, ev.EndUTF16
	}
	require.InDelta(t, e.LogitDifference, sum, 1e-6)
	odds := math.Log(r.Probabilities[Positive] / r.Probabilities[Negative])
	require.InDelta(t, e.LogitDifference, odds, 1e-6)
	if !utf8.ValidString(in.Text) {
		return
	}
	units := utf16.Encode([]rune(in.Text))
	for _, ev := range e.Evidence {
		span := in.Text[ev.StartByte:ev.EndByte]
		require.True(t, utf8.ValidString(span), "span %q cuts a rune", span)
		require.Equal(t, span, string(utf16.Decode(units[ev.StartUTF16:ev.EndUTF16])))
	}
}

func TestExplainSums(t *testing.T) {
	s := Default()
	for _, c := range sanity {
		for _, source := range []string{"", "tweet", "review"} {
			in := Input{Text: c.text, Source: source}
			checkExplanation(t, in, s.ExplainFull(in), s.Score(in))
		}
	}
	in := Input{Text: ""}
	checkExplanation(t, in, s.ExplainFull(in), s.Score(in))
}

// TestOffsets builds texts of words, emoji, combining marks and broken bytes.
func TestOffsets(t *testing.T) {
	pieces := []string{"good", "bad", "👍🏽", "👩‍💻", "❤️", "e\u0301te\u0301", "naïve", "🇩🇪", " ", "  ", ", ", "!!", "can't", "ca n't",
		":)", "\U0001d54f", "好", "مرحبا", "\u0301", "#tag", "@me", "http://a.b", "12.5", "…", "’s", "<br />"}
	broken := append(append([]string{}, pieces...), "\xff", "\xe2\x82", "\x00")
	rng := rand.New(rand.NewPCG(1, 2))
	s := Default()
	for i := range 3000 {
		from := pieces
		if i%3 == 0 {
			from = broken
		}
		var b strings.Builder
		for range rng.IntN(100) {
			b.WriteString(from[rng.IntN(len(from))])
			if rng.IntN(2) == 0 {
				b.WriteByte(' ')
			}
		}
		in := Input{Text: b.String()}
		checkExplanation(t, in, s.ExplainFull(in), s.Score(in))
	}
}

func TestEvidencePointsAtTheWord(t *testing.T) {
	_, ev := Default().Explain(Input{Text: "👍🏽 The service was horrible today"})
	var worst Evidence
	for _, e := range ev {
		if e.Weight < worst.Weight {
			worst = e
		}
	}
	require.Equal(t, "horrible", "👍🏽 The service was horrible today"[worst.StartByte:worst.EndByte])
	require.Equal(t, worst.StartByte-4, worst.StartUTF16)
}
