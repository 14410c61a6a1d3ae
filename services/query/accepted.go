package query

import (
	"context"
	"time"

	"github.com/synapse-analytics/synapse/internal/queue"
)

const (
	// gather is how long headers of EVENTS are collected before they are
	// committed: each commit costs an fsync that the writer of rows needs too.
	// A reader of the balance makes it shorter.
	gather         = 100 * time.Millisecond
	gatherMessages = 4096
)

// accepted counts from the headers of EVENTS what ingest accepted.
type accepted struct {
	store     Store
	positions *positions
	follower  *follower
	times     *timeline
	metrics   *metrics
	// hurry asks for a commit at once.
	hurry chan struct{}
}

// session implements follower.session.
func (a *accepted) session(ctx context.Context, c queue.Consumer, after uint64, stored queue.Position) error {
	last := after
	for {
		messages, err := a.collect(ctx, c)
		if err != nil {
			return err
		}
		b := AcceptedBatch{After: &stored}
		var ack func() error
		for i := range messages {
			m := &messages[i]
			if m.Position.Sequence <= last {
				continue // delivered again
			}
			last, ack = m.Position.Sequence, m.Ack
			b.Position = StoredPosition{Position: m.Position, TimeUS: m.Time.UnixMicro()}
			a.times.add(m.Position, b.Position.TimeUS)
			counts, err := headerCounts(m)
			if err != nil || len(counts) == 0 {
				a.metrics.headerFault(ctx)
				a.follower.log.ErrorContext(ctx, "a message of EVENTS does not say what it holds: its events are missing in the balance's accepted count",
					"sequence", last, "error", err)
			}
			b.Counts = append(b.Counts, counts...)
		}
		if ack == nil {
			continue
		}
		err = retry(ctx, &a.follower.health, a.follower.log, func() error {
			return a.store.ApplyAccepted(context.WithoutCancel(ctx), b)
		})
		if err != nil {
			return err
		}
		stored = b.Position.Position
		a.positions.set(queue.Events, b.Position)
		if err := ack(); err != nil {
			a.follower.log.DebugContext(ctx, "acknowledgement failed", "error", err)
		}
	}
}

// collect waits for a message, then for more until the time is over, someone is
// in a hurry, or there are many.
func (a *accepted) collect(ctx context.Context, c queue.Consumer) ([]queue.Message, error) {
	messages, err := c.Fetch(ctx, gatherMessages)
	if err != nil {
		return nil, err
	}
	until, cancel := context.WithTimeout(ctx, gather)
	defer cancel()
	stop := make(chan struct{})
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		select {
		case <-a.hurry:
			cancel()
		case <-stop:
		}
	}()
	defer func() { close(stop); <-watched }()
	for len(messages) < gatherMessages {
		more, err := c.Fetch(until, gatherMessages-len(messages))
		if err != nil {
			// At the end of the time this is what there is; a real fault shows
			// at the next Fetch.
			break
		}
		messages = append(messages, more...)
	}
	return messages, nil
}

// poke asks for the commit of what was collected.
func (a *accepted) poke() {
	select {
	case a.hurry <- struct{}{}:
	default:
	}
}
