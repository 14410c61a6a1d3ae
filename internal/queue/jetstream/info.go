package jetstream

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/synapse-analytics/synapse/internal/queue"
)

const (
	// tryTimeout bounds one try to ask a server something: a question to one that dies
	// is never answered, the next one goes to its successor.
	tryTimeout = 2 * time.Second
	// infoTimeout bounds all tries: an election takes up to nine seconds.
	infoTimeout = 10 * time.Second
)

// Info implements queue.Queue. It asks again while nobody answers, for ten seconds.
func (q *Queue) Info(ctx context.Context, stream queue.Stream) (queue.Info, error) {
	if q.isClosed() {
		return queue.Info{}, queue.ErrClosed
	}
	for began := time.Now(); ; {
		try, cancel := context.WithTimeout(ctx, tryTimeout)
		info, err := q.info(try, stream)
		silent := try.Err() != nil && ctx.Err() == nil
		cancel()
		switch {
		case err == nil || !silent:
			return info, err
		case time.Since(began) > infoTimeout:
			return queue.Info{}, fmt.Errorf("%w: info of %s: no answer in %s", queue.ErrUnavailable, stream, infoTimeout)
		}
	}
}

func (q *Queue) info(ctx context.Context, stream queue.Stream) (queue.Info, error) {
	st, si, err := q.stream(ctx, stream)
	if err != nil {
		return queue.Info{}, fmt.Errorf("info of %s: %w", stream, err)
	}
	info := infoOf(si)
	info.Consumers = make(map[string]queue.ConsumerInfo)
	list := st.ListConsumers(ctx)
	for c := range list.Info() {
		info.Consumers[c.Name] = queue.ConsumerInfo{
			AckFloor:       c.AckFloor.Stream,
			Pending:        c.NumPending,
			Unacknowledged: c.NumAckPending,
		}
	}
	if err := list.Err(); err != nil {
		return queue.Info{}, fmt.Errorf("consumers of %s: %w", stream, apiError(ctx, err))
	}
	return info, nil
}

// infoOf converts the state of a stream; it leaves the consumers out.
func infoOf(si *jetstream.StreamInfo) queue.Info {
	s := si.State
	info := queue.Info{
		Epoch:    epochOf(si),
		Messages: s.Msgs,
		Bytes:    s.Bytes,
		MaxBytes: uint64(max(si.Config.MaxBytes, 0)),
		First:    s.FirstSeq,
		Last:     s.LastSeq,
	}
	if s.Msgs == 0 {
		info.First = s.LastSeq + 1
	} else {
		info.FirstTime, info.LastTime = s.FirstTime, s.LastTime
	}
	return info
}

// Trim implements queue.Queue. A sequence beyond the last is the last.
func (q *Queue) Trim(ctx context.Context, stream queue.Stream, upTo uint64) error {
	if q.isClosed() {
		return queue.ErrClosed
	}
	st, si, err := q.stream(ctx, stream)
	if err != nil {
		return fmt.Errorf("trim %s: %w", stream, err)
	}
	// The server takes a sequence beyond the last as the new start of the
	// stream and would skip sequences.
	upTo = min(upTo, si.State.LastSeq)
	if si.State.Msgs == 0 || upTo < si.State.FirstSeq {
		return nil
	}
	if err := st.Purge(ctx, jetstream.WithPurgeSequence(upTo+1)); err != nil {
		return fmt.Errorf("trim %s: %w", stream, apiError(ctx, err))
	}
	return nil
}
