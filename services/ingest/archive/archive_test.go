package archive

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/metric/noop"
	"go.uber.org/goleak"

	"github.com/synapse-analytics/synapse/internal/blob"
	"github.com/synapse-analytics/synapse/internal/blob/folder"
	"github.com/synapse-analytics/synapse/internal/queue"
	"github.com/synapse-analytics/synapse/internal/queue/jetstream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func openQueue(t *testing.T) *jetstream.Queue {
	cfg := jetstream.DefaultConfig()
	cfg.Dir, cfg.FreeFloorBytes = filepath.Join(t.TempDir(), "queue"), 0
	q, err := jetstream.Open(t.Context(), cfg, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, q.Close()) })
	return q
}

// away is a store that can be switched off.
type away struct {
	blob.Store
	off  atomic.Bool
	puts atomic.Int64
}

func (a *away) Put(ctx context.Context, key string, r io.Reader, size int64, sum blob.Sum) error {
	a.puts.Add(1)
	if a.off.Load() {
		return blob.ErrUnavailable
	}
	return a.Store.Put(ctx, key, r, size, sum)
}

func openStore(t *testing.T) *away {
	s, err := folder.Open(t.TempDir())
	require.NoError(t, err)
	return &away{Store: s}
}

func publish(t *testing.T, q *jetstream.Queue, from, to int, header map[string]string) {
	for i := from; i < to; i++ {
		h := map[string]string{queue.CountsHeader: "default@0=2"}
		for k, v := range header {
			h[k] = v
		}
		_, _, err := q.Publish(t.Context(), queue.Events, queue.Outgoing{Header: h, Data: fmt.Appendf(nil, "message %d", i)})
		require.NoError(t, err)
	}
}

func start(t *testing.T, q *jetstream.Queue, s blob.Store, cfg Config) *Archiver {
	require.NoError(t, cfg.Validate())
	a, err := New(cfg, q, s, slog.New(slog.DiscardHandler), noop.NewMeterProvider())
	require.NoError(t, err)
	a.Start()
	return a
}

func stop(t *testing.T, a *Archiver) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	require.NoError(t, a.Stop(ctx))
}

func quick() Config { return Config{MaxBytes: 64 << 10, MaxAge: 100 * time.Millisecond} }

// archived returns how often the data of each message is there.
func archived(t *testing.T, s blob.Store) map[string]int {
	times := map[string]int{}
	require.NoError(t, Objects(t.Context(), s, Range{}, func(o Object) error {
		body, err := s.Get(t.Context(), o.Key)
		require.NoError(t, err)
		defer body.Close()
		r, err := NewReader(body)
		require.NoError(t, err)
		defer r.Close()
		for {
			m, err := r.Next()
			if err != nil {
				require.ErrorIs(t, err, io.EOF)
				return nil
			}
			times[string(m.Data)]++
		}
	}))
	return times
}

// TestArchive: all is archived once, by age, by size and at the stop; what comes from
// the archive is not.
func TestArchive(t *testing.T) {
	q, s := openQueue(t), openStore(t)
	a := start(t, q, s, quick())
	publish(t, q, 0, 10, nil)
	_, err := Drain(t.Context(), q, queue.Events, Consumer)
	require.NoError(t, err)
	publish(t, q, 90_000, 90_005, map[string]string{ArchivedHeader: "x"})
	publish(t, q, 10, 20, nil)
	stop(t, a) // without the age having passed
	a = start(t, q, s, Config{MaxBytes: 64 << 10, MaxAge: 10 * time.Minute})
	publish(t, q, 20, 5000, nil)
	require.Eventually(t, func() bool { n := archived(t, s); return len(n) > 2000 }, 20*time.Second, 50*time.Millisecond, "by size")
	stop(t, a)
	times := archived(t, s)
	require.Len(t, times, 5000)
	for data, n := range times { // at the stops some may come again
		require.LessOrEqual(t, n, 2, data)
	}
	info, err := q.Info(t.Context(), queue.Events)
	require.NoError(t, err)
	require.Zero(t, behind(info))
}

// TestStoreAway: while the store is away nothing is acknowledged, so nothing is
// trimmed; the stop is bounded; afterwards all is archived.
func TestStoreAway(t *testing.T) {
	q, s := openQueue(t), openStore(t)
	s.off.Store(true)
	a := start(t, q, s, quick())
	publish(t, q, 0, 100, nil)
	require.Eventually(t, func() bool { return s.puts.Load() > 2 }, 10*time.Second, 10*time.Millisecond)
	tr, err := queue.NewTrimmer(q, queue.TrimConfig{Stream: queue.Events, Consumers: []string{Consumer}}, slog.New(slog.DiscardHandler), nil)
	require.NoError(t, err)
	upTo, err := tr.Once(t.Context())
	require.NoError(t, err)
	require.Zero(t, upTo)
	stop(t, a)
	info, err := q.Info(t.Context(), queue.Events)
	require.NoError(t, err)
	require.EqualValues(t, 100, behind(info))
	s.off.Store(false)
	a = start(t, q, s, quick())
	_, err = Drain(t.Context(), q, queue.Events, Consumer)
	require.NoError(t, err)
	stop(t, a)
	times := archived(t, s)
	require.Len(t, times, 100)
	upTo, err = tr.Once(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 100, upTo)
}

// messages returns the headers of all messages of EVENTS by their data, which all differ.
func messages(t *testing.T, q *jetstream.Queue) map[string]map[string]string {
	info, err := q.Info(t.Context(), queue.Events)
	require.NoError(t, err)
	c, err := q.Consume(t.Context(), queue.ConsumerConfig{Stream: queue.Events, Name: "reader", MaxPending: 1000, StartAfter: &queue.Position{}})
	require.NoError(t, err)
	out := map[string]map[string]string{}
	for last := uint64(0); last < info.Last; {
		page, err := c.Fetch(t.Context(), 1000)
		require.NoError(t, err)
		for _, m := range page {
			require.NotContains(t, out, string(m.Data))
			out[string(m.Data)], last = m.Header, m.Position.Sequence
			require.NoError(t, m.Ack())
		}
	}
	require.NoError(t, c.Close())
	return out
}

// TestReplay: a message in two objects is published once, with its headers; a replay
// that was cut off goes on; another one is not taken for the first.
func TestReplay(t *testing.T) {
	q, s := openQueue(t), openStore(t)
	a := start(t, q, s, quick())
	publish(t, q, 0, 300, nil)
	_, err := Drain(t.Context(), q, queue.Events, Consumer)
	require.NoError(t, err)
	stop(t, a)
	// As after a crash between storing and acknowledging: the same in other objects.
	var p pack
	require.NoError(t, Objects(t.Context(), s, Range{}, func(o Object) error {
		body, err := s.Get(t.Context(), o.Key)
		require.NoError(t, err)
		defer body.Close()
		r, err := NewReader(body)
		require.NoError(t, err)
		defer r.Close()
		for m, err := r.Next(); err == nil; m, err = r.Next() {
			m.Ack = func() error { return nil }
			require.NoError(t, p.add(m))
			if len(p.held) == 7 {
				require.NoError(t, a.seal(t.Context(), &p))
			}
		}
		return nil
	}))

	target := openQueue(t)
	cut := &Replay{Store: s, Queue: target, Run: "one"}
	ctx, cancel := context.WithCancel(t.Context())
	cut.Progress = func(n Totals) {
		if n.Messages == 123 {
			cancel()
		}
	}
	var saved Totals
	cut.Save = func() error { saved = cut.Totals; return nil }
	require.ErrorIs(t, cut.Read(ctx), context.Canceled)
	require.Equal(t, cut.Totals, saved)
	cut.Progress = nil
	require.NoError(t, cut.Read(t.Context()))
	objects := int64(0)
	require.NoError(t, Objects(t.Context(), s, Range{}, func(Object) error { objects++; return nil }))
	require.Equal(t, objects, cut.Totals.Objects, "once, though some were read twice")
	require.EqualValues(t, 300, cut.Totals.Messages)
	require.EqualValues(t, 600, cut.Totals.Events)
	require.NotZero(t, cut.Totals.Repeated)
	info, err := target.Info(t.Context(), queue.Events)
	require.NoError(t, err)
	require.EqualValues(t, 300, info.Messages)
	for data, header := range messages(t, target) {
		require.Equal(t, "default@0=2", header[queue.CountsHeader], data)
		require.NotEmpty(t, header[ArchivedHeader], data)
	}
	require.NoError(t, (&Replay{Store: s, Queue: target, Run: "two"}).Read(t.Context()))
	info, err = target.Info(t.Context(), queue.Events)
	require.NoError(t, err)
	require.EqualValues(t, 600, info.Messages)
}

// TestReplayStops: an object that is not whole stops a replay, which names it and
// publishes nothing of what comes after it. When the object is mended it goes on.
func TestReplayStops(t *testing.T) {
	q, s := openQueue(t), openStore(t)
	a := start(t, q, s, quick())
	for i := range 3 {
		publish(t, q, 100*i, 100*(i+1), nil)
		_, err := Drain(t.Context(), q, queue.Events, Consumer)
		require.NoError(t, err)
	}
	stop(t, a)
	var objects []Object
	require.NoError(t, Objects(t.Context(), s, Range{}, func(o Object) error { objects = append(objects, o); return nil }))
	require.GreaterOrEqual(t, len(objects), 3)
	bad := objects[1]
	body, err := s.Get(t.Context(), bad.Key)
	require.NoError(t, err)
	whole, err := io.ReadAll(body)
	require.NoError(t, err)
	require.NoError(t, body.Close())
	put := func(b []byte) {
		require.NoError(t, s.Put(t.Context(), bad.Key, bytes.NewReader(b), int64(len(b)), sha256.Sum256(b)))
	}
	put(whole[:len(whole)-1])

	target := openQueue(t)
	r := &Replay{Store: s, Queue: target, Run: "one"}
	require.ErrorContains(t, (&Replay{Store: s}).Read(t.Context()), bad.Key, "a check finds it too")
	err = r.Read(t.Context())
	require.ErrorIs(t, err, ErrFormat)
	require.ErrorContains(t, err, bad.Key)
	info, err := target.Info(t.Context(), queue.Events)
	require.NoError(t, err)
	require.LessOrEqual(t, info.Messages, uint64(objects[0].Messages+bad.Messages))
	put(whole)
	require.NoError(t, r.Read(t.Context()))
	info, err = target.Info(t.Context(), queue.Events)
	require.NoError(t, err)
	require.EqualValues(t, 300, info.Messages)
}

// TestReplayKilled: a replay was killed before it saved how far it was, and goes on when
// the queue has forgotten the ids of the messages. Nothing is published twice, and what
// came meanwhile is not taken for its own.
func TestReplayKilled(t *testing.T) {
	q, s := openQueue(t), openStore(t)
	a := start(t, q, s, quick())
	publish(t, q, 0, 300, nil)
	_, err := Drain(t.Context(), q, queue.Events, Consumer)
	require.NoError(t, err)
	stop(t, a)

	target := openQueue(t)
	r := &Replay{Store: s, Queue: target, Run: "forgotten"}
	ctx, cancel := context.WithCancel(t.Context())
	r.Progress = func(n Totals) {
		if n.Messages == 123 {
			cancel()
		}
	}
	require.ErrorIs(t, r.Read(ctx), context.Canceled)
	publish(t, target, 300, 310, nil)
	r = &Replay{Store: s, Queue: target, Run: "anew", Done: Published{}}
	require.NoError(t, Republished(t.Context(), target, "reader", r.Done, &r.Totals))
	require.GreaterOrEqual(t, r.Totals.Messages, int64(123))
	require.NoError(t, r.Read(t.Context()))
	require.EqualValues(t, 300, r.Totals.Messages)
	require.EqualValues(t, 600, r.Totals.Events)
	require.Len(t, messages(t, target), 310)
}

// stored puts an object of messages, and returns what its name says; change may make that
// wrong.
func stored(t *testing.T, s blob.Store, change func(*Object), messages ...*queue.Message) Object {
	var p pack
	for _, m := range messages {
		require.NoError(t, p.add(m))
	}
	require.NoError(t, p.w.close())
	if change != nil {
		change(&p.object)
	}
	data := p.buf.Bytes()
	o := p.object
	o.Key = o.key(sha256.Sum256(data))
	require.NoError(t, s.Put(t.Context(), o.Key, bytes.NewReader(data), int64(len(data)), sha256.Sum256(data)))
	return o
}

// TestReplayPart: a range holds its first moment and not its last; objects outside of it
// are not read, nor what EVENTS still holds, nor, but in a check, objects that are done.
func TestReplayPart(t *testing.T) {
	s := openStore(t)
	var first Object
	for from := uint64(1); from <= 21; from += 10 { // a message each second, ten in each object
		var page []*queue.Message
		for seq := from; seq < from+10; seq++ {
			page = append(page, message(seq, "x"))
		}
		if o := stored(t, s, nil, page...); from == 1 {
			first = o
		}
	}
	at := func(second int64) time.Time { return time.Unix(second, 0) }
	read := func(r Replay) Totals {
		r.Store = s
		require.NoError(t, r.Read(t.Context()))
		return r.Totals
	}
	for _, c := range []struct {
		Range             Range
		objects, messages int64
	}{
		{Range{}, 3, 30}, {Range{From: at(5), To: at(15)}, 2, 10}, {Range{From: at(10)}, 3, 21}, {Range{From: at(11)}, 2, 20},
		{Range{To: at(21)}, 2, 20}, {Range{To: at(22)}, 3, 21}, {Range{From: at(31)}, 0, 0}, {Range{To: at(1)}, 0, 0},
	} {
		got := read(Replay{Range: c.Range})
		require.Equal(t, []int64{c.objects, c.messages, c.messages}, []int64{got.Objects, got.Messages, got.Events}, "%v", c.Range)
	}
	require.EqualValues(t, 12, read(Replay{Kept: queue.Position{Epoch: 7, Sequence: 12}}).Messages)
	require.EqualValues(t, 30, read(Replay{Kept: queue.Position{Epoch: 8, Sequence: 12}}).Messages, "another stream")

	// What is done is not read again, even if it can not be, but a check reads it.
	require.NoError(t, s.Put(t.Context(), first.Key, strings.NewReader("x"), 1, sha256.Sum256([]byte("x"))))
	done := func() Published { return Published{7: {{1, 10}}} }
	target := openQueue(t)
	saved := 0
	r := &Replay{Store: s, Queue: target, Done: done(), Save: func() error { saved++; return nil }}
	require.NoError(t, r.Read(t.Context()))
	require.EqualValues(t, 20, r.Totals.Messages)
	require.EqualValues(t, 3, r.Totals.Objects)
	require.GreaterOrEqual(t, saved, 3, "after each object")
	require.Len(t, r.Done[7], 1)
	require.ErrorIs(t, (&Replay{Store: s, Done: done()}).Read(t.Context()), ErrFormat)
	err := (&Replay{Store: s, Queue: target, Done: Published{7: {{1, 9}}}}).Read(t.Context())
	require.ErrorIs(t, err, ErrFormat)
	require.ErrorContains(t, err, first.Key)
	require.ErrorIs(t, (&Replay{Store: s, Save: func() error { return io.ErrShortWrite }, Range: Range{From: at(11)}}).Read(t.Context()), io.ErrShortWrite)
}

// TestReplayStrange: an object whose name tells something else, and one that is none,
// end a replay; the error names it.
func TestReplayStrange(t *testing.T) {
	for name, put := range map[string]func(blob.Store) string{
		"fewer": func(s blob.Store) string {
			return stored(t, s, func(o *Object) { o.Messages++ }, message(1, "x")).Key
		},
		"counts": func(s blob.Store) string {
			m := message(1, "x")
			m.Header[queue.CountsHeader] = "?"
			return stored(t, s, nil, m).Key
		},
		"foreign": func(s blob.Store) string {
			require.NoError(t, s.Put(t.Context(), Prefix+"notes.txt", strings.NewReader(""), 0, sha256.Sum256(nil)))
			return Prefix + "notes.txt"
		},
	} {
		s := openStore(t)
		key := put(s)
		require.ErrorContains(t, (&Replay{Store: s}).Read(t.Context()), key, name)
	}
	// Others may keep things beside it.
	s := openStore(t)
	require.NoError(t, s.Put(t.Context(), "notes.txt", strings.NewReader(""), 0, sha256.Sum256(nil)))
	require.NoError(t, (&Replay{Store: s}).Read(t.Context()))
}

// TestDrain: what comes after the call is not waited for; a reader that is behind, or is
// not there, is.
func TestDrain(t *testing.T) {
	q := openQueue(t)
	publish(t, q, 0, 10, nil)
	ended, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	_, err := Drain(ended, q, queue.Events, "reader")
	require.ErrorIs(t, err, context.DeadlineExceeded)
	c, err := q.Consume(t.Context(), queue.ConsumerConfig{Stream: queue.Events, Name: "reader", MaxPending: 1000})
	require.NoError(t, err)
	done := make(chan uint64)
	go func() {
		upTo, err := Drain(t.Context(), q, queue.Events, "reader")
		if err != nil {
			t.Error(err)
		}
		done <- upTo
	}()
	for n := 0; ; n += 10 { // there is always more
		publish(t, q, n, n+10, nil)
		page, err := c.Fetch(t.Context(), 5)
		require.NoError(t, err)
		for _, m := range page {
			require.NoError(t, m.Ack())
		}
		select {
		case upTo := <-done:
			require.GreaterOrEqual(t, upTo, uint64(10))
			info, err := q.Info(t.Context(), queue.Events)
			require.NoError(t, err)
			require.GreaterOrEqual(t, info.Consumers["reader"].AckFloor, upTo)
			require.Greater(t, info.Last, upTo)
			require.NoError(t, c.Close())
			return
		default:
		}
	}
}

// TestKeys: names tell what is in the object and list by time.
func TestKeys(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 678_901_000, time.UTC)
	o := Object{Size: 5, First: at, Last: at.Add(time.Second), Epoch: 1 << 63, Low: 3, High: 9, Messages: 4}
	o.Key = o.key(blob.Sum{1, 2, 3, 4})
	require.NoError(t, blob.CheckKey(o.Key))
	got, err := ParseKey(blob.Info{Key: o.Key, Size: 5})
	require.NoError(t, err)
	require.Equal(t, o, got)
	for _, key := range []string{"events/x", "events/2026-01-02/a_b_c_d_e_f_g.zst", o.Key + "x"} {
		_, err := ParseKey(blob.Info{Key: key})
		require.ErrorIs(t, err, ErrFormat)
	}
}
