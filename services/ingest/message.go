package ingest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/synapse-analytics/synapse/internal/queue"
)

const (
	// maxMessageCounts bounds the pairs of project and hour in a header.
	maxMessageCounts = 256
	// maxMessageLinks bounds the links of a publish span.
	maxMessageLinks = 32
	// firstRepeat and maxRepeat are the pauses between tries of an append.
	firstRepeat = 20 * time.Millisecond
	maxRepeat   = 500 * time.Millisecond
)

// message is one message in the making; a publisher uses one over and over.
type message struct {
	parts  []*part
	events int
	bytes  int
	counts []queue.HourCount
	buf    []byte // the parts' bytes, when there are several
	data   []byte // what is published
}

func (m *message) reset() {
	clear(m.parts)
	m.parts, m.counts = m.parts[:0], m.counts[:0]
	m.events, m.bytes, m.data = 0, 0, nil
	if cap(m.buf) > 2*maxBatchBytes {
		m.buf = nil
	}
}

func (m *message) fits(p *part, maxEvents, maxBytes int) bool {
	if len(m.parts) == 0 {
		return true
	}
	return m.events+p.events <= maxEvents && m.bytes+len(*p.data) <= maxBytes &&
		(len(m.counts) < maxMessageCounts || m.count(p) != nil)
}

func (m *message) add(p *part) {
	m.parts = append(m.parts, p)
	m.events += p.events
	m.bytes += len(*p.data)
	if c := m.count(p); c != nil {
		c.Count += uint32(p.events)
		return
	}
	m.counts = append(m.counts, queue.HourCount{Project: p.project, Hour: p.hour, Count: uint32(p.events)})
}

func (m *message) count(p *part) *queue.HourCount {
	for i := range m.counts {
		if c := &m.counts[i]; c.Hour == p.hour && c.Project == p.project {
			return c
		}
	}
	return nil
}

// assemble joins the parts' bytes; their buffers go back unless the only part's
// own is the message.
func (m *message) assemble() {
	if len(m.parts) == 1 {
		m.data = *m.parts[0].data
		return
	}
	m.buf = m.buf[:0]
	for _, p := range m.parts {
		m.buf = append(m.buf, *p.data...)
		putBuffer(p.data)
		p.data = nil
	}
	m.data = m.buf
}

// publish appends the message and waits for the outcome: nil when it is durable,
// an *unknownError when that cannot be known, any other error when it is not
// stored. A queue that does not answer is asked again with the same message id,
// which stores nothing twice.
func (b *batcher) publish(m *message) error {
	ctx, cancel := context.WithTimeout(b.ctx, b.cfg.PublishTimeout)
	defer cancel()
	ctx, span := b.startSpan(ctx, m)
	out := queue.Outgoing{
		ID:     b.ids.next(),
		Header: map[string]string{queue.CountsHeader: queue.FormatCounts(m.counts)},
		Data:   m.data,
	}
	began := time.Now()
	err := b.publishUntil(ctx, out)
	took := time.Since(began)
	if span != nil {
		if err != nil {
			span.SetStatus(codes.Error, "append failed")
			span.RecordError(err)
		}
		span.End()
	}
	b.metrics.published(m.events, m.bytes, took, err)
	if err != nil {
		b.log.Warn("append failed", slog.Int("events", m.events), slog.Int("bytes", m.bytes),
			slog.Duration("took", took), slog.Bool("outcome_unknown", isUnknown(err)), slog.Any("error", err))
	}
	if len(m.parts) == 1 {
		putBuffer(m.parts[0].data)
		m.parts[0].data = nil
	}
	return err
}

func (b *batcher) publishUntil(ctx context.Context, out queue.Outgoing) error {
	unknown := false
	for pause := firstRepeat; ; pause = min(2*pause, maxRepeat) {
		pos, duplicate, err := b.queue.Publish(ctx, queue.Events, out)
		switch {
		case err == nil && duplicate && pos.Sequence == 0:
			// Said to be known, but stored nowhere: not an acknowledgement.
			err = fmt.Errorf("%w: the message is called a duplicate of none", queue.ErrUnavailable)
		case err == nil:
			return nil
		case errors.Is(err, queue.ErrFull), errors.Is(err, queue.ErrTooLarge):
			if unknown { // an earlier try may have been stored all the same
				return &unknownError{err}
			}
			return err
		case errors.Is(err, queue.ErrClosed) && !unknown:
			return err
		}
		unknown = true
		b.noteFault(err)
		if !errors.Is(err, queue.ErrUnavailable) || ctx.Err() != nil {
			return &unknownError{err}
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return &unknownError{err}
		}
	}
}

// noteFault remembers that the queue does not answer, so that calls which can not
// wait are told the true cause.
func (b *batcher) noteFault(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.failing = err
}

// unknownError says that a message may or may not be stored.
type unknownError struct{ cause error }

func (e *unknownError) Error() string { return "outcome unknown: " + e.cause.Error() }
func (e *unknownError) Unwrap() error { return e.cause }

func isUnknown(err error) bool {
	var u *unknownError
	return errors.As(err, &u)
}

// startSpan starts the span of an append when a sampled call is part of it: a
// child of the first such call, with links to the others.
func (b *batcher) startSpan(ctx context.Context, m *message) (context.Context, trace.Span) {
	var parent trace.SpanContext
	var links []trace.Link
	for _, p := range m.parts {
		switch {
		case !p.span.IsSampled():
		case !parent.IsValid():
			parent = p.span
		case len(links) < maxMessageLinks:
			links = append(links, trace.Link{SpanContext: p.span})
		}
	}
	if !parent.IsValid() {
		return ctx, nil
	}
	return b.tracer.Start(trace.ContextWithSpanContext(ctx, parent), "publish EVENTS",
		trace.WithSpanKind(trace.SpanKindProducer),
		trace.WithLinks(links...),
		trace.WithAttributes(
			attribute.String("messaging.system", "synapse"),
			attribute.String("messaging.destination.name", string(queue.Events)),
			attribute.String("messaging.operation.type", "send"),
			attribute.String("messaging.operation.name", "publish"),
			attribute.Int("messaging.batch.message_count", m.events),
			attribute.Int("messaging.message.body.size", m.bytes),
		))
}

// publishIDs gives message ids that no other process gives.
type publishIDs struct {
	prefix string
	last   *atomic.Uint64
}

func newPublishIDs() publishIDs {
	var b [12]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return publishIDs{prefix: "i-" + hex.EncodeToString(b[:]) + "-", last: new(atomic.Uint64)}
}

func (p publishIDs) next() string { return p.prefix + strconv.FormatUint(p.last.Add(1), 36) }

// bufferPool holds the buffers that calls are encoded into.
var bufferPool = sync.Pool{New: func() any { b := make([]byte, 0, 16<<10); return &b }}

func getBuffer() *[]byte { return bufferPool.Get().(*[]byte) }

func putBuffer(b *[]byte) {
	if b == nil || cap(*b) > maxBatchBytes {
		return // one huge call must not be kept for ever
	}
	*b = (*b)[:0]
	bufferPool.Put(b)
}
