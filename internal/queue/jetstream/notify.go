package jetstream

import (
	"context"
	"fmt"
	"sync"

	"github.com/nats-io/nats.go"

	"github.com/synapse-analytics/synapse/internal/queue"
)

// A listener that does not keep up loses notices beyond these.
const (
	noticeBacklog      = 4096
	noticeBacklogBytes = 8 << 20
)

// Notify implements queue.Queue.
func (q *Queue) Notify(ctx context.Context, data []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if q.isClosed() {
		return queue.ErrClosed
	}
	if len(data) > queue.MaxMessageBytes {
		return fmt.Errorf("%w: notice of %d bytes", queue.ErrTooLarge, len(data))
	}
	if err := q.nc.Publish(controlSubject, data); err != nil {
		return fmt.Errorf("notify: %w", unavailable(err))
	}
	return nil
}

// Listen implements queue.Queue. When it returns, notices sent from then on are
// received; those sent to another server of a cluster a moment later, when that
// server has heard of it. After stop has returned f is not called any more; stop must not be
// called by f.
func (q *Queue) Listen(f func(data []byte)) (stop func(), err error) {
	q.mu.Lock()
	closed := q.closed
	q.mu.Unlock()
	if closed {
		return nil, queue.ErrClosed
	}
	var mu sync.Mutex // held while f runs
	stopped := false
	sub, err := q.nc.Subscribe(controlSubject, func(m *nats.Msg) {
		mu.Lock()
		defer mu.Unlock()
		if !stopped {
			f(m.Data)
		}
	})
	if err != nil {
		return nil, fmt.Errorf("%w: listen: %w", queue.ErrUnavailable, err)
	}
	stop = func() {
		mu.Lock()
		stopped = true
		mu.Unlock()
		_ = sub.Unsubscribe() // fails only when the connection is closed
	}
	if err := sub.SetPendingLimits(noticeBacklog, noticeBacklogBytes); err == nil {
		// The server has the subscription when it answers this.
		err = q.nc.FlushTimeout(q.cfg.PublishTimeout)
		if err == nil {
			return stop, nil
		}
	}
	stop()
	return nil, fmt.Errorf("%w: listen: %w", queue.ErrUnavailable, err)
}
