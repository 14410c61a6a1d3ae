package scoring

import (
	"context"
	"sync"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/synapse-analytics/synapse/internal/queue"
	"github.com/synapse-analytics/synapse/model"
)

// job is a message on its way: taken by fetch, scored by a worker, published by
// a publisher, then acknowledged or given back.
type job struct {
	msg    queue.Message
	events []event
	texts  []model.Input
	scores []model.Analysis
	failed []failure // events that become dead letters, by index
	spans  []trace.SpanContext
	span   trace.Span // of the message; nil unless an event is sampled

	extra   []byte           // of the event that is being written
	out     []byte           // the scored message, empty for none
	letters []queue.Outgoing // the dead letters
	reasons []letterReason   // of the letters, for the metrics
	scored  int              // events in out
}

// failure is an event that could not be scored.
type failure struct {
	index  int
	detail string // without the event's text
}

// maxKeptBytes bounds the memory of a job that waits to be used again.
const maxKeptBytes = 4 << 20

var jobs = sync.Pool{New: func() any { return new(job) }}

func newJob(m queue.Message) *job {
	j, _ := jobs.Get().(*job)
	j.msg = m
	return j
}

// release gives the job's memory back.
func (j *job) release() {
	clear(j.events)
	clear(j.texts)
	clear(j.scores)
	clear(j.letters)
	*j = job{
		events: j.events[:0], texts: j.texts[:0], scores: j.scores[:0], failed: j.failed[:0], spans: j.spans[:0],
		extra: j.extra[:0], out: j.out[:0], letters: j.letters[:0], reasons: j.reasons[:0],
	}
	if cap(j.out) <= maxKeptBytes {
		jobs.Put(j)
	}
}

// holder knows the messages that are held, renews their time to acknowledge and
// tells the age of the oldest.
type holder struct {
	mu   sync.Mutex
	held map[*job]struct{}
}

func (h *holder) add(j *job) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.held == nil {
		h.held = map[*job]struct{}{}
	}
	h.held[j] = struct{}{}
}

func (h *holder) remove(j *job) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.held, j)
}

// oldest returns when the oldest held message was queued; zero for none.
func (h *holder) oldest() (at time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for j := range h.held {
		if at.IsZero() || j.msg.Time.Before(at) {
			at = j.msg.Time
		}
	}
	return at
}

// renew tells the queue that the held messages are being worked on. It holds the
// lock, so that no message is renewed after it was acknowledged.
func (h *holder) renew() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for j := range h.held {
		_ = j.msg.InProgress() // lost with the connection; then it comes again
	}
}

// keep renews until ctx ends.
func (h *holder) keep(ctx context.Context, every time.Duration) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			h.renew()
		}
	}
}
