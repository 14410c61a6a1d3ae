package scoring

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	pipelinev1 "github.com/synapse-analytics/synapse/gen/go/synapse/pipeline/v1"
	typev1 "github.com/synapse-analytics/synapse/gen/go/synapse/type/v1"
	"github.com/synapse-analytics/synapse/internal/queue"
)

func TestEncodeMatchesGenerated(t *testing.T) {
	for name, s := range map[string]Score{
		"positive": {Positive, 0.61236, [3]float64{0.1, 0.2, 0.7}, 0.7, "en", true},
		"negative": {Negative, -0.99999, [3]float64{1, 0, 0}, 1, "pt-BR", false},
		"nothing":  {Neutral, -0.00001, [3]float64{0, 1, 0}, 1, "", false},
	} {
		for _, spanID := range [][]byte{nil, []byte("newspan!")} {
			t.Run(fmt.Sprint(name, " ", len(spanID)), func(t *testing.T) {
				q := fullQueued("id")
				data, err := proto.Marshal(&pipelinev1.EventBatch{Events: []*pipelinev1.QueuedEvent{q}})
				require.NoError(t, err)
				events, err := decodeBatch(data, nil)
				require.NoError(t, err)
				msg := &queue.Message{Position: queue.Position{Epoch: 1 << 40, Sequence: 7}, Time: testNow}
				b := appendScored(nil, &events[0], spanID, &s, "v-1", testNow.UnixMicro())
				b = appendScored(b, &events[0], spanID, &s, "v-1", testNow.UnixMicro())
				b = appendSource(b, msg)
				if spanID != nil {
					q.SpanId = spanID
				}
				one := &pipelinev1.ScoredEvent{
					Queued: q, Language: s.Language, LanguageSupported: s.LanguageSupported, ScoredAtUs: testNow.UnixMicro(),
					Sentiment: &typev1.Sentiment{
						Label: typev1.Sentiment_Label(s.Label + 1), Score: math.Round(s.Score*1e4)/1e4 + 0, Confidence: s.Confidence, ModelVersion: "v-1",
						Probabilities: &typev1.Probabilities{Negative: s.Probabilities[0], Neutral: s.Probabilities[1], Positive: s.Probabilities[2]},
					},
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
		{&pipelinev1.ScoredEvent{}, []string{"queued=1", "sentiment=2", "language=3", "language_supported=4", "scored_at_us=5"}},
		{&typev1.Sentiment{}, []string{"label=1", "score=2", "probabilities=3", "confidence=4", "model_version=5"}},
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
			require.Equal(t, Text{w.GetEvent().GetText(), w.GetEvent().GetSource(), w.GetEvent().GetLanguage()}, g.text)
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
			out = appendScored(out, &got[i], nil, &Score{Language: "en"}, "v", 1)
		}
		batch := &pipelinev1.ScoredBatch{}
		require.NoError(t, proto.Unmarshal(appendSource(out, msg), batch))
		for i, w := range want.Events {
			require.True(t, proto.Equal(w, batch.Events[i].Queued))
		}
	})
}
