package model

import (
	_ "embed" // the pairs
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// minimalPairs were written for this project: two texts that differ in a few
// words, and what a reader says about them. They are an exam. Neither they nor
// paraphrases of them belong into the training data.
//
//go:embed testdata/minimal_pairs.tsv
var minimalPairs string

const (
	// pairsBar is the share of the pairs that must hold.
	pairsBar = 0.95
	// neutralBand is how far from zero the score of a neutral text may be, in
	// either direction, when its label is another.
	neutralBand = 0.35
)

// minimalPair says that a scores above b, and which polarity each has: positive,
// negative, neutral, or any.
type minimalPair struct {
	line     int
	category string
	a, wantA string
	b, wantB string
}

func readPairs(t *testing.T) []minimalPair {
	t.Helper()
	lines := strings.Split(strings.TrimSuffix(minimalPairs, "\n"), "\n")
	require.Equal(t, "category\trelation\ttext_a\twant_a\ttext_b\twant_b", lines[0])
	var pairs []minimalPair
	for i, line := range lines[1:] {
		f := strings.Split(line, "\t")
		require.Len(t, f, 6, "line %d", i+2)
		require.Equal(t, "a>b", f[1], "line %d", i+2)
		pairs = append(pairs, minimalPair{line: i + 2, category: f[0], a: f[2], wantA: f[3], b: f[4], wantB: f[5]})
	}
	return pairs
}

// holds says whether a result is what a reader wants. Positive and negative are
// asked as a choice of two: how strong a text is, the relation asks.
func holds(r *Result, want string) bool {
	neg, pos := r.Probabilities[Negative], r.Probabilities[Positive]
	switch want {
	case "positive":
		return pos > neg
	case "negative":
		return neg > pos
	case "neutral":
		return r.Label == Neutral || math.Abs(r.Score) < neutralBand
	}
	return want == "any"
}

func TestMinimalPairs(t *testing.T) {
	type tally struct{ right, all int }
	byCategory := map[string]*tally{}
	var total tally
	var names []string
	s := Default()
	for _, p := range readPairs(t) {
		c := byCategory[p.category]
		if c == nil {
			c = new(tally)
			byCategory[p.category] = c
			names = append(names, p.category)
		}
		a, b := s.Score(Input{Text: p.a}), s.Score(Input{Text: p.b})
		c.all++
		total.all++
		var wrong []string
		if !(a.Score > b.Score) {
			wrong = append(wrong, "not a > b")
		}
		if !holds(&a, p.wantA) {
			wrong = append(wrong, "a is not "+p.wantA)
		}
		if !holds(&b, p.wantB) {
			wrong = append(wrong, "b is not "+p.wantB)
		}
		if len(wrong) == 0 {
			c.right++
			total.right++
			continue
		}
		t.Logf("line %d, %s: %s: a %+.3f %q, b %+.3f %q",
			p.line, p.category, strings.Join(wrong, ", "), a.Score, p.a, b.Score, p.b)
	}
	var table strings.Builder
	for _, name := range names {
		c := byCategory[name]
		fmt.Fprintf(&table, "%-12s %3d of %3d  %5.1f %%\n", name, c.right, c.all, 100*float64(c.right)/float64(c.all))
	}
	rate := float64(total.right) / float64(total.all)
	t.Logf("minimal pairs that hold:\n%s%-12s %3d of %3d  %5.1f %%", table.String(), "all", total.right, total.all, 100*rate)
	require.GreaterOrEqual(t, rate, pairsBar, "too many minimal pairs fail")
}

// TestMinimalPairsFile holds the exam itself to its form.
func TestMinimalPairsFile(t *testing.T) {
	pairs := readPairs(t)
	require.GreaterOrEqual(t, len(pairs), 300)
	seen := map[string]int{}
	perCategory := map[string]int{}
	for _, p := range pairs {
		perCategory[p.category]++
		for _, text := range []string{p.a, p.b} {
			require.NotEmpty(t, text, "line %d", p.line)
			require.Equal(t, strings.TrimSpace(text), text, "line %d", p.line)
			require.Zero(t, seen[text], "line %d repeats the text of line %d", p.line, seen[text])
			seen[text] = p.line
		}
		for _, want := range []string{p.wantA, p.wantB} {
			require.Contains(t, []string{"positive", "negative", "neutral", "any"}, want, "line %d", p.line)
		}
		// A pair that contradicts itself could never hold.
		rank := []string{"negative", "neutral", "positive"}
		if p.wantA != "any" && p.wantB != "any" {
			require.GreaterOrEqual(t, slices.Index(rank, p.wantA), slices.Index(rank, p.wantB), "line %d", p.line)
		}
	}
	for category, n := range perCategory {
		require.GreaterOrEqual(t, n, 10, "category %q", category)
	}
}
