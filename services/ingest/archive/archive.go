// Package archive copies every accepted event from the stream EVENTS to the blob
// store, and publishes what was archived again, to rebuild what was lost.
//
// Guarantees:
//   - A message is acknowledged only when the object that holds it is durable, and
//     EVENTS is not trimmed beyond that: a message is in EVENTS or in the archive.
//   - A message may be in two objects (a crash between storing and acknowledging);
//     Replay publishes it once.
//   - While the blob store is away the archive lags; nothing else waits for it.
package archive

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/metric"

	"github.com/synapse-analytics/synapse/internal/blob"
	"github.com/synapse-analytics/synapse/internal/queue"
)

const (
	// Consumer is the name of the archive's consumer of EVENTS. What it has not
	// acknowledged must not be trimmed.
	Consumer = "archive"
	// ArchivedHeader marks a message that comes from the archive; it holds where
	// the message first stood.
	ArchivedHeader = "Synapse-Archived"

	// maxMessages bounds an object of small messages.
	maxMessages   = 8192
	fetchMessages = 256
	// renewEvery is how often the messages of the object in the making are kept from
	// being delivered again, ackWait after which time those of a process that was killed
	// are: EVENTS can not be trimmed meanwhile, and a rebuild waits for them.
	renewEvery = 10 * time.Second
	ackWait    = 30 * time.Second
	firstRetry = 100 * time.Millisecond
	lastRetry  = 10 * time.Second
	// lookEvery is how often the lag is looked at.
	lookEvery = 5 * time.Second
)

// Queue is what the archive needs of the durable log; queue.Queue has it.
type Queue interface {
	Consume(ctx context.Context, cfg queue.ConsumerConfig) (queue.Consumer, error)
	Info(ctx context.Context, stream queue.Stream) (queue.Info, error)
}

// Archiver copies the stream. Several processes share the work.
type Archiver struct {
	cfg     Config
	queue   Queue
	store   blob.Store
	log     *slog.Logger
	metrics *metrics

	cancel  context.CancelFunc
	running sync.WaitGroup
	stopCtx atomic.Pointer[context.Context] // bounds the last Put
	oldest  atomic.Int64                    // time of the oldest message held, µs; 0 for none
	newest  atomic.Int64                    // time of the newest message archived, µs
}

// New makes an archiver; it does nothing until Start. cfg must be valid.
func New(cfg Config, q Queue, store blob.Store, log *slog.Logger, mp metric.MeterProvider) (*Archiver, error) {
	a := &Archiver{cfg: cfg, queue: q, store: store, log: log}
	var err error
	if a.metrics, err = newMetrics(mp); err != nil {
		return nil, fmt.Errorf("archive: metrics: %w", err)
	}
	return a, nil
}

// Start begins to copy.
func (a *Archiver) Start() {
	ctx, cancel := context.WithCancel(context.Background())
	a.cancel = cancel
	a.running.Go(func() { a.run(ctx) })
	a.running.Go(func() { a.watch(ctx) })
}

// Stop stores what was fetched and returns when all goroutines have ended. When ctx
// ends first, or the blob store is away, what is not stored is given back: another
// process, or the next start, gets it.
func (a *Archiver) Stop(ctx context.Context) error {
	a.stopCtx.Store(&ctx)
	a.cancel()
	a.running.Wait()
	return a.metrics.close()
}

func (a *Archiver) run(ctx context.Context) {
	for wait := firstRetry; ctx.Err() == nil; wait = min(2*wait, lastRetry) {
		began := time.Now()
		err := a.session(ctx)
		if ctx.Err() != nil {
			if err != nil {
				a.log.Warn("the archive stopped with events that are not archived; the next start archives them", "error", err)
			}
			return
		}
		if time.Since(began) > lastRetry {
			wait = firstRetry
		}
		a.log.Warn("reading EVENTS for the archive stopped; trying again", "in", wait, "error", err)
		sleep(ctx, wait)
	}
}

// session packs and stores until ctx ends, when it stores what it holds, or the
// queue fails.
func (a *Archiver) session(ctx context.Context) error {
	c, err := a.queue.Consume(ctx, queue.ConsumerConfig{Stream: queue.Events, Name: Consumer, AckWait: ackWait, MaxPending: 2 * maxMessages})
	if err != nil {
		return err
	}
	p := &pack{}
	renewing, stopRenewing := context.WithCancel(context.Background())
	var renewer sync.WaitGroup
	renewer.Go(func() { p.renew(renewing) })
	defer func() {
		stopRenewing()
		renewer.Wait()
		p.giveBack()
		a.oldest.Store(0)
		_ = c.Close()
	}()
	for {
		until, cancel := ctx, context.CancelFunc(func() {})
		if len(p.held) > 0 {
			until, cancel = context.WithDeadline(ctx, p.began.Add(a.cfg.MaxAge))
		}
		messages, err := c.Fetch(until, min(fetchMessages, maxMessages-len(p.held)))
		ended := until.Err() != nil
		cancel()
		if err != nil && !ended {
			return err
		}
		for i := range messages {
			if err := a.take(ctx, p, &messages[i]); err != nil {
				return err
			}
		}
		if len(p.held) > 0 && ended {
			if err := a.seal(ctx, p); err != nil {
				return err
			}
		}
		if ctx.Err() != nil {
			return nil
		}
	}
}

// take adds a message to the object in the making and stores that when it is full.
func (a *Archiver) take(ctx context.Context, p *pack, m *queue.Message) error {
	if m.Header[ArchivedHeader] != "" {
		return m.Ack()
	}
	if len(p.held) > 0 && p.object.Epoch != m.Position.Epoch {
		if err := a.seal(ctx, p); err != nil {
			return err
		}
	}
	if err := p.add(m); err != nil {
		return err
	}
	a.oldest.Store(p.object.First.UnixMicro())
	if p.bytes >= int(a.cfg.MaxBytes) || len(p.held) >= maxMessages {
		return a.seal(ctx, p)
	}
	return nil
}

// seal stores the object and acknowledges its messages. It tries until it succeeds
// or the process stops.
func (a *Archiver) seal(ctx context.Context, p *pack) error {
	if err := p.w.close(); err != nil {
		return err
	}
	data := p.buf.Bytes()
	sum := sha256.Sum256(data)
	key := p.object.key(sum)
	for wait := firstRetry; ; wait = min(2*wait, lastRetry) {
		err := a.put(ctx, key, data, sum)
		if err == nil {
			break
		}
		a.metrics.failed()
		a.log.Warn("an object of the archive can not be stored; trying again", "key", key, "bytes", len(data), "in", wait, "error", err)
		if ctx.Err() != nil {
			return err
		}
		sleep(ctx, wait)
	}
	a.metrics.stored(len(p.held), len(data))
	a.newest.Store(p.object.Last.UnixMicro())
	a.oldest.Store(0)
	return p.done()
}

// put stores within ctx, or within the bound of the stop once that began.
func (a *Archiver) put(ctx context.Context, key string, data []byte, sum blob.Sum) error {
	err := ctx.Err()
	if err == nil {
		err = a.store.Put(ctx, key, bytes.NewReader(data), int64(len(data)), sum)
	}
	if stop := a.stopCtx.Load(); err != nil && ctx.Err() != nil && stop != nil {
		return a.store.Put(*stop, key, bytes.NewReader(data), int64(len(data)), sum)
	}
	return err
}

// pack is an object in the making.
type pack struct {
	object Object
	w      *writer
	buf    bytes.Buffer
	bytes  int
	began  time.Time

	mu   sync.Mutex // of what follows
	held []handle
}

// handle is what is left of a packed message.
type handle struct {
	Ack        func() error
	Nak        func(time.Duration) error
	InProgress func() error
}

func (p *pack) add(m *queue.Message) error {
	if len(p.held) == 0 {
		var err error
		if p.w, err = newWriter(&p.buf); err != nil {
			return err
		}
		p.began = time.Now()
		p.object = Object{First: m.Time, Last: m.Time, Epoch: m.Position.Epoch, Low: m.Position.Sequence, High: m.Position.Sequence}
	}
	if err := p.w.add(m); err != nil {
		return err
	}
	o := &p.object
	if m.Time.Before(o.First) {
		o.First = m.Time
	}
	if m.Time.After(o.Last) {
		o.Last = m.Time
	}
	o.Low, o.High = min(o.Low, m.Position.Sequence), max(o.High, m.Position.Sequence)
	o.Messages++
	p.bytes += len(m.Data) + fixed
	p.mu.Lock()
	defer p.mu.Unlock()
	p.held = append(p.held, handle{m.Ack, m.Nak, m.InProgress})
	return nil
}

// renew keeps what is held from being delivered again until ctx ends.
func (p *pack) renew(ctx context.Context) {
	for sleep(ctx, renewEvery); ctx.Err() == nil; sleep(ctx, renewEvery) {
		p.mu.Lock()
		for i := range p.held {
			_ = p.held[i].InProgress() // at worst it comes again and is in two objects
		}
		p.mu.Unlock()
	}
}

// done acknowledges what is stored and empties the pack.
func (p *pack) done() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var errs []error
	for i := range p.held {
		errs = append(errs, p.held[i].Ack())
	}
	p.object, p.w, p.buf, p.bytes, p.held = Object{}, nil, bytes.Buffer{}, 0, nil
	return errors.Join(errs...)
}

// giveBack asks for the messages to be delivered again.
func (p *pack) giveBack() {
	for i := range p.held {
		_ = p.held[i].Nak(0) // they come again after ackWait anyway
	}
	if p.w != nil {
		_ = p.w.zip.Close() // to nowhere: it only releases the encoder
	}
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
