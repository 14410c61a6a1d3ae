package archive

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
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
	_, err := Drain(t.Context(), q)
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
	_, err = Drain(t.Context(), q)
	require.NoError(t, err)
	stop(t, a)
	times := archived(t, s)
	require.Len(t, times, 100)
	upTo, err = tr.Once(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 100, upTo)
}

// TestReplay: a message in two objects is published once, with its headers; a replay
// that was cut off goes on; another one is not taken for the first.
func TestReplay(t *testing.T) {
	q, s := openQueue(t), openStore(t)
	a := start(t, q, s, quick())
	publish(t, q, 0, 300, nil)
	_, err := Drain(t.Context(), q)
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
	require.ErrorIs(t, cut.Read(ctx), context.Canceled)
	cut.Progress = nil
	require.NoError(t, cut.Read(t.Context()))
	require.EqualValues(t, 300, cut.Totals.Messages)
	require.EqualValues(t, 600, cut.Totals.Events)
	require.NotZero(t, cut.Totals.Repeated)
	info, err := target.Info(t.Context(), queue.Events)
	require.NoError(t, err)
	require.EqualValues(t, 300, info.Messages)
	c, err := target.Consume(t.Context(), queue.ConsumerConfig{Stream: queue.Events, Name: "reader", MaxPending: 1000})
	require.NoError(t, err)
	for n := 0; n < 300; {
		messages, err := c.Fetch(t.Context(), 300)
		require.NoError(t, err)
		for _, m := range messages {
			require.Equal(t, fmt.Sprintf("message %d", n), string(m.Data))
			require.Equal(t, "default@0=2", m.Header[queue.CountsHeader])
			require.NotEmpty(t, m.Header[ArchivedHeader])
			require.NoError(t, m.Ack())
			n++
		}
	}
	require.NoError(t, c.Close())
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
		_, err := Drain(t.Context(), q)
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
