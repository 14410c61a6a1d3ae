package scoring

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/synapse-analytics/synapse/internal/queue"
)

const (
	// consumerName is the durable name that all scoring processes share.
	consumerName = "scoring"
	// firstRepeat and maxRepeat are the pauses between tries to publish or to
	// open the consumer again.
	firstRepeat = 50 * time.Millisecond
	maxRepeat   = 5 * time.Second
)

// worker is the pipeline of one process: fetch takes messages as there are free
// slots, workers score them, publishers publish and acknowledge them. Publishing
// waits for the disk, so it must not hold up scoring; it is bounded all the same
// and holds it up when SCORED refuses.
type worker struct {
	cfg   Config
	queue Queue
	analyzer
	extras  extras
	now     func() time.Time
	tracer  trace.Tracer
	metrics *metrics

	holder   holder
	slots    chan struct{} // one for each message held
	scoring  chan *job     // fetched, to be scored; as large as slots, so it never blocks
	finished chan *job     // scored, to be published
	trouble  atomic.Pointer[string]

	stopFetch context.CancelFunc
	abort     context.CancelFunc // gives up what is held
	running   sync.WaitGroup
	helpers   sync.WaitGroup
	stopHelp  context.CancelFunc
}

func newWorker(cfg Config, d Deps, m *metrics, tracer trace.Tracer) *worker {
	w := &worker{cfg: cfg, queue: d.Queue, analyzer: analyzer{d.Scorer, d.Logger}, extras: cfg.extras(), now: d.Now, tracer: tracer, metrics: m}
	slots := 2*cfg.workers() + cfg.MaxInFlight
	w.slots = make(chan struct{}, slots)
	w.scoring = make(chan *job, slots)
	w.finished = make(chan *job)
	return w
}

// start opens the consumer and runs the pipeline.
func (w *worker) start(ctx context.Context) error {
	consumer, err := w.open(ctx)
	if err != nil {
		return fmt.Errorf("scoring: consumer of EVENTS: %w", err)
	}
	fetchCtx, stopFetch := context.WithCancel(context.Background())
	workCtx, abort := context.WithCancel(context.Background())
	helpCtx, stopHelp := context.WithCancel(context.Background())
	w.stopFetch, w.abort, w.stopHelp = stopFetch, abort, stopHelp

	w.running.Go(func() { w.fetch(fetchCtx, consumer) })
	var workers sync.WaitGroup
	for range w.cfg.workers() {
		workers.Go(func() { w.work(workCtx) })
	}
	w.running.Go(func() {
		workers.Wait()
		close(w.finished)
	})
	for range w.cfg.MaxInFlight {
		w.running.Go(func() { w.publishAll(workCtx) })
	}
	w.helpers.Go(func() { w.holder.keep(helpCtx, w.cfg.AckWait/3) })
	w.helpers.Go(func() { w.watchBacklog(helpCtx) })
	return nil
}

// stop takes no more messages, finishes those that are held and returns when all
// goroutines have ended. When ctx ends first, what is held is given back to the
// queue for another process.
func (w *worker) stop(ctx context.Context) error {
	w.stopFetch()
	ended := make(chan struct{})
	go func() {
		w.running.Wait()
		close(ended)
	}()
	var err error
	select {
	case <-ended:
	case <-ctx.Done():
		err = fmt.Errorf("scoring: messages given back unfinished: %w", ctx.Err())
	}
	w.abort()
	<-ended
	w.stopHelp()
	w.helpers.Wait()
	return err
}

func (w *worker) open(ctx context.Context) (queue.Consumer, error) {
	return w.queue.Consume(ctx, queue.ConsumerConfig{
		Stream: queue.Events, Name: consumerName, AckWait: w.cfg.AckWait, MaxPending: w.cfg.MaxPending,
	})
}

// fetch takes messages until ctx ends. A consumer that breaks down is opened
// again.
func (w *worker) fetch(ctx context.Context, c queue.Consumer) {
	defer close(w.scoring)
	pause := firstRepeat
	for {
		err := w.fetchFrom(ctx, c, func() { pause = firstRepeat })
		w.close(c)
		for {
			if ctx.Err() != nil {
				return
			}
			w.inTrouble("the consumer of EVENTS", err)
			if !sleep(ctx, pause) {
				return
			}
			pause = min(2*pause, maxRepeat)
			if c, err = w.open(ctx); err == nil {
				w.trouble.Store(nil)
				break
			}
		}
	}
}

func (w *worker) close(c queue.Consumer) {
	if err := c.Close(); err != nil {
		w.log.Warn("closing the consumer of EVENTS failed", slog.Any("error", err))
	}
}

// fetchFrom takes messages from a consumer until it fails.
func (w *worker) fetchFrom(ctx context.Context, c queue.Consumer, works func()) error {
	for {
		n := w.acquire(ctx)
		if n == 0 {
			return ctx.Err()
		}
		messages, err := c.Fetch(ctx, n)
		for range n - len(messages) {
			<-w.slots
		}
		for i := range messages {
			j := newJob(messages[i])
			w.holder.add(j)
			w.scoring <- j
		}
		if err != nil {
			return err
		}
		works()
	}
}

// acquire waits for a free slot and takes as many as there are, up to one for
// each worker. It returns 0 when ctx ends.
func (w *worker) acquire(ctx context.Context) int {
	select {
	case w.slots <- struct{}{}:
	case <-ctx.Done():
		return 0
	}
	for n := 1; n < w.cfg.workers(); n++ {
		select {
		case w.slots <- struct{}{}:
		default:
			return n
		}
	}
	return w.cfg.workers()
}

// work scores until there is nothing more to come.
func (w *worker) work(ctx context.Context) {
	for j := range w.scoring {
		if err := w.process(ctx, j); err != nil {
			w.giveBack(ctx, j, err)
			continue
		}
		w.finished <- j // publishers run until all workers have ended
	}
}

// publishAll publishes until there is nothing more to come.
func (w *worker) publishAll(ctx context.Context) {
	for j := range w.finished {
		if err := w.publishJob(ctx, j); err != nil {
			w.giveBack(ctx, j, err)
			continue
		}
		for _, r := range j.reasons {
			w.metrics.deadLetter(r.reason, r.events)
		}
		w.metrics.scoredEvents(j.scored)
		// Out of the holder first: a renewal after the acknowledgement would be
		// one of another delivery.
		w.holder.remove(j)
		if err := j.msg.Ack(); err != nil {
			w.log.Warn("acknowledging a message of EVENTS failed; it will come again and count once", slog.Any("error", err))
		}
		w.done(j, nil)
	}
}

// publishJob publishes what a message became. The dead letters go first: were
// the process to end in between, the message would come again and end the same.
func (w *worker) publishJob(ctx context.Context, j *job) error {
	if len(j.out) > 0 {
		// Nothing was published yet, so the scored message may still turn out too
		// large: then all of the message becomes dead letters.
		if len(j.letters) == 0 {
			err := w.publishScored(ctx, j)
			if !errors.Is(err, queue.ErrTooLarge) {
				return err
			}
			if err := w.tooLarge(j); err != nil {
				return err
			}
		}
	}
	for _, l := range j.letters {
		if err := w.publish(ctx, queue.Dead, l); err != nil {
			return err
		}
	}
	if len(j.out) == 0 {
		return nil
	}
	return w.publishScored(ctx, j)
}

func (w *worker) publishScored(ctx context.Context, j *job) error {
	return w.publish(ctx, queue.Scored, queue.Outgoing{
		Header: scoredHeader(j),
		ID:     "s-" + placeOf(&j.msg),
		Data:   j.out,
	})
}

// publish publishes a message, and tries again while the stream refuses or does
// not answer: giving it back would only bring it here again. It returns an error
// when ctx ends or the message can never be taken.
func (w *worker) publish(ctx context.Context, stream queue.Stream, out queue.Outgoing) error {
	for pause := firstRepeat; ; pause = min(2*pause, maxRepeat) {
		pos, duplicate, err := w.queue.Publish(ctx, stream, out)
		if err == nil && duplicate && pos.Sequence == 0 {
			err = fmt.Errorf("%w: the message is called a duplicate of none", queue.ErrUnavailable)
		}
		switch {
		case err == nil:
			w.trouble.Store(nil)
			return nil
		case errors.Is(err, queue.ErrTooLarge), ctx.Err() != nil:
			return err
		}
		w.metrics.failed(failurePublish)
		w.inTrouble("the stream "+string(stream), err)
		if !sleep(ctx, pause) {
			return ctx.Err()
		}
	}
}

// placeOf names a message of EVENTS for the ids of what it becomes: its place
// and, since a stream that lost its end gives places out again, its time.
func placeOf(m *queue.Message) string {
	return strconv.FormatUint(m.Position.Epoch, 10) + "-" + strconv.FormatUint(m.Position.Sequence, 10) + "-" + strconv.FormatInt(m.Time.UnixMicro(), 36)
}

// inTrouble notes and logs that a part of the queue does not work, once for each
// trouble.
func (w *worker) inTrouble(part string, err error) {
	text := part + ": " + err.Error()
	if old := w.trouble.Swap(&text); old == nil || *old != text {
		w.log.Warn("scoring waits for the queue", slog.String("part", part), slog.Any("error", err))
	}
}

// giveBack asks the queue to deliver a message again: after a pause, or at once
// and to another process when this one ends.
func (w *worker) giveBack(ctx context.Context, j *job, cause error) {
	w.holder.remove(j)
	delay := time.Duration(0)
	if ctx.Err() == nil {
		delay = w.pause(j.msg.Deliveries)
	}
	if err := j.msg.Nak(delay); err != nil {
		w.log.Warn("giving a message of EVENTS back failed; it will come again when its time to acknowledge has passed", slog.Any("error", err))
	}
	w.done(j, cause)
}

// done ends a job.
func (w *worker) done(j *job, err error) {
	w.endMessageSpan(j, err)
	j.release()
	<-w.slots
}

// sleep waits; it says false when ctx ends first.
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

// scoredHeader tells how many events a scored message holds, so that one which
// can not be read still keeps the balance. With dead letters the header of the
// source would count too many.
func scoredHeader(j *job) map[string]string {
	counts := j.msg.Header[queue.CountsHeader]
	if counts == "" || len(j.letters) > 0 {
		return nil
	}
	return map[string]string{queue.CountsHeader: counts}
}
