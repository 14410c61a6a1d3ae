package scoring

import (
	"math"

	"google.golang.org/protobuf/encoding/protowire"

	typev1 "github.com/synapse-analytics/synapse/gen/go/synapse/type/v1"
	"github.com/synapse-analytics/synapse/internal/queue"
	"github.com/synapse-analytics/synapse/model"
)

// Field numbers of pipeline.v1.ScoredBatch, ScoredEvent, ScoredEmotion and
// ScoredTarget, type.v1.Sentiment and type.v1.Probabilities.
// TestEncodeMatchesGenerated compares what is written here with the generated
// code.
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
	scoredStars     = 6
	scoredEmotions  = 7
	scoredTargets   = 8

	emotionName        = 1
	emotionProbability = 2

	targetLabel    = 1
	targetNegative = 2
	targetPositive = 3
	targetStart    = 4
	targetEnd      = 5

	sentimentLabel         = 1
	sentimentScore         = 2
	sentimentProbabilities = 3
	sentimentConfidence    = 4
	sentimentVersion       = 5
	sentimentMixed         = 7

	queuedSpanID = 5
)

// roundScore gives a score the resolution of 0.0001 that it is stored with.
func roundScore(s float64) float64 {
	return math.Round(s*10_000)/10_000 + 0 // + 0: never a negative zero
}

// labelOf is the label on the wire.
func labelOf(l model.Label) typev1.Sentiment_Label {
	switch l {
	case model.Negative:
		return typev1.Sentiment_NEGATIVE
	case model.Neutral:
		return typev1.Sentiment_NEUTRAL
	case model.Positive:
		return typev1.Sentiment_POSITIVE
	}
	return typev1.Sentiment_LABEL_UNSPECIFIED
}

// appendScored appends an event as an element of ScoredBatch.events. spanID, if
// there is one, takes the place of the event's: written after it, it wins. extra
// is what extras.append wrote.
func appendScored(b []byte, e *event, spanID []byte, s *model.Result, extra []byte, version string, atUS int64) []byte {
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
	if s.Mixed {
		sentiment += 2
	}
	size := 1 + protowire.SizeBytes(queued) + 1 + protowire.SizeBytes(sentiment) + sizeString(s.Language) +
		1 + protowire.SizeVarint(uint64(atUS)) + len(extra)
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
	if s.Mixed {
		b = appendUint(b, sentimentMixed, 1)
	}
	b = appendString(b, scoredLanguage, s.Language)
	if s.LanguageSupported {
		b = protowire.AppendTag(b, scoredSupported, protowire.VarintType)
		b = protowire.AppendVarint(b, 1)
	}
	b = protowire.AppendTag(b, scoredAt, protowire.VarintType)
	b = protowire.AppendVarint(b, uint64(atUS))
	return append(b, extra...)
}

// extras are the parts of an analysis that go with an event.
type extras struct {
	want    model.Extra
	targets bool
	// bar is the probability from which on an emotion goes with the event.
	bar float64
}

var emotionNames = model.EmotionNames()

// append appends the fields of a ScoredEvent that hold the stars, the emotions at
// or above the bar and the sentiments towards the targets that were given.
func (x *extras) append(b []byte, a *model.Analysis, targets int) []byte {
	if stars, ok := starsE4(&a.Stars); ok {
		size := 0
		for _, n := range stars {
			size += protowire.SizeVarint(uint64(n))
		}
		b = protowire.AppendTag(b, scoredStars, protowire.BytesType)
		b = protowire.AppendVarint(b, uint64(size))
		for _, n := range stars {
			b = protowire.AppendVarint(b, uint64(n))
		}
	}
	for i, p := range a.Emotions {
		if !(p >= x.bar) || i >= len(emotionNames) {
			continue
		}
		e4 := uint64(math.Round(min(p, 1) * 10_000))
		b = protowire.AppendTag(b, scoredEmotions, protowire.BytesType)
		b = protowire.AppendVarint(b, uint64(sizeString(emotionNames[i])+sizeUint(e4)))
		b = appendString(b, emotionName, emotionNames[i])
		b = appendUint(b, emotionProbability, e4)
	}
	if targets > len(a.Targets) {
		return b
	}
	for i := range a.Targets[:targets] {
		t := &a.Targets[i]
		negative, positive := probabilitiesE4(&t.Probabilities)
		label, start, end := uint64(labelOf(t.Label)), uint64(max(t.Span.StartByte, 0)), uint64(max(t.Span.EndByte, 0))
		b = protowire.AppendTag(b, scoredTargets, protowire.BytesType)
		b = protowire.AppendVarint(b, uint64(sizeUint(label)+sizeUint(negative)+sizeUint(positive)+sizeUint(start)+sizeUint(end)))
		b = appendUint(b, targetLabel, label)
		b = appendUint(b, targetNegative, negative)
		b = appendUint(b, targetPositive, positive)
		b = appendUint(b, targetStart, start)
		b = appendUint(b, targetEnd, end)
	}
	return b
}

// starsE4 rounds the sums of the first stars, not each, so that the parts add up
// to exactly 10,000. It says no for stars that are not a distribution.
func starsE4(stars *[5]float64) (out [5]uint32, ok bool) {
	sum, before := 0.0, 0.0
	for i, p := range stars {
		sum += p
		at := math.Round(sum * 10_000)
		if !(at >= before) {
			return out, false
		}
		out[i], before = uint32(at-before), at
	}
	return out, before == 10_000
}

// probabilitiesE4 rounds negative and positive so that what they leave for
// neutral is not below 0.
func probabilitiesE4(p *[3]float64) (negative, positive uint64) {
	n := math.Round(p[model.Negative] * 10_000)
	rest := math.Round((p[model.Negative] + p[model.Neutral]) * 10_000)
	n, rest = min(max(n, 0), 10_000), min(max(rest, 0), 10_000)
	return uint64(n), uint64(10_000 - rest)
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

func sizeUint(v uint64) int {
	if v == 0 {
		return 0
	}
	return 1 + protowire.SizeVarint(v)
}

func appendUint(b []byte, num protowire.Number, v uint64) []byte {
	if v == 0 {
		return b
	}
	b = protowire.AppendTag(b, num, protowire.VarintType)
	return protowire.AppendVarint(b, v)
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
