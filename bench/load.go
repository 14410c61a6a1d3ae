package main

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"
)

// caller makes one client of a load; the function that it returns makes one call.
type caller func(worker int) (call func(ctx context.Context) error, done func(), err error)

// result is what a load measured.
type result struct {
	events int
	took   time.Duration
	delays []time.Duration
}

func (r result) rate() float64 { return float64(r.events) / r.took.Seconds() }

func (r result) percentile(p float64) time.Duration {
	if len(r.delays) == 0 {
		return 0
	}
	return r.delays[min(len(r.delays)-1, int(p*float64(len(r.delays))))]
}

func ms(d time.Duration) float64 { return float64(d) / 1e6 }

func match(name, only string) bool { return only == "" || strings.Contains(name, only) }

// load calls in a closed loop from n workers for the window.
func load(ctx context.Context, newCaller caller, n, perCall int, window time.Duration) (result, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var (
		mu   sync.Mutex
		res  result
		fail error
		wg   sync.WaitGroup
	)
	calls := make([]func(context.Context) error, n)
	for w := range n {
		call, done, err := newCaller(w)
		if err != nil {
			return res, err
		}
		defer done()
		calls[w] = call
	}
	start := time.Now()
	end := start.Add(window)
	for _, call := range calls {
		wg.Go(func() {
			var delays []time.Duration
			for ctx.Err() == nil {
				t := time.Now()
				if t.After(end) {
					break
				}
				if err := call(ctx); err != nil {
					mu.Lock()
					if fail == nil {
						fail = err
					}
					mu.Unlock()
					cancel()
					return
				}
				delays = append(delays, time.Since(t))
			}
			mu.Lock()
			res.delays = append(res.delays, delays...)
			mu.Unlock()
		})
	}
	wg.Wait()
	res.took = time.Since(start)
	res.events = len(res.delays) * perCall
	slices.Sort(res.delays)
	return res, fail
}
