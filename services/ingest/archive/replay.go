package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/synapse-analytics/synapse/internal/blob"
	"github.com/synapse-analytics/synapse/internal/queue"
)

// saveEvery is how often Replay saves how far it is, besides after each object.
const saveEvery = 2 * time.Second

// unavailableFor is how long Replay waits for a queue that does not answer.
const unavailableFor = 5 * time.Minute

// inFlight bounds the messages that wait for the queue at the same time: with one, most
// of the time nothing is written.
const inFlight = 16

// republishedPage is how many messages Republished reads at a time.
const republishedPage = 4096

// Range is a part of the archive by the time at which EVENTS had a message; zero is
// open.
type Range struct{ From, To time.Time }

func (r Range) holds(t time.Time) bool {
	return !t.Before(r.From) && (r.To.IsZero() || t.Before(r.To))
}

// Objects calls f for each object of the archive that may hold messages of the
// range, in order.
func Objects(ctx context.Context, store blob.Store, r Range, f func(Object) error) error {
	errEnd := errors.New("end")
	err := blob.All(ctx, store, Prefix, "", func(i blob.Info) error {
		o, err := ParseKey(i)
		switch {
		case err != nil:
			return err
		case !r.To.IsZero() && !o.First.Before(r.To):
			return errEnd
		case o.Last.Before(r.From):
			return nil
		}
		return f(o)
	})
	if errors.Is(err, errEnd) {
		return nil
	}
	return err
}

// Totals is what a replay has done.
type Totals struct {
	// Objects and their Bytes that were read, or known to be done.
	Objects int64 `json:"objects"`
	Bytes   int64 `json:"bytes"`
	// Messages and Events in them, each message once.
	Messages int64 `json:"messages"`
	Events   int64 `json:"events"`
	// Repeated messages: those in two objects, or that an earlier run published.
	Repeated int64 `json:"repeated"`
}

func (t *Totals) add(message []queue.HourCount) {
	t.Messages++
	for _, c := range message {
		t.Events += int64(c.Count)
	}
}

// Publisher takes the messages; queue.Queue has it.
type Publisher interface {
	Publish(ctx context.Context, stream queue.Stream, msg queue.Outgoing) (pos queue.Position, duplicate bool, err error)
}

// Replay reads the archive and publishes it into EVENTS again: data and headers as they
// were, so that events keep their ids and times. The order is that of EVENTS but for
// what was delivered to the archive late, and for the messages that are in flight
// together. Nothing depends on it more than that: scoring too works on several messages
// at a time, and of events with the same id that come that close either may be first.
type Replay struct {
	// Store that holds the archive.
	Store blob.Store
	// Queue takes the messages; nil only reads and checks.
	Queue Publisher
	// Range of the archive.
	Range Range
	// Kept is where EVENTS was emptied to: what came after it is in EVENTS still, and
	// passed over, though others archive it meanwhile. Zero for nothing.
	Kept queue.Position
	// Run begins the ids of the messages: the same after a crash, so that the queue
	// knows those of the last moments, and another for another rebuild.
	Run string
	// Done is what the queue has acknowledged; messages in it are passed over.
	Done Published
	// Totals, of earlier runs too.
	Totals Totals
	// Save, if not nil, is called when Done and Totals should be kept.
	Save func() error
	// Progress, if not nil, is called after each message or object passed over.
	Progress func(Totals)

	saved time.Time
	// What waits for the queue; outcomes has room for all of it.
	flying   map[queue.Position]bool
	outcomes chan outcome
}

// outcome is what became of a message.
type outcome struct {
	at     queue.Position
	counts []queue.HourCount
	err    error
}

// Read reads until the end of the range. An object that can not be read ends it: its
// error names the object.
func (r *Replay) Read(ctx context.Context) error {
	if r.Done == nil {
		r.Done = Published{}
	}
	r.saved = time.Now()
	r.flying, r.outcomes = map[queue.Position]bool{}, make(chan outcome, inFlight)
	// What an earlier run has read of the objects is counted anew, messages are not.
	r.Totals.Objects, r.Totals.Bytes, r.Totals.Repeated = 0, 0, 0
	err := Objects(ctx, r.Store, r.Range, func(o Object) error {
		if !r.covers(o) {
			if err := r.object(ctx, o); err != nil {
				return fmt.Errorf("%s: %w", o.Key, err)
			}
		}
		r.Totals.Objects++
		r.Totals.Bytes += o.Size
		r.tell()
		return r.save(true)
	})
	if err != nil {
		return errors.Join(err, r.save(true))
	}
	return nil
}

// covers says whether all of an object was published by an earlier run; a check
// reads every object.
func (r *Replay) covers(o Object) bool {
	return r.Queue != nil && uint64(o.Messages) == o.High-o.Low+1 && r.Done.covers(o.Epoch, o.Low, o.High)
}

func (r *Replay) object(ctx context.Context, o Object) error {
	body, err := r.Store.Get(ctx, o.Key)
	if err != nil {
		return err
	}
	defer body.Close()
	in, err := NewReader(body)
	if err != nil {
		return err
	}
	defer in.Close()
	n, err := r.messages(ctx, in)
	for len(r.flying) > 0 {
		if settled := r.settle(<-r.outcomes); err == nil {
			err = settled
		}
	}
	if err == nil && n != o.Messages {
		err = fmt.Errorf("%w: it has %d messages, its name says %d", ErrFormat, n, o.Messages)
	}
	return err
}

// messages reads to the end of an object, which is its io.EOF only when the checksum of
// the whole fits, and returns how many messages there were. Some may be in flight.
func (r *Replay) messages(ctx context.Context, in *Reader) (n int, err error) {
	for ; ; n++ {
		m, err := in.Next()
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		if err != nil {
			return n, err
		}
		if err := r.message(ctx, m); err != nil {
			return n, err
		}
	}
}

func (r *Replay) message(ctx context.Context, m *queue.Message) error {
	at := m.Position
	if !r.Range.holds(m.Time) || at.Epoch == r.Kept.Epoch && at.Sequence > r.Kept.Sequence {
		return nil
	}
	if r.flying[at] || r.Done.covers(at.Epoch, at.Sequence, at.Sequence) {
		r.Totals.Repeated++
		return nil
	}
	counts, err := queue.ParseCounts(m.Header[queue.CountsHeader])
	if err != nil {
		return fmt.Errorf("message %d: %w", at.Sequence, err)
	}
	o := outcome{at: at, counts: counts}
	if r.Queue == nil {
		return r.settle(o)
	}
	if len(r.flying) == inFlight {
		if err := r.settle(<-r.outcomes); err != nil {
			return err
		}
	}
	id := fmt.Sprintf("%016x-%d", at.Epoch, at.Sequence)
	header := map[string]string{ArchivedHeader: id}
	maps.Copy(header, m.Header)
	r.flying[at] = true
	go func() {
		o.err = r.publish(ctx, queue.Outgoing{ID: r.Run + "-" + id, Header: header, Data: m.Data})
		r.outcomes <- o
	}()
	return nil
}

// settle notes what became of a message.
func (r *Replay) settle(o outcome) error {
	delete(r.flying, o.at)
	if o.err != nil {
		return o.err
	}
	r.Done.add(o.at.Epoch, o.at.Sequence)
	r.Totals.add(o.counts)
	r.tell()
	return r.save(false)
}

// publish waits for room, and for a queue that does not answer.
func (r *Replay) publish(ctx context.Context, m queue.Outgoing) error {
	began := time.Now()
	for wait := firstRetry; ; wait = min(2*wait, lastRetry) {
		pos, duplicate, err := r.Queue.Publish(ctx, queue.Events, m)
		if err == nil && duplicate && pos.Sequence == 0 {
			err = fmt.Errorf("%w: the message is called a duplicate of none", queue.ErrUnavailable)
		}
		switch {
		case err == nil:
			return nil
		case errors.Is(err, queue.ErrFull):
		case errors.Is(err, queue.ErrUnavailable) && time.Since(began) < unavailableFor:
		default:
			return err
		}
		if sleep(ctx, wait); ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

func (r *Replay) tell() {
	if r.Progress != nil {
		r.Progress(r.Totals)
	}
}

func (r *Replay) save(now bool) error {
	if r.Save == nil || !now && time.Since(r.saved) < saveEvery {
		return nil
	}
	r.saved = time.Now()
	return r.Save()
}

// Republished adds to p and t what EVENTS holds of the archive. The queue knows the ids of
// messages for minutes, and a run that was killed has published more than it saved. The
// consumer of that name is made anew.
func Republished(ctx context.Context, q Queue, consumer string, p Published, t *Totals) error {
	info, err := q.Info(ctx, queue.Events)
	if err != nil || info.Messages == 0 {
		return err
	}
	c, err := q.Consume(ctx, queue.ConsumerConfig{
		Stream: queue.Events, Name: consumer, StartAfter: &queue.Position{}, HeadersOnly: true, MaxPending: republishedPage,
	})
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	for at := uint64(0); at < info.Last; {
		messages, err := c.Fetch(ctx, republishedPage)
		if err != nil {
			return err
		}
		for _, m := range messages {
			at = m.Position.Sequence
			var epoch, seq uint64
			if _, err := fmt.Sscanf(m.Header[ArchivedHeader], "%x-%d", &epoch, &seq); err != nil || p.covers(epoch, seq, seq) {
				continue // accepted meanwhile, or known
			}
			counts, err := queue.ParseCounts(m.Header[queue.CountsHeader])
			if err != nil {
				return fmt.Errorf("message %d of EVENTS: %w", at, err)
			}
			p.add(epoch, seq)
			t.add(counts)
		}
		if err := messages[len(messages)-1].Ack(); err != nil {
			return err
		}
	}
	return nil
}

// Published is a set of messages: for each epoch of EVENTS the sequences, as sorted
// ranges [first, last] with gaps between them. It is small, since gaps close.
type Published map[uint64][][2]uint64

// covers says whether all of the range is in the set.
func (p Published) covers(epoch, first, last uint64) bool {
	s := p[epoch]
	i, found := slices.BinarySearchFunc(s, first, func(r [2]uint64, v uint64) int { return cmpRange(r, v) })
	return found && s[i][1] >= last
}

func (p Published) add(epoch, seq uint64) {
	s := p[epoch]
	i, found := slices.BinarySearchFunc(s, seq, func(r [2]uint64, v uint64) int { return cmpRange(r, v) })
	if found {
		return
	}
	before, after := i > 0 && s[i-1][1]+1 == seq, i < len(s) && s[i][0] == seq+1
	switch {
	case before && after:
		s[i-1][1] = s[i][1]
		s = slices.Delete(s, i, i+1)
	case before:
		s[i-1][1] = seq
	case after:
		s[i][0] = seq
	default:
		s = slices.Insert(s, i, [2]uint64{seq, seq})
	}
	p[epoch] = s
}

// cmpRange is 0 when the range holds the sequence.
func cmpRange(r [2]uint64, seq uint64) int {
	switch {
	case r[1] < seq:
		return -1
	case r[0] > seq:
		return 1
	}
	return 0
}
