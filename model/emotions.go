package model

import (
	"math"

	"github.com/synapse-analytics/synapse/model/internal/deep"
	"github.com/synapse-analytics/synapse/model/internal/modelfile"
)

// feelings is the table of words' weights for every emotion, packed so that one
// addition serves four emotions (see packRows).
type feelings struct {
	rows  []uint64
	shift uint
	scale float64
}

const feelingWords = modelfile.Emotions / lanes

func newFeelings(t *modelfile.Table) feelings {
	return feelings{rows: packRows(t.Rows, modelfile.Emotions), shift: 64 - uint(t.Bits), scale: t.Scale}
}

// feelingSums are the totals of a text.
type feelingSums struct{ sum [modelfile.Emotions]int64 }

func (a *feelingSums) add(f *feelings, features []uint64) {
	for len(features) > 0 {
		part := features[:min(len(features), rowFeatures)] // as many as 16 bits hold
		features = features[len(part):]
		var acc [feelingWords]uint64
		for _, h := range part {
			row := f.rows[int(h>>f.shift)*feelingWords:][:feelingWords]
			for i, w := range row {
				acc[i] += w
			}
		}
		unbias := int64(len(part)) * rowBias
		for i := range a.sum {
			a.sum[i] += int64(acc[i/lanes]>>(16*(i%lanes))&0xffff) - unbias
		}
	}
}

// logits are the sums over the square root of the length, as in a table.
func (f *feelings) logits(a *feelingSums, tokens int) (out [modelfile.Emotions]float64) {
	factor := f.scale / math.Sqrt(float64(tokens))
	for i, v := range a.sum {
		out[i] = float64(float64(v) * factor)
	}
	return out
}

// moodEmotions are the places of TweetEval's four among EmotionNames.
var moodEmotions = [modelfile.Moods]int{2, 17, 20, 25}

// emotions are the probabilities of EmotionNames. In other languages than English
// there are none to tell but what the polarity says: they are all zero.
func (s *Scorer) emotions(sc *scratch, source Kind) []float64 {
	out := make([]float64, modelfile.Emotions)
	if sc.state.Tokens == 0 || !sc.lang.english {
		return out
	}
	x := s.emotionLogits(s.feelLogits(sc, source), s.feelings.logits(&sc.mood, sc.state.Tokens), source)
	for i, v := range x {
		out[i] = logistic(v)
	}
	return out
}

// emotionLogits are the log-odds of EmotionNames that come of the logits of the
// network and of the table.
func (s *Scorer) emotionLogits(network [deep.FeelCount]float64, table [modelfile.Emotions]float64, source Kind) (x [modelfile.Emotions]float64) {
	for i, h := range s.heads.Emotions {
		x[i] = float64(h.Own*network[deep.FeelAll+i]) + float64(h.Table*table[i]) + h.Bias
	}
	moods := network[deep.FeelFour:]
	mean := (moods[0] + moods[1] + moods[2] + moods[3]) / modelfile.Moods
	weight := s.heads.Moods[sourceIndex(source)]
	for i, k := range moodEmotions {
		x[k] += float64(weight * (moods[i] - mean))
	}
	return x
}
