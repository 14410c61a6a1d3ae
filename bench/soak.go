package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	ingestv1 "github.com/synapse-analytics/synapse/gen/go/synapse/ingest/v1"
)

// runSoak sends a constant load and samples the server's memory and goroutines.
// It fails when they grow: the mean of the last quarter against the second.
func runSoak(ctx context.Context, o options, d time.Duration, rate int) error {
	t, err := startTarget(ctx, o.bin)
	if err != nil {
		return err
	}
	defer t.stop()
	time.Sleep(2 * time.Second)
	idle, err := t.metric(ctx, "process_resident_memory_bytes")
	if err != nil {
		return err
	}
	fmt.Printf("ready from an empty folder in %s, idle memory %.0f MB\n%8s %12s %12s %12s %12s %10s\n",
		t.startedIn.Round(time.Millisecond), idle/1e6, "s", "events", "in flight", "RSS MB", "heap MB", "goroutines")
	client := ingestv1.NewIngestServiceClient(t.conn)
	var wg sync.WaitGroup
	var mu sync.Mutex
	var refused, sent int
	var why error // of the first refusal
	start := time.Now()
	every := time.Duration(float64(time.Second) * 100 / float64(rate))
	type sample struct{ rss, heap, goroutines float64 }
	var samples []sample
	sampleEvery := max(d/40, time.Second)
	nextSample := start.Add(sampleEvery)
	for due := start; due.Before(start.Add(d)) && ctx.Err() == nil; due = due.Add(every) {
		time.Sleep(time.Until(due))
		wg.Go(func() {
			callCtx, cancel := context.WithTimeout(t.auth(ctx), 10*time.Second)
			defer cancel()
			_, err := client.IngestEvents(callCtx, &ingestv1.IngestEventsRequest{Parent: "projects/-", Events: batch(seeds.Add(1), 100)})
			mu.Lock()
			defer mu.Unlock()
			sent += 100
			if err != nil {
				refused += 100
				if why == nil {
					why = fmt.Errorf("after %s: %w", time.Since(start).Round(time.Second), err)
				}
			}
		})
		if time.Now().Before(nextSample) {
			continue
		}
		nextSample = nextSample.Add(sampleEvery)
		var s sample
		for name, into := range map[string]*float64{
			"process_resident_memory_bytes": &s.rss, "go_memstats_heap_inuse_bytes": &s.heap, "go_goroutines": &s.goroutines,
		} {
			if *into, err = t.metric(ctx, name); err != nil {
				return err
			}
		}
		b, err := t.balance(ctx)
		if err != nil {
			return err
		}
		samples = append(samples, s)
		fmt.Printf("%8.0f %12.0f %12.0f %12.0f %12.0f %10.0f\n", time.Since(start).Seconds(), b.GetTotal().GetAccepted(), b.GetTotal().GetInFlight(),
			s.rss/1e6, s.heap/1e6, s.goroutines)
	}
	wg.Wait()
	if err := t.settle(ctx); err != nil {
		return err
	}
	if len(samples) < 8 {
		return errors.New("too short to tell: make it longer")
	}
	quarter := len(samples) / 4
	mean := func(list []sample, f func(sample) float64) float64 {
		var sum float64
		for _, s := range list {
			sum += f(s)
		}
		return sum / float64(len(list))
	}
	growth := func(f func(sample) float64) float64 {
		return mean(samples[3*quarter:], f)/mean(samples[quarter:2*quarter], f) - 1
	}
	rss, heap, gor := growth(func(s sample) float64 { return s.rss }), growth(func(s sample) float64 { return s.heap }), growth(func(s sample) float64 { return s.goroutines })
	fmt.Printf("last quarter against the second: RSS %+.1f %%, heap %+.1f %%, goroutines %+.1f %%; %d events sent, %d refused\n",
		100*rss, 100*heap, 100*gor, sent, refused)
	if why != nil {
		return fmt.Errorf("events were refused, the first %w", why)
	}
	if rss > 0.15 || heap > 0.15 || gor > 0.05 {
		return errors.New("the server grows")
	}
	return nil
}
