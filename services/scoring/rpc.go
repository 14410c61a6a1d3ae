package scoring

import (
	"context"
	"fmt"

	scoringv1 "github.com/synapse-analytics/synapse/gen/go/synapse/scoring/v1"
	typev1 "github.com/synapse-analytics/synapse/gen/go/synapse/type/v1"
	"github.com/synapse-analytics/synapse/internal/errs"
)

// maxTexts bounds BatchScoreTexts, as its proto does.
const maxTexts = 1000

// ScoreText implements scoring.v1.ScoringService.
func (s *Service) ScoreText(ctx context.Context, req *scoringv1.ScoreTextRequest) (*scoringv1.ScoredText, error) {
	texts, err := s.scoreTexts(ctx, []*scoringv1.ScoreTextRequest{req})
	if err != nil {
		return nil, err
	}
	return texts[0], nil
}

// BatchScoreTexts implements scoring.v1.ScoringService.
func (s *Service) BatchScoreTexts(ctx context.Context, req *scoringv1.BatchScoreTextsRequest) (*scoringv1.BatchScoreTextsResponse, error) {
	if n := len(req.GetRequests()); n < 1 || n > maxTexts {
		return nil, errs.Invalid(errs.Violation{
			Field: "requests", Rule: fmt.Sprintf("must have 1 to %d texts, not %d", maxTexts, n),
			Remedy: "split the texts over several calls",
		})
	}
	texts, err := s.scoreTexts(ctx, req.Requests)
	if err != nil {
		return nil, err
	}
	return &scoringv1.BatchScoreTextsResponse{Texts: texts}, nil
}

// scoreTexts scores texts in order; it stops between two chunks when the call
// has ended.
func (s *Service) scoreTexts(ctx context.Context, reqs []*scoringv1.ScoreTextRequest) ([]*scoringv1.ScoredText, error) {
	in, out := make([]Text, len(reqs)), make([]Score, len(reqs))
	for i, r := range reqs {
		in[i] = Text{Text: r.GetText(), Source: r.GetSource(), Language: r.GetLanguage()}
	}
	texts := make([]*scoringv1.ScoredText, len(reqs))
	version := s.scorer.Version()
	for at := 0; at < len(in); at += chunk {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		to := min(at+chunk, len(in))
		if err := s.worker.attempt(in[at:to], out[at:to]); err != nil {
			return nil, errs.Fault(err)
		}
		for i := at; i < to; i++ {
			var why Explanation
			if reqs[i].GetExplain() {
				var err error
				if out[i], why, err = s.explain(in[i]); err != nil {
					return nil, errs.Fault(err)
				}
			}
			texts[i] = scoredText(&out[i], why, version)
		}
	}
	return texts, nil
}

// explain scores one text with reasons; a panic becomes an error.
func (s *Service) explain(in Text) (score Score, why Explanation, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = &panicError{kind: fmt.Sprintf("%T", r)}
		}
	}()
	return s.scorer.Explain(in)
}

func scoredText(sc *Score, why Explanation, version string) *scoringv1.ScoredText {
	out := &scoringv1.ScoredText{
		Sentiment: &typev1.Sentiment{
			Label: labelOf(sc.Label), Score: roundScore(sc.Score), Confidence: sc.Confidence, ModelVersion: version,
			Probabilities: &typev1.Probabilities{
				Negative: sc.Probabilities[Negative], Neutral: sc.Probabilities[Neutral], Positive: sc.Probabilities[Positive],
			},
		},
		Language: sc.Language, LanguageSupported: sc.LanguageSupported, Bias: why.Bias,
	}
	for _, p := range why.Spans {
		out.Evidence = append(out.Evidence, &typev1.Evidence{
			StartByte: int32(p.StartByte), EndByte: int32(p.EndByte),
			StartUtf16: int32(p.StartUTF16), EndUtf16: int32(p.EndUTF16), Weight: p.Weight,
		})
	}
	return out
}

// ListModels implements scoring.v1.ScoringService.
func (s *Service) ListModels(context.Context, *scoringv1.ListModelsRequest) (*scoringv1.ListModelsResponse, error) {
	out := &scoringv1.ListModelsResponse{}
	for _, m := range s.scorer.Models() {
		out.Models = append(out.Models, modelOf(m))
	}
	return out, nil
}

// GetModel implements scoring.v1.ScoringService.
func (s *Service) GetModel(_ context.Context, req *scoringv1.GetModelRequest) (*scoringv1.Model, error) {
	for _, m := range s.scorer.Models() {
		if req.GetName() == "models/"+m.Version {
			return modelOf(m), nil
		}
	}
	return nil, errs.MissingThing("there is no model %.80q; list them with ListModels", req.GetName())
}

func modelOf(m ModelInfo) *scoringv1.Model {
	out := &scoringv1.Model{Name: "models/" + m.Version, Version: m.Version, Languages: m.Languages}
	for _, v := range m.Metrics {
		out.Metrics = append(out.Metrics, &scoringv1.ModelMetric{DataSet: v.DataSet, Metric: v.Metric, Value: v.Value, Baseline: v.Baseline})
	}
	return out
}
