package query_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	pipelinev1 "github.com/synapse-analytics/synapse/gen/go/synapse/pipeline/v1"
	queryv1 "github.com/synapse-analytics/synapse/gen/go/synapse/query/v1"
	"github.com/synapse-analytics/synapse/internal/cache"
	cacheredis "github.com/synapse-analytics/synapse/internal/cache/redis"
	"github.com/synapse-analytics/synapse/internal/redisdb"
	"github.com/synapse-analytics/synapse/internal/redisdb/redistest"
	"github.com/synapse-analytics/synapse/services/query"
)

// counted counts the hits of a cache.
type counted struct {
	cache.Cache
	hits atomic.Int64
}

func (c *counted) Get(ctx context.Context, keys ...string) [][]byte {
	out := c.Cache.Get(ctx, keys...)
	for _, v := range out {
		if v != nil {
			c.hits.Add(1)
		}
	}
	return out
}

// seriesReads counts the series read from a store, and how much of a range.
type seriesReads struct {
	query.Store
	minutes atomic.Int64
}

func (s *seriesReads) Series(ctx context.Context, q query.SeriesQuery, f func(query.SeriesRow) error) error {
	s.minutes.Add((q.EndUS - q.StartUS) / 60e6)
	return s.Store.Series(ctx, q, f)
}

func onRedis(t *testing.T, server *redistest.Server) cache.Cache {
	db, err := redisdb.Open(server.Config(), nil, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return cacheredis.New(db, "charts", time.Minute, nil)
}

// charted starts a world with a cache whose hours are cold after that long.
func charted(t *testing.T, c cache.Cache, cold time.Duration) (*world, *seriesReads) {
	w := newWorld(t)
	reads := &seriesReads{}
	w.wrap = func(s query.Store) query.Store { reads.Store = s; return reads }
	w.deps = func(d *query.Deps) { d.Charts = c }
	w.start()
	w.svc.CoolAfter(cold)
	w.ready()
	return w, reads
}

func (w *world) chart(project string, req *queryv1.QueryTimeSeriesRequest) *queryv1.QueryTimeSeriesResponse {
	w.t.Helper()
	req.Parent = "projects/" + project
	r, err := w.api.QueryTimeSeries(as(w.t.Context(), project), req)
	require.NoError(w.t, err)
	return r
}

func counts(r *queryv1.QueryTimeSeriesResponse) map[int64]uint32 {
	out := map[int64]uint32{}
	for _, p := range r.Points {
		out[p.StartTime.AsTime().UnixMicro()] += p.Count
	}
	return out
}

// at makes an event that occurred so long ago.
func at(project, id string, ago time.Duration) *pipelinev1.QueuedEvent {
	e := queued(project, id, []string{"bad", "good", "so"}[len(id)%3])
	e.Event.OccurredAt = timestamppb.New(time.Now().Add(-ago))
	return e
}

// The closed part of a chart is read once; a late event, which changes it, is in the
// next answer.
func TestChartCache(t *testing.T) {
	for name, engine := range map[string]func(*testing.T) cache.Cache{
		"process": func(*testing.T) cache.Cache {
			return cache.NewMemory(cache.Config{TTL: time.Minute, MaxBytes: 1 << 20}, nil)
		},
		"redis": func(t *testing.T) cache.Cache { return onRedis(t, redistest.Start(t)) },
	} {
		t.Run(name, func(t *testing.T) {
			c := &counted{Cache: engine(t)}
			w, reads := charted(t, c, 50*time.Millisecond)
			defer w.scorer()()
			var events []*pipelinev1.QueuedEvent
			for i := range 500 {
				events = append(events, at("shop", fmt.Sprint("e", i), time.Duration(i)*3*time.Minute))
			}
			w.ingest(events...)
			w.stored("shop", 500)
			time.Sleep(100 * time.Millisecond)
			ask := func(by ...string) *queryv1.QueryTimeSeriesResponse {
				return w.chart("shop", &queryv1.QueryTimeSeriesRequest{GroupBy: by, Step: durationpb.New(time.Minute)})
			}
			first := ask()
			require.Zero(t, c.hits.Load())
			reads.minutes.Store(0)
			second := ask()
			require.EqualValues(t, 1, c.hits.Load())
			require.Less(t, reads.minutes.Load(), int64(62), "of a day only the last hour is read")
			require.True(t, slices.EqualFunc(first.Points[5:], second.Points[5:], func(a, b *queryv1.TimeSeriesPoint) bool { return proto.Equal(a, b) }))

			ask("label", "source")
			hits := c.hits.Load()
			grouped := ask("label", "source")
			require.Equal(t, hits+1, c.hits.Load())
			require.Len(t, grouped.Series, 3)

			w.ingest(at("shop", "late", 5*time.Hour), at("other", "x", 5*time.Hour))
			w.stored("shop", 501)
			require.Equal(t, sum(first)+1, sum(ask()))
			require.Equal(t, sum(grouped)+1, sum(ask("label", "source")))
			time.Sleep(100 * time.Millisecond)
			require.Equal(t, sum(first)+1, sum(ask()))
			require.EqualValues(t, 1, sum(w.chart("other", &queryv1.QueryTimeSeriesRequest{})), "a project sees its own")
			require.Zero(t, sum(w.chart("none", &queryv1.QueryTimeSeriesRequest{})))
		})
	}
}

func sum(r *queryv1.QueryTimeSeriesResponse) (n uint32) {
	for _, c := range counts(r) {
		n += c
	}
	return n
}

// While events of any age come in: an answer never goes back, holds everything that
// it says is complete, and at the end is what the store has. Redis is killed, paused
// and emptied meanwhile.
func TestChartCacheUnderLoad(t *testing.T) {
	server := redistest.Start(t)
	c := &counted{Cache: onRedis(t, server)}
	w, _ := charted(t, c, time.Millisecond)
	defer w.scorer()()
	var accepted sync.Map // time of acceptance, µs -> events accepted up to then
	stop := make(chan struct{})
	var load, readers sync.WaitGroup
	total := 0
	load.Go(func() {
		for n := 0; ; n++ {
			select {
			case <-stop:
				return
			default:
			}
			var events []*pipelinev1.QueuedEvent
			for i := range 1 + rand.IntN(20) {
				events = append(events, at("shop", fmt.Sprintf("e-%d-%d", n, i), time.Duration(rand.Int64N(int64(20*time.Hour)))))
			}
			w.ingest(events...)
			total += len(events)
			accepted.Store(time.Now().UnixMicro(), total)
			time.Sleep(time.Duration(rand.IntN(40)) * time.Millisecond)
		}
	})
	end := time.Now().Add(time.Hour).Truncate(time.Hour)
	for r := range 3 {
		readers.Go(func() {
			before := map[int64]uint32{}
			for {
				select {
				case <-stop:
					return
				default:
				}
				req := &queryv1.QueryTimeSeriesRequest{
					Parent: "projects/shop", StartTime: timestamppb.New(end.Add(-24 * time.Hour)), EndTime: timestamppb.New(end), Step: durationpb.New(10 * time.Minute),
				}
				if r == 1 {
					req.GroupBy = []string{"source"}
				}
				resp, err := w.api.QueryTimeSeries(as(context.Background(), "shop"), req)
				if err != nil {
					t.Error(err)
					return
				}
				now := counts(resp)
				for at, n := range before {
					if now[at] < n {
						t.Errorf("an answer went back from %d to %d", n, now[at])
					}
				}
				before = now
				least := 0
				accepted.Range(func(us, n any) bool {
					if us.(int64) < resp.CompleteTo.AsTime().UnixMicro() {
						least = max(least, n.(int))
					}
					return true
				})
				if got := int(sum(resp)); got < least {
					t.Errorf("complete to %s says %d events, the answer has %d", resp.CompleteTo.AsTime(), least, got)
				}
			}
		})
	}
	for _, f := range []func() error{server.Restart, server.Pause, server.Resume, server.Flush, func() error { return nil }} {
		time.Sleep(600 * time.Millisecond)
		if err := f(); err != nil {
			t.Error(err)
		}
	}
	time.Sleep(time.Second)
	close(stop)
	load.Wait()
	readers.Wait()
	w.stored("shop", total)
	require.EqualValues(t, total, sum(w.chart("shop", &queryv1.QueryTimeSeriesRequest{StartTime: timestamppb.New(end.Add(-24 * time.Hour)), EndTime: timestamppb.New(end)})))
	require.NotZero(t, c.hits.Load(), "nothing came from the cache: this proves nothing")
	t.Logf("%d events, %d hits", total, c.hits.Load())
}

// After a restart what another process kept of the same store is taken; that of
// another store is not.
func TestChartCacheOfAnotherStore(t *testing.T) {
	c := &counted{Cache: cache.NewMemory(cache.Config{TTL: time.Minute, MaxBytes: 1 << 20}, nil)}
	one, _ := charted(t, c, time.Millisecond)
	stopScorer := one.scorer()
	one.ingest(at("shop", "a", 5*time.Hour))
	one.stored("shop", 1)
	time.Sleep(10 * time.Millisecond)
	// A step of its own, so that the part ends where it did.
	ask := func(w *world) uint32 {
		return sum(w.chart("shop", &queryv1.QueryTimeSeriesRequest{Step: durationpb.New(time.Hour)}))
	}
	require.EqualValues(t, 1, ask(one))
	require.EqualValues(t, 1, ask(one))
	require.EqualValues(t, 1, c.hits.Load())

	two, _ := charted(t, c, time.Millisecond)
	require.Zero(t, ask(two))
	require.EqualValues(t, 1, c.hits.Load())

	stopScorer()
	one.stop()
	one.start()
	require.Eventually(t, func() bool { // once its writer has begun
		require.EqualValues(t, 1, ask(one))
		return c.hits.Load() > 1
	}, patience, time.Millisecond, "what was kept is taken again after a restart")
}

// hooked calls functions when the store has applied a batch, and before and after it
// reads a series.
type hooked struct {
	query.Store
	applied, reads, read func()
}

func (h *hooked) Apply(ctx context.Context, b *query.Batch) (query.Outcome, error) {
	out, err := h.Store.Apply(ctx, b)
	h.applied()
	return out, err
}

func (h *hooked) Series(ctx context.Context, q query.SeriesQuery, f func(query.SeriesRow) error) error {
	h.reads()
	err := h.Store.Series(ctx, q, f)
	h.read()
	return err
}

// What is in the store is in the answer, also before the writer knows that it is; and
// of a batch that is stored while an answer is made, the answer has all or nothing.
func TestChartCacheIsExact(t *testing.T) {
	w := newWorld(t)
	nothing := func() {}
	hook := func() (v *atomic.Value, call func()) {
		v = &atomic.Value{}
		v.Store(nothing)
		return v, func() { v.Load().(func())() }
	}
	applied, callApplied := hook()
	reads, callReads := hook()
	read, callRead := hook()
	w.wrap = func(s query.Store) query.Store { return &hooked{s, callApplied, callReads, callRead} }
	c := &counted{Cache: cache.NewMemory(cache.Config{TTL: time.Minute, MaxBytes: 1 << 20}, nil)}
	w.deps = func(d *query.Deps) { d.Charts = c }
	w.start()
	w.svc.CoolAfter(0)
	w.ready()
	defer w.scorer()()
	ask := func() uint32 { return sum(w.chart("shop", &queryv1.QueryTimeSeriesRequest{})) }
	w.ingest(at("shop", "a", 5*time.Hour))
	w.stored("shop", 1)
	require.EqualValues(t, 1, ask())
	require.EqualValues(t, 1, ask())
	require.EqualValues(t, 1, c.hits.Load(), "else this proves nothing")

	answers := make(chan uint32, 1)
	applied.Store(func() { applied.Store(nothing); answers <- ask() })
	w.ingest(at("shop", "b", 5*time.Hour))
	require.EqualValues(t, 2, <-answers)
	w.stored("shop", 2)

	for name, moment := range map[string]*atomic.Value{
		"between the part and the rest": read, // the part is not in the cache
		"between the hit and the rest":  reads,
	} {
		w.ingest(at("shop", fmt.Sprint("late", len(name)), 5*time.Hour))
		require.Eventually(t, func() bool { return w.settled("shop").Total.InFlight == 0 }, patience, time.Millisecond)
		before := uint32(w.balance("shop").Total.Stored)
		if moment == reads {
			require.Equal(t, before, ask())
		}
		moment.Store(func() {
			moment.Store(nothing)
			w.ingest(at("shop", fmt.Sprint("old", len(name)), 5*time.Hour), at("shop", fmt.Sprint("new", len(name)), 0))
			w.stored("shop", int(before)+2)
		})
		got := ask()
		require.Contains(t, []uint32{before, before + 2}, got, name)
		require.Equal(t, before+2, ask())
	}
}
