package query

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/synapse-analytics/synapse/internal/queue"
)

const (
	// watchEvery is how often a process that does not lead looks into the store: so
	// late come the events of its tails.
	watchEvery = 100 * time.Millisecond
	// watchSpan bounds the events, counted over all projects, read at once.
	watchSpan = 10_000
)

// watcher learns from the store what another process moved into it.
type watcher struct {
	store     Store
	positions *positions
	times     *timeline
	hub       *hub
	metrics   *metrics
	log       *slog.Logger
	health    health
}

// run looks into the store until ctx ends.
func (w *watcher) run(ctx context.Context) {
	for {
		wait := watchEvery
		err := w.look(ctx)
		if ctx.Err() != nil {
			return
		}
		w.health.set(err)
		if err != nil {
			wait = time.Second
			w.log.WarnContext(ctx, "the store does not tell what is new; trying again", "in", wait, "error", err)
		}
		if !sleep(ctx, wait) {
			return
		}
	}
}

// look learns the positions and gives the tails what is new.
func (w *watcher) look(ctx context.Context) error {
	// The positions first: what they promise is in what is read after them.
	all, err := w.store.Positions(ctx)
	if err != nil {
		return fmt.Errorf("read positions: %w", err)
	}
	if err := w.catchUp(ctx); err != nil {
		return err
	}
	for _, s := range queue.Streams() {
		before, _ := w.positions.get(s)
		if at := all[s]; at != before {
			w.positions.set(s, at)
			if s == queue.Events {
				w.times.add(at.Position, at.TimeUS)
			}
		}
	}
	return nil
}

// catchUp gives the tails what the store has beyond the last event that they were
// given.
func (w *watcher) catchUp(ctx context.Context) error {
	last, err := w.store.LastSeq(ctx)
	if err != nil {
		return fmt.Errorf("read the last event's place: %w", err)
	}
	for {
		after, projects := w.hub.wanted()
		if after >= last {
			return nil
		}
		upTo := last
		if len(projects) > 0 {
			upTo = min(last, after+watchSpan)
		}
		found := make(map[string][]*Event, len(projects))
		for _, p := range projects {
			found[p], err = w.store.EventsAfter(ctx, AfterQuery{Project: p, After: after, UpTo: upTo, Limit: watchSpan})
			if err != nil {
				return fmt.Errorf("read new events: %w", err)
			}
		}
		w.metrics.left(ctx, w.hub.advance(after, upTo, found))
	}
}
