package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	ingestv1 "github.com/synapse-analytics/synapse/gen/go/synapse/ingest/v1"
	queryv1 "github.com/synapse-analytics/synapse/gen/go/synapse/query/v1"
)

// runVisible sends batches of 100 at a constant rate, whether or not the server
// keeps up, and measures from the moment a batch was due until its first event
// is on the live tail, which is after it was stored and counted.
func runVisible(ctx context.Context, o options, rate int) error {
	t, err := startOn(ctx, o)
	if err != nil {
		return err
	}
	defer t.stop()
	tailCtx, cancel := context.WithCancel(t.auth(ctx))
	defer cancel()
	st, err := queryv1.NewQueryServiceClient(t.conn).TailEvents(tailCtx, &queryv1.TailEventsRequest{Parent: "projects/-", Filter: `source = "probe"`})
	if err != nil {
		return err
	}
	var mu sync.Mutex
	due := map[string]time.Time{}
	var delays []time.Duration
	tailed := make(chan struct{})
	go func() {
		defer close(tailed)
		for {
			m, err := st.Recv()
			if err != nil {
				return
			}
			if ev := m.GetEvent(); ev != nil {
				mu.Lock()
				delays = append(delays, time.Since(due[ev.GetId()]))
				mu.Unlock()
			}
		}
	}()
	time.Sleep(200 * time.Millisecond) // the tail is open

	client := ingestv1.NewIngestServiceClient(t.conn)
	every := time.Duration(float64(time.Second) * 100 / float64(rate))
	var wg sync.WaitGroup
	var fail error
	retries := 0
	window := 2 * o.window
	start := time.Now()
	n := 0
	for due1 := start; due1.Before(start.Add(window)) && ctx.Err() == nil; due1 = due1.Add(every) {
		time.Sleep(time.Until(due1))
		n++
		id := fmt.Sprintf("probe-%d", n)
		mu.Lock()
		due[id] = due1
		mu.Unlock()
		wg.Go(func() {
			events := batch(seeds.Add(1), 100)
			events[0].Id, events[0].Source = id, "probe"
			for { // one that is refused or not answered is sent again, with the same ids
				_, err := client.IngestEvents(t.auth(ctx), &ingestv1.IngestEventsRequest{Parent: "projects/-", Events: events})
				if err == nil {
					return
				}
				mu.Lock()
				retries++
				if retries > n {
					fail = err
				}
				over := fail != nil
				mu.Unlock()
				if over || ctx.Err() != nil {
					return
				}
				time.Sleep(10 * time.Millisecond)
			}
		})
	}
	wg.Wait()
	if fail != nil {
		return fail
	}
	if err := t.settle(ctx); err != nil {
		return err
	}
	for wait := time.Now(); time.Since(wait) < 5*time.Second; time.Sleep(10 * time.Millisecond) {
		mu.Lock()
		got := len(delays)
		mu.Unlock()
		if got == n {
			break
		}
	}
	cancel()
	<-tailed
	slices.Sort(delays)
	r := result{delays: delays}
	fmt.Printf("%-26s %12d %12s %9.2f %9.2f   due → stored, counted and on the tail; %d of %d batches seen, %d sent again\n", "accepted → visible, paced", rate, "",
		ms(r.percentile(0.5)), ms(r.percentile(0.99)), len(delays), n, retries)
	return nil
}
