package jetstream

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"github.com/synapse-analytics/synapse/internal/queue"
)

const (
	defaultAckWait    = 30 * time.Second
	defaultMaxPending = 256
	// orderedAckWait keeps the server from delivering a StartAfter consumer's
	// messages again, which would break their order. Such a reader keeps its own
	// position and opens the consumer again to get them again.
	orderedAckWait = 24 * time.Hour
	// closeGrace is for how long nothing must have come before Close takes it that
	// nothing is on its way, closeLimit bounds the wait.
	closeGrace = 100 * time.Millisecond
	closeLimit = time.Second
	// ownerKey is the metadata key that tells which process made a StartAfter
	// consumer last: only that one may make it anew.
	ownerKey = "synapse-owner"
)

// consumer is one process's end of a durable pull consumer.
//
// A message waits in buf between its arrival and Fetch. At most one request is
// open at the server; keep (a goroutine) does what needs the server's answer.
type consumer struct {
	q       *Queue
	cfg     queue.ConsumerConfig
	ordered bool
	owner   string

	ready chan struct{} // capacity 1: buf or err may have changed
	woken chan struct{} // capacity 1: wakes has changed
	stop  context.CancelFunc
	ended chan struct{} // closed when keep has ended

	told   string // the last trouble in the log; of keep alone
	toldAt time.Time

	mu       sync.Mutex
	wakes    wake  // what keep is asked to do
	err      error // ends every Fetch
	closing  bool
	epoch    uint64
	buf      []item
	bufBytes int
	limit    int // of the last Fetch
	waiting  int // Fetches that wait
	pull     pull
	lastCame time.Time // when something last came or was asked first

	holding bool // nothing is asked for until the stream is known to be the same

	// For ordered.
	lastSeq   uint64    // the last message that went into buf, or the start
	lastTime  time.Time // when it came; zero is unknown
	acked     uint64    // the last message that was acknowledged
	nextDseq  uint64    // the consumer sequence that must come next
	anyFirst  bool      // the next message may have any sequence
	gapTo     uint64    // the next message may have this one: those before it were deleted
	rewound   uint64    // messages up to here were delivered before, rewinds times
	rewinds   int
	rewinding bool // between Nak and the restart
}

// item is a message that waits for Fetch.
type item struct {
	msg  queue.Message
	d    *handle
	came time.Time
}

// Consume implements queue.Queue.
func (q *Queue) Consume(ctx context.Context, cfg queue.ConsumerConfig) (queue.Consumer, error) {
	if subjects[cfg.Stream] == "" {
		return nil, fmt.Errorf("queue: no stream %q", cfg.Stream)
	}
	if !validName(cfg.Name) {
		return nil, errors.New("queue: a consumer's name is 1 to 64 letters, digits, hyphens and underscores")
	}
	if cfg.AckWait == 0 {
		cfg.AckWait = defaultAckWait
	}
	if cfg.MaxPending == 0 {
		cfg.MaxPending = defaultMaxPending
	}
	if cfg.AckWait < 0 || cfg.MaxPending < 0 {
		return nil, errors.New("queue: AckWait and MaxPending must not be negative")
	}
	c := &consumer{
		q: q, cfg: cfg, ordered: cfg.StartAfter != nil, owner: nuid.Next(),
		ready: make(chan struct{}, 1), woken: make(chan struct{}, 1),
		ended: make(chan struct{}),
		limit: 1, lastCame: time.Now(),
	}
	if q.isClosed() {
		return nil, queue.ErrClosed
	}
	var err error
	if c.ordered {
		err = c.openOrdered(ctx, *cfg.StartAfter)
	} else {
		err = c.openShared(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("consumer %s of %s: %w", cfg.Name, cfg.Stream, err)
	}
	if err := c.subscribe(); err != nil {
		return nil, fmt.Errorf("consumer %s of %s: %w", cfg.Name, cfg.Stream, err)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		c.unsubscribe()
		return nil, queue.ErrClosed
	}
	q.consumers[c] = struct{}{}
	ctx, c.stop = context.WithCancel(context.WithoutCancel(ctx))
	go c.keep(ctx)
	return c, nil
}

// validName says whether a name can be a token of a subject and a file's name.
func validName(s string) bool {
	if s == "" || len(s) > 64 {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c|0x20 < 'a' || c|0x20 > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return true
}

// openShared makes the consumer or takes the one that is there, with its
// position.
func (c *consumer) openShared(ctx context.Context) error {
	st, info, err := c.q.stream(ctx, c.cfg.Stream)
	if err != nil {
		return err
	}
	_, err = st.CreateOrUpdateConsumer(ctx, jetstream.ConsumerConfig{
		Durable:       c.cfg.Name,
		DeliverPolicy: jetstream.DeliverAllPolicy,
		AckPolicy:     jetstream.AckExplicitPolicy,
		AckWait:       c.cfg.AckWait,
		MaxDeliver:    -1,
		MaxAckPending: c.cfg.MaxPending,
		HeadersOnly:   c.cfg.HeadersOnly,
	})
	if err != nil {
		return apiError(ctx, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.epoch = epochOf(info)
	return nil
}

// openOrdered makes the consumer anew to begin after the position.
func (c *consumer) openOrdered(ctx context.Context, after queue.Position) error {
	st, si, err := c.q.stream(ctx, c.cfg.Stream)
	if err != nil {
		return err
	}
	info := infoOf(si)
	fromStart := after == queue.Position{}
	if !fromStart {
		if err := checkPosition(info, after); err != nil {
			return err
		}
		if err := checkMessage(ctx, st, info, after.Sequence, c.cfg.StartAfterTime); err != nil {
			return err
		}
	}
	if err := c.remake(ctx, st, after.Sequence, fromStart); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.epoch, c.lastTime = info.Epoch, c.cfg.StartAfterTime
	c.lastSeq, c.nextDseq, c.anyFirst = after.Sequence, 1, fromStart
	return nil
}

// checkPosition says why the messages after a position cannot be delivered.
func checkPosition(info queue.Info, after queue.Position) error {
	switch {
	case after.Epoch != info.Epoch:
		return fmt.Errorf("%w: it is of another stream (epoch %d, now %d)", queue.ErrPositionLost, after.Epoch, info.Epoch)
	case after.Sequence > info.Last:
		return fmt.Errorf("%w: it is after %d, the stream ends at %d", queue.ErrPositionLost, after.Sequence, info.Last)
	case info.First > after.Sequence+1:
		return fmt.Errorf("%w: it is after %d, the stream begins at %d", queue.ErrPositionLost, after.Sequence, info.First)
	default:
		return nil
	}
}

// checkMessage returns ErrPositionLost when the message at a sequence is not the
// one that came at the time. A message that was removed, or a time that is not
// known, proves nothing.
func checkMessage(ctx context.Context, st jetstream.Stream, info queue.Info, seq uint64, came time.Time) error {
	if came.IsZero() || seq < info.First || seq > info.Last {
		return nil
	}
	m, err := st.GetMsg(ctx, seq)
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound):
		return nil
	case err != nil:
		return apiError(ctx, err)
	case m.Time.UnixMicro() != came.UnixMicro():
		return fmt.Errorf("%w: another message stands at %d, of %s instead of %s: the stream lost its end and grew again",
			queue.ErrPositionLost, seq, m.Time.UTC().Format(time.RFC3339Nano), came.UTC().Format(time.RFC3339Nano))
	}
	return nil
}

// remake deletes the ordered consumer and makes it to begin after a sequence, or
// with fromStart after the time that was asked for, if one was.
func (c *consumer) remake(ctx context.Context, st jetstream.Stream, after uint64, fromStart bool) error {
	if err := st.DeleteConsumer(ctx, c.cfg.Name); err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) {
		return apiError(ctx, err)
	}
	cc := jetstream.ConsumerConfig{
		Durable:       c.cfg.Name,
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy,
		OptStartSeq:   after + 1,
		AckPolicy:     jetstream.AckAllPolicy,
		AckWait:       orderedAckWait,
		MaxDeliver:    -1,
		MaxAckPending: c.cfg.MaxPending,
		HeadersOnly:   c.cfg.HeadersOnly,
		Metadata:      map[string]string{ownerKey: c.owner},
	}
	if fromStart && !c.cfg.StartAfterTime.IsZero() {
		from := c.cfg.StartAfterTime.Truncate(time.Microsecond).Add(time.Microsecond)
		cc.DeliverPolicy, cc.OptStartSeq, cc.OptStartTime = jetstream.DeliverByStartTimePolicy, 0, &from
	}
	if _, err := st.CreateConsumer(ctx, cc); err != nil {
		return apiError(ctx, err)
	}
	return nil
}

// Close implements queue.Consumer. Messages that were fetched may still be
// acknowledged; those that were not are given back at once.
func (c *consumer) Close() error {
	c.mu.Lock()
	if c.closing {
		c.mu.Unlock()
		<-c.ended
		return nil
	}
	c.closing = true
	c.fail(queue.ErrClosed)
	back := c.takeAll()
	c.mu.Unlock()

	c.stop()
	<-c.ended
	c.giveBack(back)
	c.awaitQuiet()
	c.unsubscribe()
	c.q.mu.Lock()
	delete(c.q.consumers, c)
	c.q.mu.Unlock()
	return nil
}

// awaitQuiet waits a moment for what requests still bring, to give it back: what comes
// when nobody listens any more is delivered again only after the ack wait.
func (c *consumer) awaitQuiet() {
	if c.ordered {
		return
	}
	began := time.Now()
	for quiet := time.Duration(0); quiet < closeGrace && time.Since(began) < closeLimit; time.Sleep(closeGrace - quiet) {
		c.mu.Lock()
		quiet = min(time.Since(c.pull.heard), time.Since(began), closeGrace)
		c.mu.Unlock()
	}
}

// fail ends every Fetch with err. It is called with mu.
func (c *consumer) fail(err error) {
	if c.err == nil {
		c.err = err
	}
	c.signal()
}

// signal wakes one Fetch.
func (c *consumer) signal() {
	select {
	case c.ready <- struct{}{}:
	default:
	}
}

// takeAll empties buf. It is called with mu.
func (c *consumer) takeAll() []item {
	all := c.buf
	c.buf, c.bufBytes = nil, 0
	return all
}

// giveBack asks the server to deliver messages to someone else at once.
func (c *consumer) giveBack(items []item) {
	if c.ordered {
		return
	}
	for _, it := range items {
		c.q.stats.returned.Add(1)
		_ = it.d.nak(0) // lost with the connection; they come again after the ack wait
	}
}
