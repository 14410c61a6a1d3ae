package scoring

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	pipelinev1 "github.com/synapse-analytics/synapse/gen/go/synapse/pipeline/v1"
	"github.com/synapse-analytics/synapse/internal/queue"
	"github.com/synapse-analytics/synapse/model"
)

// BenchmarkProcess is what a worker does with a message of 100 events: read,
// score and write it, with more and more extras. The scorer "none" leaves the
// rest.
func BenchmarkProcess(b *testing.B) {
	for _, tc := range []struct {
		name    string
		scorer  Scorer
		extras  []string
		targets bool
	}{
		{"none", &nothing{}, nil, false},
		{"label", NewModelScorer(model.Default()), nil, false},
		{"emotions", NewModelScorer(model.Default()), []string{extraEmotions}, false},
		{"targets", NewModelScorer(model.Default()), []string{extraEmotions, extraTargets}, true},
	} {
		b.Run(tc.name, func(b *testing.B) {
			const n = 100
			cfg := DefaultConfig()
			cfg.Extras = tc.extras
			s, err := New(Deps{Config: cfg, Queue: faulty{}, Scorer: tc.scorer})
			if err != nil {
				b.Fatal(err)
			}
			batch := &pipelinev1.EventBatch{}
			for i := range n {
				q := fullQueued(fmt.Sprint("e", i))
				q.TraceId, q.SpanId = nil, nil
				if !tc.targets {
					q.Event.Targets = nil
				}
				q.Event.Text = benchTexts[i%len(benchTexts)]
				batch.Events = append(batch.Events, q)
			}
			data, err := proto.Marshal(batch)
			if err != nil {
				b.Fatal(err)
			}
			msg := queue.Message{Data: data, Deliveries: 1, Time: time.Now(), Position: queue.Position{Epoch: 1, Sequence: 1}}
			b.ReportAllocs()
			for b.Loop() {
				j := newJob(msg)
				if err := s.worker.process(b.Context(), j); err != nil {
					b.Fatal(err)
				}
				j.release()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/event")
		})
	}
}

// nothing is a scorer that takes no time.
type nothing struct{ fixed }

func (*nothing) Analyze([]model.Input, model.Extra, []model.Analysis) error { return nil }

var benchTexts = []string{
	"I love this phone, the battery lasts for days and the camera is great. Would buy again!",
	"@support my order is three weeks late and nobody answers, this is really disappointing :(",
	"The new update arrived today, settings moved to another menu. #update",
	"Honestly not bad at all, better than I expected for the price 😀",
}

// BenchmarkPipeline scores what is in the real queue, with the real model.
func BenchmarkPipeline(b *testing.B) {
	const n = 100
	q := openQueue(b)
	batch := &pipelinev1.EventBatch{}
	for i := range n {
		e := fullQueued(fmt.Sprint("e", i))
		e.TraceId, e.SpanId = nil, nil
		e.Event.Text = benchTexts[i%len(benchTexts)]
		batch.Events = append(batch.Events, e)
	}
	var fill sync.WaitGroup
	for part := range 8 {
		fill.Go(func() {
			for i := part; i < b.N; i += 8 {
				accept(b, q, batch.Events...)
			}
		})
	}
	fill.Wait()
	b.ResetTimer()
	s := start(b, Deps{Config: DefaultConfig(), Queue: q, Scorer: NewModelScorer(model.Default())})
	for {
		info, err := q.Info(b.Context(), queue.Events)
		if err != nil {
			b.Fatal(err)
		}
		if info.Consumers[consumerName].AckFloor == info.Last {
			break
		}
		time.Sleep(2 * time.Millisecond)
	}
	b.StopTimer()
	b.ReportMetric(float64(b.N)*n/b.Elapsed().Seconds(), "events/s")
	stop(b, s)
}
