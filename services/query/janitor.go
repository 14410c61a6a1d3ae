package query

import (
	"context"
	"log/slog"
	"time"
)

const (
	janitorEvery = time.Minute
	// janitorStep bounds one removal: a few milliseconds of the writer.
	janitorStep  = 500
	janitorPause = 50 * time.Millisecond
	// expireStep is a removal of events: no more of the writer than a batch is.
	expireStep = 2000
)

// janitor forgets notes that are older than the window and removes events that are
// older than the retention, in small steps.
type janitor struct {
	store  Store
	window time.Duration
	// retention of events; 0 keeps them.
	retention time.Duration
	progress  *progress
	metrics   *metrics
	now       func() time.Time
	log       *slog.Logger
}

func (j *janitor) run(ctx context.Context) {
	for sleep(ctx, janitorEvery) {
		j.clean(ctx)
	}
}

// clean removes all that is too old now.
func (j *janitor) clean(ctx context.Context) {
	steps(ctx, j.log, "old notes", func(ctx context.Context) (bool, error) {
		n, err := j.store.Forget(ctx, j.now().Add(-j.window).UnixMicro(), janitorStep)
		return n == janitorStep, err
	})
	if j.retention == 0 {
		return
	}
	steps(ctx, j.log, "old events", func(ctx context.Context) (bool, error) {
		// Not by the clock: what still waits in the queue may repeat the ids of events
		// that are as old, counted from when it was accepted.
		completeUS, appliedUS := j.progress.applied()
		if appliedUS == 0 {
			return false, nil
		}
		before := min(completeUS, j.now().UnixMicro()) - j.retention.Microseconds()
		out, err := j.store.Expire(ctx, ExpireQuery{BeforeUS: before, AppliedUS: appliedUS, Limit: expireStep})
		if err == nil {
			j.metrics.expired(ctx, out)
		}
		return out.More, err
	})
}

// steps calls f until it says that there is no more, fails, or ctx ends. A step once
// begun is not broken off.
func steps(ctx context.Context, log *slog.Logger, what string, f func(context.Context) (more bool, err error)) {
	for {
		more, err := f(context.WithoutCancel(ctx))
		if err != nil {
			log.WarnContext(ctx, "what is too old could not be removed; trying again later", "what", what, "error", err)
			return
		}
		if !more || !sleep(ctx, janitorPause) {
			return
		}
	}
}
