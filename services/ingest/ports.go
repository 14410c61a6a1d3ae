package ingest

import (
	"context"

	"github.com/synapse-analytics/synapse/internal/queue"
)

// Queue is what ingest needs of the durable log; queue.Queue has it.
type Queue interface {
	// Publish appends a message and waits until it is durable.
	Publish(ctx context.Context, stream queue.Stream, msg queue.Outgoing) (pos queue.Position, duplicate bool, err error)
	// Info returns the state of a stream.
	Info(ctx context.Context, stream queue.Stream) (queue.Info, error)
}
