package scoring

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"pgregory.net/rapid"

	pipelinev1 "github.com/synapse-analytics/synapse/gen/go/synapse/pipeline/v1"
	typev1 "github.com/synapse-analytics/synapse/gen/go/synapse/type/v1"
	"github.com/synapse-analytics/synapse/internal/queue"
	"github.com/synapse-analytics/synapse/model"
)

func TestEncodeMatchesGenerated(t *testing.T) {
	span := model.Span{StartByte: 300, EndByte: 307}
	probabilities := [3]float64{0.1, 0.2, 0.7}
	for name, tc := range map[string]struct {
		in   model.Analysis
		want *pipelinev1.ScoredEvent // its extras
	}{
		"positive": {
			model.Analysis{
				Result: model.Result{
					Label: model.Positive, Score: 0.61236, Probabilities: probabilities, Confidence: 0.7, Language: "en", LanguageSupported: true,
					Mixed: true, Stars: [5]float64{0.00006, 0.1, 0.19994, 0.2, 0.5},
				},
				Emotions: emotionsOf(map[string]float64{"admiration": 0.5, "anger": 0.4999, "joy": 0.91236, "neutral": 1}),
				Targets: []model.TargetResult{
					{Target: "a", Polarity: model.Polarity{Label: model.Positive, Score: 0.6, Probabilities: probabilities}, Mentioned: true, Span: span},
					{Target: "b", Polarity: model.Polarity{Label: model.Negative, Score: -1, Probabilities: [3]float64{1, 0, 0}}},
					{Target: "found", Found: true, Span: span},
				},
			},
			&pipelinev1.ScoredEvent{
				StarsE4: []uint32{1, 1000, 1999, 2000, 5000},
				Emotions: []*pipelinev1.ScoredEmotion{
					{Name: "admiration", ProbabilityE4: 5000}, {Name: "joy", ProbabilityE4: 9124}, {Name: "neutral", ProbabilityE4: 10_000},
				},
				Targets: []*pipelinev1.ScoredTarget{
					{Label: typev1.Sentiment_POSITIVE, NegativeE4: 1000, PositiveE4: 7000, StartByte: 300, EndByte: 307},
					{Label: typev1.Sentiment_NEGATIVE, NegativeE4: 10_000},
				},
			},
		},
		"negative": {
			model.Analysis{Result: model.Result{Label: model.Negative, Score: -0.99999, Probabilities: [3]float64{1, 0, 0}, Confidence: 1, Language: "pt-BR"}},
			&pipelinev1.ScoredEvent{},
		},
		"nothing": {
			model.Analysis{Result: model.Result{Label: model.Neutral, Score: -0.00001, Probabilities: [3]float64{0, 1, 0}, Confidence: 1, Stars: [5]float64{0, 0, 0.9, 0, 0}}},
			&pipelinev1.ScoredEvent{},
		},
	} {
		for _, spanID := range [][]byte{nil, []byte("newspan!")} {
			t.Run(fmt.Sprint(name, " ", len(spanID)), func(t *testing.T) {
				q := fullQueued("id")
				data, err := proto.Marshal(&pipelinev1.EventBatch{Events: []*pipelinev1.QueuedEvent{q}})
				require.NoError(t, err)
				events, err := decodeBatch(data, nil)
				require.NoError(t, err)
				msg := &queue.Message{Position: queue.Position{Epoch: 1 << 40, Sequence: 7}, Time: testNow}
				s := &tc.in.Result
				extra := DefaultConfig().extras()
				more := extra.append(nil, &tc.in, len(tc.want.Targets))
				b := appendScored(nil, &events[0], spanID, s, more, "v-1", testNow.UnixMicro())
				b = appendScored(b, &events[0], spanID, s, more, "v-1", testNow.UnixMicro())
				b = appendSource(b, msg)
				if spanID != nil {
					q.SpanId = spanID
				}
				one := tc.want
				one.Queued, one.Language, one.LanguageSupported, one.ScoredAtUs = q, s.Language, s.LanguageSupported, testNow.UnixMicro()
				one.Sentiment = &typev1.Sentiment{
					Label: typev1.Sentiment_Label(s.Label + 1), Score: math.Round(s.Score*1e4)/1e4 + 0, Confidence: s.Confidence, ModelVersion: "v-1", Mixed: s.Mixed,
					Probabilities: &typev1.Probabilities{Negative: s.Probabilities[0], Neutral: s.Probabilities[1], Positive: s.Probabilities[2]},
				}
				want := &pipelinev1.ScoredBatch{
					Events: []*pipelinev1.ScoredEvent{one, one}, SourceSequence: 7, SourceEpoch: 1 << 40, QueuedAtUs: testNow.UnixMicro(),
				}
				got := &pipelinev1.ScoredBatch{}
				require.NoError(t, proto.Unmarshal(b, got))
				require.Empty(t, cmp.Diff(want, got, protocmp.Transform()))
				require.False(t, math.Signbit(got.Events[0].Sentiment.Score) && got.Events[0].Sentiment.Score == 0)
				if spanID == nil {
					require.Equal(t, proto.Size(got), len(b), "not the shortest encoding")
				}
			})
		}
	}
}

// As many events as ingest packs into a message, of as many bytes, fit when they
// are scored, whatever goes with them.
func TestLargestScoredMessage(t *testing.T) {
	const events, packed = 2000, 2 << 20 // batch.max_events and batch.max_bytes at most
	a := model.Analysis{
		Result: model.Result{
			Label: model.Negative, Score: -0.1, Probabilities: [3]float64{0.4, 0.3, 0.3}, Confidence: 0.4, Language: "hi-Latn", LanguageSupported: true,
			Mixed: true, Stars: [5]float64{0.2, 0.2, 0.2, 0.2, 0.2},
		},
		Emotions: emotionsOf(nil),
	}
	for i := range a.Emotions {
		a.Emotions[i] = 0.5
	}
	for range 16 {
		a.Targets = append(a.Targets, model.TargetResult{
			Polarity: model.Polarity{Label: model.Positive, Probabilities: [3]float64{0.3, 0.3, 0.4}}, Span: model.Span{StartByte: 65_000, EndByte: 65_001},
		})
	}
	x := extras{want: model.Emotions, targets: true, bar: 0.01}
	e := event{raw: make([]byte, packed/events)}
	b := appendScored(nil, &e, make([]byte, 8), &a.Result, x.append(nil, &a, len(a.Targets)), strings.Repeat("v", 32), testNow.UnixMicro())
	require.Less(t, events*len(b), queue.MaxMessageBytes-maxHeaderBytes-64)
}

// emotionsOf are the probabilities of all emotions: 0.01 but for those given.
func emotionsOf(some map[string]float64) []float64 {
	out := make([]float64, len(emotionNames))
	for i, name := range emotionNames {
		out[i] = 0.01
		if p, ok := some[name]; ok {
			out[i] = p
		}
	}
	return out
}

// Rounded parts of a distribution are one: none below 0, and the sum exact.
func TestRoundedDistributions(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		stars, sum := [5]float64{}, 0.0
		for i := range stars {
			stars[i] = rapid.SampledFrom([]float64{0, 0.00005, 1. / 3, 1e-9, rapid.Float64Range(0, 1).Draw(t, "x")}).Draw(t, "star")
			sum += stars[i]
		}
		if sum == 0 {
			return
		}
		for i := range stars {
			stars[i] /= sum
		}
		e4, ok := starsE4(&stars)
		require.True(t, ok)
		total := uint32(0)
		for i, n := range e4 {
			require.InDelta(t, stars[i]*1e4, n, 1.001)
			total += n
		}
		require.EqualValues(t, 10_000, total)
		n, p := probabilitiesE4(&[3]float64{stars[0] + stars[1], stars[2], stars[3] + stars[4]})
		require.LessOrEqual(t, n+p, uint64(10_000))
		require.InDelta(t, (stars[3]+stars[4])*1e4, p, 1.001)
	})
	for _, bad := range [][5]float64{{}, {0.5}, {2, -1}, {math.NaN(), 1}, {math.Inf(1)}} {
		_, ok := starsE4(&bad)
		require.False(t, ok, "%v", bad)
	}
}

// A field that is added to the contract must be thought of here.
func TestWireKnowsEveryField(t *testing.T) {
	for _, m := range []struct {
		msg  proto.Message
		want []string
	}{
		{&pipelinev1.EventBatch{}, []string{"events=1"}},
		{&pipelinev1.QueuedEvent{}, []string{"project=1", "event=2", "accepted_at_us=3", "trace_id=4", "span_id=5"}},
		{&typev1.EventInput{}, []string{"id=1", "text=2", "source=3", "user_id=4", "occurred_at=5", "language=6", "attributes=7", "targets=8"}},
		{&pipelinev1.ScoredBatch{}, []string{"events=1", "source_sequence=2", "source_epoch=3", "queued_at_us=4"}},
		{&pipelinev1.ScoredEvent{}, []string{"queued=1", "sentiment=2", "language=3", "language_supported=4", "scored_at_us=5", "stars_e4=6", "emotions=7", "targets=8"}},
		{&pipelinev1.ScoredEmotion{}, []string{"name=1", "probability_e4=2"}},
		{&pipelinev1.ScoredTarget{}, []string{"label=1", "negative_e4=2", "positive_e4=3", "start_byte=4", "end_byte=5"}},
		{&typev1.Sentiment{}, []string{"label=1", "score=2", "probabilities=3", "confidence=4", "model_version=5", "stars=6", "mixed=7"}},
		{&typev1.Probabilities{}, []string{"negative=1", "neutral=2", "positive=3"}},
	} {
		var got []string
		fields := m.msg.ProtoReflect().Descriptor().Fields()
		for i := range fields.Len() {
			got = append(got, fmt.Sprintf("%s=%d", fields.Get(i).Name(), fields.Get(i).Number()))
		}
		require.Equal(t, m.want, got, "%s has changed: change decode.go and encode.go too", m.msg.ProtoReflect().Descriptor().FullName())
	}
}

// FuzzDecode compares the hand-written reader with the generated one: both take
// the same messages and see the same in them.
func FuzzDecode(f *testing.F) {
	for _, b := range []*pipelinev1.EventBatch{
		{}, {Events: []*pipelinev1.QueuedEvent{fullQueued("a"), queued("b", "text"), {}}},
	} {
		data, err := proto.Marshal(b)
		require.NoError(f, err)
		f.Add(data)
		f.Add(append(data, data...))
	}
	f.Add([]byte{0x0a, 0x02, 0x0a, 0xff})
	f.Add([]byte{0x0b, 0x0c})
	f.Add([]byte("😀00")) // a field number out of range
	f.Fuzz(func(t *testing.T, data []byte) {
		want := &pipelinev1.EventBatch{}
		wantErr := proto.Unmarshal(data, want)
		got, err := decodeBatch(data, nil)
		require.Equal(t, wantErr == nil, err == nil, "generated %v, ours %v", wantErr, err)
		if err != nil {
			return
		}
		require.Len(t, got, len(want.Events))
		for i, w := range want.Events {
			g := got[i]
			require.Equal(t, w.Project, g.project)
			require.Equal(t, w.AcceptedAtUs, g.acceptedUS)
			in := model.Input{Text: w.GetEvent().GetText(), Source: w.GetEvent().GetSource(), Language: w.GetEvent().GetLanguage()}
			for _, target := range w.GetEvent().GetTargets() {
				in.Targets = append(in.Targets, model.Target{Text: target})
			}
			require.Equal(t, in, g.text)
			if len(w.TraceId) == 16 && len(w.SpanId) == 8 {
				require.Equal(t, w.TraceId, g.traceID)
				require.Equal(t, w.SpanId, g.spanID)
			} else {
				require.Empty(t, g.traceID)
			}
			one := &pipelinev1.QueuedEvent{}
			require.NoError(t, proto.Unmarshal(g.raw, one))
			require.True(t, proto.Equal(w, one))
		}
		// What is made of it can be read by the next role.
		msg := &queue.Message{Position: queue.Position{Epoch: 1, Sequence: 1}, Time: time.Unix(1, 0)}
		var out []byte
		for i := range got {
			out = appendScored(out, &got[i], nil, &model.Result{Language: "en"}, nil, "v", 1)
		}
		batch := &pipelinev1.ScoredBatch{}
		require.NoError(t, proto.Unmarshal(appendSource(out, msg), batch))
		for i, w := range want.Events {
			require.True(t, proto.Equal(w, batch.Events[i].Queued))
		}
	})
}
