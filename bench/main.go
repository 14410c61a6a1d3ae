// Command bench measures the whole product on this machine: it starts the built
// binary on a fresh folder, loads it over loopback, and prints each figure
// beside a reference that was measured in the same run. Load is bounded in time
// and goes to loopback only.
//
//	go run ./bench -bin bin/synapse -seconds 5
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"time"
)

func main() {
	var o options
	flag.StringVar(&o.bin, "bin", "bin/synapse", "the product's binary")
	flag.DurationVar(&o.window, "window", 5*time.Second, "length of each measurement, at most 1m")
	flag.StringVar(&o.only, "only", "", "run only the rows whose name holds this")
	flag.StringVar(&o.engines, "engines", "embedded", "what the product runs on: embedded, or servers (NATS and PostgreSQL)")
	flag.StringVar(&o.profile, "profile", "", "write a CPU profile of the server during the first row to this file")
	soak := flag.Duration("soak", 0, "instead of the table: constant load for so long, at most 1h, and a check for growth")
	rate := flag.Int("rate", 11600, "events a second of the soak")
	flag.Parse()
	if o.window > time.Minute || *soak > time.Hour || o.engines != "embedded" && o.engines != "servers" {
		fmt.Fprintln(os.Stderr, "bench: -window is at most 1m, -soak at most 1h, -engines is embedded or servers")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	var err error
	if *soak > 0 {
		err = runSoak(ctx, o, *soak, *rate)
	} else {
		err = runTable(ctx, o)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

type options struct {
	bin     string
	window  time.Duration
	only    string
	profile string
	engines string
}

// row is one line of the table.
type row struct {
	name      string
	callers   int
	perCall   int
	product   func(*target) caller
	reference func() (*reference, error)
}

func runTable(ctx context.Context, o options) error {
	fmt.Printf("%d cores shared by server and load, %s engines, sync always, authenticated, 1 %% traced, %s a row\n\n", runtime.NumCPU(), o.engines, o.window)
	fmt.Printf("%-26s %12s %12s %9s %9s   %s\n", "row", "accepted/s", "stored/s", "p50 ms", "p99 ms", "reference in the same run")
	rows := []row{
		{"gRPC batches of 100", 16, 100, grpcBatches, noopGRPC},
		{"gRPC stream, batches of 100", 8, 100, grpcStream, rawQueue},
		{"REST batches of 100", 16, 100, restBatches, handHTTP(100)},
		{"REST NDJSON, 100 lines", 16, 100, restNDJSON, handHTTP(100)},
		{"REST single, 64 callers", 64, 1, restSingles, handHTTP(1)},
	}
	if o.engines == "servers" {
		rows = []row{
			{"gRPC batches of 100", 16, 100, grpcBatches, rawCopy},
			{"gRPC stream, batches of 100", 8, 100, grpcStream, rawPublish},
			{"REST batches of 100", 16, 100, restBatches, rawCopy},
			{"REST single, 64 callers", 64, 1, restSingles, handHTTP(1)},
		}
	}
	var stored float64
	for _, r := range rows {
		if !match(r.name, o.only) {
			continue
		}
		s, err := runRow(ctx, o, r)
		if err != nil {
			return fmt.Errorf("%s: %w", r.name, err)
		}
		o.profile = "" // of the first row only
		stored = max(stored, s)
	}
	if !match("visible", o.only) {
		return nil
	}
	for _, rate := range []int{5000, int(stored / 2)} {
		if rate > 0 {
			if err := runVisible(ctx, o, rate); err != nil {
				return fmt.Errorf("visible: %w", err)
			}
		}
	}
	return nil
}

// runRow measures one row on a fresh server and then its reference; it returns
// the events stored per second.
func runRow(ctx context.Context, o options, r row) (float64, error) {
	t, err := startOn(ctx, o)
	if err != nil {
		return 0, err
	}
	defer t.stop()
	call := r.product(t)
	if _, err := load(ctx, call, r.callers, r.perCall, time.Second); err != nil { // warm-up
		return 0, err
	}
	if err := t.settle(ctx); err != nil {
		return 0, err
	}
	before, err := t.stored(ctx)
	if err != nil {
		return 0, err
	}
	if o.profile != "" {
		t.profile(ctx, o.profile, o.window)
	}
	start := time.Now()
	res, err := load(ctx, r.product(t), r.callers, r.perCall, o.window)
	if err != nil {
		return 0, err
	}
	if err := t.settle(ctx); err != nil {
		return 0, err
	}
	took := time.Since(start)
	after, err := t.stored(ctx)
	if err != nil {
		return 0, err
	}
	if int(after-before) != res.events {
		return 0, fmt.Errorf("accepted %d events, stored %.0f", res.events, after-before)
	}
	t.stop()
	ref, err := r.reference()
	if err != nil {
		return 0, err
	}
	defer ref.stop()
	if ref.callers == 0 {
		ref.callers, ref.perCall = r.callers, r.perCall
	}
	refRes, err := load(ctx, ref.call, ref.callers, ref.perCall, o.window/2)
	if err != nil {
		return 0, err
	}
	stored := float64(res.events) / took.Seconds()
	compared := res.rate()
	if ref.stored {
		compared = stored
	}
	fmt.Printf("%-26s %12.0f %12.0f %9.2f %9.2f   %.2f of %s (%.0f/s)\n", r.name, res.rate(), stored, ms(res.percentile(0.5)), ms(res.percentile(0.99)),
		compared/refRes.rate(), ref.name, refRes.rate())
	return stored, nil
}

// startOn starts the product on the engines of the options.
func startOn(ctx context.Context, o options) (*target, error) {
	if o.engines == "embedded" {
		return startTarget(ctx, o.bin)
	}
	s, err := startServers()
	if err != nil {
		return nil, err
	}
	t, err := startTarget(ctx, o.bin, s.flags...)
	if err != nil {
		return nil, errors.Join(err, s.stop())
	}
	t.servers = s
	return t, nil
}
