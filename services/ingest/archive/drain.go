package archive

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/synapse-analytics/synapse/internal/queue"
)

// Drain waits until all that EVENTS holds is archived, by an Archiver that runs, and
// returns the last sequence.
func Drain(ctx context.Context, q Queue) (uint64, error) {
	for {
		info, err := q.Info(ctx, queue.Events)
		if err != nil && !errors.Is(err, queue.ErrUnavailable) {
			return 0, fmt.Errorf("archive what EVENTS holds: %w", err)
		}
		if c, ok := info.Consumers[Consumer]; err == nil && ok && c.Pending == 0 && c.Unacknowledged == 0 {
			return info.Last, nil
		}
		if sleep(ctx, 100*time.Millisecond); ctx.Err() != nil {
			return 0, ctx.Err()
		}
	}
}
