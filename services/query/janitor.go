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
)

// janitor forgets notes that are older than the window, in small steps.
type janitor struct {
	store  Store
	window time.Duration
	now    func() time.Time
	log    *slog.Logger
}

func (j *janitor) run(ctx context.Context) {
	for sleep(ctx, janitorEvery) {
		for {
			n, err := j.store.Forget(context.WithoutCancel(ctx), j.now().Add(-j.window).UnixMicro(), janitorStep)
			if err != nil {
				j.log.WarnContext(ctx, "old notes could not be removed; trying again later", "error", err)
				break
			}
			if n < janitorStep || !sleep(ctx, janitorPause) {
				break
			}
		}
	}
}
