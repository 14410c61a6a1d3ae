package scoring

import (
	"context"
	"log/slog"

	scoringv1 "github.com/synapse-analytics/synapse/gen/go/synapse/scoring/v1"
	"github.com/synapse-analytics/synapse/internal/errs"
)

// Explainer says why a text has its sentiment, without a queue and without a
// server: what ScoreText answers is a pure function of the request and the model.
type Explainer struct{ analyzer }

// NewExplainer returns an Explainer on a scorer. log may be nil.
func NewExplainer(s Scorer, log *slog.Logger) *Explainer {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Explainer{analyzer{s, log}}
}

// Explain answers as ScoreText does, with the model of that version if there is
// one, and otherwise with the one in use; the answer names it.
func (e *Explainer) Explain(ctx context.Context, version string, req *scoringv1.ScoreTextRequest) (*scoringv1.ScoredText, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	out, err := e.scoreText(req)
	if err != nil {
		return nil, errs.Fault(err)
	}
	return out, nil
}
