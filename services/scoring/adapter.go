package scoring

import (
	"sync"

	"github.com/synapse-analytics/synapse/model"
)

// modelScorer is the port Scorer on the library model.
type modelScorer struct {
	scorer *model.Scorer
	card   model.Card
	pool   sync.Pool // of *modelBatch
}

type modelBatch struct {
	in  []model.Input
	out []model.Result
}

// NewModelScorer returns a Scorer on the weights that are part of the program.
func NewModelScorer(s *model.Scorer) Scorer {
	m := &modelScorer{scorer: s, card: model.Info()}
	m.pool.New = func() any { return new(modelBatch) }
	return m
}

// Score implements Scorer.
func (m *modelScorer) Score(in []Text, out []Score) error {
	b, _ := m.pool.Get().(*modelBatch)
	if cap(b.in) < len(in) {
		b.in, b.out = make([]model.Input, len(in)), make([]model.Result, len(in))
	}
	b.in, b.out = b.in[:len(in)], b.out[:len(in)]
	for i, t := range in {
		b.in[i] = model.Input{Text: t.Text, Source: t.Source, Language: t.Language}
	}
	m.scorer.ScoreBatch(b.in, b.out)
	for i := range b.out {
		out[i] = scoreOf(&b.out[i])
	}
	clear(b.in) // the texts must not live as long as the pool
	clear(b.out)
	m.pool.Put(b)
	return nil
}

// Explain implements Scorer.
func (m *modelScorer) Explain(in Text) (Score, Explanation, error) {
	e := m.scorer.ExplainFull(model.Input{Text: in.Text, Source: in.Source, Language: in.Language})
	out := Explanation{Bias: e.Bias, Spans: make([]Span, len(e.Evidence))}
	for i, v := range e.Evidence {
		out.Spans[i] = Span{
			StartByte: v.StartByte, EndByte: v.EndByte,
			StartUTF16: v.StartUTF16, EndUTF16: v.EndUTF16, Weight: v.Weight,
		}
	}
	return scoreOf(&e.Result), out, nil
}

// Version implements Scorer.
func (m *modelScorer) Version() string { return m.scorer.Version() }

// Models implements Scorer.
func (m *modelScorer) Models() []ModelInfo {
	info := ModelInfo{Version: m.scorer.Version(), Languages: m.scorer.Languages()}
	if m.card.Version == info.Version {
		for _, v := range m.card.Metrics {
			info.Metrics = append(info.Metrics, ModelMetric{DataSet: v.Set, Metric: v.Metric, Value: v.Value, Baseline: v.Baseline})
		}
	}
	return []ModelInfo{info}
}

func scoreOf(r *model.Result) Score {
	return Score{
		Label: Label(r.Label), Score: r.Score, Probabilities: r.Probabilities, Confidence: r.Confidence,
		Language: r.Language, LanguageSupported: r.LanguageSupported,
	}
}
