package query

import (
	"maps"
	"slices"
	"sync"

	typev1 "github.com/synapse-analytics/synapse/gen/go/synapse/type/v1"
	"github.com/synapse-analytics/synapse/internal/errs"
	"github.com/synapse-analytics/synapse/services/query/filter"
)

// hub gives every stored event to the tails that want it. It never waits for
// one: a tail whose buffer is full loses events, which are counted.
type hub struct {
	tokens *tokens
	buffer int
	most   int

	mu     sync.Mutex
	last   int64 // Seq of the last event published
	tails  map[string]map[*subscriber]struct{}
	count  int
	closed bool
}

// tailEvent is an event for a tail, made once for all tails of its project.
type tailEvent struct {
	seq    int64
	cursor string
	event  *typev1.Event
}

// subscriber is the hub's end of a tail.
type subscriber struct {
	hub     *hub
	project string
	filter  *filter.Filter
	// wake has a token when there is something to take.
	wake chan struct{}

	// Guarded by hub.mu.
	waiting  []tailEvent
	withheld int   // events left out since the last of waiting
	lost     int64 // Seq of the last of them
}

func newHub(t *tokens, buffer, most int, last int64) *hub {
	return &hub{tokens: t, buffer: buffer, most: most, last: last, tails: map[string]map[*subscriber]struct{}{}}
}

// subscribe begins to collect events. It returns the Seq after which it does:
// all up to it are in the store, all after it are delivered.
func (h *hub) subscribe(project string, f *filter.Filter) (*subscriber, int64, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil, 0, errs.Down("the service is shutting down", 0, nil)
	}
	if h.count >= h.most {
		return nil, 0, errs.Exhausted(errs.TooManyStreams, "the process has as many tails open as it may",
			"close a tail, or raise max_tails", tailRetry, &errs.Quota{Subject: "process", Description: "tails open at once"})
	}
	s := &subscriber{hub: h, project: project, filter: f, wake: make(chan struct{}, 1)}
	if h.tails[project] == nil {
		h.tails[project] = map[*subscriber]struct{}{}
	}
	h.tails[project][s] = struct{}{}
	h.count++
	return s, h.last, nil
}

// close ends the subscription.
func (s *subscriber) close() {
	h := s.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, ok := h.tails[s.project][s]; !ok {
		return
	}
	delete(h.tails[s.project], s)
	if len(h.tails[s.project]) == 0 {
		delete(h.tails, s.project)
	}
	h.count--
}

// close refuses new tails.
func (h *hub) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
}

// publish gives committed events, in the order of Seq, to the tails. It returns
// how many were left out.
func (h *hub) publish(events []*Event) (withheld int) {
	if len(events) == 0 {
		return 0
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.last = events[len(events)-1].Seq
	return h.give(events)
}

// wanted returns the Seq of the last event published and the projects of the tails.
func (h *hub) wanted() (last int64, projects []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.last, slices.Collect(maps.Keys(h.tails))
}

// advance publishes the events of projects between two Seqs, unless a tail of
// another project was opened meanwhile or others were published: then it does
// nothing. It returns how many were left out.
func (h *hub) advance(after, upTo int64, events map[string][]*Event) (withheld int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.last != after {
		return 0
	}
	for p := range h.tails {
		if _, ok := events[p]; !ok {
			return 0
		}
	}
	h.last = upTo
	for _, list := range events {
		withheld += h.give(list)
	}
	return withheld
}

// give is called with mu.
func (h *hub) give(events []*Event) (withheld int) {
	if h.count == 0 {
		return 0
	}
	for _, e := range events {
		tails := h.tails[e.Project]
		if len(tails) == 0 {
			continue
		}
		var made tailEvent
		v := values(e)
		for s := range tails {
			if !s.filter.Match(&v) {
				continue
			}
			if s.withheld > 0 || len(s.waiting) >= h.buffer {
				s.withheld++
				s.lost = e.Seq
				withheld++
			} else {
				if made.event == nil {
					made = tailEvent{e.Seq, h.tokens.cursor(e.Project, e.Seq), toProto(e)}
				}
				s.waiting = append(s.waiting, made)
			}
			select {
			case s.wake <- struct{}{}:
			default:
			}
		}
	}
	return withheld
}

// taken is what a tail took from its subscription.
type taken struct {
	events []tailEvent
	// withheld events come after events; lost is the Seq of the last of them.
	withheld int
	lost     int64
	// upTo: every event up to this Seq is in events, was withheld or did not
	// match.
	upTo int64
}

// take empties the buffer.
func (s *subscriber) take() taken {
	h := s.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	t := taken{events: s.waiting, withheld: s.withheld, lost: s.lost, upTo: h.last}
	s.waiting, s.withheld, s.lost = nil, 0, 0
	return t
}

// open returns the number of tails.
func (h *hub) open() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.count
}
