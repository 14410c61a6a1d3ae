package query

import (
	"math/rand/v2"
	"sync"
	"time"

	"github.com/synapse-analytics/synapse/internal/queue"
)

const (
	// maxChangedHours bounds what changes remembers, about 100 bytes each.
	maxChangedHours = 100_000
	// hotFor is how long after its last change an hour is left out of the cache: it
	// will change again.
	hotFor = 10 * time.Second
)

// changes remembers for each hour of a project's rollups where in SCORED it was last
// changed by a commit of this process's writer. What the rollups of a range hold is a
// function of that place: an hour that was not changed after it holds now what it
// held then. It knows nothing while this process has no session of the writer.
//
// Whatever else than a commit of scored events changes rollups calls otherwise, after
// its own commit.
type changes struct {
	now func() time.Time
	hot time.Duration

	mu    sync.Mutex
	known bool
	// salt keeps versions apart from those before the sequences began again.
	salt  uint64
	epoch uint64
	// floor: an hour that is not in the list was not changed after it; high is the
	// place of the latest commit.
	floor, high uint64
	projects    map[string]map[int64]change
	hours       int // in all projects
	// open are the hours that a commit in flight changes; hours of the list.
	open []changedHour
}

type change struct {
	sequence uint64
	at       time.Time
	open     bool
}

type changedHour struct {
	project string
	hour    int64
}

func newChanges(now func() time.Time) *changes { return &changes{now: now, hot: hotFor} }

// reset forgets everything; known says whether the store is at a position that only
// this process's commits move from now on.
func (c *changes) reset(known bool, at queue.Position) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.known, c.epoch, c.high = known, at.Epoch, at.Sequence
	c.forget(at.Sequence)
}

// otherwise notes that rollups were changed by something that has no place in SCORED,
// such as a removal: nothing that was read before holds any more.
func (c *changes) otherwise() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.salt = rand.Uint64() //nolint:gosec // G404: no secret
}

// forget drops the list: none of the hours was changed after the place.
func (c *changes) forget(at uint64) {
	c.floor, c.projects, c.hours, c.open = at, map[string]map[int64]change{}, 0, nil
}

// begin notes what a commit is about to change: until done, nobody can tell what
// these hours hold.
func (c *changes) begin(b *Batch) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch at := b.Position; {
	case c.high > 0 && (at.Epoch != c.epoch || at.Sequence <= c.high): // the stream was created anew, or is behind
		c.salt = rand.Uint64() //nolint:gosec // G404: no secret
		c.forget(0)
	case c.hours > maxChangedHours:
		c.forget(c.high)
	}
	c.epoch, c.high = b.Position.Epoch, b.Position.Sequence
	var last changedHour
	for i := range b.Sources {
		events := b.Sources[i].Events
		for j := range events {
			h := changedHour{events[j].Project, floorTo(events[j].OccurredUS, hourUS)}
			if h == last {
				continue // most events of a batch are of one
			}
			last = h
			hours := c.projects[h.project]
			if hours == nil {
				hours = map[int64]change{}
				c.projects[h.project] = hours
			}
			was, listed := hours[h.hour]
			if was.open {
				continue
			}
			if !listed {
				c.hours++
			}
			hours[h.hour] = change{sequence: was.sequence, open: true}
			c.open = append(c.open, h)
		}
	}
}

// done notes that the commit is in the store, before anyone is told of it.
func (c *changes) done(b *Batch) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	for _, h := range c.open {
		c.projects[h.project][h.hour] = change{sequence: b.Position.Sequence, at: now}
	}
	c.open = c.open[:0]
}

// version is the place of the last change of a range.
type version struct{ salt, epoch, sequence uint64 }

// last returns the last change of the range, whose start and end are any times. ok is
// false while that can not be told.
func (c *changes) last(project string, startUS, endUS int64) (v version, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.known {
		return version{}, false
	}
	v, ok = version{c.salt, c.epoch, c.floor}, true
	c.each(project, startUS, endUS, func(_ int64, ch change) {
		v.sequence = max(v.sequence, ch.sequence)
		ok = ok && !ch.open
	})
	return v, ok
}

// coldUntil returns the end of the part of the range, from its start, in which
// nothing has changed of late.
func (c *changes) coldUntil(project string, startUS, endUS int64) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	since := c.now().Add(-c.hot)
	until := endUS
	c.each(project, startUS, endUS, func(hour int64, ch change) {
		if ch.open || ch.at.After(since) {
			until = min(until, hour)
		}
	})
	return max(until, startUS)
}

// each calls f for the hours of the range that are in the list.
func (c *changes) each(project string, startUS, endUS int64, f func(hour int64, ch change)) {
	hours := c.projects[project]
	first := floorTo(startUS, hourUS)
	if (endUS-first)/hourUS < int64(len(hours)) {
		for h := first; h < endUS; h += hourUS {
			if ch, ok := hours[h]; ok {
				f(h, ch)
			}
		}
		return
	}
	for h, ch := range hours {
		if h >= first && h < endUS {
			f(h, ch)
		}
	}
}
