package targets

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/synapse-analytics/synapse/model/internal/deep"
	"github.com/synapse-analytics/synapse/model/internal/target"
)

func ignore(string, ...any) {}

// lessons are texts in which the same words speak well of one thing and badly of
// another.
func lessons() (rows []row, texts []marked) {
	things := []string{"soup", "waiter", "room", "view", "screen", "staff", "bread", "desk", "lamp", "taxi"}
	opinions := []string{"great", "awful", "lovely", "slow", "tasty", "dull"}
	var none target.Around
	net := network()
	for i, a := range things {
		for k, b := range things {
			if a == b {
				continue
			}
			for j := range opinions {
				good, bad := opinions[j/2*2], opinions[j/2*2+1]
				text := "The " + a + " was " + good + " but the " + b + " was " + bad + "."
				if j%2 == 1 {
					text = "The " + a + " was " + bad + " but the " + b + " was " + good + "."
				}
				for n, thing := range []string{a, b} {
					at := strings.Index(text, " "+thing+" ") + 1
					span := [2]int{at, at + len(thing)}
					r := newRow(text, span, 1, &none, net)
					r.class, r.held = 2, (i+k)%5 == 0
					if (j%2 == 0) != (n == 0) {
						r.class = 0
					}
					rows = append(rows, r)
					texts = mark(texts, text, span)
				}
			}
		}
	}
	return rows, texts
}

// network knows no words; letters must do.
func network() *deep.Net {
	rng := rand.New(rand.NewPCG(3, 1))
	w := &deep.Weights{
		Keys: []uint32{1}, Scales: []float32{0.01}, Vectors: make([]int8, deep.Dim), CharBits: 10, CharScale: 0.02,
		Chars: make([]int8, deep.Dim<<10), First: make([]float32, deep.Dim*deep.RowLen), Hidden: make([]float32, deep.Pooled*deep.Hidden),
		Out: make([]float32, deep.Hidden*deep.Outputs), Feel: make([]float32, deep.Pooled*deep.Hidden), FeelOut: make([]float32, deep.Hidden*deep.FeelCount),
	}
	for i := range w.Chars {
		w.Chars[i] = int8(rng.IntN(255) - 127)
	}
	for i := range w.First {
		w.First[i] = float32(rng.NormFloat64() * 0.1)
	}
	w.FitUnits()
	return deep.New(w)
}

func trainLessons() *target.Weights {
	rows, texts := lessons()
	w := &target.Weights{}
	cfg := opinionDefaults
	cfg.bits, cfg.trainBits = 14, 16
	trainOpinions(w, rows, cfg, ignore)
	head := headDefaults
	head.epochs = 2
	trainHead(w, rows, head, ignore)
	mix(w, rows, ignore)
	trainTerms(w, texts, termConfig{bits: 12, trainBits: 14, epochs: 3, rate: 0.3, start: 0.1, minCount: 2, seed: 2}, ignore)
	return w
}

func TestLearnsWhoIsMeant(t *testing.T) {
	w := trainLessons()
	require.Equal(t, w.Append(nil), trainLessons().Append(nil), "two runs gave different bytes")
	m := target.New(w, network())
	const text = "The soup was awful but the garden was lovely."
	for _, c := range []struct {
		thing, opinion string
		class          int
	}{{"soup", "awful", 0}, {"garden", "lovely", 2}} {
		span, ok := target.Mention(text, c.thing)
		require.True(t, ok)
		p, opinions, ok := m.Score(text, span, 1, &target.Around{})
		require.True(t, ok)
		require.Greater(t, p[c.class], 0.6, c.thing)
		var words []string
		for _, o := range opinions {
			words = append(words, text[o[0]:o[1]])
		}
		require.Contains(t, words, c.opinion)
	}
	var found []string
	for _, s := range m.Find(text) {
		found = append(found, text[s[0]:s[1]])
	}
	require.Equal(t, []string{"soup", "garden"}, found)
}
