package grpcserver

import (
	"context"
	"fmt"
	"sync"

	"google.golang.org/grpc"

	"github.com/synapse-analytics/synapse/internal/errs"
)

// openStreams are the streams that a stop must end.
type openStreams struct {
	mu       sync.Mutex
	stopping bool
	end      map[*endable]struct{}

	// readers are the goroutines that wait for messages of streams. One may
	// outlive its stream's handler by the moment in which gRPC ends the stream.
	readers sync.WaitGroup
}

func newOpenStreams() *openStreams { return &openStreams{end: map[*endable]struct{}{}} }

// add takes a stream in, unless the server is being stopped.
func (o *openStreams) add(e *endable) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.stopping {
		return false
	}
	o.end[e] = struct{}{}
	o.readers.Add(1) // before a Wait, which follows stopping
	return true
}

func (o *openStreams) remove(e *endable) {
	o.mu.Lock()
	delete(o.end, e)
	o.mu.Unlock()
}

// endAll ends every stream, and every one that comes later.
func (o *openStreams) endAll(cause error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.stopping = true
	for e := range o.end {
		e.cancel(cause)
	}
}

// endableStream gives a stream a context that a stop ends, and makes its handler
// return even while it waits for a message.
func (s *Server) endableStream(srv any, ss grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	e := newEndable(ss, s.receiveError)
	defer e.cancel(nil)
	if !s.streams.add(e) {
		return errs.Stopping()
	}
	defer s.streams.remove(e)
	go func() {
		defer s.streams.readers.Done()
		e.read()
	}()
	callFrom(e.ctx).end = e.cancel
	return handler(srv, e)
}

// endable is a stream whose RecvMsg returns when its context ends. gRPC's own
// does so only when the peer or the connection is gone.
type endable struct {
	grpc.ServerStream
	ctx    context.Context //nolint:containedctx // a stream's wrapper
	cancel context.CancelCauseFunc
	want   chan any   // messages to receive into
	got    chan error // what came of each
	typed  func(error) error
}

func newEndable(ss grpc.ServerStream, typed func(error) error) *endable {
	e := &endable{ServerStream: ss, want: make(chan any), got: make(chan error, 1), typed: typed}
	e.ctx, e.cancel = context.WithCancelCause(ss.Context())
	return e
}

func (e *endable) Context() context.Context { return e.ctx }

// read receives for RecvMsg until the context has ended, which it has at the
// latest when the handler has returned. When it is in the middle of one then,
// gRPC ends the stream, and so the wait, right after. want is never closed: a
// goroutine of the handler's may still be in RecvMsg.
func (e *endable) read() {
	for {
		select {
		case m := <-e.want:
			e.got <- e.ServerStream.RecvMsg(m)
		case <-e.ctx.Done():
			return
		}
	}
}

// RecvMsg implements grpc.ServerStream. After an error m must not be used.
func (e *endable) RecvMsg(m any) error {
	select {
	case e.want <- m:
	case <-e.ctx.Done():
		return e.ended()
	}
	select {
	case err := <-e.got:
		return e.typed(err)
	case <-e.ctx.Done():
		return e.ended()
	}
}

func (e *endable) ended() error { return errs.FromError(context.Cause(e.ctx)) }

// Stop stops the server in order: its health becomes NOT_SERVING, streams end
// with UNAVAILABLE and the reason SHUTTING_DOWN, no new call is taken, and open
// unary calls are waited for. When ctx ends first, what is left is cut off and
// the error says so. A caller that wants traffic to move away first sets
// SetServing("", false) and waits before it calls Stop. Further calls wait for
// the first one and return the same.
func (s *Server) Stop(ctx context.Context) error {
	s.stop.Do(func() { s.stopErr = s.stopOnce(ctx) })
	return s.stopErr
}

func (s *Server) stopOnce(ctx context.Context) error {
	s.health.shutdown()
	s.streams.endAll(errs.Stopping())
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		var wg sync.WaitGroup
		for _, g := range s.servers() {
			wg.Go(g.GracefulStop)
		}
		wg.Wait()
	}()
	select {
	case <-drained:
		s.streams.readers.Wait() // every stream is over, so this is a moment
		return nil
	case <-ctx.Done():
	}
	for _, g := range s.servers() {
		g.Stop()
	}
	// Not waiting for what GracefulStop waits for: a handler that does not heed its
	// context would hold it, and with it the whole stop.
	return fmt.Errorf("grpcserver: calls were cut off: %w", context.Cause(ctx))
}
