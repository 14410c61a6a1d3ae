package query

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/synapse-analytics/synapse/internal/queue"
)

// lookEvery is how often the queue is looked at for freshness and lag.
const lookEvery = 500 * time.Millisecond

// look is the state of the streams at a moment.
type look struct {
	// before is a time before the streams were looked at.
	before time.Time
	// events, scored and dead are looked at in this order.
	events, scored, dead queue.Info
	// moved says that EVENTS grew meanwhile.
	moved bool
	// floor: all messages of EVENTS up to it were scored, and what became of
	// them is in scored or dead.
	floor uint64
	// settled says that all of EVENTS is at or below floor.
	settled bool
	// lost says that a stream has not the message that the store has come to: it lost
	// its end, and what it holds in the same places now was not applied. The reader of
	// the stream, maybe in another process, waits for an operator.
	lost bool
}

// progress follows how far events are on their way, by fences: when everything
// in EVENTS up to a sequence was scored at some moment, and the store has all
// that SCORED and DEAD held right after it, then everything up to that sequence
// is counted.
type progress struct {
	queue     Queue
	positions *positions
	times     *timeline
	now       func() time.Time
	log       *slog.Logger

	mu    sync.Mutex
	fence *look
	// completeUS: every event acknowledged before it is counted; 0 is unknown.
	completeUS int64
	// appliedUS: everything that EVENTS had before it, by the clock of the queue, is
	// counted; 0 is unknown.
	appliedUS int64
	latest    *look

	flight flight
}

// look asks the queue. Calls at the same time share one that starts after they
// came.
func (p *progress) look(ctx context.Context) (*look, error) {
	return p.flight.do(ctx, func(ctx context.Context) (*look, error) {
		l := &look{before: p.now()}
		stored := map[queue.Stream]StoredPosition{}
		for _, s := range queue.Streams() {
			stored[s], _ = p.positions.get(s)
		}
		var err error
		if l.events, err = p.queue.Info(ctx, queue.Events); err != nil {
			return nil, err
		}
		if l.scored, err = p.queue.Info(ctx, queue.Scored); err != nil {
			return nil, err
		}
		if l.dead, err = p.queue.Info(ctx, queue.Dead); err != nil {
			return nil, err
		}
		after, err := p.queue.Info(ctx, queue.Events)
		if err != nil {
			return nil, err
		}
		l.moved = after.Last != l.events.Last || after.Epoch != l.events.Epoch
		l.floor = scoredUpTo(l.events)
		l.settled = l.floor >= l.events.Last
		l.lost = isLost(stored[queue.Events], l.events) || isLost(stored[queue.Scored], l.scored) || isLost(stored[queue.Dead], l.dead)
		p.step(l)
		return l, nil
	})
}

// isLost says whether the stream ends before a position that the store had earlier, or
// has another message there at its end.
func isLost(at StoredPosition, i queue.Info) bool {
	return at.Epoch == i.Epoch && (at.Sequence > i.Last ||
		at.Sequence == i.Last && i.Messages > 0 && at.TimeUS != i.LastTime.UnixMicro())
}

// scoredUpTo returns the sequence up to which scoring is done with EVENTS.
func scoredUpTo(i queue.Info) uint64 {
	c, ok := i.Consumers[scoringConsumer]
	switch {
	case i.Messages == 0 && (!ok || c.Unacknowledged == 0):
		return i.Last // removed means done
	case !ok:
		return i.First - 1
	case c.Pending == 0 && c.Unacknowledged == 0:
		return i.Last
	default:
		return max(c.AckFloor, i.First-1)
	}
}

// step moves the fence when the store has reached it.
func (p *progress) step(l *look) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.latest = l
	if l.lost {
		p.fence = nil
		return
	}
	if p.fence == nil || p.fence.events.Epoch != l.events.Epoch {
		p.fence = l
	}
	if p.passed(p.fence) && p.fence != l {
		p.fence = l
		p.passed(l)
	}
}

// passed says whether everything up to the fence is counted, and notes it.
func (p *progress) passed(f *look) bool {
	if !p.reached(queue.Scored, f.scored) || !p.reached(queue.Dead, f.dead) || !p.counted(f) {
		return false
	}
	at := queue.Position{Epoch: f.events.Epoch, Sequence: f.floor}
	us, ok := p.times.at(at)
	if f.settled {
		if stored, _ := p.positions.get(queue.Events); !f.events.LastTime.IsZero() {
			us = f.events.LastTime.UnixMicro()
		} else if stored.Position == at { // EVENTS holds nothing any more
			us = stored.TimeUS
		}
	}
	p.appliedUS = max(p.appliedUS, us)
	if f.settled {
		us, ok = f.before.UnixMicro(), true
	}
	if ok {
		p.completeUS = max(p.completeUS, us)
	}
	p.times.forget(at)
	return true
}

// reached says whether the store has the stream up to where it ended.
func (p *progress) reached(stream queue.Stream, i queue.Info) bool {
	at, _ := p.positions.get(stream)
	return i.Last == 0 || at.Epoch == i.Epoch && at.Sequence >= i.Last
}

// counted says whether the accepted counts reach the fence.
func (p *progress) counted(f *look) bool {
	at, _ := p.positions.get(queue.Events)
	return f.floor == 0 || at.Epoch == f.events.Epoch && at.Sequence >= f.floor
}

// complete returns the time before which every acknowledged event is counted.
func (p *progress) complete() (us int64, known bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.completeUS, p.completeUS != 0
}

// applied returns what complete does, and a time of the queue's clock before which
// everything that EVENTS had is counted; 0 is unknown.
func (p *progress) applied() (completeUS, appliedUS int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.completeUS, p.appliedUS
}

// run looks again and again until ctx ends.
func (p *progress) run(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		if _, err := p.look(ctx); err != nil && ctx.Err() == nil {
			p.log.DebugContext(ctx, "the queue does not tell its state", "error", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// lag returns the age of the oldest message of SCORED that is not stored, at
// most; 0 when all is.
func (p *progress) lag() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.latest == nil {
		return 0
	}
	at, _ := p.positions.get(queue.Scored)
	i := p.latest.scored
	if i.Last == 0 || at.Epoch == i.Epoch && at.Sequence >= i.Last {
		return 0
	}
	since := at.TimeUS
	if at.Epoch != i.Epoch || since == 0 {
		since = i.FirstTime.UnixMicro()
	}
	return max(p.now().Sub(time.UnixMicro(since)), 0)
}

// quiet says whether, at the look, the given positions of the store were the end
// of every stream and nothing was on its way between them.
func (l *look) quiet(at map[queue.Stream]StoredPosition) bool {
	ends := func(s queue.Stream, i queue.Info) bool {
		// The time tells the last message from another one that has its place.
		return i.Last == 0 || at[s].Epoch == i.Epoch && at[s].Sequence == i.Last && (i.Messages == 0 || at[s].TimeUS == i.LastTime.UnixMicro())
	}
	return !l.moved && !l.lost && l.settled && ends(queue.Events, l.events) && ends(queue.Scored, l.scored) && ends(queue.Dead, l.dead)
}

// flight lets concurrent calls share one run that started after they came.
type flight struct {
	begun atomic.Uint64
	turn  chan struct{} // holds a token while a run is on; nil before the first
	once  sync.Once

	last   *look // of the run number lastNo; written by who holds the token
	lastNo uint64
}

func (f *flight) do(ctx context.Context, g func(context.Context) (*look, error)) (*look, error) {
	f.once.Do(func() { f.turn = make(chan struct{}, 1) })
	came := f.begun.Load()
	select {
	case f.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-f.turn }()
	if f.last != nil && f.lastNo > came {
		return f.last, nil
	}
	no := f.begun.Add(1)
	l, err := g(ctx)
	if err != nil {
		return nil, fmt.Errorf("look at the queue: %w", err)
	}
	f.last, f.lastNo = l, no
	return l, nil
}
