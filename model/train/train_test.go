package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/synapse-analytics/synapse/model"
	"github.com/synapse-analytics/synapse/model/internal/modelfile"
)

func ignore(string, ...any) {}

// miniature is a corpus of made-up rows, enough to learn a word from.
func miniature() *corpus {
	c := &corpus{}
	for i := range 600 {
		text, class := "a wonderful day", model.Positive
		switch i % 3 {
		case 1:
			text, class = "an awful day", model.Negative
		case 2:
			text, class = "the day was monday", model.Neutral
		}
		e := example{text: text, class: int8(class), source: model.Kind(i % 3), weight: 1, lang: "en", long: i%50 == 0}
		c.english = append(c.english, e)
		e.lang = []string{"de", "id"}[i%2]
		c.others = append(c.others, e)
		c.languages = append(c.languages, example{text: text, lang: "en"})
	}
	return c
}

func trainMiniature(t *testing.T) []byte {
	t.Helper()
	cfg := config{bits: 12, trainBits: 16, epochs: 3, rate: 0.2, start: 1e-2, decay: 1e-4, minWord: 2, minChar: 2, char: 1, seed: 1}
	c := miniature()
	language, err := trainLanguage(c, ignore)
	require.NoError(t, err)
	raw, err := modelfile.Encode(&modelfile.Model{
		Version: "mini", Language: language,
		English: trainLinear("english", c.english, cfg, ignore),
		Others:  trainLinear("others", c.others, cfg, ignore),
	})
	require.NoError(t, err)
	return raw
}

func TestTrainingIsRepeatable(t *testing.T) {
	if testing.Short() {
		t.Skip("trains a language identifier twice: some ten seconds")
	}
	a := trainMiniature(t)
	require.Equal(t, a, trainMiniature(t), "two runs gave different bytes")
	s, err := model.Load(a)
	require.NoError(t, err)
	require.Equal(t, model.Positive, s.Score(model.Input{Text: "wonderful", Language: "en"}).Label)
	require.Equal(t, model.Negative, s.Score(model.Input{Text: "awful", Language: "en"}).Label)
}

// The gradient must be the slope of the loss.
func TestGradient(t *testing.T) {
	const h = 1e-6
	for _, binary := range []bool{false, true} {
		for class := range int8(3) {
			if binary && class == int8(model.Neutral) {
				continue
			}
			e := &example{class: class, binary: binary}
			for _, at := range [][2]float64{{0, 0}, {2, -1}, {-3, 0.5}} {
				gd, gn, _ := gradient(at[0], at[1], e)
				_, _, d0 := gradient(at[0]-h, at[1], e)
				_, _, d1 := gradient(at[0]+h, at[1], e)
				_, _, n0 := gradient(at[0], at[1]-h, e)
				_, _, n1 := gradient(at[0], at[1]+h, e)
				require.InDelta(t, (d1-d0)/(2*h), gd, 1e-6)
				require.InDelta(t, (n1-n0)/(2*h), gn, 1e-6)
			}
		}
	}
}

func TestQuantise(t *testing.T) {
	require.EqualValues(t, 127, quantise(9, 1))
	require.EqualValues(t, -127, quantise(-9, 1))
	require.EqualValues(t, 64, quantise(0.5, 1))
	require.EqualValues(t, 0, quantise(0.001, 1))
}
