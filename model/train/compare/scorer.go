package compare

import (
	"github.com/synapse-analytics/synapse/model"
	"github.com/synapse-analytics/synapse/model/internal/dataset"
)

// Scorer lets the product's scorer answer. Targets are given with their place in
// the text, languages are not named.
func Scorer(s *model.Scorer) dataset.Predictor {
	return func(t *dataset.Task, examples []dataset.Example) []dataset.Prediction {
		out := make([]dataset.Prediction, len(examples))
		for i := range examples {
			e := &examples[i]
			in := model.Input{Text: e.Text, Source: e.Source}
			switch t.Kind {
			case dataset.AllEmotion, dataset.FourMoods:
				out[i].Emotions = s.Analyze(in, model.Emotions).Emotions
			case dataset.OfTarget:
				in.Targets = []model.Target{{Text: e.Target,
					Span: model.Span{StartByte: e.From, EndByte: e.From + len(e.Target)}}}
				if got := s.Analyze(in, 0).Targets; len(got) > 0 {
					out[i].Target = got[0].Probabilities[:]
				}
			case dataset.FiveStars:
				r := s.Score(in)
				out[i].Stars = r.Stars[:]
			default:
				r := s.Score(in)
				out[i].Polarity = r.Probabilities[:]
			}
		}
		return out
	}
}
