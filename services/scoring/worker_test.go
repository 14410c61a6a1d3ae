package scoring

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	pipelinev1 "github.com/synapse-analytics/synapse/gen/go/synapse/pipeline/v1"
	"github.com/synapse-analytics/synapse/internal/queue"
	"github.com/synapse-analytics/synapse/model"
)

func TestScoresWithTheModel(t *testing.T) {
	q := openQueue(t)
	s := start(t, Deps{Queue: q, Scorer: NewModelScorer(model.Default()), Now: func() time.Time { return testNow }})
	pos := accept(t, q, queued("good", "I love this, it is wonderful!"), queued("bad", "This is terrible, I hate it."))
	waitDone(t, q)
	stop(t, s)
	got := scoredOf(t, q)
	require.Len(t, got, 1)
	require.Equal(t, pos.Sequence, got[0].SourceSequence)
	require.Equal(t, pos.Epoch, got[0].SourceEpoch)
	require.Positive(t, got[0].QueuedAtUs)
	require.Len(t, got[0].Events, 2)
	for i, e := range got[0].Events {
		require.Equal(t, []string{"good", "bad"}[i], e.Queued.Event.Id)
		require.Equal(t, []string{"POSITIVE", "NEGATIVE"}[i], e.Sentiment.Label.String())
		require.Equal(t, model.Default().Version(), e.Sentiment.ModelVersion)
		require.InDelta(t, e.Sentiment.Score*1e4, float64(int64(e.Sentiment.Score*1e4+0.5*sign(e.Sentiment.Score))), 1e-9)
		require.Equal(t, "en", e.Language)
		require.True(t, e.LanguageSupported)
		require.Equal(t, testNow.UnixMicro(), e.ScoredAtUs)
	}
}

// What a configuration asks for goes with the events, and nothing else.
func TestExtrasGoWithTheEvents(t *testing.T) {
	for _, extras := range [][]string{nil, {extraEmotions}, {extraTargets}, {extraEmotions, extraTargets}} {
		cfg := quick()
		cfg.Extras, cfg.EmotionBar = extras, 0.49
		s, err := New(Deps{Config: cfg, Queue: faulty{}, Scorer: &fixed{}})
		require.NoError(t, err)
		data, err := proto.Marshal(&pipelinev1.EventBatch{Events: []*pipelinev1.QueuedEvent{fullQueued("with"), queued("without", "x")}})
		require.NoError(t, err)
		j := newJob(queue.Message{Data: data, Deliveries: 1})
		require.NoError(t, s.worker.process(t.Context(), j))
		b := &pipelinev1.ScoredBatch{}
		require.NoError(t, proto.Unmarshal(j.out, b))
		for i, e := range b.Events {
			require.Equal(t, []uint32{1000, 1000, 1000, 2000, 5000}, e.StarsE4)
			require.True(t, e.Sentiment.Mixed)
			var names []string
			for _, m := range e.Emotions {
				names = append(names, m.Name)
			}
			if slices.Contains(extras, extraEmotions) {
				require.Equal(t, []string{"admiration", "amusement", "joy"}, names)
			} else {
				require.Empty(t, names)
			}
			if slices.Contains(extras, extraTargets) && i == 0 {
				require.Len(t, e.Targets, 2)
				require.EqualValues(t, 1, e.Targets[0].EndByte)
				require.EqualValues(t, 7500, e.Targets[1].PositiveE4)
			} else {
				require.Empty(t, e.Targets)
			}
		}
		j.release()
	}
}

func sign(f float64) float64 {
	if f < 0 {
		return -1
	}
	return 1
}

// 10,000 events are in SCORED exactly once although workers are killed midway
// and their messages delivered again.
func TestExactlyOnceUnderRedelivery(t *testing.T) {
	q := openQueue(t)
	const messages, each = 200, 50
	for i := range messages {
		accept(t, q, texts(fmt.Sprint("m", i), each)...)
	}
	dead, cancel := context.WithCancel(context.Background())
	cancel()
	for range 8 {
		var scored atomic.Int64
		some := make(chan struct{})
		var once sync.Once
		s := start(t, Deps{Queue: q, Scorer: &fixed{before: func([]model.Input) error {
			if scored.Add(1) > int64(10+rand.IntN(20)) {
				once.Do(func() { close(some) })
			}
			return nil
		}}})
		select {
		case <-some:
		case <-time.After(10 * time.Second): // little was left
		}
		_ = s.Stop(dead) // gives back what it holds, at once
	}
	s := start(t, Deps{Queue: q, Scorer: &fixed{}})
	waitDone(t, q)
	stop(t, s)
	seen, sources := map[string]int{}, map[uint64]int{}
	for _, b := range scoredOf(t, q) {
		sources[b.SourceSequence]++
		for _, e := range b.Events {
			seen[e.Queued.Event.Id]++
		}
	}
	require.Len(t, seen, messages*each)
	for id, n := range seen {
		require.Equal(t, 1, n, id)
	}
	require.Len(t, sources, messages)
	require.Empty(t, deadOf(t, q))
}

func TestPoison(t *testing.T) {
	q := openQueue(t)
	events := texts("m", 1000)
	events[371].Event.Text = "a POISON text"
	pos := accept(t, q, events...)
	accept(t, q, texts("after", 10)...)
	s := start(t, Deps{Queue: q, Scorer: &fixed{}})
	waitDone(t, q)
	stop(t, s)
	dead := deadOf(t, q)
	require.Len(t, dead, 1)
	require.Equal(t, "m-371", dead[0].Queued.Event.Id)
	require.Equal(t, "scoring", dead[0].Stage)
	require.Equal(t, "UNPROCESSABLE", dead[0].Reason)
	require.NotContains(t, dead[0].Detail, "POISON", "a detail must not hold the text")
	require.EqualValues(t, 1, dead[0].Events)
	require.EqualValues(t, 5, dead[0].Attempts)
	require.Equal(t, pos.Sequence, dead[0].SourceSequence)
	require.NotNil(t, dead[0].FailedAt)
	n := 0
	for _, b := range scoredOf(t, q) {
		for _, e := range b.Events {
			require.NotEqual(t, "m-371", e.Queued.Event.Id)
			n++
		}
	}
	require.Equal(t, 1009, n)
}

// A fault that passes costs a try, not an event.
func TestPassingFault(t *testing.T) {
	q := openQueue(t)
	events := texts("m", 100)
	events[5].Event.Text = "fails ONCE"
	accept(t, q, events...)
	s := start(t, Deps{Queue: q, Scorer: &fixed{}})
	waitDone(t, q)
	stop(t, s)
	require.Empty(t, deadOf(t, q))
	require.Len(t, scoredOf(t, q)[0].Events, 100)
}

func TestScorerErrors(t *testing.T) {
	q := openQueue(t)
	accept(t, q, texts("m", 3)...)
	s := start(t, Deps{Queue: q, Scorer: &fixed{before: func(in []model.Input) error {
		for _, t := range in {
			if strings.HasPrefix(t.Text, "text 1") {
				return errors.New(strings.Repeat("no ", 1000))
			}
		}
		return nil
	}}})
	waitDone(t, q)
	stop(t, s)
	dead := deadOf(t, q)
	require.Len(t, dead, 1)
	require.Equal(t, "m-1", dead[0].Queued.Event.Id)
	require.LessOrEqual(t, len(dead[0].Detail), maxDetail)
	require.Len(t, scoredOf(t, q)[0].Events, 2)
}

func TestAllPoison(t *testing.T) {
	q := openQueue(t)
	accept(t, q, queued("a", "POISON 1"), queued("b", "POISON 2"))
	s := start(t, Deps{Queue: q, Scorer: &fixed{}})
	waitDone(t, q)
	stop(t, s)
	require.Len(t, deadOf(t, q), 2)
	require.Empty(t, scoredOf(t, q))
}

func TestUndecodable(t *testing.T) {
	q := openQueue(t)
	raw := []byte{0x0a, 0xff, 0xff, 0x01}
	acceptRaw(t, q, raw, 17)
	acceptRaw(t, q, nil, 3) // no events, though the header says so
	_, _, err := q.Publish(t.Context(), queue.Events, queue.Outgoing{Data: raw, Header: map[string]string{queue.CountsHeader: "nonsense"}})
	require.NoError(t, err)
	accept(t, q, texts("after", 10)...)
	s := start(t, Deps{Queue: q, Scorer: &fixed{}})
	waitDone(t, q)
	stop(t, s)
	dead := deadOf(t, q)
	require.Len(t, dead, 3)
	byEvents := map[int32]*pipelinev1.DeadLetter{}
	for _, d := range dead {
		require.Equal(t, "MALFORMED_REQUEST", d.Reason)
		require.Nil(t, d.Queued)
		require.EqualValues(t, 1, d.Attempts, "it will never be readable")
		byEvents[d.Events] = d
	}
	require.Equal(t, raw, byEvents[17].Raw)
	require.NotNil(t, byEvents[3])
	require.Contains(t, byEvents[0].Detail, "header does not say")
	require.Len(t, scoredOf(t, q)[0].Events, 10)
}

// A message that takes longer than its time to acknowledge is renewed, so it is
// not delivered twice.
func TestSlowScorer(t *testing.T) {
	q := openQueue(t)
	cfg := quick()
	cfg.AckWait, cfg.Workers = time.Second, 2
	f := &fixed{before: func([]model.Input) error { time.Sleep(2500 * time.Millisecond); return nil }}
	for i := range 4 {
		accept(t, q, texts(fmt.Sprint("m", i), 2)...)
	}
	s := start(t, Deps{Config: cfg, Queue: q, Scorer: f})
	waitDone(t, q)
	stop(t, s)
	require.Equal(t, 4, f.calls, "each message was scored once")
	require.Len(t, scoredOf(t, q), 4)
}

// faulty is the real queue with faults on publish.
type faulty struct {
	queue.Queue
	fault func(stream queue.Stream, msg queue.Outgoing) error
}

func (f faulty) Publish(ctx context.Context, stream queue.Stream, msg queue.Outgoing) (queue.Position, bool, error) {
	if err := f.fault(stream, msg); err != nil {
		return queue.Position{}, false, err
	}
	return f.Queue.Publish(ctx, stream, msg)
}

func TestWaitsWhileScoredRefuses(t *testing.T) {
	q := openQueue(t)
	const messages = 100
	for i := range messages {
		accept(t, q, texts(fmt.Sprint("m", i), 5)...)
	}
	var full atomic.Bool
	full.Store(true)
	cfg := quick()
	cfg.Workers, cfg.MaxInFlight = 2, 2
	f := &fixed{}
	s := start(t, Deps{Config: cfg, Queue: faulty{q, func(queue.Stream, queue.Outgoing) error {
		if full.Load() {
			return queue.ErrFull
		}
		return nil
	}}, Scorer: f})
	require.Eventually(t, func() bool { return s.Ready(t.Context()) != nil }, 10*time.Second, time.Millisecond)
	require.ErrorContains(t, s.Ready(t.Context()), "SCORED")
	require.NoError(t, s.Serving(t.Context()), "texts of calls are scored")
	f.mu.Lock()
	require.LessOrEqual(t, f.calls, cap(s.worker.slots), "what is held is bounded")
	f.mu.Unlock()
	full.Store(false)
	waitDone(t, q)
	require.NoError(t, s.Ready(t.Context()))
	stop(t, s)
	require.Len(t, scoredOf(t, q), messages)
	require.Empty(t, deadOf(t, q))
	require.Equal(t, messages, f.calls, "nothing was given back, so nothing was scored twice")
}

func TestTooLarge(t *testing.T) {
	q := openQueue(t)
	accept(t, q, texts("large", 3)...)
	accept(t, q, texts("after", 2)...)
	s := start(t, Deps{Queue: faulty{q, func(stream queue.Stream, msg queue.Outgoing) error {
		if stream == queue.Scored && strings.Contains(string(msg.Data), "large-0") {
			return queue.ErrTooLarge
		}
		return nil
	}}, Scorer: &fixed{}})
	waitDone(t, q)
	stop(t, s)
	dead := deadOf(t, q)
	require.Len(t, dead, 3)
	require.Equal(t, "REQUEST_TOO_LARGE", dead[0].Reason)
	require.NotNil(t, dead[0].Queued)
	require.Len(t, scoredOf(t, q), 1)
}

// A message that grows beyond the bound by its scores is seen before it is sent.
func TestScoredMessageBeyondTheBound(t *testing.T) {
	q := openQueue(t)
	var events []*pipelinev1.QueuedEvent
	for i := range 63 {
		events = append(events, queued(fmt.Sprint("e", i), strings.Repeat("x", 66_450)))
	}
	require.Greater(t, proto.Size(&pipelinev1.EventBatch{Events: events}), queue.MaxMessageBytes-8<<10)
	accept(t, q, events...)
	s := start(t, Deps{Queue: q, Scorer: &fixed{}})
	waitDone(t, q)
	stop(t, s)
	require.Len(t, deadOf(t, q), 63)
	require.Empty(t, scoredOf(t, q))
}

// always is a consumer that delivers one message over and over, as one that
// stops the process each time would come.
func TestMessageThatNeverEnds(t *testing.T) {
	w := &worker{cfg: quick(), analyzer: analyzer{&fixed{}, noLogger()}, now: time.Now}
	data, err := proto.Marshal(&pipelinev1.EventBatch{Events: texts("m", 3)})
	require.NoError(t, err)
	j := newJob(queue.Message{Data: data, Time: time.UnixMicro(36), Deliveries: w.cfg.MaxDeliveries + 1, Position: queue.Position{Epoch: 9, Sequence: 8}})
	require.NoError(t, w.process(t.Context(), j))
	require.Empty(t, j.out)
	require.Len(t, j.letters, 3)
	require.Equal(t, "d-9-8-10-2", j.letters[2].ID)
}

func TestPauseDoublesAndIsBounded(t *testing.T) {
	w := &worker{cfg: DefaultConfig()}
	for deliveries, want := range map[int]time.Duration{1: 200 * time.Millisecond, 2: 400 * time.Millisecond, 4: 1600 * time.Millisecond, 1000: maxRetryDelay} {
		for range 20 {
			require.InDelta(t, float64(want), float64(w.pause(deliveries)), float64(want)/4+1)
		}
	}
}

func TestConsumerIsOpenedAgain(t *testing.T) {
	q := openQueue(t)
	opened := atomic.Int64{}
	s := start(t, Deps{Queue: &breaking{Queue: q, opened: &opened}, Scorer: &fixed{}})
	accept(t, q, texts("m", 10)...)
	waitDone(t, q)
	require.GreaterOrEqual(t, opened.Load(), int64(3))
	require.NoError(t, s.Ready(t.Context()))
	stop(t, s)
	require.Len(t, scoredOf(t, q)[0].Events, 10)
}

// breaking gives consumers of which the first two break down, and fails to open
// one in between.
type breaking struct {
	queue.Queue
	opened *atomic.Int64
}

func (b *breaking) Consume(ctx context.Context, cfg queue.ConsumerConfig) (queue.Consumer, error) {
	n := b.opened.Add(1)
	if n == 2 {
		return nil, queue.ErrUnavailable
	}
	c, err := b.Queue.Consume(ctx, cfg)
	if err != nil || n > 2 {
		return c, err
	}
	return brokenConsumer{c}, nil
}

type brokenConsumer struct{ queue.Consumer }

func (brokenConsumer) Fetch(context.Context, int) ([]queue.Message, error) {
	return nil, queue.ErrClosed
}

func TestTrims(t *testing.T) {
	q := openQueue(t)
	cfg := quick()
	cfg.TrimInterval = 100 * time.Millisecond
	now := atomic.Int64{}
	now.Store(time.Now().UnixNano())
	s := start(t, Deps{Config: cfg, Queue: q, Scorer: &fixed{}, KeepFor: []string{"archive"}, Now: func() time.Time { return time.Unix(0, now.Load()) }})
	accept(t, q, texts("m", 10)...)
	waitDone(t, q)
	now.Add(int64(48 * time.Hour))
	c, err := q.Consume(t.Context(), queue.ConsumerConfig{Stream: queue.Events, Name: balanceConsumer, StartAfter: &queue.Position{}, HeadersOnly: true})
	require.NoError(t, err)
	defer c.Close()
	archive, err := q.Consume(t.Context(), queue.ConsumerConfig{Stream: queue.Events, Name: "archive"})
	require.NoError(t, err)
	defer archive.Close()
	done := func(c queue.Consumer, before string) {
		time.Sleep(3 * cfg.TrimInterval)
		info, err := q.Info(t.Context(), queue.Events)
		require.NoError(t, err)
		require.EqualValues(t, 1, info.Messages, before)
		msgs, err := c.Fetch(t.Context(), 10)
		require.NoError(t, err)
		require.NoError(t, msgs[0].Ack())
	}
	done(c, "not before it was counted")
	done(archive, "not before it was archived")
	require.Eventually(t, func() bool {
		info, err := q.Info(t.Context(), queue.Events)
		return err == nil && info.Messages == 0
	}, 20*time.Second, 10*time.Millisecond)
	stop(t, s)
}

func TestStopGivesBackWhatItCannotFinish(t *testing.T) {
	q := openQueue(t)
	block := make(chan struct{})
	began := make(chan struct{}, 100)
	cfg := quick()
	cfg.Workers = 1
	s := start(t, Deps{Config: cfg, Queue: q, Scorer: &fixed{before: func([]model.Input) error { began <- struct{}{}; <-block; return nil }}})
	accept(t, q, texts("a", 2*chunk)...)
	accept(t, q, texts("b", 1)...)
	<-began
	ctx, cancel := context.WithCancel(context.Background())
	stopped := make(chan error, 1)
	go func() { stopped <- s.Stop(ctx) }()
	cancel()
	require.Eventually(t, func() bool { return s.Ready(t.Context()) != nil }, 10*time.Second, time.Millisecond)
	time.Sleep(20 * time.Millisecond) // Stop has given up by now
	close(block)
	require.ErrorIs(t, <-stopped, context.Canceled)
	require.Empty(t, scoredOf(t, q))
	s = start(t, Deps{Queue: q, Scorer: &fixed{}})
	waitDone(t, q)
	stop(t, s)
	require.Len(t, scoredOf(t, q), 2)
}
