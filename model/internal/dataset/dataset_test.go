package dataset

import (
	"bytes"
	"compress/gzip"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestParse(t *testing.T) {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, err := z.Write([]byte("label\tlang\ttext\npositive\tde\tgut so\nshort\nnegative\tfr\tnul\n"))
	require.NoError(t, err)
	require.NoError(t, z.Close())
	rows, err := parse(&b, []string{"lang", "text", "aspect"})
	require.NoError(t, err)
	require.Equal(t, [][]string{{"de", "gut so", ""}, {"fr", "nul", ""}}, rows)
	_, err = parse(bytes.NewReader([]byte("not gzip")), nil)
	require.Error(t, err)
}

func TestKey(t *testing.T) {
	require.Equal(t, "icantgo2été", Key("@you I can't GO 2 http://x.y Été!"))
	require.Equal(t, Key("Great film!"), Key("great   FILM"))
	require.Equal(t, HeldOut("Great film!"), HeldOut("great film"))
}

// The figures here were worked out by hand.
func TestEvaluate(t *testing.T) {
	set := &Set{Examples: []Example{
		{Text: "0", Class: 0, Group: "a"}, {Text: "1", Class: 0, Group: "a"},
		{Text: "1", Class: 1, Group: "b"}, {Text: "2", Class: 2, Group: "b"},
	}}
	predict := func(e Example) (p [3]float64) {
		p[e.Text[0]-'0'] = 1
		return p
	}
	set.Metric = MacroRecall
	m := Evaluate(set, predict)
	require.InDelta(t, (0.5+1+1)/3, m.Value, 1e-12)
	require.InDelta(t, 0.75, m.Accuracy, 1e-12)
	require.InDelta(t, 0.25, m.Calibration, 1e-12)
	require.InDelta(t, (2.0/3+2.0/3+1)/3, m.MacroF1, 1e-12)
	require.InDelta(t, 0.5, m.Groups["a"], 1e-12)
	set.Metric = BinaryAccuracy
	set.Examples = set.Examples[:1]
	m = Evaluate(set, func(Example) [3]float64 { return [3]float64{0.2, 0.7, 0.1} })
	require.InDelta(t, 1, m.Value, 1e-12, "neutral does not count")
}

func TestLexicon(t *testing.T) {
	top := func(p [3]float64) int {
		best := 0
		for i := range p {
			if p[i] > p[best] {
				best = i
			}
		}
		return best
	}
	require.Equal(t, Positive, top(Lexicon(0.05)))
	require.Equal(t, Negative, top(Lexicon(-0.05)))
	require.Equal(t, Neutral, top(Lexicon(0.04)))
	require.Greater(t, Lexicon(0.04)[Positive], Lexicon(0.04)[Negative])
}
