package scoring

import (
	"context"
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	scoringv1 "github.com/synapse-analytics/synapse/gen/go/synapse/scoring/v1"
	"github.com/synapse-analytics/synapse/internal/errs"
	"github.com/synapse-analytics/synapse/model"
)

func noLogger() *slog.Logger { return slog.New(slog.DiscardHandler) }

func newRPC(t *testing.T, sc Scorer) *Service {
	t.Helper()
	s, err := New(Deps{Config: DefaultConfig(), Queue: faulty{}, Scorer: sc})
	require.NoError(t, err)
	return s
}

func TestScoreText(t *testing.T) {
	s := newRPC(t, NewModelScorer(model.Default()))
	text := "Das Essen was great 😀, but the service is awful."
	plain, err := s.ScoreText(t.Context(), &scoringv1.ScoreTextRequest{Text: text})
	require.NoError(t, err)
	require.Empty(t, plain.Evidence)
	require.NotEmpty(t, plain.Language)
	got, err := s.ScoreText(t.Context(), &scoringv1.ScoreTextRequest{Text: text, Explain: true})
	require.NoError(t, err)
	require.Equal(t, plain.Sentiment.Score, got.Sentiment.Score)
	require.NotEmpty(t, got.Evidence)
	for _, e := range got.Evidence {
		require.LessOrEqual(t, int(e.EndByte), len(text))
		require.Less(t, e.StartByte, e.EndByte)
		if strings.Contains(text[e.StartByte:e.EndByte], "awful") {
			require.Negative(t, e.Weight)
			require.Less(t, e.StartUtf16, e.StartByte, "the emoji has 4 bytes and 2 UTF-16 units")
		}
	}
}

func TestBatchScoreTexts(t *testing.T) {
	s := newRPC(t, NewModelScorer(model.Default()))
	req := &scoringv1.BatchScoreTextsRequest{}
	for i := range 1000 {
		req.Requests = append(req.Requests, &scoringv1.ScoreTextRequest{Text: []string{"I love it!", "I hate it!"}[i%2], Explain: i == 500})
	}
	resp, err := s.BatchScoreTexts(t.Context(), req)
	require.NoError(t, err)
	require.Len(t, resp.Texts, 1000)
	for i, r := range resp.Texts {
		require.Equal(t, []string{"POSITIVE", "NEGATIVE"}[i%2], r.Sentiment.Label.String())
		require.Equal(t, i == 500, len(r.Evidence) > 0)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = s.BatchScoreTexts(ctx, req)
	require.ErrorIs(t, err, context.Canceled)
	_, err = s.BatchScoreTexts(t.Context(), &scoringv1.BatchScoreTextsRequest{})
	require.Equal(t, errs.InvalidField, errs.ReasonOf(err))
	req.Requests = append(req.Requests, req.Requests[0])
	_, err = s.BatchScoreTexts(t.Context(), req)
	require.Equal(t, errs.InvalidField, errs.ReasonOf(err))
}

func TestScorerPanicIsAnError(t *testing.T) {
	s := newRPC(t, &fixed{})
	for _, explain := range []bool{false, true} {
		_, err := s.ScoreText(t.Context(), &scoringv1.ScoreTextRequest{Text: "POISON", Explain: explain})
		require.Equal(t, errs.Internal, errs.ReasonOf(err))
		require.NotContains(t, err.Error(), "POISON")
	}
}

func TestModels(t *testing.T) {
	s := newRPC(t, NewModelScorer(model.Default()))
	list, err := s.ListModels(t.Context(), &scoringv1.ListModelsRequest{})
	require.NoError(t, err)
	require.Len(t, list.Models, 1)
	m := list.Models[0]
	require.Equal(t, model.Default().Version(), m.Version)
	require.NotEmpty(t, m.Languages)
	require.NotEmpty(t, m.Metrics)
	got, err := s.GetModel(t.Context(), &scoringv1.GetModelRequest{Name: m.Name})
	require.NoError(t, err)
	require.Equal(t, m.Name, got.Name)
	_, err = s.GetModel(t.Context(), &scoringv1.GetModelRequest{Name: "models/none"})
	require.Equal(t, errs.NotFound, errs.ReasonOf(err))
}

func TestConfig(t *testing.T) {
	require.NoError(t, DefaultConfig().Validate())
	err := Config{Workers: -1}.Validate()
	require.Error(t, err)
	for _, line := range strings.Split(err.Error(), "\n") {
		require.Contains(t, line, ": must be")
		require.Contains(t, line, ";", "a remedy after the rule")
	}
	_, err = New(Deps{Config: DefaultConfig()})
	require.Error(t, err)
	_, err = New(Deps{})
	require.Error(t, err)
}
