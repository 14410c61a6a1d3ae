package scoring

import (
	"context"

	"github.com/synapse-analytics/synapse/internal/queue"
)

// Queue is what scoring needs of the durable log; queue.Queue has it.
type Queue interface {
	// Publish appends a message and waits until it is durable.
	Publish(ctx context.Context, stream queue.Stream, msg queue.Outgoing) (pos queue.Position, duplicate bool, err error)
	// Consume opens a consumer.
	Consume(ctx context.Context, cfg queue.ConsumerConfig) (queue.Consumer, error)
	// Info returns the state of a stream.
	Info(ctx context.Context, stream queue.Stream) (queue.Info, error)
	// Trim removes the messages up to and including a sequence.
	Trim(ctx context.Context, stream queue.Stream, upTo uint64) error
}

// Scorer gives texts their sentiment. It is safe for concurrent use. A panic in
// it is caught: the text that caused it becomes a dead letter.
type Scorer interface {
	// Score scores in[i] into out[i]; both have the same length. An error is of
	// the whole batch, and its text does not hold an event's text.
	Score(in []Text, out []Score) error
	// Explain scores one text and says why.
	Explain(in Text) (Score, Explanation, error)
	// Version is the version of the model in use, as in the scores.
	Version() string
	// Models describes all models, the one in use first.
	Models() []ModelInfo
}

// Text is a text to score.
type Text struct {
	// Text is 1 to 65,536 bytes of UTF-8.
	Text string
	// Source and Language are hints; may be empty.
	Source, Language string
}

// Label is the class of a text.
type Label int8

// The labels; they index Score.Probabilities.
const (
	Negative Label = iota
	Neutral
	Positive
)

// Score is the sentiment of a text.
type Score struct {
	// Label is the class with the highest probability.
	Label Label
	// Score is the probability of Positive minus that of Negative, in [-1, 1].
	Score float64
	// Probabilities are indexed by Label; they sum to 1.
	Probabilities [3]float64
	// Confidence is the probability of Label.
	Confidence float64
	// Language is a BCP 47 tag, "und" when unknown.
	Language string
	// LanguageSupported says whether the model was trained for it.
	LanguageSupported bool
}

// Explanation says which spans of a text made its score.
type Explanation struct {
	// Spans in the order of the text.
	Spans []Span
	// Bias is the logit difference of positive and negative before any span.
	Bias float64
}

// Span is a part of a text; offsets are half open.
type Span struct {
	// StartByte and EndByte count UTF-8 bytes.
	StartByte, EndByte int
	// StartUTF16 and EndUTF16 count UTF-16 code units.
	StartUTF16, EndUTF16 int
	// Weight is the logit difference that the span adds.
	Weight float64
}

// ModelInfo describes a model.
type ModelInfo struct {
	// Version as in the scores.
	Version string
	// Languages are BCP 47 tags.
	Languages []string
	// Metrics on validation sets.
	Metrics []ModelMetric
}

// ModelMetric is a figure on a validation set.
type ModelMetric struct {
	// DataSet and Metric name what was measured.
	DataSet, Metric string
	// Value and Baseline (the VADER lexicon on the same set) are in [0, 1].
	Value, Baseline float64
}
