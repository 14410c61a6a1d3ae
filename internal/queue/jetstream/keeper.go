package jetstream

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/synapse-analytics/synapse/internal/queue"
)

// wake is a set of what keep is asked to do.
type wake uint8

const (
	// wakeAsk: open a request when the pause is over.
	wakeAsk wake = 1 << iota
	// wakeRestart: the server forgot what it was asked.
	wakeRestart
	// wakeDeleted: the consumer is not there.
	wakeDeleted
	// wakeGap: an ordered consumer misses messages.
	wakeGap
)

const (
	// keepTimeout bounds one look or repair by keep.
	keepTimeout = 3 * time.Second
	// minTick is the least time between two looks.
	minTick = 10 * time.Millisecond
	// takeoverWait is how long a consumer that vanished may take to be made
	// anew by another process before this one does it.
	takeoverWait = time.Second
)

// poke asks keep for something. It does not wait.
func (c *consumer) poke(w wake) {
	c.mu.Lock()
	c.wakes |= w
	c.mu.Unlock()
	select {
	case c.woken <- struct{}{}:
	default:
	}
}

// keep runs until Close. It looks at the consumer a few times per watchdog
// period and does what arrived and Nak ask for.
func (c *consumer) keep(ctx context.Context) {
	defer close(c.ended)
	tick := time.NewTicker(max(min(c.q.cfg.Watchdog, c.cfg.AckWait)/4, minTick))
	defer tick.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return
		case <-c.woken:
			c.mu.Lock()
			w := c.wakes
			c.wakes = 0
			c.mu.Unlock()
			err = c.handle(ctx, w)
		case <-tick.C:
			c.returnStale(time.Now())
			err = c.watch(ctx)
		}
		if err != nil && ctx.Err() == nil {
			c.trouble(err)
		}
	}
}

// trouble ends the consumer when its position is lost or another has it, and
// tries again later otherwise.
func (c *consumer) trouble(err error) {
	c.q.log.Warn("queue: consumer in trouble", "stream", c.cfg.Stream, "consumer", c.cfg.Name, "err", err)
	if errors.Is(err, queue.ErrPositionLost) || errors.Is(err, queue.ErrClosed) {
		c.mu.Lock()
		c.fail(fmt.Errorf("consumer %s of %s: %w", c.cfg.Name, c.cfg.Stream, err))
		c.mu.Unlock()
	}
}

// handle does the most that was asked; that covers the rest.
func (c *consumer) handle(ctx context.Context, w wake) error {
	ctx, cancel := context.WithTimeout(ctx, keepTimeout)
	defer cancel()
	switch {
	case w&wakeDeleted != 0:
		return c.recover(ctx)
	case w&(wakeRestart|wakeGap) != 0:
		return c.restart(ctx)
	case w&wakeAsk != 0:
		pause(ctx, pullPause)
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.waiting > 0 {
			c.ask(time.Now())
		}
	}
	return nil
}

// pause waits, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// watch asks anew when messages wait and none comes.
func (c *consumer) watch(ctx context.Context) error {
	now := time.Now()
	c.mu.Lock()
	quiet := c.waiting > 0 && len(c.buf) == 0 && now.Sub(c.lastCame) >= c.q.cfg.Watchdog
	rewinding := c.rewinding
	if c.waiting > 0 {
		c.ask(now) // in case the open request has ended without a word
	}
	c.mu.Unlock()
	if rewinding {
		return nil // its own timer or the next wake ends that
	}
	if !quiet {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, keepTimeout)
	defer cancel()
	st, _, err := c.q.stream(ctx, c.cfg.Stream)
	if err != nil {
		return err
	}
	cons, err := st.Consumer(ctx, c.cfg.Name)
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		return c.recover(ctx)
	}
	if err != nil {
		return apiError(ctx, err)
	}
	info := cons.CachedInfo()
	if info.NumAckPending >= c.cfg.MaxPending {
		// All that may be unacknowledged is with readers: theirs to finish.
		return nil
	}
	c.mu.Lock()
	behind := info.NumPending > 0 || c.ordered && info.Delivered.Stream > c.lastSeq
	still := time.Since(c.lastCame) >= c.q.cfg.Watchdog
	if !behind {
		c.lastCame = now
	}
	c.mu.Unlock()
	if !behind || !still {
		return nil
	}
	c.q.stats.pullsRenewed.Add(1)
	c.q.log.Warn("queue: messages wait but none came; asking anew",
		"stream", c.cfg.Stream, "consumer", c.cfg.Name, "waiting", info.NumPending, "quiet_for", c.q.cfg.Watchdog)
	return c.restart(ctx)
}

// restart makes a new inbox and request, and for an ordered consumer a new
// consumer after the last message that came.
func (c *consumer) restart(ctx context.Context) error {
	if c.ordered {
		return c.restartOrdered(ctx)
	}
	return c.restartShared(ctx)
}

// restartShared looks which stream there is: another one may have come in its place,
// made by another process, and sequences mean nothing without the right epoch.
func (c *consumer) restartShared(ctx context.Context) error {
	c.mu.Lock()
	c.rewinding = true
	c.mu.Unlock()
	err := c.openShared(ctx)
	if err == nil {
		err = c.subscribe()
	}
	if err != nil {
		// Try again; nothing is delivered until it works.
		time.AfterFunc(takeoverWait, func() { c.poke(wakeRestart) })
		return err
	}
	c.mu.Lock()
	c.rewinding = false
	c.mu.Unlock()
	c.askAgain()
	return nil
}

func (c *consumer) askAgain() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lastCame = time.Now()
	if c.waiting > 0 {
		c.ask(time.Now())
	}
}

func (c *consumer) restartOrdered(ctx context.Context) error {
	c.mu.Lock()
	after := queue.Position{Epoch: c.epoch, Sequence: c.lastSeq}
	fromStart, rewinds, came := c.anyFirst, c.rewinds, c.lastTime
	c.rewinding = true
	c.mu.Unlock()
	err := c.remakeAfter(ctx, after, came, fromStart, rewinds)
	if err != nil && !errors.Is(err, queue.ErrPositionLost) && !errors.Is(err, queue.ErrClosed) {
		// Try again; nothing is delivered until it works.
		time.AfterFunc(takeoverWait, func() { c.poke(wakeGap) })
	}
	return err
}

func (c *consumer) remakeAfter(ctx context.Context, after queue.Position, came time.Time, fromStart bool, rewinds int) error {
	st, si, err := c.q.stream(ctx, c.cfg.Stream)
	if err != nil {
		return err
	}
	if err := c.checkOwner(ctx, st); err != nil {
		return err
	}
	info := infoOf(si)
	if fromStart && after.Epoch == info.Epoch {
		// The beginning of what there is, wherever that is now.
		after.Sequence = max(after.Sequence, info.First-1)
	}
	if err := checkPosition(info, after); err != nil {
		return err
	}
	if !fromStart {
		if err := checkMessage(ctx, st, info, after.Sequence, came); err != nil {
			return err
		}
	}
	next, err := nextAfter(ctx, st, after.Sequence)
	if err != nil {
		return err
	}
	if err := c.subscribe(); err != nil {
		return err
	}
	if err := c.remake(ctx, st, after.Sequence, fromStart); err != nil {
		return err
	}
	c.q.stats.consumersRemade.Add(1)
	c.mu.Lock()
	stale := c.rewinds != rewinds
	if !stale {
		c.nextDseq, c.gapTo, c.anyFirst, c.rewinding = 1, next, fromStart, false
	}
	c.mu.Unlock()
	if stale {
		return nil // a Nak came meanwhile; its restart begins where it wants
	}
	c.askAgain()
	return nil
}

// nextAfter returns the first sequence after one that the stream has, 0 if none.
// After checkPosition it differs from the one that follows only where messages
// inside the stream were deleted.
func nextAfter(ctx context.Context, st jetstream.Stream, after uint64) (uint64, error) {
	m, err := st.GetMsg(ctx, after+1, jetstream.WithGetMsgSubject(">"))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, apiError(ctx, err)
	}
	return m.Sequence, nil
}

// recover acts when the consumer is not there: another process has made it its
// own, or it was deleted and is made again.
func (c *consumer) recover(ctx context.Context) error {
	if c.ordered {
		pause(ctx, takeoverWait)
		return c.restartOrdered(ctx)
	}
	return c.restartShared(ctx)
}

// checkOwner returns ErrClosed when another process made the consumer last.
func (c *consumer) checkOwner(ctx context.Context, st jetstream.Stream) error {
	cons, err := st.Consumer(ctx, c.cfg.Name)
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		return nil
	}
	if err != nil {
		return apiError(ctx, err)
	}
	if cons.CachedInfo().Config.Metadata[ownerKey] != c.owner {
		return fmt.Errorf("%w: another process has taken it over", queue.ErrClosed)
	}
	return nil
}

// rewindTo makes an ordered consumer deliver again from seq on, after the delay.
func (c *consumer) rewindTo(seq uint64, delay time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing || c.err != nil {
		return queue.ErrClosed
	}
	if seq > c.lastSeq {
		return nil // already asked for
	}
	taken := c.lastSeq
	if len(c.buf) > 0 { // what still waits was not delivered
		taken = c.buf[0].msg.Position.Sequence - 1
	}
	c.rewound = max(c.rewound, taken)
	c.rewinds++
	c.lastSeq, c.lastTime = seq-1, time.Time{}
	c.rewinding = true
	c.takeAll()
	time.AfterFunc(delay, func() { c.poke(wakeGap) })
	return nil
}

// returnStale gives messages back that waited for a Fetch for half their ack
// wait, so that another process can have them.
func (c *consumer) returnStale(now time.Time) {
	if c.ordered {
		return
	}
	c.mu.Lock()
	n := 0
	for n < len(c.buf) && now.Sub(c.buf[n].came) > c.cfg.AckWait/2 {
		c.bufBytes -= len(c.buf[n].msg.Data)
		n++
	}
	stale := append([]item(nil), c.buf[:n]...)
	c.buf = append([]item(nil), c.buf[n:]...)
	c.mu.Unlock()
	c.giveBack(stale)
}
