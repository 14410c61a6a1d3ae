package scoring

import (
	"context"
	"fmt"

	"google.golang.org/protobuf/proto"

	scoringv1 "github.com/synapse-analytics/synapse/gen/go/synapse/scoring/v1"
	"github.com/synapse-analytics/synapse/internal/errs"
)

const (
	// maxTexts bounds BatchScoreTexts, as its proto does.
	maxTexts = 1000
	// maxAnswerBytes bounds its answer, also before all of it is in memory: the
	// spans of a text take many times its size. gRPC clients take 4 MiB unless told
	// otherwise; one text's answer has about 2 MiB at most.
	maxAnswerBytes = 4<<20 - 8<<10
)

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

// scoreTexts scores texts in order; it stops when the call has ended, and when
// the answers outgrow maxAnswerBytes.
func (s *Service) scoreTexts(ctx context.Context, reqs []*scoringv1.ScoreTextRequest) ([]*scoringv1.ScoredText, error) {
	texts := make([]*scoringv1.ScoredText, len(reqs))
	size := 0
	for i, r := range reqs {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		var err error
		if texts[i], err = s.worker.scoreText(r); err != nil {
			return nil, errs.Fault(err)
		}
		if size += proto.Size(texts[i]); size > maxAnswerBytes {
			return nil, errs.Invalid(errs.Violation{
				Field: "requests", Rule: fmt.Sprintf("must not have an answer of more than 4 MiB; that of the first %d texts has more", i+1),
				Remedy: "send fewer texts in a call, or leave EVIDENCE and SENTENCES out",
			})
		}
	}
	return texts, nil
}

// ListModels implements scoring.v1.ScoringService.
func (s *Service) ListModels(context.Context, *scoringv1.ListModelsRequest) (*scoringv1.ListModelsResponse, error) {
	return &scoringv1.ListModelsResponse{Models: s.models()}, nil
}

// GetModel implements scoring.v1.ScoringService.
func (s *Service) GetModel(_ context.Context, req *scoringv1.GetModelRequest) (*scoringv1.Model, error) {
	for _, m := range s.models() {
		if req.GetName() == m.Name {
			return m, nil
		}
	}
	return nil, errs.MissingThing("there is no model %.80q; list them with ListModels", req.GetName())
}

func (s *Service) models() []*scoringv1.Model {
	var out []*scoringv1.Model
	inUse := s.worker.scorer.Version()
	for _, c := range s.worker.scorer.Models() {
		out = append(out, modelOf(c, c.Version == inUse))
	}
	return out
}
