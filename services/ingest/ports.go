package ingest

import (
	"context"
	"time"

	"github.com/synapse-analytics/synapse/internal/limits"
	"github.com/synapse-analytics/synapse/internal/queue"
)

// Queue is what ingest needs of the durable log; queue.Queue has it.
type Queue interface {
	// Publish appends a message and waits until it is durable.
	Publish(ctx context.Context, stream queue.Stream, msg queue.Outgoing) (pos queue.Position, duplicate bool, err error)
	// Info returns the state of a stream.
	Info(ctx context.Context, stream queue.Stream) (queue.Info, error)
}

// Buckets is one token bucket for each key; limits.Buckets is of this process
// alone, those of package limits/redis are shared.
type Buckets interface {
	// Take takes n units from the key's bucket, or nothing; what it returns is as
	// limits.Buckets.Take says.
	Take(key string, n int, now time.Time) (ok bool, retryAfter time.Duration, state limits.State)
}
