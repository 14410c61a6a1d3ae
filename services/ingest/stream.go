package ingest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"go.opentelemetry.io/otel/trace"
	"golang.org/x/sync/semaphore"
	"google.golang.org/grpc"

	ingestv1 "github.com/synapse-analytics/synapse/gen/go/synapse/ingest/v1"
	"github.com/synapse-analytics/synapse/internal/errs"
)

// streamPoll is how often a stream that is held back asks again.
const streamPoll = 50 * time.Millisecond

// eventStream is one StreamEvents call. Three goroutines: receive reads, run
// judges and queues, acknowledge waits for the appends and answers. run waits for
// acknowledge, Service.Stop for receive, which ends just after the handler.
type eventStream struct {
	service *Service
	stream  grpc.BidiStreamingServer[ingestv1.StreamEventsRequest, ingestv1.StreamEventsResponse]
	ctx     context.Context // of the stream; its cause says why it ends
	end     context.CancelCauseFunc

	who    who
	parent string // as the first message names it
	span   trace.SpanContext
	last   int64 // sequence of the last batch read

	window  *semaphore.Weighted // bytes not acknowledged
	pending chan streamBatch    // batches not acknowledged, in order
	next    chan struct{}       // asks receive for a message
}

// streamBatch is a batch on its way.
type streamBatch struct {
	sequence int64
	sub      *submission
	weight   int64
}

// received is one message or the end of them.
type received struct {
	msg *ingestv1.StreamEventsRequest
	ctx context.Context // with the first message: carries the caller and project
	err error
}

// StreamEvents implements ingest.v1.IngestService.
func (s *Service) StreamEvents(stream grpc.BidiStreamingServer[ingestv1.StreamEventsRequest, ingestv1.StreamEventsResponse]) error {
	if !s.enterStream() {
		return errShuttingDown()
	}
	defer s.streams.Done()
	st := &eventStream{
		service: s, stream: stream,
		next:    make(chan struct{}, 1),
		window:  semaphore.NewWeighted(int64(s.cfg.Stream.WindowBytes)),
		pending: make(chan streamBatch, s.cfg.Stream.WindowBatches-2), // one more is with acknowledge, one with take
	}
	st.ctx, st.end = context.WithCancelCause(stream.Context())
	defer st.end(nil)
	defer context.AfterFunc(s.stopCtx, func() { st.end(context.Cause(s.stopCtx)) })()
	return st.run()
}

// enterStream counts a stream in, unless the service is being stopped.
func (s *Service) enterStream() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state != running {
		return false
	}
	s.streams.Add(2) // the handler and receive
	return true
}

// run reads batches until the stream ends, lets all that was queued be
// acknowledged, and says why the stream ended; nil when the caller closed it.
func (st *eventStream) run() error {
	messages, received := make(chan received), make(chan struct{})
	go func() {
		defer close(received)
		st.receive(messages)
	}()
	acked := make(chan error, 1)
	go func() { acked <- st.acknowledge() }()
	why := st.read(messages)
	close(st.pending)
	if st.stream.Context().Err() != nil {
		<-received // its Recv returns when that context has ended
	}
	if err := <-acked; err != nil {
		// The queue refused a batch, or the caller is gone: that came first.
		return err
	}
	return why
}

// receive reads a message each time that read asks for one: what is not asked
// for stays with the sender, by gRPC's flow control. It ends with the stream: when
// the handler returns, gRPC ends the Recv.
func (st *eventStream) receive(out chan<- received) {
	defer st.service.streams.Done()
	for first := true; ; first = false {
		select {
		case <-st.next:
		case <-st.ctx.Done():
			return
		}
		r := st.receiveOne()
		if first && r.err == nil {
			r.ctx = st.stream.Context()
		}
		select {
		case out <- r:
		case <-st.ctx.Done():
			return
		}
		if r.err != nil {
			return
		}
	}
}

// receiveOne reads a message. No interceptor stands above this goroutine, so a
// panic in one of those below it is caught here.
func (st *eventStream) receiveOne() (r received) {
	defer func() {
		if p := recover(); p != nil {
			r = received{err: errs.Fault(fmt.Errorf("ingest: receiving panicked: %v", p))}
		}
	}()
	msg, err := st.stream.Recv()
	return received{msg: msg, err: err}
}

// read takes batches in until there is a reason to end.
func (st *eventStream) read(messages <-chan received) error {
	for {
		st.next <- struct{}{} // never blocks: the one before was taken
		select {
		case <-st.ctx.Done():
			return st.cause()
		case r := <-messages:
			switch {
			case errors.Is(r.err, io.EOF):
				return nil
			case st.ctx.Err() != nil:
				return st.cause()
			case r.err != nil:
				return r.err
			}
			if r.ctx != nil {
				if err := st.open(r.ctx, r.msg); err != nil {
					return err
				}
			}
			if err := st.take(r.msg); err != nil {
				return err
			}
		}
	}
}

// open learns from the first message whose stream it is.
func (st *eventStream) open(ctx context.Context, msg *ingestv1.StreamEventsRequest) error {
	if msg.GetParent() == "" {
		return errs.Invalid(errs.Violation{
			Field: "parent", Rule: "must be set on the first message of a stream", Remedy: "send projects/{project}, or projects/-",
		})
	}
	project, err := projectOf(ctx)
	if err != nil {
		return err
	}
	st.parent, st.who = msg.GetParent(), whoOf(ctx, project)
	st.span = trace.SpanContextFromContext(ctx)
	return nil
}

// take judges one batch and queues it.
func (st *eventStream) take(msg *ingestv1.StreamEventsRequest) error {
	if p := msg.GetParent(); p != "" && p != st.parent && p != "projects/"+st.who.project {
		return errs.Invalid(errs.Violation{
			Field: "parent", Rule: "must be the same on all messages of a stream",
			Remedy: "open a stream for each project",
		})
	}
	if msg.GetSequence() != st.last+1 {
		return errs.Invalid(errs.Violation{
			Field:  "sequence",
			Rule:   fmt.Sprintf("must be %d, one more than that of the batch before; got %d", st.last+1, msg.GetSequence()),
			Remedy: "number the batches of a stream 1, 2, 3 and so on; open a new stream and send what is not acknowledged",
		})
	}
	if err := checkCount(len(msg.GetEvents())); err != nil {
		return err
	}
	until := time.Now().Add(st.service.cfg.Stream.MaxWait)
	taken := false // the rate limit is asked once
	admit := func() *errs.Error {
		if err := st.service.refusal(); err != nil {
			return err
		}
		if err := st.service.batcher.room(0); err != nil {
			return asTyped(err)
		}
		if taken {
			return nil
		}
		_, refused := st.service.limits.take(st.who, len(msg.Events), st.service.now())
		taken = refused == nil
		return refused
	}
	if err := st.hold(until, len(msg.Events), admit); err != nil {
		return err
	}
	b := streamBatch{sequence: msg.Sequence, sub: st.service.prepare(st.who.project, msg.Events, st.span)}
	if b.sub.call != nil {
		b.weight = min(int64(b.sub.call.bytes()), int64(st.service.cfg.Stream.WindowBytes))
		if st.window.Acquire(st.ctx, b.weight) != nil {
			b.sub.discard()
			return st.cause()
		}
		add := func() *errs.Error {
			if err := st.service.batcher.add(b.sub.call); err != nil {
				return asTyped(err)
			}
			return nil
		}
		if err := st.hold(until, len(msg.Events), add); err != nil {
			b.sub.discard()
			return err
		}
	}
	st.last = msg.Sequence
	// Never blocks for long: acknowledge drains it, also when the stream is over.
	st.pending <- b
	return nil
}

// hold repeats try while it is refused for overload, up to a time. Meanwhile
// nothing is read: that is the back pressure.
func (st *eventStream) hold(until time.Time, events int, try func() *errs.Error) error {
	for {
		err := try()
		if err == nil {
			return nil
		}
		left := time.Until(until)
		if !err.Retryable() || err.Reason == errs.ShuttingDown || left <= 0 {
			if err.Reason == errs.ShuttingDown {
				return errStreamShutDown()
			}
			st.service.metrics.refused(events, err)
			return endOfStream(err)
		}
		pause := streamPoll
		if err.Reason == errs.RateLimited {
			pause = err.RetryAfter
		}
		timer := time.NewTimer(min(pause, left))
		select {
		case <-timer.C:
		case <-st.ctx.Done():
			timer.Stop()
			return st.cause()
		}
	}
}

// cause is why the stream's context ended.
func (st *eventStream) cause() error {
	cause := context.Cause(st.ctx)
	if isShutdown(st.ctx) {
		return errStreamShutDown()
	}
	return cause
}

// isShutdown says that the server is being stopped, by this service or by the
// gRPC server, so that acknowledgements can still be sent.
func isShutdown(ctx context.Context) bool {
	var e *errs.Error
	return errors.As(context.Cause(ctx), &e) && e.Reason == errs.ShuttingDown
}

// endOfStream makes the last word of a stream of an error that says that nothing
// of the call was stored: on a stream that holds for no batch in flight.
func endOfStream(err *errs.Error) *errs.Error {
	e := *err
	if e.Reason == errs.RateLimited && !e.Retryable() {
		return &e
	}
	e.Message = "the stream ends, the batches up to the last acknowledged one are taken over: " + e.Message
	e.Remedy = "open a new stream after the time that RetryInfo says and send the batches that are not acknowledged, with the same event ids"
	return &e
}

func asTyped(err error) *errs.Error {
	var e *errs.Error
	if errors.As(err, &e) {
		return e
	}
	return errQueueDown(err)
}
