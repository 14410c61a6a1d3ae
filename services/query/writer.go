package query

import (
	"context"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/synapse-analytics/synapse/internal/queue"
)

// The writer's pipeline: one goroutine fetches and decodes, one commits. Between
// them wait at most pipelineItems messages of pipelineBytes in all.
const (
	pipelineItems = 256
	pipelineBytes = 32 << 20
	writerPending = 1024
	fetchMessages = 64
)

// writer moves SCORED into the store and tells the tails.
type writer struct {
	store     Store
	watcher   *watcher
	positions *positions
	changes   *changes
	maxRows   int
	hub       *hub
	metrics   *metrics
	spans     *spans
	follower  *follower
	now       func() time.Time
}

// item is a decoded message on its way to the store.
type item struct {
	source   Source
	position StoredPosition
	ack      func() error
	weight   int64
}

// session implements follower.session.
func (w *writer) session(ctx context.Context, c queue.Consumer, after uint64, stored queue.Position) error {
	// What another process stored, before what this one stores after it.
	if err := w.watcher.catchUp(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w.changes.reset(true, stored)
	defer w.changes.reset(false, queue.Position{})
	items := make(chan item, pipelineItems)
	room := semaphore.NewWeighted(pipelineBytes)
	committed := make(chan error, 1)
	go func() {
		err := w.commitAll(ctx, items, room, stored)
		if err != nil {
			cancel() // ends the fetch
		}
		committed <- err
	}()
	err := w.decodeAll(ctx, c, after, items, room)
	close(items)
	if cerr := <-committed; cerr != nil {
		return cerr
	}
	return err
}

// decodeAll fetches and decodes until something fails.
func (w *writer) decodeAll(ctx context.Context, c queue.Consumer, last uint64, items chan<- item, room *semaphore.Weighted) error {
	for {
		messages, err := c.Fetch(ctx, fetchMessages)
		if err != nil {
			return err
		}
		for i := range messages {
			m := &messages[i]
			if m.Position.Sequence <= last {
				continue // delivered again
			}
			last = m.Position.Sequence
			it := item{
				source:   sourceOf(m, w.now().UnixMicro()),
				position: StoredPosition{Position: m.Position, TimeUS: m.Time.UnixMicro()},
				ack:      m.Ack, weight: min(int64(len(m.Data))+1, pipelineBytes),
			}
			for j := range it.source.Letters {
				w.follower.log.ErrorContext(ctx, "a scored message or event can not be stored; it is a dead letter",
					"sequence", m.Position.Sequence, "event", it.source.Letters[j].EventID, "detail", it.source.Letters[j].Detail)
			}
			if err := room.Acquire(ctx, it.weight); err != nil {
				return err
			}
			select {
			case items <- it:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
}

// commitAll stores what has come, as much as there is and fits, until items is
// closed or something fails. stored is where the store is before.
func (w *writer) commitAll(ctx context.Context, items <-chan item, room *semaphore.Weighted, stored queue.Position) error {
	var carry *item
	for {
		var group []item
		var rows int
		if carry != nil {
			group, rows, carry = append(group, *carry), len(carry.source.Events), nil
		} else {
			it, ok := <-items
			if !ok {
				return nil
			}
			group, rows = append(group, it), len(it.source.Events)
		}
	more:
		for rows < w.maxRows && len(group) < pipelineItems {
			select {
			case it, ok := <-items:
				if !ok {
					break more
				}
				if rows+len(it.source.Events) > w.maxRows {
					carry = &it
					break more
				}
				group, rows = append(group, it), rows+len(it.source.Events)
			default:
				break more // commit what is there: at low load one event is one commit
			}
		}
		if ended(ctx) {
			return nil // stopping: what is not committed comes again
		}
		if err := w.commit(ctx, group, stored); err != nil {
			return err
		}
		stored = group[len(group)-1].position.Position
		for i := range group {
			room.Release(group[i].weight)
		}
	}
}

// commit stores a group of messages in one transaction, acknowledges it and
// publishes what was new.
func (w *writer) commit(ctx context.Context, group []item, stored queue.Position) error {
	last := &group[len(group)-1]
	b := &Batch{Position: last.position, After: &stored, Sources: make([]Source, len(group))}
	for i := range group {
		b.Sources[i] = group[i].source
	}
	var out Outcome
	var began time.Time
	w.changes.begin(b)
	err := retry(ctx, &w.follower.health, w.follower.log, func() error {
		began = time.Now()
		b.StoredUS = w.now().UnixMicro()
		var err error
		// A commit once begun is not broken off by the stop.
		out, err = w.store.Apply(context.WithoutCancel(ctx), b)
		return err
	})
	if err != nil {
		return err
	}
	done := time.Now()
	w.changes.done(b)
	w.positions.set(queue.Scored, last.position)
	if err := last.ack(); err != nil {
		// The store has the position: the acknowledgement only shows how far it is.
		w.follower.log.DebugContext(ctx, "acknowledgement failed", "error", err)
	}
	w.metrics.left(ctx, w.hub.publish(out.Stored))
	w.metrics.committed(ctx, b, out, done.Sub(began))
	w.spans.stored(ctx, out.Stored, began, done)
	return nil
}

func ended(ctx context.Context) bool { return ctx.Err() != nil }
