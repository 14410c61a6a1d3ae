package jetstream

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/synapse-analytics/synapse/internal/queue"
)

// Fetch implements queue.Consumer. It may be called by several goroutines at
// once, though then a StartAfter consumer has no order between them.
func (c *consumer) Fetch(ctx context.Context, limit int) ([]queue.Message, error) {
	if limit <= 0 {
		return nil, errors.New("queue: Fetch needs a limit of at least 1")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.limit = limit
	c.waiting++
	defer func() { c.waiting-- }()
	for {
		if c.err != nil && len(c.buf) == 0 {
			c.signal() // the next Fetch that waits must see it too
			return nil, c.err
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		now := time.Now()
		if out := c.take(limit, now); len(out) > 0 {
			c.ask(now)
			if len(c.buf) > 0 {
				c.signal()
			}
			return out, nil
		}
		c.ask(now)
		c.mu.Unlock()
		select {
		case <-c.ready:
		case <-ctx.Done():
		}
		c.mu.Lock()
	}
}

// take takes up to limit messages out of buf. Those that waited so long that
// little of their ack wait is left are renewed, and those that the server may
// already have given to someone else are dropped: they come again. It is called
// with mu.
func (c *consumer) take(limit int, now time.Time) []queue.Message {
	var out []queue.Message
	n := 0
	for ; n < len(c.buf) && len(out) < limit; n++ {
		it := &c.buf[n]
		c.bufBytes -= len(it.msg.Data)
		if !c.ordered {
			age := now.Sub(it.came)
			if age > c.cfg.AckWait*3/4 {
				continue
			}
			if age > c.cfg.AckWait/4 {
				_ = it.d.inProgress() // lost with the connection, then it comes again
			}
		}
		if out == nil {
			out = make([]queue.Message, 0, min(limit, len(c.buf)-n))
		}
		out = append(out, it.msg)
	}
	if n == len(c.buf) {
		clear(c.buf)
		c.buf = c.buf[:0]
	} else {
		clear(c.buf[:n])
		c.buf = c.buf[n:]
	}
	return out
}

// handle is how a message is acknowledged.
type handle struct {
	c      *consumer
	reply  string
	prefix string // of the subscription that it came by
	seq    uint64
}

// fill sets the functions of the message.
func (h *handle) fill(m *queue.Message) { m.Ack, m.Nak, m.InProgress = h.ack, h.nak, h.inProgress }

var (
	ackBody      = []byte("+ACK")
	progressBody = []byte("+WPI")
)

func (h *handle) ack() error {
	if h.c.ordered && !h.reached() {
		// The consumer was made anew since; a later message shows how far it is.
		return nil
	}
	return h.send(ackBody)
}

func (h *handle) inProgress() error {
	if h.c.ordered {
		return nil // such a message is not delivered again by itself
	}
	return h.send(progressBody)
}

// nak of an ordered consumer goes back to the message: all from it on are
// delivered again.
func (h *handle) nak(delay time.Duration) error {
	if h.c.ordered {
		return h.c.rewindTo(h.seq, delay)
	}
	body := []byte("-NAK")
	if delay > 0 {
		body = append(body, ` {"delay":`...)
		body = strconv.AppendInt(body, int64(delay), 10)
		body = append(body, '}')
	}
	return h.send(body)
}

// reached notes how far an ordered consumer is and says whether it still is the one
// that delivered the message.
func (h *handle) reached() bool {
	h.c.mu.Lock()
	defer h.c.mu.Unlock()
	if h.prefix != h.c.pull.prefix {
		return false
	}
	h.c.acked = max(h.c.acked, h.seq)
	return true
}

func (h *handle) send(body []byte) error {
	err := h.c.q.nc.Publish(h.reply, body)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, nats.ErrConnectionClosed):
		return queue.ErrClosed
	default:
		return unavailable(err)
	}
}
