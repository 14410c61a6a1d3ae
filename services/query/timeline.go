package query

import (
	"sort"
	"sync"

	"github.com/synapse-analytics/synapse/internal/queue"
)

// maxMarks bounds a timeline; beyond it every second mark is dropped.
const maxMarks = 8192

// timeline remembers when the messages of EVENTS came, so that the time of a
// sequence can be told without reading the stream.
type timeline struct {
	mu    sync.Mutex
	epoch uint64
	marks []mark // ascending
	every uint64 // a mark is kept for each so many messages
	since uint64
}

type mark struct {
	sequence uint64
	us       int64
}

// add notes a message; sequences ascend.
func (t *timeline) add(at queue.Position, us int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if at.Epoch != t.epoch || t.every == 0 {
		t.epoch, t.marks, t.every, t.since = at.Epoch, nil, 1, 0
	}
	if t.since++; t.since < t.every && len(t.marks) > 0 {
		return
	}
	t.since = 0
	t.marks = append(t.marks, mark{at.Sequence, us})
	if len(t.marks) <= maxMarks {
		return
	}
	kept := t.marks[:0]
	for i, m := range t.marks {
		if i%2 == 0 {
			kept = append(kept, m)
		}
	}
	t.marks = kept
	t.every *= 2
}

// at returns a time not after that of the message with the sequence.
func (t *timeline) at(p queue.Position) (us int64, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if p.Epoch != t.epoch {
		return 0, false
	}
	i := sort.Search(len(t.marks), func(i int) bool { return t.marks[i].sequence > p.Sequence })
	if i == 0 {
		return 0, false
	}
	return t.marks[i-1].us, true
}

// forget drops the marks before the sequence, but for the last of them.
func (t *timeline) forget(p queue.Position) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if p.Epoch != t.epoch {
		return
	}
	i := sort.Search(len(t.marks), func(i int) bool { return t.marks[i].sequence > p.Sequence })
	if i > 1 {
		t.marks = append(t.marks[:0], t.marks[i-1:]...)
	}
	if len(t.marks) < maxMarks/4 {
		t.every = 1
	}
}
