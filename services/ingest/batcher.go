package ingest

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/synapse-analytics/synapse/internal/queue"
)

// batcher packs the events of concurrent calls into messages and appends them
// (adaptive group commit). A call is appended at once when no append is in
// flight. While some are, calls collect until they fill a message, have waited
// MaxDelay, or an append returns: then everything that waits goes out next. So a
// lone caller pays no delay, and the busier the queue the fuller the messages.
//
// A fixed set of publishers, MaxInFlight, does the appends; each takes the parts
// at the moment it is ready to send, which is when it knows all that can go.
type batcher struct {
	cfg     BatchConfig
	queue   Queue
	log     *slog.Logger
	metrics *metrics
	tracer  trace.Tracer
	ids     publishIDs

	mu           sync.Mutex
	ready        sync.Cond
	waiting      []*part // in order of arrival; [head:] wait, given-up ones are nil
	head         int
	waitingBytes int
	waitingCount int // parts
	waitingSum   int // events
	inFlight     int
	failing      error       // why the queue did not answer, nil after a success
	timer        *time.Timer // wakes a publisher when the oldest part has waited MaxDelay
	timerSet     bool
	closed       bool

	publishers sync.WaitGroup
	ctx        context.Context // ends the appends when Stop runs out of time
	cancel     context.CancelFunc
}

// partState tells where a part is; guarded by batcher.mu.
type partState uint8

const (
	partWaiting partState = iota // not given to the queue
	partTaken                    // given to the queue, outcome open
	partDone                     // outcome known
	partGivenUp                  // withdrawn before it was given to the queue
)

// part is what one call appends in one message.
type part struct {
	data    *[]byte // encoded events, from bufferPool; given back when copied
	events  int
	hour    int64
	project string
	span    trace.SpanContext // of the call; valid only when sampled
	call    *call
	since   time.Time
	state   partState
	err     error // outcome, when partDone: nil is durable
}

// call is one caller's parts. done is closed when all have an outcome.
type call struct {
	parts   []part
	pending atomic.Int32
	done    chan struct{}
}

// bytes is the size of all parts that wait.
func (c *call) bytes() int {
	n := 0
	for i := range c.parts {
		n += len(*c.parts[i].data)
	}
	return n
}

func newBatcher(cfg BatchConfig, q Queue, log *slog.Logger, m *metrics, tracer trace.Tracer) *batcher {
	b := &batcher{cfg: cfg, queue: q, log: log, metrics: m, tracer: tracer, ids: newPublishIDs()}
	b.ready.L = &b.mu
	b.ctx, b.cancel = context.WithCancel(context.Background())
	b.timer = time.AfterFunc(time.Hour, b.onTimer)
	b.timer.Stop()
	return b
}

// start runs the publishers.
func (b *batcher) start() {
	for range b.cfg.MaxInFlight {
		b.publishers.Go(b.publisher)
	}
}

// stop refuses new calls, appends what waits, and returns when the publishers
// have ended. When ctx ends first, open appends are given up: their outcome is
// unknown.
func (b *batcher) stop(ctx context.Context) error {
	b.mu.Lock()
	b.closed = true
	b.ready.Broadcast()
	b.mu.Unlock()
	stopped := make(chan struct{})
	go func() {
		b.publishers.Wait()
		close(stopped)
	}()
	var err error
	select {
	case <-stopped:
	case <-ctx.Done():
		err = ctx.Err()
	}
	b.cancel()
	<-stopped // every engine returns when its context ends
	b.timer.Stop()
	return err
}

// room says why a call of so many bytes cannot wait now; nil if it can. It is
// asked before any work is done for a call, and again by add.
func (b *batcher) room(bytes int) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.roomLocked(bytes)
}

func (b *batcher) roomLocked(bytes int) error {
	if b.closed {
		return errShuttingDown()
	}
	if b.waitingCount == 0 {
		return nil
	}
	oldest := time.Since(b.oldestLocked().since)
	if oldest > b.cfg.MaxWait && b.failing != nil {
		return errQueueDown(b.failing)
	}
	switch {
	case b.waitingBytes+bytes > int(b.cfg.MaxWaitingBytes):
		return errAcceptQueueFull("bytes of calls waiting to be appended", int64(b.cfg.MaxWaitingBytes), int64(b.waitingBytes))
	case b.waitingCount >= b.cfg.MaxWaitingCalls:
		return errAcceptQueueFull("calls waiting to be appended", int64(b.cfg.MaxWaitingCalls), int64(b.waitingCount))
	case oldest > b.cfg.MaxWait:
		return errAcceptQueueFull("milliseconds that the oldest call waits to be appended", b.cfg.MaxWait.Milliseconds(), oldest.Milliseconds())
	}
	return nil
}

// add queues all parts of a call, or none. It never blocks.
func (b *batcher) add(c *call) error {
	c.pending.Store(int32(len(c.parts)))
	now := time.Now()
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.roomLocked(c.bytes()); err != nil {
		return err
	}
	for i := range c.parts {
		p := &c.parts[i]
		p.call, p.since = c, now
		b.waiting = append(b.waiting, p)
		b.waitingBytes += len(*p.data)
		b.waitingSum += p.events
		b.waitingCount++
	}
	b.wakeLocked()
	return nil
}

// giveUp withdraws what was not given to the queue yet. It says whether every
// part was withdrawn or refused, so that nothing of the call is or will be in
// the stream.
func (b *batcher) giveUp(c *call) (nothingStored bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	nothingStored = true
	for i := range c.parts {
		p := &c.parts[i]
		switch p.state {
		case partWaiting:
			p.state = partGivenUp
			b.waitingBytes -= len(*p.data)
			b.waitingSum -= p.events
			b.waitingCount--
			putBuffer(p.data)
			p.data = nil
		case partTaken:
			nothingStored = false
		case partDone:
			nothingStored = nothingStored && p.err != nil && !isUnknown(p.err)
		}
	}
	b.compactLocked()
	return nothingStored
}

// compactLocked takes the given-up parts out of the line when they are most of
// it, so that its memory is bounded by what really waits.
func (b *batcher) compactLocked() {
	if len(b.waiting)-b.head < 2*b.waitingCount+1024 {
		return
	}
	kept := b.waiting[:0]
	for _, p := range b.waiting[b.head:] {
		if p != nil && p.state == partWaiting {
			kept = append(kept, p)
		}
	}
	clear(b.waiting[len(kept):])
	b.waiting, b.head = kept, 0
}

// oldestLocked returns the part that has waited longest; there must be one.
func (b *batcher) oldestLocked() *part {
	for b.waiting[b.head].state != partWaiting { // given up
		b.waiting[b.head] = nil
		b.head++
	}
	return b.waiting[b.head]
}

// wakeLocked wakes a publisher when there is something for it to do, otherwise
// makes sure that the timer will.
func (b *batcher) wakeLocked() {
	if b.waitingCount == 0 || b.inFlight >= b.cfg.MaxInFlight {
		return // a returning publisher takes what waits
	}
	wait := b.delayLocked(false)
	if wait <= 0 {
		b.ready.Signal()
		return
	}
	if !b.timerSet {
		b.timerSet = true
		b.timer.Reset(wait)
	}
}

func (b *batcher) onTimer() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.timerSet = false
	b.wakeLocked()
}

// delayLocked is how long what waits may still collect; at most 0 is now.
// returned says that the asking publisher comes from an append.
func (b *batcher) delayLocked(returned bool) time.Duration {
	if returned || b.closed || b.inFlight == 0 ||
		b.waitingSum >= b.cfg.MaxEvents || b.waitingBytes >= int(b.cfg.MaxBytes) {
		return 0
	}
	return b.cfg.MaxDelay - time.Since(b.oldestLocked().since)
}

// publisher appends messages until the batcher is closed and empty.
func (b *batcher) publisher() {
	var m message
	b.mu.Lock()
	defer b.mu.Unlock()
	for returned := false; ; {
		for b.waitingCount == 0 || b.delayLocked(returned) > 0 {
			if b.closed && b.waitingCount == 0 {
				return
			}
			returned = false
			b.ready.Wait()
		}
		b.takeLocked(&m)
		b.inFlight++
		b.wakeLocked() // what did not fit
		b.mu.Unlock()

		m.assemble()
		err := b.publish(&m)

		b.mu.Lock()
		b.inFlight--
		b.settleLocked(&m, err)
		returned = true
	}
}

// takeLocked moves parts from the front of the line into m, as many as fit. A
// part that does not fit ends the message: a call is never overtaken.
func (b *batcher) takeLocked(m *message) {
	m.reset()
	for b.waitingCount > 0 {
		p := b.oldestLocked()
		if !m.fits(p, b.cfg.MaxEvents, int(b.cfg.MaxBytes)) {
			break
		}
		m.add(p)
		p.state = partTaken
		b.waiting[b.head] = nil
		b.head++
		b.waitingBytes -= len(*p.data)
		b.waitingSum -= p.events
		b.waitingCount--
	}
	if b.waitingCount == 0 { // only given-up parts may be left
		clear(b.waiting[b.head:])
		b.waiting, b.head = b.waiting[:0], 0
	} else if b.head > 1024 && b.head > len(b.waiting)/2 {
		n := copy(b.waiting, b.waiting[b.head:])
		clear(b.waiting[n:])
		b.waiting, b.head = b.waiting[:n], 0
	}
}

// settleLocked tells the callers.
func (b *batcher) settleLocked(m *message, err error) {
	if err == nil {
		b.failing = nil
	}
	for _, p := range m.parts {
		p.state, p.err = partDone, err
		if p.call.pending.Add(-1) == 0 {
			close(p.call.done)
		}
	}
	m.reset()
}

// waitingNow returns the bytes that wait, for the metrics.
func (b *batcher) waitingNow() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.waitingBytes
}

// compile-time check that the durable log of the process will do.
var _ Queue = queue.Queue(nil)
