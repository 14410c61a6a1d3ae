// Command cache measures what processes share with and without it, in one run: the
// rate limits by each engine, charts and scores with each cache. It starts a Redis of
// its own; client and server share the machine. It takes about a minute.
//
//	go run ./bench/cache
package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	pipelinev1 "github.com/synapse-analytics/synapse/gen/go/synapse/pipeline/v1"
	queryv1 "github.com/synapse-analytics/synapse/gen/go/synapse/query/v1"
	typev1 "github.com/synapse-analytics/synapse/gen/go/synapse/type/v1"
	"github.com/synapse-analytics/synapse/internal/authn"
	"github.com/synapse-analytics/synapse/internal/cache"
	cacheredis "github.com/synapse-analytics/synapse/internal/cache/redis"
	"github.com/synapse-analytics/synapse/internal/limits"
	limitsredis "github.com/synapse-analytics/synapse/internal/limits/redis"
	"github.com/synapse-analytics/synapse/internal/queue"
	"github.com/synapse-analytics/synapse/internal/queue/jetstream"
	"github.com/synapse-analytics/synapse/internal/redisdb"
	"github.com/synapse-analytics/synapse/internal/redisdb/redistest"
	"github.com/synapse-analytics/synapse/model"
	"github.com/synapse-analytics/synapse/services/query"
	"github.com/synapse-analytics/synapse/services/query/store/sqlite"
	"github.com/synapse-analytics/synapse/services/scoring"
)

// each is how long a row is measured.
const each = 1500 * time.Millisecond

var quiet = slog.New(slog.DiscardHandler)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "bench-cache:", err)
		os.Exit(1)
	}
}

func run() error {
	dir, err := os.MkdirTemp("", "synapse-bench-cache-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	server, err := redistest.Launch(dir)
	if err != nil {
		return fmt.Errorf("start Redis, which make setup installs: %w", err)
	}
	defer func() { _ = server.Kill() }()
	db, err := redisdb.Open(server.Config(), nil, quiet)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	if err := benchLimits(db); err != nil {
		return err
	}
	if err := benchCharts(dir, db); err != nil {
		return err
	}
	return benchScores(db)
}

var base time.Duration

// row measures f by callers at a time and prints what a call took, beside the first
// row of its table. A call is of so many units.
func row(name string, callers, units int, f func() error) error {
	var calls, failed atomic.Int64
	var wg sync.WaitGroup
	if err := f(); err != nil { // warm
		return err
	}
	start := time.Now()
	for range callers {
		wg.Go(func() {
			for time.Since(start) < each {
				if f() != nil {
					failed.Add(1)
				}
				calls.Add(1)
			}
		})
	}
	wg.Wait()
	took := time.Since(start) / time.Duration(max(1, int(calls.Load())*units))
	if base == 0 {
		base = took
	}
	fmt.Printf("  %-44s %12s %10.2fx\n", name, took, float64(took)/float64(base))
	if n := failed.Load(); n > 0 {
		return fmt.Errorf("%s: %d of %d calls failed", name, n, calls.Load())
	}
	return nil
}

func table(format string, args ...any) {
	base = 0
	fmt.Printf(format+"\n", args...)
}

// benchLimits: a limit of 100,000 events a second that is not reached, three processes.
func benchLimits(db *redisdb.DB) error {
	for _, batch := range []int{1, 100} {
		table("rate limit, one Take of %d events, 8 callers: time a call", batch)
		c := limits.Config{Rate: 100_000, Burst: 1e12}
		own := limits.NewBuckets(c)
		leased, err := limitsredis.New(db, c, limitsredis.Options{Name: fmt.Sprint("leased", batch), Share: 3})
		if err != nil {
			return err
		}
		exact, err := limitsredis.New(db, c, limitsredis.Options{Name: fmt.Sprint("exact", batch), Share: 3, Exact: true})
		if err != nil {
			return err
		}
		for _, r := range []struct {
			name string
			take func(string, int, time.Time) (bool, time.Duration, limits.State)
		}{
			{"in process", own.Take},
			{"Redis, tokens in advance (as built)", leased.Take},
			{"Redis, a round trip each", exact.Take},
		} {
			if err := row(r.name, 8, 1, func() error { r.take("p", batch, time.Now()); return nil }); err != nil {
				return err
			}
		}
	}
	return nil
}

// benchCharts: a day by minutes, while 1,000 events a second come in.
func benchCharts(dir string, db *redisdb.DB) error {
	table("chart of 24 hours by minutes, SQLite, 1,000 events/s coming in, 2 callers: time a call")
	for i, c := range []struct {
		name  string
		cache cache.Cache
	}{
		{"no cache", nil},
		{"process (the default)", cache.NewMemory(cache.Config{TTL: time.Minute, MaxBytes: 32 << 20}, nil)},
		{"redis", cacheredis.New(db, "charts", time.Minute, nil)},
	} {
		if err := chart(filepath.Join(dir, fmt.Sprint("charts", i)), c.name, c.cache); err != nil {
			return err
		}
	}
	return nil
}

func chart(dir, name string, c cache.Cache) (err error) {
	ctx := context.Background()
	qc := jetstream.DefaultConfig()
	qc.Dir, qc.Sync, qc.FreeFloorBytes = filepath.Join(dir, "queue"), jetstream.SyncInterval, 0
	q, err := jetstream.Open(ctx, qc, quiet)
	if err != nil {
		return err
	}
	defer func() { _ = q.Close() }()
	store, err := sqlite.Open(ctx, filepath.Join(dir, "query.db"), sqlite.Options{Logger: quiet})
	if err != nil {
		return err
	}
	defer func() { _ = store.Close() }()
	model := scoring.NewExplainer(scoring.NewModelScorer(model.Default()), quiet)
	svc, err := query.New(query.Deps{Config: query.DefaultConfig(), Logger: quiet, Queue: q, Store: store, Explainer: model, Charts: c})
	if err != nil {
		return err
	}
	n := 0
	feed := func(events int, ago func(i int) time.Duration) error {
		now := time.Now()
		b := &pipelinev1.ScoredBatch{SourceSequence: uint64(n + 1), SourceEpoch: 1, QueuedAtUs: now.UnixMicro()}
		for i := range events {
			n++
			b.Events = append(b.Events, &pipelinev1.ScoredEvent{
				Queued: &pipelinev1.QueuedEvent{Project: "p", AcceptedAtUs: now.UnixMicro(), Event: &typev1.EventInput{
					Id: fmt.Sprint("e", n), Text: "a text", Source: fmt.Sprint("s", i%4), OccurredAt: timestamppb.New(now.Add(-ago(i))),
				}},
				Sentiment: &typev1.Sentiment{Label: typev1.Sentiment_NEUTRAL, ModelVersion: "m", Probabilities: &typev1.Probabilities{Neutral: 1}}, Language: "en",
			})
		}
		data, err := proto.Marshal(b)
		if err != nil {
			return err
		}
		_, _, err = q.Publish(ctx, queue.Scored, queue.Outgoing{Data: data})
		return err
	}
	for k := range 30 { // twenty events in each minute of a day
		if err := feed(960, func(i int) time.Duration { return time.Duration(k*48+i%48) * time.Minute }); err != nil {
			return err
		}
	}
	if err := svc.Start(ctx); err != nil {
		return err
	}
	defer func() { _ = svc.Stop(ctx) }()
	for at := int64(0); at < int64(n); time.Sleep(10 * time.Millisecond) {
		if at, err = store.LastSeq(ctx); err != nil {
			return err
		}
	}
	time.Sleep(10 * time.Second) // what has just changed is not kept
	stop, fed := make(chan struct{}), make(chan error, 1)
	go func() {
		for {
			select {
			case <-stop:
				fed <- nil
				return
			case <-time.After(20 * time.Millisecond):
				if err := feed(20, func(int) time.Duration { return 0 }); err != nil {
					fed <- err
					return
				}
			}
		}
	}()
	caller := authn.NewContext(ctx, &authn.Principal{}, "p")
	err = row(name, 2, 1, func() error {
		r, err := svc.QueryTimeSeries(caller, &queryv1.QueryTimeSeriesRequest{Parent: "projects/p"})
		if err == nil && len(r.Points) < 1400 {
			err = fmt.Errorf("%d points", len(r.Points))
		}
		return err
	})
	close(stop)
	if ferr := <-fed; err == nil {
		err = ferr
	}
	return err
}

// slow is a scorer that takes a millisecond longer a text.
type slow struct{ scoring.Scorer }

func (s slow) Analyze(in []model.Input, want model.Extra, out []model.Analysis) error {
	time.Sleep(time.Duration(len(in)) * time.Millisecond)
	return s.Scorer.Analyze(in, want, out)
}

// benchScores: batches of 100 texts of which half were scored before.
func benchScores(db *redisdb.DB) error {
	var serial atomic.Int64
	batch := func() []model.Input {
		in := make([]model.Input, 100)
		for i := range in {
			in[i].Text = fmt.Sprintf("I love the new screen, but the battery of number %d does not last a day", i)
			if i%2 == 0 {
				in[i].Text += fmt.Sprintf(", and that %d times", serial.Add(1))
			}
		}
		return in
	}
	for name, inner := range map[string]scoring.Scorer{
		"built-in model": scoring.NewModelScorer(model.Default()), "a model that takes 1 ms more": slow{scoring.NewModelScorer(model.Default())},
	} {
		table("scores, %s, half of the texts scored before, 2 callers: time a text", name)
		for _, c := range []struct {
			name  string
			cache cache.Cache
		}{
			{"no cache (the default)", nil},
			{"process", cache.NewMemory(cache.Config{TTL: time.Hour, MaxBytes: 64 << 20}, nil)},
			{"redis", cacheredis.New(db, "scores", time.Hour, nil)},
		} {
			s := inner
			if c.cache != nil {
				s = scoring.NewCachedScorer(inner, c.cache)
			}
			err := row(c.name, 2, 100, func() error { return s.Analyze(batch(), model.Emotions, make([]model.Analysis, 100)) })
			if err != nil {
				return err
			}
		}
	}
	return nil
}
