package scoring

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

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

func TestExtras(t *testing.T) {
	s := newRPC(t, &fixed{})
	plain, err := s.ScoreText(t.Context(), &scoringv1.ScoreTextRequest{Text: "abc"})
	require.NoError(t, err)
	require.Equal(t, []float64{0.1, 0.1, 0.1, 0.2, 0.5}, plain.Sentiment.Stars)
	require.True(t, plain.Sentiment.Mixed)
	require.Empty(t, plain.Emotions)
	require.Empty(t, plain.Sentences)
	require.Empty(t, plain.Targets)
	require.Empty(t, plain.Evidence)
	for extra, has := range map[scoringv1.ScoreTextRequest_Extra]func(*scoringv1.ScoredText) bool{
		scoringv1.ScoreTextRequest_EMOTIONS:  func(r *scoringv1.ScoredText) bool { return len(r.Emotions) == 28 && r.Emotions["admiration"] == 0.5 },
		scoringv1.ScoreTextRequest_EVIDENCE:  func(r *scoringv1.ScoredText) bool { return len(r.Evidence) == 1 && r.LogitDifference == 0.75 },
		scoringv1.ScoreTextRequest_SENTENCES: func(r *scoringv1.ScoredText) bool { return len(r.Sentences) == 1 && r.Sentences[0].EndByte == 1 },
		scoringv1.ScoreTextRequest_ASPECTS:   func(r *scoringv1.ScoredText) bool { return len(r.Targets) == 1 && r.Targets[0].Found },
	} {
		require.False(t, has(plain), extra)
		got, err := s.ScoreText(t.Context(), &scoringv1.ScoreTextRequest{Text: "abc", Extras: []scoringv1.ScoreTextRequest_Extra{extra}})
		require.NoError(t, err)
		require.True(t, has(got), extra)
	}
	got, err := s.ScoreText(t.Context(), &scoringv1.ScoreTextRequest{
		Text: "abc", Targets: []string{"x", "y"}, Binary: true,
		Extras: []scoringv1.ScoreTextRequest_Extra{scoringv1.ScoreTextRequest_SENTENCES, scoringv1.ScoreTextRequest_ASPECTS},
	})
	require.NoError(t, err)
	require.InDelta(t, 0.75, got.Sentiment.Score, 1e-9)
	require.InDelta(t, 0.875, got.Sentiment.Probabilities.Positive, 1e-9)
	require.InDelta(t, 0.875, got.Sentiment.Confidence, 1e-9)
	require.Zero(t, got.Sentiment.Probabilities.Neutral)
	require.Len(t, got.Targets, 3)
	for i, want := range []string{"x", "y", "found"} {
		require.Equal(t, want, got.Targets[i].Target)
		require.Equal(t, i == 2, got.Targets[i].Found)
		require.Equal(t, i != 1, got.Targets[i].Mentioned)
		require.Zero(t, got.Targets[i].Probabilities.Neutral)
	}
	require.Len(t, got.Targets[0].Opinions, 1)
}

// The spans of many long texts take many times their size: such an answer is
// refused before all of it is made.
func TestAnswerIsBounded(t *testing.T) {
	s := newRPC(t, NewModelScorer(model.Default()))
	req := &scoringv1.BatchScoreTextsRequest{}
	for range 20 {
		req.Requests = append(req.Requests, &scoringv1.ScoreTextRequest{Text: strings.Repeat("Ok. ", 16_384), Extras: []scoringv1.ScoreTextRequest_Extra{
			scoringv1.ScoreTextRequest_EVIDENCE, scoringv1.ScoreTextRequest_SENTENCES,
		}})
	}
	one, err := s.ScoreText(t.Context(), req.Requests[0])
	require.NoError(t, err)
	fit := maxAnswerBytes / proto.Size(one)
	require.Positive(t, fit)
	resp, err := s.BatchScoreTexts(t.Context(), &scoringv1.BatchScoreTextsRequest{Requests: req.Requests[:fit]})
	require.NoError(t, err)
	require.LessOrEqual(t, proto.Size(resp), 4<<20)
	_, err = s.BatchScoreTexts(t.Context(), req)
	require.Equal(t, errs.InvalidField, errs.ReasonOf(err))
	require.ErrorContains(t, err, fmt.Sprintf("the first %d texts", fit+1))
}

// The worker and the calls give the same answer, and an explainer too.
func TestExplainer(t *testing.T) {
	req := &scoringv1.ScoreTextRequest{
		Text: "The battery is great 😀, the camera is awful.", Source: "review", Targets: []string{"battery"},
		Extras: []scoringv1.ScoreTextRequest_Extra{scoringv1.ScoreTextRequest_EVIDENCE, scoringv1.ScoreTextRequest_EMOTIONS},
	}
	sc := NewModelScorer(model.Default())
	want, err := newRPC(t, sc).ScoreText(t.Context(), req)
	require.NoError(t, err)
	got, err := NewExplainer(sc, nil).Explain(t.Context(), sc.Version(), req)
	require.NoError(t, err)
	require.True(t, proto.Equal(want, got))
	sum := got.Bias
	for _, e := range got.Evidence {
		sum += e.Weight
	}
	require.InDelta(t, got.LogitDifference, sum, 1e-6)
	_, err = NewExplainer(&fixed{}, nil).Explain(t.Context(), "", &scoringv1.ScoreTextRequest{Text: "POISON"})
	require.Equal(t, errs.Internal, errs.ReasonOf(err))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = NewExplainer(sc, nil).Explain(ctx, "", req)
	require.ErrorIs(t, err, context.Canceled)
}

func TestModels(t *testing.T) {
	s := newRPC(t, NewModelScorer(model.Default()))
	list, err := s.ListModels(t.Context(), &scoringv1.ListModelsRequest{})
	require.NoError(t, err)
	require.Len(t, list.Models, len(model.Models()))
	m := list.Models[0]
	require.True(t, m.InUse)
	require.Len(t, m.Sha256, 64)
	require.Positive(t, m.SizeBytes)
	require.NotEmpty(t, m.Trained)
	require.Equal(t, model.Default().Version(), m.Version)
	require.NotEmpty(t, m.Languages)
	require.NotEmpty(t, m.Metrics)
	got, err := s.GetModel(t.Context(), &scoringv1.GetModelRequest{Name: m.Name})
	require.NoError(t, err)
	require.Equal(t, m.Name, got.Name)
	_, err = s.GetModel(t.Context(), &scoringv1.GetModelRequest{Name: "models/none"})
	require.Equal(t, errs.NotFound, errs.ReasonOf(err))
	got, err = newRPC(t, &fixed{}).GetModel(t.Context(), &scoringv1.GetModelRequest{Name: "models/fixed-0"})
	require.NoError(t, err)
	require.False(t, got.InUse)
	require.Empty(t, got.Metrics)
	got, err = newRPC(t, &fixed{}).GetModel(t.Context(), &scoringv1.GetModelRequest{Name: "models/fixed-1"})
	require.NoError(t, err)
	require.Len(t, got.Metrics, 1, "what the model itself was measured on")
	require.Empty(t, cmp.Diff(&scoringv1.ModelMetric{DataSet: "set", Metric: "macro F1, 3 classes", Value: 0.7, Baseline: 0.5, Rows: 9,
		MacroF1: 0.7, CalibrationError: 0.02, Groups: map[string]float64{"fr": 0.6}}, got.Metrics[0], protocmp.Transform()))
}

func TestConfig(t *testing.T) {
	require.NoError(t, DefaultConfig().Validate())
	err := Config{Workers: -1, Extras: []string{"sentences"}}.Validate()
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
