package scoring

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	pipelinev1 "github.com/synapse-analytics/synapse/gen/go/synapse/pipeline/v1"
	typev1 "github.com/synapse-analytics/synapse/gen/go/synapse/type/v1"
	"github.com/synapse-analytics/synapse/internal/queue"
	"github.com/synapse-analytics/synapse/internal/queue/jetstream"
	"github.com/synapse-analytics/synapse/model"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var testNow = time.Date(2026, 5, 4, 3, 2, 1, 987_654_000, time.UTC)

// openQueue opens the real engine in a folder of its own.
func openQueue(t testing.TB) *jetstream.Queue {
	t.Helper()
	cfg := jetstream.DefaultConfig()
	cfg.Dir = t.TempDir()
	cfg.FreeFloorBytes = 0
	q, err := jetstream.Open(context.Background(), cfg, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, q.Close()) })
	return q
}

// quick is a configuration for tests: short pauses.
func quick() Config {
	c := DefaultConfig()
	c.RetryDelay, c.AckWait = time.Millisecond, 2*time.Second
	return c
}

// start makes and starts a service; the caller stops it.
func start(t testing.TB, d Deps) *Service {
	t.Helper()
	if d.Config.MaxTries == 0 {
		d.Config = quick()
	}
	s, err := New(d)
	require.NoError(t, err)
	require.NoError(t, s.Start(context.Background()))
	return s
}

func stop(t testing.TB, s *Service) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	require.NoError(t, s.Stop(ctx))
}

func queued(id, text string) *pipelinev1.QueuedEvent {
	return &pipelinev1.QueuedEvent{
		Project: "default", AcceptedAtUs: testNow.UnixMicro(),
		Event: &typev1.EventInput{Id: id, Text: text, OccurredAt: timestamppb.New(testNow)},
	}
}

func fullQueued(id string) *pipelinev1.QueuedEvent {
	q := queued(id, "I love this phone, the battery lasts for days. 😀")
	q.Event.Source, q.Event.UserId, q.Event.Language = "app-store", "user-1", "en"
	q.Event.Attributes = map[string]string{"plan": "pro", "region": "eu"}
	q.Event.Targets = []string{"battery", "camera"}
	q.TraceId, q.SpanId = []byte("0123456789abcdef"), []byte("01234567")
	return q
}

// accept appends a message of events.
func accept(t testing.TB, q queue.Queue, events ...*pipelinev1.QueuedEvent) queue.Position {
	t.Helper()
	data, err := proto.Marshal(&pipelinev1.EventBatch{Events: events})
	require.NoError(t, err)
	return acceptRaw(t, q, data, len(events))
}

func acceptRaw(t testing.TB, q queue.Queue, data []byte, events int) queue.Position {
	t.Helper()
	counts := queue.FormatCounts([]queue.HourCount{{Project: "default", Hour: testNow.Unix() / 3600, Count: uint32(events)}})
	pos, _, err := q.Publish(context.Background(), queue.Events, queue.Outgoing{Data: data, Header: map[string]string{queue.CountsHeader: counts}})
	require.NoError(t, err)
	return pos
}

// waitDone waits until every message of EVENTS is acknowledged.
func waitDone(t testing.TB, q queue.Queue) {
	t.Helper()
	require.Eventually(t, func() bool {
		info, err := q.Info(context.Background(), queue.Events)
		return err == nil && info.Consumers[consumerName].AckFloor == info.Last
	}, 60*time.Second, 5*time.Millisecond)
}

// read returns all messages of a stream.
func read(t testing.TB, q queue.Queue, stream queue.Stream) []queue.Message {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	info, err := q.Info(ctx, stream)
	require.NoError(t, err)
	var out []queue.Message
	if info.Messages == 0 {
		return nil
	}
	c, err := q.Consume(ctx, queue.ConsumerConfig{Stream: stream, Name: "reader", StartAfter: &queue.Position{}})
	require.NoError(t, err)
	defer c.Close()
	for last := uint64(0); last < info.Last; {
		msgs, err := c.Fetch(ctx, 100)
		require.NoError(t, err)
		for _, m := range msgs {
			last = m.Position.Sequence
			require.NoError(t, m.Ack())
		}
		out = append(out, msgs...)
	}
	return out
}

func scoredOf(t testing.TB, q queue.Queue) []*pipelinev1.ScoredBatch {
	t.Helper()
	var out []*pipelinev1.ScoredBatch
	for _, m := range read(t, q, queue.Scored) {
		b := &pipelinev1.ScoredBatch{}
		require.NoError(t, proto.Unmarshal(m.Data, b))
		out = append(out, b)
	}
	return out
}

func deadOf(t testing.TB, q queue.Queue) []*pipelinev1.DeadLetter {
	t.Helper()
	var out []*pipelinev1.DeadLetter
	for _, m := range read(t, q, queue.Dead) {
		d := &pipelinev1.DeadLetter{}
		require.NoError(t, proto.Unmarshal(m.Data, d))
		out = append(out, d)
		counts, err := queue.ParseCounts(m.Header[queue.CountsHeader])
		require.NoError(t, err)
		n := 0
		for _, c := range counts {
			n += int(c.Count)
		}
		require.EqualValues(t, d.Events, n, "the header must tell the letter's events")
	}
	return out
}

// fixed is a scorer that is quick and can be made to fail: on a text with POISON
// always, on one with ONCE the first time.
type fixed struct {
	before func(in []model.Input) error

	mu     sync.Mutex
	calls  int
	scored map[string]int // by text
}

func (f *fixed) Analyze(in []model.Input, want model.Extra, out []model.Analysis) error {
	if f.before != nil {
		if err := f.before(in); err != nil {
			return err
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls++
	if f.scored == nil {
		f.scored = map[string]int{}
	}
	for i, t := range in {
		f.scored[t.Text]++
		if strings.Contains(t.Text, "POISON") || strings.Contains(t.Text, "ONCE") && f.scored[t.Text] == 1 {
			panic("the text is " + t.Text)
		}
		out[i] = f.analysis(t, want)
	}
	return nil
}

// analysis is the same for all texts, but that its parts are those wanted.
func (f *fixed) analysis(in model.Input, want model.Extra) model.Analysis {
	a := model.Analysis{Result: model.Result{
		Label: model.Positive, Score: 0.61236, Probabilities: [3]float64{0.1, 0.2, 0.7}, Confidence: 0.7, Language: "en", LanguageSupported: true,
		Mixed: true, Stars: [5]float64{0.1, 0.1, 0.1, 0.2, 0.5},
	}}
	good := model.Polarity{Label: model.Positive, Score: 0.5, Probabilities: [3]float64{0.25, 0, 0.75}}
	span := model.Span{EndByte: 1, EndUTF16: 1}
	if want&model.Evidences != 0 {
		a.Evidence, a.Bias, a.LogitDifference = []model.Evidence{{EndByte: 1, EndUTF16: 1, Weight: 0.25}}, 0.5, 0.75
	}
	if want&model.Emotions != 0 {
		a.Emotions = make([]float64, len(emotionNames))
		a.Emotions[0], a.Emotions[1], a.Emotions[17] = 0.5, 0.49, 0.91236
	}
	if want&model.Sentences != 0 {
		a.Sentences = []model.Sentence{{Span: span, Polarity: good}}
	}
	for i, t := range in.Targets {
		a.Targets = append(a.Targets, model.TargetResult{Polarity: good, Target: t.Text, Mentioned: i == 0, Opinions: []model.Span{span}})
		if i == 0 {
			a.Targets[i].Span = span
		}
	}
	if want&model.Aspects != 0 {
		a.Targets = append(a.Targets, model.TargetResult{Polarity: good, Target: "found", Mentioned: true, Span: span, Found: true})
	}
	return a
}

var fixedTable = model.Table{Columns: []string{"vader", "fixed-1"}, Rows: []model.TableRow{
	{Set: "set", Measure: "macro F1, 3 classes", Rows: 9, Cells: []*model.Cell{{Value: 0.5}, {Value: 0.7}}},
	{Set: "set", Measure: "macro F1, 3 classes", Group: "fr", Rows: 4, Cells: []*model.Cell{nil, {Value: 0.6}}},
	{Set: "set", Measure: "calibration error, 3 classes", Rows: 9, Cells: []*model.Cell{nil, {Value: 0.02}}},
	{Set: "other", Measure: "accuracy, targets", Rows: 5, Cells: []*model.Cell{{Value: 0.4}, nil}},
}}

func (*fixed) Version() string { return "fixed-1" }

func (*fixed) Models() []model.Card {
	return []model.Card{
		{Version: "fixed-1", Languages: []string{"en"}, Trained: []string{"a"}, Tables: []model.Table{fixedTable}},
		{Version: "fixed-0"},
	}
}

// texts makes n events with ids prefix-0 and so on.
func texts(prefix string, n int) []*pipelinev1.QueuedEvent {
	out := make([]*pipelinev1.QueuedEvent, n)
	for i := range out {
		out[i] = queued(fmt.Sprintf("%s-%d", prefix, i), fmt.Sprintf("text %d of %s", i, prefix))
	}
	return out
}
