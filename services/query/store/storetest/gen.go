package storetest

import (
	"encoding/hex"
	"fmt"
	"math/rand/v2"

	"github.com/synapse-analytics/synapse/internal/queue"
	"github.com/synapse-analytics/synapse/services/query"
	"github.com/synapse-analytics/synapse/services/query/filter"
)

// Traffic makes batches as a live installation would: events of several
// projects in the order of time, UUIDv7 ids, texts that do not compress. The
// same seed gives the same events.
type Traffic struct {
	// Projects, Sources, Languages and Models to draw from.
	Projects, Sources, Languages, Models []string
	// StartUS is when the first event occurs, StepUS the time between two.
	StartUS, StepUS int64
	// Text is the length of a text.
	Text int

	rnd      *rand.Rand
	events   int64
	sequence uint64
}

// Epoch is the identity of the streams that Traffic comes from.
const Epoch = 7

// NewTraffic returns the geometry of the benchmarks: 500,000 events in 30
// minutes, of 5 projects, each with 4 sources in 2 languages.
func NewTraffic(seed uint64) *Traffic {
	return &Traffic{
		Projects:  []string{"alpha", "beta", "gamma", "delta", "epsilon"},
		Sources:   []string{"app-store", "ticket", "tweet", "review"},
		Languages: []string{"en", "de"}, Models: []string{"synapse-2"},
		StartUS: 1_795_000_000_000_000, StepUS: 3600, Text: 140,
		rnd: rand.New(rand.NewPCG(seed, 1)),
	}
}

// Event makes the next event.
func (t *Traffic) Event() query.Event {
	at := t.StartUS + t.events*t.StepUS
	t.events++
	score := int32(t.rnd.IntN(20001) - 10000)
	label := query.Neutral
	if score < -3333 {
		label = query.Negative
	} else if score > 3333 {
		label = query.Positive
	}
	text := make([]byte, t.Text)
	for i := range text {
		text[i] = byte('a' + t.rnd.IntN(26))
	}
	negative := t.rnd.Int32N(400_000)
	var emotions []filter.Emotion
	if t.rnd.IntN(2) == 0 {
		emotions = []filter.Emotion{{Name: "disappointment", ProbabilityE4: 5000 + t.rnd.Int32N(5000)}}
	}
	return query.Event{
		Project: pick(t.rnd, t.Projects), ID: t.uuid(at), Text: string(text),
		Source: pick(t.rnd, t.Sources), UserID: fmt.Sprintf("user-%d", t.rnd.IntN(10000)),
		Language: pick(t.rnd, t.Languages), LanguageSupported: true, Model: pick(t.rnd, t.Models),
		Label: label, ScoreE4: score, NegativeE6: negative, PositiveE6: t.rnd.Int32N(500_000),
		Emotions: emotions, StarsE4: [5]int32{1000, 1500, 2500, 2000, 3000},
		OccurredUS: at, AcceptedUS: at + 2000, QueuedUS: at + 4000, ScoredUS: at + 6000,
	}
}

func pick(r *rand.Rand, of []string) string { return of[r.IntN(len(of))] }

// uuid makes a UUIDv7.
func (t *Traffic) uuid(us int64) string {
	var b [16]byte
	ms := uint64(us / 1000)
	for i := range 6 {
		b[i] = byte(ms >> (40 - 8*i))
	}
	sub := us % 1000 * 4096 / 1000
	b[6], b[7] = 0x70|byte(sub>>8), byte(sub)
	for i := 8; i < 16; i++ {
		b[i] = byte(t.rnd.IntN(256))
	}
	b[8] = b[8]&0x3f | 0x80
	s := hex.EncodeToString(b[:])
	return s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:]
}

// Source makes the next message with n events.
func (t *Traffic) Source(n int) query.Source {
	t.sequence++
	src := query.Source{Epoch: Epoch, Sequence: t.sequence, Events: make([]query.Event, n)}
	for i := range src.Events {
		src.Events[i] = t.Event()
		src.Events[i].EventsSequence, src.Events[i].ScoredSequence = t.sequence, t.sequence
	}
	src.QueuedUS = src.Events[n-1].QueuedUS
	return src
}

// Batch makes the next batch: messages with per events each, rows in all.
func (t *Traffic) Batch(rows, per int) *query.Batch {
	b := &query.Batch{}
	for rows > 0 {
		src := t.Source(min(per, rows))
		rows -= len(src.Events)
		b.Sources = append(b.Sources, src)
	}
	last := b.Sources[len(b.Sources)-1]
	b.Position = Position(last.Sequence, last.QueuedUS)
	b.StoredUS = last.QueuedUS + 5000
	return b
}

// Position makes a position in a stream of Traffic.
func Position(sequence uint64, us int64) query.StoredPosition {
	return query.StoredPosition{Position: queue.Position{Epoch: Epoch, Sequence: sequence}, TimeUS: us}
}
