package ingest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/synapse-analytics/synapse/internal/errs"
	"github.com/synapse-analytics/synapse/internal/queue"
)

const (
	busyRetry    = 200 * time.Millisecond // a full accept queue empties within this
	backlogRetry = 2 * time.Second        // a backlog shrinks by some percent
	downRetry    = time.Second
)

// errShuttingDown refuses new work of a server that is being stopped.
func errShuttingDown() *errs.Error {
	e := errs.Stopping()
	e.Message = "the server is being stopped; nothing of this call was stored"
	e.Remedy = "send the events again, to another server if there is one"
	return e
}

// errStreamShutDown ends a stream of such a server.
func errStreamShutDown() *errs.Error {
	e := errs.Stopping()
	e.Message = "the server is being stopped; every batch up to the last acknowledged one is taken over"
	e.Remedy = "open a new stream and send the batches that are not acknowledged, with the same event ids"
	return e
}

// errAcceptQueueFull refuses a call since too many wait already.
func errAcceptQueueFull(unit string, limit, used int64) *errs.Error {
	return errs.Exhausted(errs.BacklogFull,
		fmt.Sprintf("the server takes events over more slowly than they arrive: %d %s, limit %d", used, unit, limit),
		"wait as long as RetryInfo says and send the events again; send larger batches over fewer calls", busyRetry,
		&errs.Quota{Subject: "installation", Description: fmt.Sprintf("installation: limit %d %s, used %d", limit, unit, used)})
}

// errBacklog refuses a call since the events behind it are not scored fast enough.
func errBacklog(what string, limit, used float64, why string) *errs.Error {
	return errs.Exhausted(errs.BacklogFull,
		fmt.Sprintf("%s hold %.0f bytes; events are refused from %.0f bytes on", what, used, limit),
		"wait as long as RetryInfo says and send the events again; if it lasts, "+why+" or raise ingest.max_backlog_bytes", backlogRetry,
		&errs.Quota{Subject: "installation", Description: fmt.Sprintf("installation: limit %.0f bytes of backlog, used %.0f", limit, used)})
}

// errDiskFull refuses a call since the queue's disk is at its floor.
func errDiskFull(cause error) *errs.Error {
	return errs.Exhausted(errs.DiskFull,
		"the queue's disk has no more free space than its floor; nothing of this call was stored",
		"wait as long as RetryInfo says and send the events again; free or add disk space on the server", backlogRetry,
		&errs.Quota{Subject: "installation", Description: "installation: limit of free disk bytes, used up"}).With(cause)
}

// errStreamFull refuses a call since EVENTS holds what it may.
func errStreamFull(limit, used uint64, cause error) *errs.Error {
	return errBacklog("accepted events on disk", float64(limit), float64(used),
		"the roles behind ingest are too slow or stopped: look at their health; raise the queue's events_max_bytes").With(cause)
}

// errQueueDown says that the queue does not answer and nothing of the call was
// given to it.
func errQueueDown(cause error) *errs.Error {
	e := errs.Down("the queue does not answer; nothing of this call was stored", downRetry, cause)
	e.Remedy = "send the events again after the time that RetryInfo says"
	return e
}

// errUnknown says that a call's events may or may not be stored. decided tells
// what is known of the rest of the call; may be empty.
func errUnknown(decided string, cause error) *errs.Error {
	e := errs.Down("the queue did not answer in time: whether the events of this call are stored is unknown"+decided, downRetry, cause)
	e.Remedy = "send the same events with the same ids again: what is stored already is counted once; events sent without an id may be stored twice"
	return e
}

// errGaveUp says that the caller's time ended. stored tells whether the queue
// may have the call's events.
func errGaveUp(ctx context.Context, mayBeStored bool) *errs.Error {
	cause := context.Cause(ctx)
	var e *errs.Error
	switch typed := errs.As(cause); {
	case typed != nil:
		e = typed.With(cause)
	case errors.Is(cause, context.Canceled):
		e = errs.GaveUp(cause)
	default:
		e = errs.Timeout(cause)
	}
	e.RetryAfter = busyRetry
	if mayBeStored {
		e.Message = "the call ended while its events were being stored: whether they are is unknown"
		e.Remedy = "send the same events with the same ids again: what is stored already is counted once; events sent without an id may be stored twice"
		return e
	}
	e.Message = "the call ended while its events waited to be stored; nothing of it was stored"
	e.Remedy = "send the events again, with a longer deadline if it lasts"
	return e
}

// fromQueue makes the error of a call of an append's outcome.
func (s *Service) fromQueue(err error) *errs.Error {
	var typed *errs.Error
	switch {
	case errors.As(err, &typed):
		return typed
	case isUnknown(err):
		return errUnknown("", err)
	case errors.Is(err, queue.ErrFull):
		if used, limit := s.backlog.streamBytes(); limit > 0 && float64(used) >= fullShare*float64(limit) {
			return errStreamFull(limit, used, err)
		}
		return errDiskFull(err)
	case errors.Is(err, queue.ErrClosed):
		return errShuttingDown().With(err)
	}
	return errQueueDown(err)
}

// fullShare is how full the stream must be for its refusal to be its own bound
// rather than the disk's.
const fullShare = 0.9
