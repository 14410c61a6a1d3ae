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
	// wakeDeleted: the consumer may not be there.
	wakeDeleted
	// wakeGap: an ordered consumer misses messages.
	wakeGap
)

const (
	// keepTimeout bounds one look or repair by keep, lookTimeout one look that a
	// request waits for.
	keepTimeout = 3 * time.Second
	lookTimeout = time.Second
	// lookPause is the time between two looks while nobody answers.
	lookPause = 250 * time.Millisecond
	// minTick is the least time between two looks.
	minTick = 10 * time.Millisecond
	// takeoverWait is how long a consumer that vanished may take to be made
	// anew by another process before this one does it.
	takeoverWait = time.Second
	// toldEvery is how often the log tells of a trouble that stays the same.
	toldEvery = 10 * time.Second
)

// poke asks keep for something. It does not wait.
func (c *consumer) poke(w wake) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pokeLocked(w)
}

// pokeLocked is called with mu.
func (c *consumer) pokeLocked(w wake) {
	c.wakes |= w
	select {
	case c.woken <- struct{}{}:
	default:
	}
}

// keep runs until Close. It looks at the consumer a few times per watchdog
// period and does what arrived and Nak ask for.
func (c *consumer) keep(ctx context.Context) {
	defer close(c.ended)
	tick := time.NewTicker(max(min(c.q.cfg.Watchdog/4, c.cfg.AckWait/4, pullBeat), minTick))
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
	if text := err.Error(); text != c.told || time.Since(c.toldAt) >= toldEvery {
		c.told, c.toldAt = text, time.Now()
		c.q.log.Warn("queue: consumer in trouble", "stream", c.cfg.Stream, "consumer", c.cfg.Name, "err", err)
	}
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
	case w&wakeGap != 0:
		return c.restartOrdered(ctx)
	case w&(wakeDeleted|wakeRestart) != 0:
		return c.resume(ctx)
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
	busy := c.rewinding || c.holding
	if c.waiting > 0 {
		c.ask(now) // in case the open request has ended without a word
	}
	c.mu.Unlock()
	if busy {
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
	c.mu.Lock()
	// Of what was delivered something did not come, or its acknowledgement was lost.
	missed := c.ordered && (info.Delivered.Stream > c.lastSeq || info.AckFloor.Stream < c.acked)
	// All that may be unacknowledged is with readers: theirs to finish.
	full := info.NumAckPending >= c.cfg.MaxPending
	behind := missed || info.NumPending > 0 && !full
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
	if c.ordered {
		return c.restartOrdered(ctx)
	}
	return c.resume(ctx)
}

// askAgain makes a new request, unless it is to be seen first whether the stream goes on.
func (c *consumer) askAgain() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lastCame = time.Now()
	c.pull.left, c.holding = 0, c.wakes&wakeRestart != 0
	if c.waiting > 0 {
		c.ask(time.Now())
	}
}

// restartOrdered makes the consumer anew after the last message that came.
func (c *consumer) restartOrdered(ctx context.Context) error {
	c.mu.Lock()
	after := queue.Position{Epoch: c.epoch, Sequence: c.lastSeq}
	fromStart, rewinds, came := c.anyFirst, c.rewinds, c.lastTime
	c.rewinding = true
	c.mu.Unlock()
	// Nothing is delivered until it works.
	return c.again(c.remakeAfter(ctx, after, came, fromStart, rewinds), wakeGap, takeoverWait)
}

func (c *consumer) remakeAfter(ctx context.Context, after queue.Position, came time.Time, fromStart bool, rewinds int) error {
	st, si, err := c.q.stream(ctx, c.cfg.Stream)
	if err != nil {
		return err
	}
	switch have, err := c.look(ctx); {
	case errors.Is(err, jetstream.ErrConsumerNotFound):
	case err != nil:
		return apiError(ctx, err)
	default:
		if err := c.checkOwner(have); err != nil {
			return err
		}
	}
	if after, err = placeIn(ctx, st, infoOf(si), after, came, fromStart); err != nil {
		return err
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

// placeIn returns where a consumer goes on that has come to a message which came at a
// time, or why it can not. fromStart says that none has come yet: then it is the
// beginning of what there is, wherever that is now.
func placeIn(ctx context.Context, st jetstream.Stream, info queue.Info, after queue.Position, came time.Time, fromStart bool) (queue.Position, error) {
	if fromStart && after.Epoch == info.Epoch {
		after.Sequence = max(after.Sequence, info.First-1)
	}
	if err := checkPosition(info, after); err != nil || fromStart {
		return after, err
	}
	return after, checkMessage(ctx, st, info, after.Sequence, came)
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

// resume asks anew after the server forgot what it was asked, or nobody answers. An
// ordered consumer stays as it is if the stream still has what it has come to and
// nothing that it delivered is missing: to make it anew the servers of a cluster must
// agree first, for many seconds after a fault.
func (c *consumer) resume(ctx context.Context) error {
	info, err := c.look(ctx)
	switch {
	case errors.Is(err, jetstream.ErrConsumerNotFound):
		return c.recover(ctx)
	case err == nil && c.ordered:
		if err := c.checkOwner(info); err != nil {
			return err
		}
		c.mu.Lock()
		missed := info.Delivered.Stream > c.lastSeq
		c.mu.Unlock()
		if missed {
			return c.restartOrdered(ctx)
		}
	}
	// Without an answer it has no leader: what is missing shows when the next message
	// comes.
	if err := c.checkPlace(ctx); err != nil {
		return c.again(err, wakeRestart, lookPause)
	}
	if !c.ordered {
		if err := c.subscribe(); err != nil {
			return c.again(err, wakeRestart, lookPause)
		}
	}
	c.askAgain()
	return nil
}

// checkPlace says why the stream can not go on after the last message that came. Of a
// shared consumer, whose state the server keeps, it only learns which stream there is:
// another process may have made it, and the consumer, anew. Nothing is asked for until
// that is known.
func (c *consumer) checkPlace(ctx context.Context) error {
	c.mu.Lock()
	c.holding = true
	after, came, fromStart := queue.Position{Epoch: c.epoch, Sequence: c.lastSeq}, c.lastTime, c.anyFirst
	c.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	st, si, err := c.q.stream(ctx, c.cfg.Stream)
	if err != nil {
		return err
	}
	if c.ordered {
		_, err = placeIn(ctx, st, infoOf(si), after, came, fromStart)
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.epoch = epochOf(si)
	return nil
}

// again asks keep to try later what failed, unless it never will succeed.
func (c *consumer) again(err error, w wake, pause time.Duration) error {
	if err != nil && !errors.Is(err, queue.ErrPositionLost) && !errors.Is(err, queue.ErrClosed) {
		time.AfterFunc(pause, func() { c.poke(w) })
	}
	return err
}

// look asks what the server knows of the consumer.
func (c *consumer) look(ctx context.Context) (*jetstream.ConsumerInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	cons, err := c.q.js.Consumer(ctx, string(c.cfg.Stream), c.cfg.Name)
	if err != nil {
		return nil, err
	}
	return cons.CachedInfo(), nil
}

// recover acts when the consumer is not there: another process is making it its own,
// or it was deleted and is made again.
func (c *consumer) recover(ctx context.Context) error {
	if c.ordered {
		pause(ctx, takeoverWait)
		return c.restartOrdered(ctx)
	}
	c.mu.Lock()
	c.holding = true
	c.mu.Unlock()
	err := c.openShared(ctx)
	if err == nil {
		err = c.subscribe()
	}
	if err == nil {
		c.askAgain()
	}
	return c.again(err, wakeRestart, takeoverWait)
}

// checkOwner returns ErrClosed when another process made the consumer last.
func (c *consumer) checkOwner(info *jetstream.ConsumerInfo) error {
	if info.Config.Metadata[ownerKey] != c.owner {
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
	c.lastSeq, c.lastTime, c.acked = seq-1, time.Time{}, min(c.acked, seq-1)
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
