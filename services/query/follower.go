package query

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/synapse-analytics/synapse/internal/queue"
)

// Names of the service's consumers; scoringConsumer is scoring's on EVENTS.
const (
	writerConsumer  = "writer"
	balanceConsumer = "balance"
	deadConsumer    = "dead"
	scoringConsumer = "scoring"
)

const (
	firstRetry = 50 * time.Millisecond
	lastRetry  = 5 * time.Second
)

// health is what readiness says of one part; nil is well.
type health struct {
	mu  sync.Mutex
	err error
}

func (h *health) set(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.err = err
}

func (h *health) get() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.err
}

// follower keeps a consumer of one stream open at the position that the store
// has, for as long as it runs.
type follower struct {
	stream queue.Stream
	config queue.ConsumerConfig
	// session reads from the consumer, applies and acknowledges until the
	// context ends or something fails. It begins after a sequence of the stream;
	// stored is where the store is.
	session func(ctx context.Context, c queue.Consumer, after uint64, stored queue.Position) error
	// byTime: what was applied is not recognised when it comes again. After a loss
	// the reader then goes on with what came later than what it has applied.
	byTime bool

	queue     Queue
	positions *positions
	resume    bool // Config.ResumeAfterLoss
	metrics   *metrics
	log       *slog.Logger
	health    health
	waits     atomic.Bool // for an operator, since the stream lost messages
	fatal     func(error)
}

// run works until ctx ends or the store is broken.
func (f *follower) run(ctx context.Context) {
	f.health.set(errNotYet)
	wait := firstRetry
	for {
		began := time.Now()
		err := f.once(ctx)
		if ctx.Err() != nil {
			return
		}
		f.health.set(err)
		if errors.Is(err, ErrBroken) {
			f.log.ErrorContext(ctx, "the store can not be trusted any more; the process must start anew", "stream", f.stream, "error", err)
			f.fatal(fmt.Errorf("store: %w", err))
			return
		}
		if time.Since(began) > lastRetry {
			wait = firstRetry // it worked for a while
		}
		f.log.WarnContext(ctx, "reading the stream stopped; trying again", "stream", f.stream, "consumer", f.config.Name, "in", wait, "error", err)
		if !sleep(ctx, wait) {
			return
		}
		wait = min(2*wait, lastRetry)
	}
}

// once opens the consumer and runs a session.
func (f *follower) once(ctx context.Context) error {
	stored, err := f.positions.read(ctx, f.stream)
	if err != nil {
		return fmt.Errorf("consumer %s: %w", f.config.Name, err)
	}
	after := stored
	cfg := f.config
	cfg.StartAfter, cfg.StartAfterTime = &after.Position, timeOf(stored)
	c, err := f.queue.Consume(ctx, cfg)
	if errors.Is(err, queue.ErrPositionLost) {
		// Nothing in the stream counts as applied until the store is in it again.
		after = StoredPosition{}
		var again bool
		if again, cfg.StartAfterTime, err = f.lost(ctx, stored, err); again {
			c, err = f.queue.Consume(ctx, cfg) // StartAfter points at after
		}
	}
	f.positions.set(f.stream, after)
	f.waits.Store(errors.Is(err, queue.ErrPositionLost))
	if err != nil {
		return fmt.Errorf("consumer %s: %w", f.config.Name, err)
	}
	f.health.set(nil)
	err = f.session(ctx, c, after.Sequence, stored.Position)
	if cerr := c.Close(); err == nil {
		err = cerr
	}
	if err == nil && ctx.Err() == nil {
		err = errors.New("the session ended")
	}
	return err
}

// timeOf is when the message at a position came; zero if that is not known.
func timeOf(at StoredPosition) time.Time {
	if at.TimeUS == 0 {
		return time.Time{}
	}
	return time.UnixMicro(at.TimeUS)
}

// lost decides what to do when the stream has not what follows the position. A
// stream that was created anew is read from its beginning: what was applied is
// recognised, so nothing counts twice. A stream that lost messages stops the
// reader until an operator has decided: going on would hide the loss. later is
// what the next reader begins after; zero is the beginning.
func (f *follower) lost(ctx context.Context, at StoredPosition, cause error) (again bool, later time.Time, err error) {
	info, err := f.queue.Info(ctx, f.stream)
	if err != nil {
		return false, later, err
	}
	log := f.log.With("stream", f.stream, "consumer", f.config.Name, "stored_epoch", at.Epoch, "stored_sequence", at.Sequence,
		"epoch", info.Epoch, "first", info.First, "last", info.Last, "error", cause)
	switch {
	case info.Epoch != at.Epoch:
		log.ErrorContext(ctx, "the stream was created anew: reading it from its beginning; what the old one still held is lost if it was not stored")
		f.metrics.positionLost(ctx, f.stream)
		return true, later, nil
	case f.resume:
		log.ErrorContext(ctx, "the stream lost messages: reading what is left, as resume_after_loss says")
		if f.byTime {
			later = timeOf(at)
		}
		f.metrics.positionLost(ctx, f.stream)
		return true, later, nil
	default:
		log.ErrorContext(ctx, "the stream lost messages; waiting for a decision")
		return false, later, fmt.Errorf("stream %s lost messages: the store has it up to %d, the stream holds %d to %d; "+
			"restore the stream, or set resume_after_loss to go on without them: %w", f.stream, at.Sequence, info.First, info.Last, cause)
	}
}

// sleep waits; it reports false when ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// retry repeats f, which changes the store, until it succeeds, ctx ends, or the
// store is broken or somewhere else. Readiness tells of it meanwhile.
func retry(ctx context.Context, h *health, log *slog.Logger, f func() error) error {
	for wait := firstRetry; ; wait = min(2*wait, lastRetry) {
		err := f()
		if err == nil {
			h.set(nil)
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		h.set(err)
		if errors.Is(err, ErrBroken) || errors.Is(err, ErrMoved) {
			return err
		}
		log.WarnContext(ctx, "the store refuses; trying again", "in", wait, "error", err)
		if !sleep(ctx, wait) {
			return ctx.Err()
		}
	}
}

// positions remembers how far the store is in each stream and wakes those who
// wait for more.
type positions struct {
	store Store

	mu      sync.Mutex
	known   map[queue.Stream]StoredPosition
	changed chan struct{}
}

func newPositions(store Store) *positions {
	return &positions{store: store, known: map[queue.Stream]StoredPosition{}, changed: make(chan struct{})}
}

// read asks the store.
func (p *positions) read(ctx context.Context, stream queue.Stream) (StoredPosition, error) {
	all, err := p.store.Positions(ctx)
	return all[stream], err
}

// set notes a position that was committed.
func (p *positions) set(stream queue.Stream, at StoredPosition) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.known[stream] = at
	close(p.changed)
	p.changed = make(chan struct{})
}

// get returns a position and a channel that is closed when any changes.
func (p *positions) get(stream queue.Stream) (StoredPosition, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.known[stream], p.changed
}

// await waits until the stream was applied up to the position, at most d.
func (p *positions) await(ctx context.Context, stream queue.Stream, at queue.Position, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	for {
		now, changed := p.get(stream)
		if at.Sequence == 0 || now.Epoch == at.Epoch && now.Sequence >= at.Sequence {
			return
		}
		select {
		case <-changed:
		case <-t.C:
			return
		case <-ctx.Done():
			return
		}
	}
}
