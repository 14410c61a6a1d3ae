package scoring

import (
	"strings"

	scoringv1 "github.com/synapse-analytics/synapse/gen/go/synapse/scoring/v1"
	typev1 "github.com/synapse-analytics/synapse/gen/go/synapse/type/v1"
	"github.com/synapse-analytics/synapse/model"
)

var extraOf = map[scoringv1.ScoreTextRequest_Extra]model.Extra{
	scoringv1.ScoreTextRequest_EMOTIONS: model.Emotions, scoringv1.ScoreTextRequest_EVIDENCE: model.Evidences,
	scoringv1.ScoreTextRequest_SENTENCES: model.Sentences, scoringv1.ScoreTextRequest_ASPECTS: model.Aspects,
}

// scoreText scores one text as its request wants.
func (a analyzer) scoreText(req *scoringv1.ScoreTextRequest) (*scoringv1.ScoredText, error) {
	in := model.Input{Text: req.GetText(), Source: req.GetSource(), Language: req.GetLanguage()}
	for _, t := range req.GetTargets() {
		in.Targets = append(in.Targets, model.Target{Text: t})
	}
	var want model.Extra
	for _, x := range req.GetExtras() {
		want |= extraOf[x]
	}
	if req.GetExplain() {
		want |= model.Evidences
	}
	var out [1]model.Analysis
	if err := a.analyze([]model.Input{in}, want, out[:]); err != nil {
		return nil, err
	}
	return scoredText(&out[0], req.GetBinary(), a.scorer.Version()), nil
}

func scoredText(a *model.Analysis, binary bool, version string) *scoringv1.ScoredText {
	whole := polarityOf(a.Label, a.Score, a.Probabilities, binary)
	out := &scoringv1.ScoredText{
		Sentiment: &typev1.Sentiment{
			Label: whole.label, Score: roundScore(whole.score), Probabilities: whole.probabilities, Confidence: whole.confidence,
			ModelVersion: version, Stars: starsOf(a.Stars), Mixed: a.Mixed,
		},
		Language: a.Language, LanguageSupported: a.LanguageSupported, Bias: a.Bias, LogitDifference: a.LogitDifference,
	}
	for _, e := range a.Evidence {
		out.Evidence = append(out.Evidence, &typev1.Evidence{
			StartByte: int32(e.StartByte), EndByte: int32(e.EndByte),
			StartUtf16: int32(e.StartUTF16), EndUtf16: int32(e.EndUTF16), Weight: e.Weight,
		})
	}
	if len(a.Emotions) > 0 {
		out.Emotions = make(map[string]float64, len(a.Emotions))
		for i, p := range a.Emotions[:min(len(a.Emotions), len(emotionNames))] {
			out.Emotions[emotionNames[i]] = p
		}
	}
	for i := range a.Sentences {
		x := &a.Sentences[i]
		p := polarityOf(x.Label, x.Score, x.Probabilities, binary)
		out.Sentences = append(out.Sentences, &typev1.Sentence{
			StartByte: int32(x.StartByte), EndByte: int32(x.EndByte), StartUtf16: int32(x.StartUTF16), EndUtf16: int32(x.EndUTF16),
			Label: p.label, Score: p.score, Probabilities: p.probabilities,
		})
	}
	for i := range a.Targets {
		x := &a.Targets[i]
		p := polarityOf(x.Label, x.Score, x.Probabilities, binary)
		t := &typev1.TargetSentiment{
			Target: x.Target, Label: p.label, Score: p.score, Probabilities: p.probabilities, Mentioned: x.Mentioned, Found: x.Found,
			StartByte: int32(x.Span.StartByte), EndByte: int32(x.Span.EndByte), StartUtf16: int32(x.Span.StartUTF16), EndUtf16: int32(x.Span.EndUTF16),
		}
		for _, o := range x.Opinions {
			t.Opinions = append(t.Opinions, &typev1.Span{
				StartByte: int32(o.StartByte), EndByte: int32(o.EndByte), StartUtf16: int32(o.StartUTF16), EndUtf16: int32(o.EndUTF16),
			})
		}
		out.Targets = append(out.Targets, t)
	}
	return out
}

type polarity struct {
	label         typev1.Sentiment_Label
	score         float64
	probabilities *typev1.Probabilities
	confidence    float64
}

func polarityOf(label model.Label, score float64, p [3]float64, binary bool) polarity {
	if binary {
		b := (&model.Result{Probabilities: p}).Binary()
		label, score, p = b.Label, b.Score, b.Probabilities
	}
	return polarity{
		label: labelOf(label), score: score, confidence: p[label],
		probabilities: &typev1.Probabilities{Negative: p[model.Negative], Neutral: p[model.Neutral], Positive: p[model.Positive]},
	}
}

// starsOf leaves out stars that the model does not tell.
func starsOf(stars [5]float64) []float64 {
	if stars == [5]float64{} {
		return nil
	}
	return stars[:]
}

func modelOf(c model.Card, inUse bool) *scoringv1.Model {
	out := &scoringv1.Model{
		Name: "models/" + c.Version, Version: c.Version, Languages: c.Languages, InUse: inUse,
		Trained: c.Trained, SizeBytes: int32(c.Bytes), Sha256: c.SHA256,
	}
	out.Metrics = metricsOf(&c)
	return out
}

// metricsOf reads the model's own column of its tables, and VADER's beside it.
func metricsOf(c *model.Card) []*scoringv1.ModelMetric {
	var out []*scoringv1.ModelMetric
	bySet := map[string]*scoringv1.ModelMetric{}
	for i := range c.Tables {
		t := &c.Tables[i]
		for _, r := range t.Rows {
			cell := t.Cell(c.Version, r.Set, r.Measure, r.Group)
			if cell == nil {
				continue
			}
			measure, kind, _ := strings.Cut(r.Measure, ", ")
			of := bySet[r.Set+kind]
			switch {
			case measure == "calibration error":
				for _, m := range out {
					if m.DataSet == r.Set && strings.HasSuffix(m.Metric, kind) {
						m.CalibrationError = cell.Value
					}
				}
				continue
			case r.Group != "" && r.Group != model.MeanGroup:
				if of != nil {
					if of.Groups == nil {
						of.Groups = map[string]float64{}
					}
					of.Groups[r.Group] = cell.Value
				}
				continue
			}
			m := &scoringv1.ModelMetric{DataSet: r.Set, Metric: r.Measure, Value: cell.Value, Rows: int32(r.Rows)}
			if v := t.Cell("vader", r.Set, r.Measure, r.Group); v != nil {
				m.Baseline = v.Value
			}
			switch measure {
			case "accuracy":
				m.Accuracy = cell.Value
			case "macro F1":
				m.MacroF1 = cell.Value
			}
			out = append(out, m)
			if of == nil {
				bySet[r.Set+kind] = m
			}
		}
	}
	return out
}
