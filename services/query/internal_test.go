package query

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	queryv1 "github.com/synapse-analytics/synapse/gen/go/synapse/query/v1"
	"github.com/synapse-analytics/synapse/internal/queue"
)

func TestWindow(t *testing.T) {
	now := time.Date(2026, 11, 24, 10, 30, 15, 500, time.UTC)
	at := func(s string) *timestamppb.Timestamp {
		v, err := time.Parse(time.RFC3339Nano, s)
		require.NoError(t, err)
		return timestamppb.New(v)
	}
	for name, tc := range map[string]struct {
		req              *queryv1.QueryTimeSeriesRequest
		start, end, step string
		grain            Grain
	}{
		"defaults": {&queryv1.QueryTimeSeriesRequest{}, "2026-11-23T10:30:00Z", "2026-11-24T10:31:00Z", "1m0s", Minute},
		"end only": {&queryv1.QueryTimeSeriesRequest{EndTime: at("2026-01-02T00:00:00Z")}, "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z", "1m0s", Minute},
		"rounded outwards": {&queryv1.QueryTimeSeriesRequest{
			StartTime: at("2026-01-01T00:59:59.999999999Z"), EndTime: at("2026-01-01T02:00:00.000000001Z"), Step: durationpb.New(time.Hour),
		}, "2026-01-01T00:00:00Z", "2026-01-01T03:00:00Z", "1h0m0s", Hour},
		"90 minutes are minutes": {&queryv1.QueryTimeSeriesRequest{
			StartTime: at("2026-01-01T00:00:00Z"), EndTime: at("2026-01-02T00:00:00Z"), Step: durationpb.New(90 * time.Minute),
		}, "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z", "1h30m0s", Minute},
		"a day":   {&queryv1.QueryTimeSeriesRequest{StartTime: at("2026-01-01T05:00:00Z"), Step: durationpb.New(24 * time.Hour)}, "2026-01-01T00:00:00Z", "2026-11-25T00:00:00Z", "24h0m0s", Day},
		"a week":  {&queryv1.QueryTimeSeriesRequest{StartTime: at("2026-11-17T10:30:00Z")}, "2026-11-17T10:26:00Z", "2026-11-24T10:33:00Z", "7m0s", Minute},
		"a year":  {&queryv1.QueryTimeSeriesRequest{StartTime: at("2025-11-24T00:00:00Z"), EndTime: at("2026-11-24T00:00:00Z")}, "2025-11-24T00:00:00Z", "2026-11-24T00:00:00Z", "6h0m0s", Hour},
		"decades": {&queryv1.QueryTimeSeriesRequest{StartTime: at("2000-01-01T00:00:00Z"), EndTime: at("2026-01-01T00:00:00Z")}, "2000-01-01T00:00:00Z", "2026-01-01T00:00:00Z", "24h0m0s", Day},
		"before 1970": {&queryv1.QueryTimeSeriesRequest{
			StartTime: at("1969-12-31T23:30:00Z"), EndTime: at("1970-01-01T00:30:00Z"), Step: durationpb.New(time.Hour),
		}, "1969-12-31T23:00:00Z", "1970-01-01T01:00:00Z", "1h0m0s", Hour},
	} {
		w, err := newWindow(tc.req, now)
		require.NoError(t, err, name)
		require.Equal(t, tc.start, time.UnixMicro(w.startUS).UTC().Format(time.RFC3339), name)
		require.Equal(t, tc.end, time.UnixMicro(w.endUS).UTC().Format(time.RFC3339), name)
		require.Equal(t, tc.step, (time.Duration(w.stepUS) * time.Microsecond).String(), name)
		require.Equal(t, tc.grain, w.grain, name)
	}
	for name, req := range map[string]*queryv1.QueryTimeSeriesRequest{
		"empty":       {StartTime: at("2026-01-01T00:00:00Z"), EndTime: at("2026-01-01T00:00:00Z")},
		"backwards":   {StartTime: at("2027-01-01T00:00:00Z")},
		"step 0":      {Step: durationpb.New(0)},
		"step 90s":    {Step: durationpb.New(90 * time.Second)},
		"step 2 days": {Step: durationpb.New(48 * time.Hour)},
		"negative":    {Step: durationpb.New(-time.Minute)},
		"buckets":     {StartTime: at("2026-01-01T00:00:00Z"), Step: durationpb.New(time.Minute)},
		"bad time":    {StartTime: &timestamppb.Timestamp{Seconds: 1 << 60}},
		"bad end":     {EndTime: &timestamppb.Timestamp{Nanos: -1}},
		"bad step":    {Step: &durationpb.Duration{Seconds: 1 << 60}},
		"for ever":    {StartTime: at("0001-01-01T00:00:00Z"), EndTime: at("9999-12-31T00:00:00Z")},
	} {
		_, err := newWindow(req, now)
		require.Error(t, err, name)
	}
}

// TestDefaultStep: the buckets are at most 1,500 and the next shorter step would
// give more.
func TestDefaultStep(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		start := rapid.Int64Range(0, 1e15).Draw(rt, "start")
		end := start + rapid.Int64Range(1, 1500*dayUS-2*dayUS).Draw(rt, "length")
		buckets := func(step int64) int64 { return (-floorTo(-end, step) - floorTo(start, step)) / step }
		step := defaultStep(start, end)
		require.LessOrEqual(rt, buckets(step), int64(defaultBuckets))
		shorter := step - minuteUS
		if step > hourUS {
			shorter = step - hourUS
		}
		if shorter > 0 {
			require.Greater(rt, buckets(shorter), int64(defaultBuckets))
		}
	})
}

// seriesStore has a series and nothing else.
type seriesStore struct {
	Store
	rows []SeriesRow
	last SeriesQuery
}

func (s *seriesStore) Series(_ context.Context, q SeriesQuery, f func(SeriesRow) error) error {
	s.last = q
	for _, r := range s.rows {
		if q.StepUS == 0 {
			r.StartUS = q.StartUS
		}
		if err := f(r); err != nil {
			return err
		}
	}
	return nil
}

func seriesService(rows []SeriesRow) (*Service, *seriesStore) {
	st := &seriesStore{rows: rows}
	return &Service{store: st, series: &seriesCache{store: st}, now: time.Now, progress: &progress{}}, st
}

func TestFold(t *testing.T) {
	var rows []SeriesRow
	for b := range int64(3) {
		for g := range 120 {
			rows = append(rows, SeriesRow{
				StartUS: b * minuteUS, Group: [2]string{fmt.Sprintf("s%03d", g)},
				Cells: [3]Cell{{Count: int64(g + 1), SumE4: -10}, {}, {Count: 1, SumE4: 10000}},
			})
		}
	}
	rows = append(rows, SeriesRow{StartUS: 2 * minuteUS, Group: [2]string{Other}, Cells: [3]Cell{{Count: 5}}})
	s, _ := seriesService(rows)
	resp, err := s.timeSeries(t.Context(), "p", &queryv1.QueryTimeSeriesRequest{GroupBy: []string{"source"}})
	require.NoError(t, err)
	require.Len(t, resp.Series, maxGroups)
	require.Len(t, resp.Points, 3)
	var all, grouped uint32
	for _, p := range resp.Points {
		all += p.Count
	}
	last, sizes := uint32(1<<31), map[string]uint32{}
	for _, ser := range resp.Series {
		var n uint32
		for _, p := range ser.Points {
			n += p.Count
		}
		require.LessOrEqual(t, n, last, "the largest first")
		last = n
		grouped += n
		sizes[ser.Group["source"]] = n
	}
	require.Equal(t, all, grouped, "folding loses nothing")
	require.EqualValues(t, 3*120+3, sizes["s119"])
	require.Contains(t, sizes, Other)
	require.NotContains(t, sizes, "s000")

	// Split by a dimension and the label.
	resp, err = s.timeSeries(t.Context(), "p", &queryv1.QueryTimeSeriesRequest{GroupBy: []string{"label", "source"}})
	require.NoError(t, err)
	require.Equal(t, map[string]string{"label": Other, "source": Other}, resp.Series[0].Group)
	require.Equal(t, map[string]string{"label": "NEGATIVE", "source": "s119"}, resp.Series[1].Group)
	require.Zero(t, resp.Series[1].Points[0].Positive)
	require.InDelta(t, -10/1e4/120, resp.Series[1].Points[0].Mean, 1e-12)
	require.InDelta(t, -1, resp.Series[1].Points[0].Net, 0)
	again, err := s.timeSeries(t.Context(), "p", &queryv1.QueryTimeSeriesRequest{GroupBy: []string{"label", "source"}})
	require.NoError(t, err)
	require.Equal(t, resp.String(), again.String(), "the same data give the same answer")

	_, err = s.timeSeries(t.Context(), "p", &queryv1.QueryTimeSeriesRequest{GroupBy: []string{"user"}})
	require.Error(t, err)
	_, err = s.timeSeries(t.Context(), "p", &queryv1.QueryTimeSeriesRequest{Filter: "user_id = x"})
	require.ErrorContains(t, err, "user_id")
}

func TestTooManyPoints(t *testing.T) {
	var rows []SeriesRow
	for b := range int64(2500) {
		for g := range 45 {
			rows = append(rows, SeriesRow{StartUS: b * minuteUS, Group: [2]string{fmt.Sprint(g)}, Cells: [3]Cell{{Count: 1}}})
		}
	}
	s, _ := seriesService(rows)
	_, err := s.timeSeries(t.Context(), "p", &queryv1.QueryTimeSeriesRequest{GroupBy: []string{"source"}})
	require.ErrorContains(t, err, "points over all groups")
}

// TestSettle: whatever the counters are, an answer adds up; nothing is in flight
// and all of the difference shows when the streams are quiet; a closed hour
// shows its difference while others are open.
func TestSettle(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var st BalanceState
		counters := func() Counters {
			n := func(s string) int64 { return rapid.Int64Range(0, 5).Draw(rt, s) }
			return Counters{n("accepted"), n("stored"), n("duplicate"), n("conflict"), n("dead"), n("erased")}
		}
		hours := rapid.IntRange(0, 5).Draw(rt, "hours")
		first := int64(1000)
		var want int64
		quiet := rapid.Bool().Draw(rt, "quiet")
		complete := rapid.Int64Range(990, 1010).Draw(rt, "complete") * hourUS
		sum := func(c Counters) { st.Total = minus(st.Total, minus(Counters{}, c)) }
		for i := range hours {
			h := HourCounters{Hour: first - int64(i), Counters: counters()}
			st.Hours = append(st.Hours, h)
			sum(h.Counters)
			if quiet || (h.Hour+1)*hourUS+acceptedSlackUS <= complete {
				want += h.Accepted - h.Explained()
			}
		}
		rest := counters()
		if hours == 0 {
			rest = Counters{}
		}
		sum(rest)
		r := settle(st, quiet, complete)
		b := &queryv1.Balance{Total: r.total, Hours: r.hours, Difference: r.difference}
		c := b.Total
		require.Equal(rt, c.Accepted, c.Stored+c.Duplicate+c.DeadLetter+c.InFlight+c.Erased+b.Difference)
		if quiet {
			require.Zero(rt, c.InFlight)
			require.Equal(rt, float64(st.Total.Accepted-st.Total.Explained()), b.Difference)
		}
		if hours > 0 && !quiet && (first-int64(hours-1))*hourUS+acceptedSlackUS > complete {
			require.Equal(rt, float64(want), b.Difference)
		}
		require.GreaterOrEqual(rt, c.InFlight, 0.0)
	})
}

func TestTimeline(t *testing.T) {
	var tl timeline
	const n = 100_000
	for i := uint64(1); i <= n; i++ {
		tl.add(queue.Position{Epoch: 1, Sequence: i * 2}, int64(i*10))
	}
	require.LessOrEqual(t, len(tl.marks), maxMarks)
	for _, seq := range []uint64{2, 3, 1000, 77_777, 2 * n, 5 * n} {
		us, ok := tl.at(queue.Position{Epoch: 1, Sequence: seq})
		require.True(t, ok)
		truth := int64(min(seq/2, n) * 10)
		require.LessOrEqual(t, us, truth, "never too late")
		require.Greater(t, us, truth-400, "and not much too early")
	}
	_, ok := tl.at(queue.Position{Epoch: 1, Sequence: 1})
	require.False(t, ok)
	_, ok = tl.at(queue.Position{Epoch: 2, Sequence: 5})
	require.False(t, ok)
	tl.forget(queue.Position{Epoch: 1, Sequence: 2*n - 100})
	require.Less(t, len(tl.marks), 20)
	_, ok = tl.at(queue.Position{Epoch: 1, Sequence: 2*n - 100})
	require.True(t, ok)
	tl.add(queue.Position{Epoch: 2, Sequence: 1}, 5)
	us, ok := tl.at(queue.Position{Epoch: 2, Sequence: 1})
	require.True(t, ok)
	require.EqualValues(t, 5, us)
}

// TestFlight: nobody gets a look that began before the call.
func TestFlight(t *testing.T) {
	var f flight
	var clock, runs atomic.Int64
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			for range 20 {
				came := clock.Add(1)
				l, err := f.do(t.Context(), func(context.Context) (*look, error) {
					runs.Add(1)
					return &look{floor: uint64(clock.Add(1))}, nil
				})
				if err != nil || l.floor < uint64(came) {
					t.Errorf("came at %d, got a look of %d, %v", came, l.floor, err)
				}
			}
		})
	}
	wg.Wait()
	require.LessOrEqual(t, runs.Load(), int64(1000))
	ctx, cancel := context.WithCancel(t.Context())
	f.turn <- struct{}{}
	cancel()
	_, err := f.do(ctx, nil)
	require.ErrorIs(t, err, context.Canceled)
}

func TestScoredUpTo(t *testing.T) {
	for name, tc := range map[string]struct {
		info queue.Info
		want uint64
	}{
		"empty stream":           {queue.Info{First: 1}, 0},
		"no scoring role yet":    {queue.Info{Messages: 3, First: 1, Last: 3}, 0},
		"trimmed, no role":       {queue.Info{Messages: 3, First: 8, Last: 10}, 7},
		"all done":               {queue.Info{Messages: 3, First: 1, Last: 3, Consumers: map[string]queue.ConsumerInfo{"scoring": {}}}, 3},
		"one under way":          {queue.Info{Messages: 3, First: 1, Last: 3, Consumers: map[string]queue.ConsumerInfo{"scoring": {AckFloor: 2, Unacknowledged: 1}}}, 2},
		"removed and under way":  {queue.Info{First: 4, Last: 3, Consumers: map[string]queue.ConsumerInfo{"scoring": {AckFloor: 2, Unacknowledged: 1}}}, 3},
		"all done and all gone":  {queue.Info{First: 4, Last: 3}, 3},
		"fresh consumer, behind": {queue.Info{Messages: 3, First: 8, Last: 10, Consumers: map[string]queue.ConsumerInfo{"scoring": {Pending: 3}}}, 7},
	} {
		require.Equal(t, tc.want, scoredUpTo(tc.info), name)
	}
}

func TestConfig(t *testing.T) {
	require.NoError(t, DefaultConfig().Validate())
	err := Config{}.Validate()
	for _, field := range []string{"max_rows", "max_tails", "tail_buffer", "heartbeat", "idempotency_window", "recovery_window", "trim_interval", "list_budget"} {
		require.ErrorContains(t, err, field+": must be")
	}
	for retention, want := range map[time.Duration]string{
		0: "", 7 * 24 * time.Hour: "", 23 * time.Hour: "retention: must be 24h", 6 * 24 * time.Hour: "retention: must be at least idempotency_window", -time.Hour: "retention: must be 24h",
	} {
		c := DefaultConfig()
		c.Retention = retention
		if err := c.Validate(); want == "" {
			require.NoError(t, err)
		} else {
			require.ErrorContains(t, err, want)
		}
	}
}

// FuzzTokens: no string but what was given out is taken.
func FuzzTokens(f *testing.F) {
	tk := newTokens([]byte(strings.Repeat("k", 32)))
	other := newTokens([]byte(strings.Repeat("o", 32)))
	f.Add(tk.page("p", "f", ListKey{5, 6}))
	f.Add(tk.cursor("p", 77))
	f.Add(other.cursor("p", 77))
	f.Fuzz(func(t *testing.T, s string) {
		if k, err := tk.parsePage("p", "f", s); err == nil {
			require.Equal(t, s, tk.page("p", "f", *k))
			_, err := tk.parsePage("q", "f", s)
			require.Error(t, err)
			_, _, err = tk.parseCursor("p", s)
			require.Error(t, err)
		}
		if seq, known, err := tk.parseCursor("p", s); err == nil && known {
			require.Equal(t, s, tk.cursor("p", seq))
			_, known, err := tk.parseCursor("q", s)
			require.True(t, !known || err != nil)
		}
	})
}

// TestFoldLate: groups that come one a bucket are folded as well, and few of
// them take one pass.
func TestFoldLate(t *testing.T) {
	for _, n := range []int{maxGroups, maxGroups + 1, 200} {
		var rows []SeriesRow
		for g := range n {
			rows = append(rows, SeriesRow{StartUS: int64(g) * minuteUS, Group: [2]string{fmt.Sprintf("s%03d", g)}, Cells: [3]Cell{{Count: 1}}})
		}
		s, st := seriesService(rows)
		resp, err := s.timeSeries(t.Context(), "p", &queryv1.QueryTimeSeriesRequest{GroupBy: []string{"source"}})
		require.NoError(t, err)
		require.Len(t, resp.Series, maxGroups)
		require.Len(t, resp.Points, n)
		require.Equal(t, minuteUS, st.last.StepUS)
		if n > maxGroups {
			require.Equal(t, map[string]string{"source": Other}, resp.Series[0].Group)
			require.Len(t, resp.Series[0].Points, n-maxGroups+1)
		}
	}
}

// streams answers Info as told.
type streams struct {
	Queue
	info map[queue.Stream]queue.Info
}

func (s *streams) Info(_ context.Context, name queue.Stream) (queue.Info, error) {
	return s.info[name], nil
}

// TestNothingIsCompleteAfterALoss: a process that only reads the store does not take
// the store's position for what a stream holds that has lost its end.
func TestNothingIsCompleteAfterALoss(t *testing.T) {
	now := time.UnixMicro(1_800_000_000_000_000)
	at := func(sequence uint64, us int64) StoredPosition {
		return StoredPosition{Position: queue.Position{Epoch: 7, Sequence: sequence}, TimeUS: us}
	}
	info := func(last uint64, us int64) queue.Info {
		return queue.Info{Epoch: 7, Messages: last, First: 1, Last: last, LastTime: time.UnixMicro(us),
			Consumers: map[string]queue.ConsumerInfo{scoringConsumer: {AckFloor: last}}}
	}
	for name, tc := range map[string]struct {
		events, scored queue.Info
		complete       bool
	}{
		"as it was":                     {info(20, 200), info(20, 210), true},
		"SCORED is shorter":             {info(20, 200), info(15, 300), false},
		"EVENTS is shorter":             {info(15, 300), info(20, 210), false},
		"another message at its end":    {info(20, 200), info(20, 300), false},
		"another message of EVENTS":     {info(20, 300), info(20, 210), false},
		"all of it was trimmed":         {queue.Info{Epoch: 7, Last: 20, First: 21}, queue.Info{Epoch: 7, Last: 20, First: 21}, true},
		"the store is not there yet":    {info(25, 300), info(25, 310), false},
		"a stream that was made anew":   {info(20, 200), queue.Info{Epoch: 8, Messages: 1, First: 1, Last: 1}, false},
		"nothing was ever scored again": {info(20, 200), queue.Info{Epoch: 8}, true},
	} {
		p := &progress{
			queue: &streams{info: map[queue.Stream]queue.Info{queue.Events: tc.events, queue.Scored: tc.scored}},
			times: &timeline{}, positions: newPositions(nil), now: func() time.Time { return now }, log: slog.New(slog.DiscardHandler),
		}
		p.positions.set(queue.Events, at(20, 200))
		p.positions.set(queue.Scored, at(20, 210))
		l, err := p.look(t.Context())
		require.NoError(t, err, name)
		_, known := p.complete()
		require.Equal(t, tc.complete, known, name)
		require.Equal(t, tc.complete, l.quiet(map[queue.Stream]StoredPosition{queue.Events: at(20, 200), queue.Scored: at(20, 210)}), name)
	}
}

// TestAdvance: what was read for the tails is published once, and only when it was read
// for all of them.
func TestAdvance(t *testing.T) {
	h := newHub(newTokens(make([]byte, 32)), 16, 16, 5)
	p, from, err := h.subscribe("p", nil)
	require.NoError(t, err)
	require.EqualValues(t, 5, from)
	after, projects := h.wanted()
	require.EqualValues(t, 5, after)
	require.Equal(t, []string{"p"}, projects)
	read := map[string][]*Event{"p": {{Seq: 6, Project: "p", ID: "a"}, {Seq: 8, Project: "p", ID: "b"}}}

	q, from, err := h.subscribe("q", nil) // came while p's events were read
	require.NoError(t, err)
	require.EqualValues(t, 5, from, "it counts on what comes after 5")
	require.Zero(t, h.advance(5, 8, read))
	require.Empty(t, p.take().events, "q's were not read")

	read["q"] = []*Event{{Seq: 7, Project: "q", ID: "c"}}
	require.Zero(t, h.advance(5, 8, read))
	require.Zero(t, h.advance(5, 8, read), "a second time it is behind")
	got := p.take()
	require.Len(t, got.events, 2)
	require.EqualValues(t, 8, got.upTo)
	require.Len(t, q.take().events, 1)
	_, from, err = h.subscribe("r", nil)
	require.NoError(t, err)
	require.EqualValues(t, 8, from)
}
