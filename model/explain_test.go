package model

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// checkEvidence holds evidence to its sums, order and offsets.
func checkEvidence(t *testing.T, in Input) {
	t.Helper()
	a := analyze(Default(), in, Evidences)
	for _, c := range analysisChecks {
		c.check(t, a)
	}
}

func TestExplainSums(t *testing.T) {
	for _, c := range sanity {
		for _, source := range []string{"", "tweet", "review"} {
			in := Input{Text: c.text, Source: source}
			checkEvidence(t, in)
		}
	}
	in := Input{Text: ""}
	checkEvidence(t, in)
}

// TestOffsets builds texts of words, emoji, combining marks and broken bytes.
func TestOffsets(t *testing.T) {
	pieces := []string{"good", "bad", "👍🏽", "👩‍💻", "❤️", "e\u0301te\u0301", "naïve", "🇩🇪", " ", "  ", ", ", "!!", "can't", "ca n't",
		":)", "\U0001d54f", "好", "مرحبا", "\u0301", "#tag", "@me", "http://a.b", "12.5", "…", "’s", "<br />"}
	broken := append(append([]string{}, pieces...), "\xff", "\xe2\x82", "\x00")
	rng := rand.New(rand.NewPCG(1, 2))
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
		checkEvidence(t, in)
	}
}

func TestEvidencePointsAtTheWord(t *testing.T) {
	a := Default().Analyze(Input{Text: "👍🏽 The service was horrible today"}, Evidences)
	var worst Evidence
	for _, e := range a.Evidence {
		if e.Weight < worst.Weight {
			worst = e
		}
	}
	require.Equal(t, "horrible", "👍🏽 The service was horrible today"[worst.StartByte:worst.EndByte])
	require.Equal(t, worst.StartByte-4, worst.StartUTF16)
}
