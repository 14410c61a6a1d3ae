package query

import (
	"context"
	"errors"
	"fmt"
	"time"

	queryv1 "github.com/synapse-analytics/synapse/gen/go/synapse/query/v1"
	"github.com/synapse-analytics/synapse/internal/errs"
	"github.com/synapse-analytics/synapse/services/query/filter"
)

const (
	// tailRetry is the advice to a tail that is one too many.
	tailRetry = 5 * time.Second
	// resumePage is how many events a resumed tail reads at once.
	resumePage = 500
	// resumeSpan bounds how far back, counted in events of all projects, a
	// cursor may lie: what is in between is read.
	resumeSpan = 250_000
)

// tailStream is where a tail sends.
type tailStream interface {
	Context() context.Context
	Send(*queryv1.TailEventsResponse) error
}

// tail is one call of TailEvents.
type tail struct {
	s       *Service
	project string
	filter  *filter.Filter
	stream  tailStream
	// at: everything up to this Seq was sent, told as withheld, or did not match.
	at int64
}

// tailEvents runs a tail until the caller leaves or the service stops.
func (s *Service) tailEvents(project string, req *queryv1.TailEventsRequest, stream tailStream) error {
	f, err := parseFilter(req.Filter, filter.Events)
	if err != nil {
		return err
	}
	t := tail{s: s, project: project, filter: f, stream: stream}
	from, known := int64(0), true
	if req.Cursor != "" {
		if from, known, err = s.tokens.parseCursor(project, req.Cursor); err != nil {
			return err
		}
	}
	// From here on events are collected; what came before is in the store.
	sub, upTo, err := s.hub.subscribe(project, f)
	if err != nil {
		return err
	}
	defer sub.close()
	t.at = upTo
	if req.Cursor != "" {
		if err := t.resume(from, upTo, known); err != nil {
			return t.end(err)
		}
	}
	return t.end(t.follow(sub))
}

// resume sends what the caller missed between the cursor and the subscription.
func (t *tail) resume(from, upTo int64, known bool) error {
	switch {
	case !known:
		return t.resync("the cursor is of another store")
	case from > upTo:
		return t.resync("the cursor is ahead of the store, which was restored from a copy")
	case upTo-from > resumeSpan:
		return t.resync("the cursor is too old")
	}
	// The whole of it is read before the first is sent, so that a resync can
	// still be told instead of a part.
	ctx := t.stream.Context()
	var missed []*Event
	for at := from; at < upTo; {
		page, err := t.s.store.EventsAfter(ctx, AfterQuery{Project: t.project, Filter: t.filter, After: at, UpTo: upTo, Limit: resumePage})
		if errors.Is(err, ErrRemoved) {
			return t.resync("the cursor is older than the events that are kept")
		}
		if err != nil {
			return err
		}
		if len(missed)+len(page) > t.s.cfg.TailResume {
			return t.resync(fmt.Sprintf("more than %d events came since the cursor", t.s.cfg.TailResume))
		}
		missed = append(missed, page...)
		if len(page) < resumePage {
			break
		}
		at = page[len(page)-1].Seq
	}
	for i, e := range missed {
		err := t.stream.Send(&queryv1.TailEventsResponse{
			Cursor: t.s.tokens.cursor(t.project, e.Seq), Message: &queryv1.TailEventsResponse_Event{Event: toProto(e)},
		})
		if err != nil {
			return err
		}
		missed[i] = nil
		t.at = e.Seq
		if err := t.over(); err != nil {
			return err
		}
	}
	t.at = upTo
	return nil
}

// follow sends what the subscription brings.
func (t *tail) follow(sub *subscriber) error {
	// A first sign of life tells the caller that it is subscribed, and where.
	if err := t.heartbeat(); err != nil {
		return err
	}
	beat := time.NewTicker(t.s.cfg.Heartbeat)
	defer beat.Stop()
	for {
		if err := t.over(); err != nil {
			return err
		}
		got := sub.take()
		for i := range got.events {
			e := &got.events[i]
			err := t.stream.Send(&queryv1.TailEventsResponse{Cursor: e.cursor, Message: &queryv1.TailEventsResponse_Event{Event: e.event}})
			if err != nil {
				return err
			}
			t.at = e.seq
			if err := t.over(); err != nil {
				return err
			}
		}
		if got.withheld > 0 {
			t.at = got.lost
			err := t.send(&queryv1.TailEventsResponse{Message: &queryv1.TailEventsResponse_Gap_{Gap: &queryv1.TailEventsResponse_Gap{
				Withheld: int32(min(got.withheld, 1<<31-1)),
				Reason:   fmt.Sprintf("the reader was slower than the events came: %d may wait for it", t.s.cfg.TailBuffer),
			}}})
			if err != nil {
				return err
			}
		}
		// t.at may already be beyond: the cursor of a resume.
		t.at = max(t.at, got.upTo)
		if len(got.events) > 0 || got.withheld > 0 {
			beat.Reset(t.s.cfg.Heartbeat)
			continue // more may have come meanwhile
		}
		select {
		case <-sub.wake:
		case <-beat.C:
			if err := t.heartbeat(); err != nil {
				return err
			}
		case <-t.stream.Context().Done():
		case <-t.s.stopping.Done():
		}
	}
}

// over returns why the tail has to end, or nil.
func (t *tail) over() error {
	if err := t.stream.Context().Err(); err != nil {
		return context.Cause(t.stream.Context())
	}
	if t.s.stopping.Err() != nil {
		return errStopping
	}
	return nil
}

// errStopping ends a tail when the service stops.
var errStopping = stoppingError()

func stoppingError() *errs.Error {
	e := errs.Down("the server is being stopped", time.Second, nil)
	e.Reason, e.Remedy = errs.ShuttingDown, "connect again with the last cursor"
	return e
}

// end tells the caller, who may be there still, that the server ends the tail:
// this service stops, or the server that it runs in has ended the stream.
func (t *tail) end(err error) error {
	var e *errs.Error
	if errors.As(err, &e) && e.Reason == errs.ShuttingDown {
		// The status says the same; a caller that is gone needs neither.
		_ = t.send(&queryv1.TailEventsResponse{Message: &queryv1.TailEventsResponse_End_{End: &queryv1.TailEventsResponse_End{Reason: e.Message}}})
	}
	return err
}

func (t *tail) heartbeat() error {
	return t.send(&queryv1.TailEventsResponse{Message: &queryv1.TailEventsResponse_Heartbeat_{Heartbeat: &queryv1.TailEventsResponse_Heartbeat{}}})
}

func (t *tail) resync(reason string) error {
	return t.send(&queryv1.TailEventsResponse{Message: &queryv1.TailEventsResponse_Resync_{Resync: &queryv1.TailEventsResponse_Resync{Reason: reason}}})
}

// send sends a message that stands after t.at.
func (t *tail) send(m *queryv1.TailEventsResponse) error {
	m.Cursor = t.s.tokens.cursor(t.project, t.at)
	return t.stream.Send(m)
}
