package archive

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/synapse-analytics/synapse/internal/queue"
)

// Drain waits until the consumers have acknowledged all that the stream held when it was
// called, and returns up to where: others may go on to publish.
func Drain(ctx context.Context, q Queue, stream queue.Stream, consumers ...string) (upTo uint64, err error) {
	for held := false; ; {
		info, err := q.Info(ctx, stream)
		if err != nil && !errors.Is(err, queue.ErrUnavailable) {
			return 0, fmt.Errorf("wait for the readers of %s: %w", stream, err)
		}
		if err == nil && !held {
			held, upTo = true, info.Last
		}
		if held && err == nil && drained(info, upTo, consumers) {
			return upTo, nil
		}
		if sleep(ctx, 100*time.Millisecond); ctx.Err() != nil {
			return 0, ctx.Err()
		}
	}
}

func drained(info queue.Info, upTo uint64, consumers []string) bool {
	for _, name := range consumers {
		c, ok := info.Consumers[name]
		if !ok || c.AckFloor < upTo && (c.Pending != 0 || c.Unacknowledged != 0) {
			return false
		}
	}
	return true
}
