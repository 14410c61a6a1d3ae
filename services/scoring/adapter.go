package scoring

import (
	"github.com/synapse-analytics/synapse/model"
)

// modelScorer is the port Scorer on the library model.
type modelScorer struct{ scorer *model.Scorer }

// NewModelScorer returns a Scorer on a model of the library.
func NewModelScorer(s *model.Scorer) Scorer { return modelScorer{s} }

// Analyze implements Scorer.
func (m modelScorer) Analyze(in []model.Input, want model.Extra, out []model.Analysis) error {
	for i := range in {
		if want == 0 && len(in[i].Targets) == 0 {
			out[i] = model.Analysis{Result: m.scorer.Score(in[i])}
		} else {
			out[i] = m.scorer.Analyze(in[i], want)
		}
	}
	return nil
}

// Version implements Scorer.
func (m modelScorer) Version() string { return m.scorer.Version() }

// Models implements Scorer.
func (m modelScorer) Models() []model.Card {
	cards := []model.Card{m.card(m.scorer.Version())}
	for _, v := range model.Models() {
		if v != m.scorer.Version() {
			cards = append(cards, m.card(v))
		}
	}
	return cards
}

func (m modelScorer) card(version string) model.Card {
	if c := model.Info(); c.Version == version {
		return c
	}
	c := model.Card{Version: version}
	if version == m.scorer.Version() {
		c.Languages = m.scorer.Languages()
	}
	return c
}
