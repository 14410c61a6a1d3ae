package scoring

import (
	"context"

	"github.com/synapse-analytics/synapse/internal/queue"
	"github.com/synapse-analytics/synapse/model"
)

// Queue is what scoring needs of the durable log; queue.Queue has it.
type Queue interface {
	// Publish appends a message and waits until it is durable.
	Publish(ctx context.Context, stream queue.Stream, msg queue.Outgoing) (pos queue.Position, duplicate bool, err error)
	// Consume opens a consumer.
	Consume(ctx context.Context, cfg queue.ConsumerConfig) (queue.Consumer, error)
	// Info returns the state of a stream.
	Info(ctx context.Context, stream queue.Stream) (queue.Info, error)
	// Trim removes the messages up to and including a sequence.
	Trim(ctx context.Context, stream queue.Stream, upTo uint64) error
}

// Scorer gives texts their sentiment. It is safe for concurrent use. A panic in
// it is caught: the text that caused it becomes a dead letter.
type Scorer interface {
	// Analyze scores in[i] into out[i], both of the same length: the sentiment, that
	// towards the targets of in[i], and the extras that want names. An error is of
	// the whole batch, and its text does not hold an event's text.
	Analyze(in []model.Input, want model.Extra, out []model.Analysis) error
	// Version is the version of the model in use, as in the scores.
	Version() string
	// Models describes all models, the one in use first. Of those that this
	// release holds no card of only Version is set.
	Models() []model.Card
}
