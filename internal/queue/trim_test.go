package queue

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// oneStream is a stream whose messages are known by time and size.
type oneStream struct {
	info  Info
	times map[uint64]time.Time
	size  map[uint64]uint64
	err   error
}

func newOneStream() *oneStream {
	return &oneStream{
		info:  Info{Epoch: 1, First: 1, MaxBytes: 1000, Consumers: map[string]ConsumerInfo{}},
		times: map[uint64]time.Time{}, size: map[uint64]uint64{},
	}
}

func (s *oneStream) add(at time.Time, size uint64) {
	s.info.Last++
	s.times[s.info.Last], s.size[s.info.Last] = at, size
	s.info.Messages++
	s.info.Bytes += size
	s.refresh()
}

func (s *oneStream) refresh() {
	s.info.FirstTime, s.info.LastTime = s.times[s.info.First], s.times[s.info.Last]
	if s.info.Messages == 0 {
		s.info.FirstTime, s.info.LastTime = time.Time{}, time.Time{}
	}
}

func (s *oneStream) Info(context.Context, Stream) (Info, error) { return s.info, s.err }

func (s *oneStream) Trim(_ context.Context, _ Stream, upTo uint64) error {
	for s.info.First <= min(upTo, s.info.Last) {
		s.info.Bytes -= s.size[s.info.First]
		s.info.First++
		s.info.Messages--
	}
	s.refresh()
	return s.err
}

func (s *oneStream) floors(byName map[string]uint64) {
	s.info.Consumers = map[string]ConsumerInfo{}
	for n, f := range byName {
		s.info.Consumers[n] = ConsumerInfo{AckFloor: f}
	}
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func TestNewTrimmerRefuses(t *testing.T) {
	for _, cfg := range []TrimConfig{
		{Stream: Events},
		{Stream: Events, Consumers: []string{"a"}, Interval: -1},
		{Stream: Events, Consumers: []string{"a"}, RecoveryWindow: -1},
	} {
		_, err := NewTrimmer(newOneStream(), cfg, quiet(), nil)
		require.Error(t, err)
	}
}

func TestTrimByAge(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	s := newOneStream()
	tr, err := NewTrimmer(s, TrimConfig{Stream: Events, Consumers: []string{"a", "b"}, RecoveryWindow: time.Hour}, quiet(), func() time.Time { return now })
	require.NoError(t, err)
	once := func() uint64 {
		t.Helper()
		upTo, err := tr.Once(t.Context())
		require.NoError(t, err)
		return upTo
	}
	for range 10 {
		s.add(now, 1)
	}
	s.floors(map[string]uint64{"a": 10, "b": 8})
	require.Zero(t, once(), "all are young")

	now = now.Add(30 * time.Minute)
	s.add(now, 1)
	require.Zero(t, once())

	now = now.Add(30 * time.Minute)
	require.EqualValues(t, 8, once(), "10 are old, 8 are acknowledged by both")
	require.EqualValues(t, 9, s.info.First)

	s.floors(map[string]uint64{"a": 11})
	require.Zero(t, once(), "b does not exist")
	s.floors(map[string]uint64{"a": 11, "b": 11})
	require.EqualValues(t, 10, once(), "11 is young")

	now = now.Add(2 * time.Hour)
	require.EqualValues(t, 11, once(), "the whole stream is old")
	require.Zero(t, once(), "it is empty")
}

func TestTrimByAgeAfterStart(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	s := newOneStream()
	s.add(now.Add(-10*time.Hour), 1)
	s.add(now, 1)
	s.floors(map[string]uint64{"a": 2})
	tr, err := NewTrimmer(s, TrimConfig{Stream: Events, Consumers: []string{"a"}, RecoveryWindow: time.Hour}, quiet(), func() time.Time { return now })
	require.NoError(t, err)
	upTo, err := tr.Once(t.Context())
	require.NoError(t, err)
	require.Zero(t, upTo, "what lies between is not known yet")
	now = now.Add(time.Hour)
	s.add(now, 1)
	upTo, err = tr.Once(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 2, upTo)
}

func TestTrimByBytes(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	s := newOneStream()
	tr, err := NewTrimmer(s, TrimConfig{Stream: Events, Consumers: []string{"a"}, RecoveryWindow: time.Hour}, quiet(), func() time.Time { return now })
	require.NoError(t, err)
	for range 70 {
		s.add(now, 10)
	}
	s.floors(map[string]uint64{"a": 70})
	upTo, err := tr.Once(t.Context())
	require.NoError(t, err)
	require.Zero(t, upTo, "70 % is not above 70 %")
	s.add(now, 10)
	s.floors(map[string]uint64{"a": 5})
	upTo, err = tr.Once(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 5, upTo, "no further than acknowledged")
	s.add(now, 60)
	s.floors(map[string]uint64{"a": 72})
	_, err = tr.Once(t.Context())
	require.NoError(t, err)
	require.LessOrEqual(t, s.info.Bytes, uint64(700), "down below the high water in spite of unequal sizes")
	require.Greater(t, s.info.Bytes, uint64(400))
}

func TestTrimOtherStream(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	s := newOneStream()
	tr, err := NewTrimmer(s, TrimConfig{Stream: Events, Consumers: []string{"a"}, RecoveryWindow: time.Hour}, quiet(), func() time.Time { return now })
	require.NoError(t, err)
	for range 10 {
		s.add(now, 1)
	}
	_, err = tr.Once(t.Context())
	require.NoError(t, err)
	now = now.Add(time.Hour)
	fresh := newOneStream()
	fresh.info.Epoch = 2
	for range 10 {
		fresh.add(now, 1)
	}
	fresh.floors(map[string]uint64{"a": 10})
	*s = *fresh
	upTo, err := tr.Once(t.Context())
	require.NoError(t, err)
	require.Zero(t, upTo, "the old stream's samples do not count")
}

func TestTrimErrors(t *testing.T) {
	s := newOneStream()
	s.err = errors.New("no answer")
	tr, err := NewTrimmer(s, TrimConfig{Stream: Events, Consumers: []string{"a"}}, quiet(), nil)
	require.NoError(t, err)
	_, err = tr.Once(t.Context())
	require.ErrorIs(t, err, s.err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.NoError(t, tr.Run(ctx))
}

// TestTrimProperty: whatever happens, nothing unacknowledged goes, nothing
// younger than the window (less what the clock went back) goes unless the stream
// is above the high water, and what is remembered is bounded.
func TestTrimProperty(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		now := time.Unix(1_800_000_000, 0)
		window := time.Duration(rapid.IntRange(0, 3600).Draw(rt, "window")) * time.Second
		s := newOneStream()
		tr, err := NewTrimmer(s, TrimConfig{Stream: Events, Consumers: []string{"a", "b"}, RecoveryWindow: window}, quiet(), func() time.Time { return now })
		require.NoError(rt, err)
		var wentBack time.Duration
		floor := map[string]uint64{"a": 0, "b": 0}
		for range rapid.IntRange(1, 60).Draw(rt, "steps") {
			step := time.Duration(rapid.IntRange(-5, 900).Draw(rt, "seconds")) * time.Second
			now = now.Add(step)
			wentBack -= min(step, 0)
			for range rapid.IntRange(0, 20).Draw(rt, "messages") {
				s.add(now, uint64(rapid.IntRange(1, 20).Draw(rt, "size")))
			}
			for n := range floor {
				floor[n] = min(s.info.Last, max(floor[n], uint64(rapid.IntRange(0, int(s.info.Last)).Draw(rt, "floor"))))
			}
			s.floors(floor)
			if rapid.IntRange(0, 9).Draw(rt, "gone") == 0 {
				delete(s.info.Consumers, "b")
			}
			above := float64(s.info.Bytes) > highWater*float64(s.info.MaxBytes)
			upTo, err := tr.Once(context.Background())
			require.NoError(rt, err)
			require.LessOrEqual(rt, len(tr.samples), maxSamples+2)
			if upTo == 0 {
				continue
			}
			require.Len(rt, s.info.Consumers, 2)
			require.LessOrEqual(rt, upTo, min(floor["a"], floor["b"]))
			if !above {
				require.GreaterOrEqual(rt, now.Sub(s.times[upTo]), window-wentBack)
			}
		}
	})
}
