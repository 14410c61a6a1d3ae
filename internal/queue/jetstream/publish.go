package jetstream

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/semaphore"

	"github.com/synapse-analytics/synapse/internal/queue"
)

const (
	// inFlightBytes bounds the publishes that wait for an acknowledgement, each
	// counted with at least inFlightLeast: 4096 messages. The server drops what
	// exceeds its own buffer (100,000 messages, 128 MiB a stream).
	inFlightBytes = 64 << 20
	inFlightLeast = inFlightBytes / 4096
)

// publisher sends messages and hands the answers to who waits: one subscription
// for all answers, a number per message.
type publisher struct {
	nc      *nats.Conn
	sub     *nats.Subscription
	prefix  string // of the reply subjects
	timeout time.Duration
	space   *semaphore.Weighted

	mu      sync.Mutex
	closed  bool
	idle    chan struct{} // closed when closed and pending is empty
	next    uint64
	pending map[uint64]*future
}

// future is a publish that waits.
type future struct{ done chan outcome } // capacity 1

type outcome struct {
	ack pubAck
	err error
}

var futures = sync.Pool{New: func() any { return &future{done: make(chan outcome, 1)} }}

func newPublisher(timeout time.Duration) *publisher {
	return &publisher{
		timeout: timeout,
		space:   semaphore.NewWeighted(inFlightBytes),
		idle:    make(chan struct{}),
		pending: make(map[uint64]*future),
	}
}

// start subscribes to the answers.
func (p *publisher) start(nc *nats.Conn) error {
	p.nc = nc
	p.prefix = nats.NewInbox() + "."
	sub, err := nc.Subscribe(p.prefix+"*", p.answer)
	if err != nil {
		return fmt.Errorf("%w: subscribe to acknowledgements: %w", queue.ErrUnavailable, err)
	}
	p.sub = sub
	// What waits is bounded by space; an answer must not be dropped.
	if err := sub.SetPendingLimits(-1, -1); err != nil {
		return fmt.Errorf("%w: subscribe to acknowledgements: %w", queue.ErrUnavailable, err)
	}
	return nil
}

var errDisconnected = fmt.Errorf("%w: the connection was lost before the acknowledgement; the message may be stored, publish it again with the same id", queue.ErrUnavailable)

// publish sends the message and waits for the answer, ctx or the timeout.
func (p *publisher) publish(ctx context.Context, m *nats.Msg) (pubAck, error) {
	weight := int64(min(max(len(m.Data), inFlightLeast), inFlightBytes))
	if !p.space.TryAcquire(weight) {
		wait, cancel := context.WithTimeout(ctx, p.timeout)
		err := p.space.Acquire(wait, weight)
		cancel()
		if err != nil {
			if ctx.Err() != nil {
				return pubAck{}, ctx.Err()
			}
			return pubAck{}, fmt.Errorf("%w: too many messages wait for their acknowledgement; send fewer at a time or find why the engine is slow", queue.ErrUnavailable)
		}
	}
	defer p.space.Release(weight)

	id, f, err := p.register()
	if err != nil {
		return pubAck{}, err
	}
	m.Reply = p.prefix + strconv.FormatUint(id, 36)
	if err := p.nc.PublishMsg(m); err != nil {
		p.forget(id, f)
		return pubAck{}, sendError(err)
	}
	timer := time.NewTimer(p.timeout)
	defer timer.Stop()
	select {
	case o := <-f.done:
		futures.Put(f)
		return o.ack, o.err
	case <-ctx.Done():
		p.forget(id, f)
		return pubAck{}, ctx.Err()
	case <-timer.C:
		p.forget(id, f)
		return pubAck{}, fmt.Errorf("%w: no acknowledgement in %s; the message may be stored, publish it again with the same id", queue.ErrUnavailable, p.timeout)
	}
}

// sendError maps an error of the connection.
func sendError(err error) error {
	if errors.Is(err, nats.ErrMaxPayload) {
		return fmt.Errorf("%w: %w", queue.ErrTooLarge, err)
	}
	return unavailable(err)
}

func (p *publisher) register() (uint64, *future, error) {
	f := futures.Get().(*future) //nolint:forcetypeassert // the pool holds nothing else
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		futures.Put(f)
		return 0, nil, queue.ErrClosed
	}
	p.next++
	p.pending[p.next] = f
	return p.next, f, nil
}

// forget gives up waiting. It also ends the race with an answer that is on its
// way: who takes f out of pending owns it.
func (p *publisher) forget(id uint64, f *future) {
	if !p.take(id, nil) {
		<-f.done
	}
	futures.Put(f)
}

// take removes a future from pending and says whether it was there.
func (p *publisher) take(id uint64, out **future) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	f, ok := p.pending[id]
	if !ok {
		return false
	}
	delete(p.pending, id)
	if out != nil {
		*out = f
	}
	p.checkIdle()
	return true
}

// checkIdle tells close that nothing is in flight. It is called with mu.
func (p *publisher) checkIdle() {
	if p.closed && len(p.pending) == 0 {
		select {
		case <-p.idle:
		default:
			close(p.idle)
		}
	}
}

// answer is called for every answer of the server, one at a time.
func (p *publisher) answer(m *nats.Msg) {
	token, ok := strings.CutPrefix(m.Subject, p.prefix)
	if !ok {
		return
	}
	id, err := strconv.ParseUint(token, 36, 64)
	if err != nil {
		return
	}
	var f *future
	if !p.take(id, &f) {
		return
	}
	if len(m.Data) == 0 {
		f.done <- outcome{err: fmt.Errorf("%w (status %q); check that JetStream runs", errNobody, m.Header.Get("Status"))}
		return
	}
	ack, err := parsePubAck(m.Data)
	f.done <- outcome{ack: ack, err: err}
}

// disconnected ends all that wait.
func (p *publisher) disconnected() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for id, f := range p.pending {
		delete(p.pending, id)
		f.done <- outcome{err: errDisconnected}
	}
	p.checkIdle()
}

// close refuses new publishes and waits for those in flight, at most limit.
func (p *publisher) close(limit time.Duration) {
	p.mu.Lock()
	p.closed = true
	p.checkIdle()
	p.mu.Unlock()
	select {
	case <-p.idle:
	case <-time.After(limit):
	}
	p.disconnected()
}

func (p *publisher) inFlight() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.pending)
}

// Publish implements queue.Queue. It waits at most Config.PublishTimeout, then
// returns queue.ErrUnavailable. After that error or the context's the message
// may be stored or not: publish it again with the same ID.
func (q *Queue) Publish(ctx context.Context, stream queue.Stream, msg queue.Outgoing) (queue.Position, bool, error) {
	subject, ok := subjects[stream]
	if !ok {
		return queue.Position{}, false, fmt.Errorf("queue: no stream %q", stream)
	}
	if err := ctx.Err(); err != nil {
		return queue.Position{}, false, err
	}
	header, err := headerOf(msg)
	if err != nil {
		return queue.Position{}, false, err
	}
	if err := q.srv.fault(); err != nil {
		// The server answers no publish any more; do not wait for it.
		q.stats.publishErrors.Add(1)
		return queue.Position{}, false, err
	}
	if err := q.floor.check(time.Now()); err != nil {
		q.stats.refusedFull.Add(1)
		return queue.Position{}, false, err
	}
	ack, err := q.publishSettled(ctx, subject, header, msg.Data)
	switch {
	case err == nil:
	case errors.Is(err, queue.ErrFull):
		q.stats.refusedFull.Add(1)
		return queue.Position{}, false, fmt.Errorf("publish to %s: %w", stream, err)
	case ctx.Err() != nil:
		return queue.Position{}, false, err
	default:
		q.stats.publishErrors.Add(1)
		return queue.Position{}, false, fmt.Errorf("publish to %s: %w", stream, err)
	}
	if ack.duplicate {
		q.stats.duplicates.Add(1)
	} else {
		q.stats.published.Add(1)
		q.checkGiven(stream, ack.seq)
	}
	return queue.Position{Epoch: q.epochs[stream].Load(), Sequence: ack.seq}, ack.duplicate, nil
}

// errNobody: no leader of the stream listens, as far as the server knows that was asked.
// Nothing is stored.
var errNobody = fmt.Errorf("%w: no stream takes the message", queue.ErrUnavailable)

const (
	// inProcessPause is the time between two askings what became of a message with the
	// same id: a round of the cluster.
	inProcessPause = 2 * time.Millisecond
	// nobodyFor is for how long a message that nobody takes is sent again, every
	// nobodyPause: that a stream has a leader reaches the servers one by one.
	nobodyFor   = time.Second
	nobodyPause = 10 * time.Millisecond
)

// publishSettled publishes, again while the cluster is storing another message with the
// same id, for at most Config.PublishTimeout, and while nobody takes the message, for a
// moment.
func (q *Queue) publishSettled(ctx context.Context, subject string, header nats.Header, data []byte) (pubAck, error) {
	for began := time.Now(); ; {
		ack, err := q.pub.publish(ctx, &nats.Msg{Subject: subject, Header: header, Data: data})
		took := time.Since(began)
		switch {
		case ctx.Err() != nil:
			return ack, err
		case errors.Is(err, errInProcess) && took < q.cfg.PublishTimeout:
			pause(ctx, inProcessPause)
		case errors.Is(err, errNobody) && took < nobodyFor:
			pause(ctx, nobodyPause)
		default:
			return ack, err
		}
	}
}

// headerLine is what a header costs beside its name and value.
const headerLine = len(": \r\n")

// reservedHeader is the prefix of the headers that JetStream acts on.
const reservedHeader = "Nats-"

// headerOf builds the headers and checks the size of the whole message.
func headerOf(msg queue.Outgoing) (nats.Header, error) {
	size := len(msg.Data)
	if msg.ID == "" && len(msg.Header) == 0 {
		return nil, checkSize(size)
	}
	h := make(nats.Header, len(msg.Header)+1)
	for k, v := range msg.Header {
		if !validHeader(k, v) {
			return nil, fmt.Errorf("queue: header %q: a name is letters, digits and hyphens and does not begin with %s; a value has no line break and no space around it", k, reservedHeader)
		}
		h[k] = []string{v}
		size += len(k) + len(v) + headerLine
	}
	if msg.ID != "" {
		if strings.ContainsAny(msg.ID, "\r\n") || strings.TrimSpace(msg.ID) != msg.ID {
			return nil, errors.New("queue: a message id has no line break and no space around it")
		}
		h[jetstream.MsgIDHeader] = []string{msg.ID}
		size += len(jetstream.MsgIDHeader) + len(msg.ID) + headerLine
	}
	if n := size - len(msg.Data); n > queue.MaxHeaderBytes {
		return nil, fmt.Errorf("%w: headers of %d bytes, at most %d", queue.ErrTooLarge, n, queue.MaxHeaderBytes)
	}
	return h, checkSize(size)
}

func checkSize(size int) error {
	if size > queue.MaxMessageBytes {
		return fmt.Errorf("%w: %d bytes with its headers, at most %d", queue.ErrTooLarge, size, queue.MaxMessageBytes)
	}
	return nil
}

// validHeader says whether a header comes back as it was sent.
func validHeader(name, value string) bool {
	if name == "" || name == "Status" || len(name) >= len(reservedHeader) && strings.EqualFold(name[:len(reservedHeader)], reservedHeader) {
		return false
	}
	for i := range len(name) {
		if c := name[i]; (c|0x20 < 'a' || c|0x20 > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return !strings.ContainsAny(value, "\r\n") && strings.Trim(value, " \t") == value
}
