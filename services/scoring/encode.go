package scoring

import (
	"math"

	"google.golang.org/protobuf/encoding/protowire"

	typev1 "github.com/synapse-analytics/synapse/gen/go/synapse/type/v1"
	"github.com/synapse-analytics/synapse/internal/queue"
)

// Field numbers of pipeline.v1.ScoredBatch, pipeline.v1.ScoredEvent,
// type.v1.Sentiment and type.v1.Probabilities. TestEncodeMatchesGenerated
// compares what is written here with the generated code.
const (
	scoredEvents   = 1
	scoredSequence = 2
	scoredEpoch    = 3
	scoredQueuedAt = 4

	scoredQueued    = 1
	scoredSentiment = 2
	scoredLanguage  = 3
	scoredSupported = 4
	scoredAt        = 5

	sentimentLabel         = 1
	sentimentScore         = 2
	sentimentProbabilities = 3
	sentimentConfidence    = 4
	sentimentVersion       = 5

	queuedSpanID = 5
)

// roundScore gives a score the resolution of 0.0001 that it is stored with.
func roundScore(s float64) float64 {
	return math.Round(s*10_000)/10_000 + 0 // + 0: never a negative zero
}

// labelOf is the label on the wire.
func labelOf(l Label) typev1.Sentiment_Label {
	switch l {
	case Negative:
		return typev1.Sentiment_NEGATIVE
	case Neutral:
		return typev1.Sentiment_NEUTRAL
	case Positive:
		return typev1.Sentiment_POSITIVE
	}
	return typev1.Sentiment_LABEL_UNSPECIFIED
}

// appendScored appends an event as an element of ScoredBatch.events. spanID, if
// there is one, takes the place of the event's: written after it, it wins.
func appendScored(b []byte, e *event, spanID []byte, s *Score, version string, atUS int64) []byte {
	queued := len(e.raw)
	if len(spanID) > 0 {
		queued += 1 + protowire.SizeBytes(len(spanID))
	}
	probabilities := 0
	for _, p := range s.Probabilities {
		probabilities += sizeDouble(p)
	}
	score := roundScore(s.Score)
	sentiment := 1 + protowire.SizeVarint(uint64(labelOf(s.Label))) + sizeDouble(score) +
		1 + protowire.SizeBytes(probabilities) + sizeDouble(s.Confidence) + sizeString(version)
	size := 1 + protowire.SizeBytes(queued) + 1 + protowire.SizeBytes(sentiment) + sizeString(s.Language) +
		1 + protowire.SizeVarint(uint64(atUS))
	if s.LanguageSupported {
		size += 2
	}

	b = protowire.AppendTag(b, scoredEvents, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(size))
	b = protowire.AppendTag(b, scoredQueued, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(queued))
	b = append(b, e.raw...)
	if len(spanID) > 0 {
		b = protowire.AppendTag(b, queuedSpanID, protowire.BytesType)
		b = protowire.AppendBytes(b, spanID)
	}
	b = protowire.AppendTag(b, scoredSentiment, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(sentiment))
	b = protowire.AppendTag(b, sentimentLabel, protowire.VarintType)
	b = protowire.AppendVarint(b, uint64(labelOf(s.Label)))
	b = appendDouble(b, sentimentScore, score)
	b = protowire.AppendTag(b, sentimentProbabilities, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(probabilities))
	for i, p := range s.Probabilities {
		b = appendDouble(b, protowire.Number(i+1), p)
	}
	b = appendDouble(b, sentimentConfidence, s.Confidence)
	b = appendString(b, sentimentVersion, version)
	b = appendString(b, scoredLanguage, s.Language)
	if s.LanguageSupported {
		b = protowire.AppendTag(b, scoredSupported, protowire.VarintType)
		b = protowire.AppendVarint(b, 1)
	}
	b = protowire.AppendTag(b, scoredAt, protowire.VarintType)
	return protowire.AppendVarint(b, uint64(atUS))
}

// appendSource appends where a scored batch comes from.
func appendSource(b []byte, m *queue.Message) []byte {
	b = protowire.AppendTag(b, scoredSequence, protowire.VarintType)
	b = protowire.AppendVarint(b, m.Position.Sequence)
	b = protowire.AppendTag(b, scoredEpoch, protowire.VarintType)
	b = protowire.AppendVarint(b, m.Position.Epoch)
	b = protowire.AppendTag(b, scoredQueuedAt, protowire.VarintType)
	return protowire.AppendVarint(b, uint64(m.Time.UnixMicro()))
}

func sizeDouble(v float64) int {
	if v == 0 && !math.Signbit(v) {
		return 0
	}
	return 9
}

func appendDouble(b []byte, num protowire.Number, v float64) []byte {
	if sizeDouble(v) == 0 {
		return b
	}
	b = protowire.AppendTag(b, num, protowire.Fixed64Type)
	return protowire.AppendFixed64(b, math.Float64bits(v))
}

func sizeString(s string) int {
	if s == "" {
		return 0
	}
	return 1 + protowire.SizeBytes(len(s))
}

func appendString(b []byte, num protowire.Number, s string) []byte {
	if s == "" {
		return b
	}
	b = protowire.AppendTag(b, num, protowire.BytesType)
	return protowire.AppendString(b, s)
}
