package query

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	pipelinev1 "github.com/synapse-analytics/synapse/gen/go/synapse/pipeline/v1"
	typev1 "github.com/synapse-analytics/synapse/gen/go/synapse/type/v1"
	"github.com/synapse-analytics/synapse/internal/queue"
)

func scoredEvent() *pipelinev1.ScoredEvent {
	return &pipelinev1.ScoredEvent{
		Queued: &pipelinev1.QueuedEvent{
			Project: "p", AcceptedAtUs: 3_600_000_000, TraceId: make([]byte, 16), SpanId: make([]byte, 8),
			Event: &typev1.EventInput{Id: "a", Text: "x", OccurredAt: &timestamppb.Timestamp{Seconds: -1, Nanos: 999_999_999}},
		},
		Sentiment: &typev1.Sentiment{
			Label: typev1.Sentiment_POSITIVE, Score: 0.12345, ModelVersion: "m",
			Probabilities: &typev1.Probabilities{Negative: 0.2, Neutral: 0.4765, Positive: 0.3235},
		},
	}
}

func TestFill(t *testing.T) {
	var e Event
	require.Empty(t, fill(&e, scoredEvent()))
	require.EqualValues(t, 1235, e.ScoreE4)
	require.EqualValues(t, 200_000, e.NegativeE6)
	require.EqualValues(t, -1, e.OccurredUS)
	require.Equal(t, "und", e.Language)
	require.Empty(t, toProto(&e).Sentiment.Stars, "of a release that told none")
	p := toProto(&e)
	require.InDelta(t, 1, p.Sentiment.Probabilities.Negative+p.Sentiment.Probabilities.Neutral+p.Sentiment.Probabilities.Positive, 1e-15)
	require.Equal(t, p.Sentiment.Probabilities.Positive, p.Sentiment.Confidence)
	require.InDelta(t, 0.1235, p.Sentiment.Score, 0)

	for name, change := range map[string]func(*pipelinev1.ScoredEvent){
		"project":  func(e *pipelinev1.ScoredEvent) { e.Queued.Project = "P" },
		"id":       func(e *pipelinev1.ScoredEvent) { e.Queued.Event.Id = "" },
		"accepted": func(e *pipelinev1.ScoredEvent) { e.Queued.AcceptedAtUs = -5 },
		"label":    func(e *pipelinev1.ScoredEvent) { e.Sentiment.Label = 9 },
		"NaN":      func(e *pipelinev1.ScoredEvent) { e.Sentiment.Score = math.NaN() },
		"infinite": func(e *pipelinev1.ScoredEvent) { e.Sentiment.Score = math.Inf(-1) },
		"no event": func(e *pipelinev1.ScoredEvent) { e.Queued.Event = nil },
		"nothing":  func(e *pipelinev1.ScoredEvent) { e.Queued = nil },
		"stars":    func(e *pipelinev1.ScoredEvent) { e.StarsE4 = []uint32{10_000} },
		"star sum": func(e *pipelinev1.ScoredEvent) { e.StarsE4 = []uint32{1, 2, 3, 4, 5} },
		"emotion":  func(e *pipelinev1.ScoredEvent) { e.Emotions = []*pipelinev1.ScoredEmotion{{Name: `jo"y`}} },
		"emotions": func(e *pipelinev1.ScoredEvent) { e.Emotions = make([]*pipelinev1.ScoredEmotion, maxEmotions+1) },
		"target": func(e *pipelinev1.ScoredEvent) {
			e.Targets = []*pipelinev1.ScoredTarget{{Label: typev1.Sentiment_NEUTRAL}}
		},
		"target's label": func(e *pipelinev1.ScoredEvent) {
			e.Queued.Event.Targets, e.Targets = []string{"x"}, []*pipelinev1.ScoredTarget{{}}
		},
		"target's place": func(e *pipelinev1.ScoredEvent) {
			e.Queued.Event.Targets, e.Targets = []string{"x"}, []*pipelinev1.ScoredTarget{{Label: typev1.Sentiment_NEUTRAL, EndByte: 2}}
		},
		"no rating": func(e *pipelinev1.ScoredEvent) { e.Sentiment = nil },
	} {
		in := scoredEvent()
		change(in)
		require.NotEmpty(t, fill(&e, in), name)
	}
	require.NotEmpty(t, fill(&e, nil))
	odd := scoredEvent()
	odd.Sentiment.Probabilities = &typev1.Probabilities{Negative: math.NaN(), Positive: 7}
	odd.Queued.Event.OccurredAt = &timestamppb.Timestamp{Seconds: 1 << 60}
	require.Empty(t, fill(&e, odd))
	require.EqualValues(t, 1_000_000, e.PositiveE6)
	require.Equal(t, e.AcceptedUS, e.OccurredUS, "a time that is none is that of acceptance")
}

// FuzzMessages: whatever bytes a stream holds, the writer makes something of
// them that counts what the header says or what could be read.
func FuzzMessages(f *testing.F) {
	b, err := proto.Marshal(&pipelinev1.ScoredBatch{SourceSequence: 3, Events: []*pipelinev1.ScoredEvent{scoredEvent(), nil}})
	require.NoError(f, err)
	f.Add(b, "p@5=1")
	full := scoredEvent()
	full.Queued.Event.Targets = []string{"x"}
	full.StarsE4 = []uint32{1, 2, 3, 4, 9990}
	full.Emotions = []*pipelinev1.ScoredEmotion{{Name: "joy", ProbabilityE4: 5000}}
	full.Targets = []*pipelinev1.ScoredTarget{{Label: typev1.Sentiment_NEUTRAL, EndByte: 1}}
	b, err = proto.Marshal(&pipelinev1.ScoredBatch{Events: []*pipelinev1.ScoredEvent{full}})
	require.NoError(f, err)
	f.Add(b, "")
	d, err := proto.Marshal(&pipelinev1.DeadLetter{Stage: "scoring", Queued: scoredEvent().Queued, Events: 1})
	require.NoError(f, err)
	f.Add(d, "")
	f.Add([]byte("\xff"), "x")
	f.Fuzz(func(t *testing.T, data []byte, header string) {
		m := &queue.Message{Data: data, Header: map[string]string{queue.CountsHeader: header}, Position: queue.Position{Epoch: 1, Sequence: 2}, Time: time.Unix(1, 0)}
		src := sourceOf(m, 5)
		require.NotZero(t, src.Sequence)
		for i := range src.Events {
			e := &src.Events[i]
			require.True(t, validProject(e.Project) && e.Label >= Negative && e.Label <= Positive && e.ScoreE4 >= -10000 && e.ScoreE4 <= 10000)
			p := toProto(e)
			_ = p.String()
			for _, t2 := range p.TargetSentiments {
				require.True(t, int(t2.EndByte) <= len(e.Text) && t2.EndUtf16 <= t2.EndByte)
			}
			trailOf(e)
		}
		letterOf(m, 5)
	})
}

func TestSpans(t *testing.T) {
	rec := tracetest.NewSpanRecorder()
	s := spans{sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(rec)).Tracer("test")}
	sampled := &Event{Seq: 4, TraceID: []byte("0123456789abcdef"), SpanID: []byte("01234567")}
	began := time.Unix(100, 0)
	s.stored(t.Context(), []*Event{{Seq: 3}}, began, began)
	require.Empty(t, rec.Ended(), "nothing is sampled")
	s.stored(t.Context(), []*Event{{Seq: 3}, sampled, {Seq: 5, TraceID: make([]byte, 16), SpanID: make([]byte, 8)}}, began, began.Add(time.Second))
	require.Len(t, rec.Ended(), 2)
	event, batch := rec.Ended()[0], rec.Ended()[1]
	require.Equal(t, "store event", event.Name())
	require.Equal(t, "30313233343536373839616263646566", event.SpanContext().TraceID().String())
	require.Equal(t, "3031323334353637", event.Parent().SpanID().String())
	require.Equal(t, time.Second, event.EndTime().Sub(event.StartTime()))
	require.Equal(t, "store batch", batch.Name())
	require.Len(t, batch.Links(), 1)
	require.Equal(t, event.SpanContext().SpanID(), batch.Links()[0].SpanContext.SpanID())
	require.NotEqual(t, event.SpanContext().TraceID(), batch.SpanContext().TraceID())
}

func TestMetrics(t *testing.T) {
	reader := metric.NewManualReader()
	m, err := newMetrics(metric.NewMeterProvider(metric.WithReader(reader)).Meter("test"))
	require.NoError(t, err)
	m.committed(t.Context(), &Batch{Sources: []Source{{Events: make([]Event, 3)}}}, Outcome{Stored: make([]*Event, 2), Duplicates: 1, Conflicts: 1, RepeatedSources: 4, DeadLetters: 5}, time.Second)
	m.dead(t.Context(), 2)
	m.left(t.Context(), 7)
	var rm metricdata.ResourceMetrics
	require.NoError(t, reader.Collect(t.Context(), &rm))
	got := map[string]int64{}
	for _, x := range rm.ScopeMetrics[0].Metrics {
		if sum, ok := x.Data.(metricdata.Sum[int64]); ok {
			require.Len(t, sum.DataPoints, 1)
			require.Zero(t, sum.DataPoints[0].Attributes.Len(), "no labels")
			got[x.Name] = sum.DataPoints[0].Value
		}
	}
	require.Equal(t, map[string]int64{
		"synapse.query.events.stored": 2, "synapse.query.events.duplicate": 1, "synapse.query.events.conflict": 1,
		"synapse.query.messages.repeated": 4, "synapse.query.events.dead_letter": 7, "synapse.query.tail.withheld": 7,
	}, got)
}
