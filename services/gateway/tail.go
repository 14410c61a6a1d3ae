package gateway

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"google.golang.org/grpc/metadata"

	queryv1 "github.com/synapse-analytics/synapse/gen/go/synapse/query/v1"
	"github.com/synapse-analytics/synapse/internal/errs"
)

const (
	// tailBuffer is how many messages of a tail may wait to be written. When they
	// do, the gateway reads no more and the query service withholds events and
	// says so by a gap.
	tailBuffer = 256
	// tailPatience is how long the first answer waits for the service to accept
	// or refuse the tail, so that a refusal is a problem with its own status.
	tailPatience = time.Second
	// tailGrace is how long a refusal may follow the service's header.
	tailGrace = 20 * time.Millisecond
	// tailBurst is the size in bytes after which a burst is flushed.
	tailBurst = 64 << 10
)

// tailItem is what a tail's reader hands to its writer; the last one has an
// error, io.EOF if the service ended the stream well.
type tailItem struct {
	msg *queryv1.TailEventsResponse
	err error
}

// tail serves the live tail as server-sent events. The stream ends with an
// `end` or `error` event; one without was cut.
func (g *Gateway) tail(c *call) {
	if c.r.Method != http.MethodGet {
		c.fail(errMethod([]string{http.MethodGet}))
		return
	}
	if n := g.tails.Add(1); n > int64(g.cfg.MaxTails) {
		g.tails.Add(-1)
		c.fail(errTails(g.cfg.MaxTails))
		return
	}
	defer g.tails.Add(-1)
	if err := g.Ready(c.ctx); err != nil {
		c.fail(errs.Stopping())
		return
	}
	md, err := c.outgoing()
	if err != nil {
		c.fail(err)
		return
	}
	ctx, cancel := context.WithCancel(metadata.NewOutgoingContext(c.ctx, md))
	defer cancel()
	stream, err := g.query.TailEvents(ctx, c.tailRequest())
	if err != nil {
		c.fail(err)
		return
	}
	t := &tailWriter{c: c, control: http.NewResponseController(c)}
	items, begun := make(chan tailItem, tailBuffer), make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		if _, err := stream.Header(); err == nil {
			close(begun)
		}
		for {
			msg, err := stream.Recv()
			select {
			case items <- tailItem{msg, err}:
			case <-ctx.Done():
				return
			}
			if err != nil {
				return
			}
		}
	}()
	defer func() { cancel(); <-done }()
	t.run(items, begun)
}

// tailRequest reads the request. The header that a browser sends when it
// connects again is newer than the address that it was given at first.
func (c *call) tailRequest() *queryv1.TailEventsRequest {
	q := c.r.URL.Query()
	path := strings.TrimSuffix(strings.TrimPrefix(c.r.URL.Path, "/v1/"), "/events:tail")
	cursor := c.r.Header.Get("Last-Event-Id")
	if cursor == "" {
		cursor = q.Get("cursor")
	}
	return &queryv1.TailEventsRequest{
		Parent: path, Filter: strings.ToValidUTF8(q.Get("filter"), "\uFFFD"), Cursor: strings.ToValidUTF8(cursor, "\uFFFD"),
	}
}

// tailWriter writes one tail.
type tailWriter struct {
	c       *call
	control *http.ResponseController
	buf     []byte
}

// run writes until the stream ends, the caller goes or the gateway stops.
func (t *tailWriter) run(items <-chan tailItem, begun <-chan struct{}) {
	g := t.c.g
	first, ok := t.first(items, begun)
	if !ok {
		return
	}
	h := t.c.Header()
	h["Content-Type"] = []string{mediaSSE}
	h["Cache-Control"] = []string{"no-store, no-transform"}
	h["X-Accel-Buffering"] = []string{"no"}
	t.buf = append(t.buf, "retry: 2000\n\n"...)
	if first != nil && !t.add(*first) {
		_ = t.flush()
		return
	}
	beat := time.NewTimer(g.cfg.TailHeartbeat)
	defer beat.Stop()
	for {
		if t.flush() != nil {
			return
		}
		beat.Reset(g.cfg.TailHeartbeat)
		select {
		case it := <-items:
			if !t.burst(it, items) {
				_ = t.flush()
				return
			}
		case <-beat.C:
			t.buf = append(t.buf, ": alive\n\n"...)
		case <-g.stopping:
			t.event("", "end", []byte(`{"reason":"the server is being stopped; connect again"}`))
			_ = t.flush()
			return
		case <-t.c.ctx.Done():
			return
		}
	}
}

// first waits for the first message, a refusal, or a sign that there will be
// none of the latter. ok is false if the call has been answered or given up.
func (t *tailWriter) first(items <-chan tailItem, begun <-chan struct{}) (*tailItem, bool) {
	wait := time.NewTimer(tailPatience)
	defer wait.Stop()
	for {
		select {
		case it := <-items:
			if it.err != nil && !errors.Is(it.err, io.EOF) {
				t.c.fail(it.err)
				return nil, false
			}
			return &it, true
		case <-begun:
			begun = nil
			wait.Reset(tailGrace)
		case <-wait.C:
			return nil, true
		case <-t.c.g.stopping:
			t.c.fail(errs.Stopping())
			return nil, false
		case <-t.c.ctx.Done():
			t.c.fail(errs.GaveUp(t.c.ctx.Err()))
			return nil, false
		}
	}
}

// burst writes a message and those that wait behind it; false ends the tail.
func (t *tailWriter) burst(it tailItem, items <-chan tailItem) bool {
	for {
		if !t.add(it) {
			return false
		}
		if len(t.buf) >= tailBurst {
			return true
		}
		select {
		case it = <-items:
		default:
			return true
		}
	}
}

// add appends one message to the buffer; false means that it was the last.
func (t *tailWriter) add(it tailItem) bool {
	if it.err != nil {
		if errors.Is(it.err, io.EOF) {
			t.event("", "end", []byte(`{"reason":"the stream is over; connect again"}`))
			return false
		}
		if errs.ReasonOf(it.err) == errs.ShuttingDown {
			t.event("", "end", []byte(`{"reason":"the server is being stopped; connect again"}`))
			return false
		}
		t.c.err = it.err
		p, _ := problemOf(it.err, t.c.traceID)
		t.event("", "error", p.json())
		return false
	}
	var (
		data []byte
		err  error
		name string
	)
	cursor := it.msg.GetCursor()
	switch m := it.msg.GetMessage().(type) {
	case *queryv1.TailEventsResponse_Event:
		name = "event"
		data, err = answerJSON.Marshal(m.Event)
	case *queryv1.TailEventsResponse_Gap_:
		name = "gap"
		data, err = answerJSON.Marshal(m.Gap)
	case *queryv1.TailEventsResponse_Resync_:
		name = "resync"
		data, err = answerJSON.Marshal(m.Resync)
	case *queryv1.TailEventsResponse_End_:
		name = "end"
		data, err = answerJSON.Marshal(m.End)
	case *queryv1.TailEventsResponse_Heartbeat_:
		// No event, but the reader's place moves on: a browser keeps the id of a
		// block without data.
		t.buf = append(t.buf, ": alive\n"...)
		t.id(cursor)
		t.buf = append(t.buf, '\n')
		return true
	default:
		return true // of a newer service
	}
	if err != nil {
		p, _ := problemOf(errs.Fault(err), t.c.traceID)
		t.event("", "error", p.json())
		return false
	}
	t.event(cursor, name, data)
	return name != "end"
}

// event appends one event; data is on one line, as JSON is.
func (t *tailWriter) event(cursor, name string, data []byte) {
	t.id(cursor)
	t.buf = append(t.buf, "event: "...)
	t.buf = append(t.buf, name...)
	t.buf = append(t.buf, "\ndata: "...)
	t.buf = append(t.buf, data...)
	t.buf = append(t.buf, "\n\n"...)
}

func (t *tailWriter) id(cursor string) {
	if cursor != "" && printable(cursor) {
		t.buf = append(t.buf, "id: "...)
		t.buf = append(t.buf, cursor...)
		t.buf = append(t.buf, '\n')
	}
}

// flush writes the buffer. A reader that takes nothing for tail_write_timeout is
// cut; the deadline is its own, since that of the server is for whole answers.
func (t *tailWriter) flush() error {
	if len(t.buf) == 0 {
		return nil
	}
	_ = t.control.SetWriteDeadline(time.Now().Add(t.c.g.cfg.TailWriteTimeout))
	if _, err := t.c.Write(t.buf); err != nil {
		return err
	}
	if t.buf = t.buf[:0]; cap(t.buf) > 4*tailBurst {
		t.buf = nil
	}
	return t.control.Flush()
}
