// Package queue is the durable log between the roles: what ingest accepted
// (Events), what scoring made of it (Scored) and what could not be processed
// (Dead), and the control subject for notices that may be lost.
//
// Guarantees that every engine keeps (package queuetest checks them):
//   - Publish returns only after the message is on disk as the engine's
//     durability says (fsynced by default); a refused message is never stored.
//   - A stream keeps its messages in the order of their sequences, which only
//     grow. Its Epoch differs when it was created anew.
//   - A second Publish with the same ID within the dedup window stores nothing.
//   - A message that is not acknowledged is delivered again.
//   - A full stream refuses (ErrFull); it never discards what no consumer has
//     acknowledged.
package queue

import (
	"context"
	"errors"
	"time"
)

// Stream names a log.
type Stream string

// The streams.
const (
	// Events holds accepted events, packed (pipeline.v1.EventBatch).
	Events Stream = "EVENTS"
	// Scored holds scored events, packed (pipeline.v1.ScoredBatch).
	Scored Stream = "SCORED"
	// Dead holds what could not be processed (pipeline.v1.DeadLetter).
	Dead Stream = "DEAD"
)

// Streams lists all streams.
func Streams() []Stream { return []Stream{Events, Scored, Dead} }

// Errors of every engine.
var (
	// ErrFull: the stream holds as many bytes as it may, or the disk is at its
	// free-space floor.
	ErrFull = errors.New("queue: stream is full")
	// ErrTooLarge: a message is larger than MaxMessageBytes.
	ErrTooLarge = errors.New("queue: message is too large")
	// ErrUnavailable: the engine does not answer; try again.
	ErrUnavailable = errors.New("queue: unavailable")
	// ErrPositionLost: messages after the position are gone or the stream is
	// another one.
	ErrPositionLost = errors.New("queue: position lost")
	// ErrClosed: the engine or consumer was closed, or another process has taken
	// over a consumer with StartAfter.
	ErrClosed = errors.New("queue: closed")
)

// MaxMessageBytes bounds one message, its headers and id included.
const MaxMessageBytes = 4 << 20

// Outgoing is a message to publish.
type Outgoing struct {
	// ID makes the message unique in the dedup window; empty for none.
	ID string
	// Header is kept beside the data and can be read without it; may be nil. At
	// most MaxHeaderBytes. A name is letters, digits, hyphens and underscores and
	// does not begin with "Nats-"; a value has no line break and no space around
	// it.
	Header map[string]string
	// Data is the body; it must not be changed until Publish has returned.
	Data []byte
}

// Position is a place in a stream: after the message with Sequence. Sequence 0
// is the beginning.
type Position struct {
	// Epoch identifies the stream that Sequence counts in; 0 with Sequence 0 is
	// the beginning of whatever stream there is.
	Epoch uint64
	// Sequence is the last message taken.
	Sequence uint64
}

// Message is a delivered message. Its Data must not be changed.
type Message struct {
	// Stream is where it stands.
	Stream Stream
	// Position is its place.
	Position Position
	// Time is when the stream had it.
	Time time.Time
	// Header as published; may be nil.
	Header map[string]string
	// Data as published; nil for a consumer with HeadersOnly.
	Data []byte
	// Deliveries counts how often it was delivered, from 1.
	Deliveries int
	// Ack says that it is done, with all that stand before it for a consumer
	// with StartAfter. It does not wait.
	Ack func() error
	// Nak asks for it again after the delay; for a consumer with StartAfter with
	// all that stand after it, in order.
	Nak func(delay time.Duration) error
	// InProgress renews the time to acknowledge it.
	InProgress func() error
}

// ConsumerConfig describes a consumer.
type ConsumerConfig struct {
	// Stream to read.
	Stream Stream
	// Name is durable and shared: processes with the same name share the work.
	Name string
	// StartAfter nil: go on where the consumer of that name stood; each message
	// goes to one process and must be acknowledged singly. Not nil: the consumer
	// is made anew to deliver all messages after that position, in order, to
	// this process alone; the caller keeps the position, and Ack only shows how
	// far it is. Who had the consumer before gets ErrClosed from Fetch. Consume,
	// or a later Fetch, returns ErrPositionLost when messages after the position
	// are gone; the zero Position begins with the first message there is and is
	// not lost by what was trimmed before.
	StartAfter *Position
	// StartAfterTime is the Time of the message at StartAfter, if it is known; it
	// is compared to the microsecond. Consume, or a later Fetch, then also returns
	// ErrPositionLost when another message stands there: a stream that lost its end,
	// by a loss of power or since it was restored from an older copy, gives its
	// sequences out again. With the zero Position only messages that came later
	// than StartAfterTime are delivered.
	StartAfterTime time.Time
	// HeadersOnly leaves Data out.
	HeadersOnly bool
	// AckWait is how long a message may stay unacknowledged before it is
	// delivered again; 0 is 30 s. With StartAfter nothing is delivered again by
	// itself, since that would break the order: use Nak, or Consume again.
	AckWait time.Duration
	// MaxPending bounds the messages delivered and not acknowledged; 0 is 256.
	MaxPending int
}

// Consumer delivers the messages of a stream.
type Consumer interface {
	// Fetch waits for at least one message and returns at most limit. It returns
	// the context's error when that ends first.
	Fetch(ctx context.Context, limit int) ([]Message, error)
	// Close releases it; the durable state stays.
	Close() error
}

// Info is the state of a stream.
type Info struct {
	// Epoch identifies the stream.
	Epoch uint64
	// Messages and Bytes that it holds, and the bytes that it may hold.
	Messages        uint64
	Bytes, MaxBytes uint64
	// First and Last sequence that it holds; First is Last+1 when it is empty.
	First, Last uint64
	// FirstTime and LastTime are when they came; zero when it is empty.
	FirstTime, LastTime time.Time
	// Consumers by name.
	Consumers map[string]ConsumerInfo
}

// ConsumerInfo is how far a consumer is.
type ConsumerInfo struct {
	// AckFloor: every message up to this sequence is acknowledged.
	AckFloor uint64
	// Pending messages wait to be delivered.
	Pending uint64
	// Unacknowledged messages were delivered and not acknowledged.
	Unacknowledged int
}

// Queue is what an engine offers. It is safe for concurrent use.
type Queue interface {
	// Publish appends a message and waits until it is durable. It returns the
	// message's position; duplicate says that ID was known and nothing was
	// stored. After ErrUnavailable or the context's error the message may be
	// stored or not; a Publish with the same ID makes sure. After ErrFull and
	// ErrTooLarge it is not stored.
	Publish(ctx context.Context, stream Stream, msg Outgoing) (pos Position, duplicate bool, err error)
	// Consume opens a consumer.
	Consume(ctx context.Context, cfg ConsumerConfig) (Consumer, error)
	// Info returns the state of a stream.
	Info(ctx context.Context, stream Stream) (Info, error)
	// Trim removes the messages up to and including sequence upTo.
	Trim(ctx context.Context, stream Stream, upTo uint64) error
	// Notify sends a notice to every process that listens; it may be lost.
	Notify(ctx context.Context, data []byte) error
	// Listen calls f for every notice until stop is called. f must not block.
	Listen(f func(data []byte)) (stop func(), err error)
	// Ready returns nil when messages can be published and delivered, otherwise
	// an error that names the fault and the remedy.
	Ready(ctx context.Context) error
	// Close stops the engine; what was published stays.
	Close() error
}
