package ingest

import (
	"context"
	"log/slog"
	"sort"
	"sync"
	"sync/atomic"
	"time"

	"github.com/synapse-analytics/synapse/internal/errs"
	"github.com/synapse-analytics/synapse/internal/queue"
)

const (
	// scoringConsumer and balanceConsumer are the names of the consumers of EVENTS
	// (of the scoring and the query role). What one of them has not acknowledged
	// cannot be trimmed: that is the backlog that bounds the accept path.
	scoringConsumer = "scoring"
	balanceConsumer = "balance"
	// highWater and lowWater are the shares of the limit at which events begin to
	// be refused and to be accepted again.
	highWater = 0.80
	lowWater  = 0.75
	// infoTimeout bounds one look.
	infoTimeout = 2 * time.Second
	// staleAfter is the age at which a look says nothing any more.
	staleAfter = 10 * time.Second
	// maxMarks bounds the memory of when which sequence came.
	maxMarks = 4096
)

// backlog looks at the stream EVENTS from time to time, in one goroutine, and
// tells the accept path from memory whether it may go on.
type backlog struct {
	queue    Queue
	limit    float64
	interval time.Duration
	log      *slog.Logger
	now      func() time.Time

	state   atomic.Pointer[backlogState]
	marks   []mark // when the last sequence was seen, in order; only run uses it
	cancel  context.CancelFunc
	running sync.WaitGroup
}

// mark says that the stream's last sequence was seen at a time.
type mark struct {
	last uint64
	at   time.Time
}

// backlogState is one look.
type backlogState struct {
	at           time.Time
	err          error       // why the look failed; the rest is of the look before
	refusal      *errs.Error // nil while events are accepted
	messages     uint64      // not scored
	unscored     float64     // bytes not scored, estimated by the messages' mean size
	held         float64     // bytes not scored or not counted, estimated likewise
	bytes, limit float64     // bytes of the stream; bytes of backlog at which it is full
	maxBytes     uint64      // the stream's own bound, 0 for none
	lag          time.Duration
}

func newBacklog(cfg Config, q Queue, log *slog.Logger, now func() time.Time) *backlog {
	b := &backlog{queue: q, limit: float64(cfg.MaxBacklogBytes), interval: cfg.BacklogInterval, log: log, now: now}
	b.state.Store(&backlogState{limit: b.limit})
	return b
}

// start takes a first look, so that a server which starts on a full queue
// refuses from its first call on, and goes on in the background.
func (b *backlog) start(ctx context.Context) {
	b.look(ctx)
	run, cancel := context.WithCancel(context.Background())
	b.cancel = cancel
	b.running.Go(func() { b.run(run) })
}

func (b *backlog) stop() {
	if b.cancel != nil {
		b.cancel()
	}
	b.running.Wait()
}

func (b *backlog) run(ctx context.Context) {
	ticker := time.NewTicker(b.interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			b.look(ctx)
		}
	}
}

func (b *backlog) look(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, infoTimeout)
	defer cancel()
	info, err := b.queue.Info(ctx, queue.Events)
	old := b.state.Load()
	if err != nil {
		next := *old
		next.err = err
		b.state.Store(&next)
		return
	}
	next := b.judge(info, old)
	if (next.refusal == nil) != (old.refusal == nil) {
		if next.refusal != nil {
			b.log.Warn("events are refused", slog.String("reason", next.refusal.Message), slog.String("remedy", next.refusal.Remedy))
		} else {
			b.log.Info("events are accepted again", slog.Float64("backlog_bytes", next.unscored))
		}
	}
	b.state.Store(next)
}

// judge makes a state of a look.
func (b *backlog) judge(info queue.Info, old *backlogState) *backlogState {
	now := b.now()
	s := &backlogState{at: now, bytes: float64(info.Bytes), limit: b.limit, maxBytes: info.MaxBytes}
	if info.MaxBytes > 0 {
		s.limit = min(s.limit, float64(info.MaxBytes))
	}
	behind := func(floor uint64) (messages uint64, bytes float64) {
		if info.Messages == 0 || info.Last <= floor {
			return 0, 0
		}
		messages = min(info.Last-floor, info.Messages)
		return messages, s.bytes * float64(messages) / float64(info.Messages)
	}
	floor := info.Consumers[scoringConsumer].AckFloor // 0 before it first ran
	s.messages, s.unscored = behind(floor)
	s.held = s.unscored
	if c, ok := info.Consumers[balanceConsumer]; ok {
		_, uncounted := behind(c.AckFloor)
		s.held = max(s.held, uncounted)
	}
	b.remember(mark{info.Last, now})
	if s.messages > 0 {
		s.lag = max(0, now.Sub(b.since(max(floor+1, info.First), info)))
	}
	share := highWater
	if old.refusal != nil {
		share = lowWater
	}
	switch {
	case s.unscored >= share*s.limit:
		s.refusal = errBacklog("the accepted events that wait to be scored", share*s.limit, s.unscored,
			"scoring is too slow or stopped: look at its health, add scoring processes")
	case s.held >= share*s.limit:
		s.refusal = errBacklog("the accepted events that wait to be counted", share*s.limit, s.held,
			"the query role is too slow or stopped: look at its health")
	}
	return s
}

// remember notes when a sequence was seen, thinning out what is old.
func (b *backlog) remember(m mark) {
	if n := len(b.marks); n > 0 && b.marks[n-1].last >= m.last {
		if b.marks[n-1].last > m.last { // another stream
			b.marks = b.marks[:0]
		}
		return
	}
	if len(b.marks) >= maxMarks {
		half := b.marks[:0]
		for i, v := range b.marks {
			if i%2 == 0 {
				half = append(half, v)
			}
		}
		b.marks = half
	}
	b.marks = append(b.marks, m)
}

// since is about when a message came: the look that first saw it, or, for one
// from before this process, a point on the line between the oldest and newest.
func (b *backlog) since(seq uint64, info queue.Info) time.Time {
	i := sort.Search(len(b.marks), func(i int) bool { return b.marks[i].last >= seq })
	if i > 0 && i < len(b.marks) {
		return b.marks[i].at
	}
	if info.FirstTime.IsZero() || info.Last <= info.First || seq <= info.First {
		return info.FirstTime
	}
	part := float64(seq-info.First) / float64(info.Last-info.First)
	return info.FirstTime.Add(time.Duration(part * float64(info.LastTime.Sub(info.FirstTime))))
}

// refusal is why no events are accepted now; nil when they are.
func (b *backlog) refusal() *errs.Error { return b.state.Load().refusal }

// streamBytes returns the bytes of the stream and its own bound, as last seen.
func (b *backlog) streamBytes() (used, limit uint64) {
	s := b.state.Load()
	return uint64(s.bytes), s.maxBytes
}

// ready says whether the last look is of use.
func (b *backlog) ready() error {
	s := b.state.Load()
	if s.err != nil && b.now().Sub(s.at) > staleAfter {
		return s.err
	}
	return nil
}
