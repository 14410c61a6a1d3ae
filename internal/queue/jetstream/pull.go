package jetstream

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/synapse-analytics/synapse/internal/queue"
)

const (
	// pullExpires is how long a request stays open at the server.
	pullExpires = 30 * time.Second
	// pullGrace is how long after that its end may take to be told.
	pullGrace = 2 * time.Second
	// pullBeat is how often the server says that a request is open and there is
	// nothing to deliver, pullSilence how long it may say nothing before it has
	// forgotten the request: a server that is killed does not tell.
	pullBeat    = time.Second
	pullSilence = 3 * pullBeat
	// pullBytes bounds what one request brings. A message is far smaller.
	pullBytes = 4 * queue.MaxMessageBytes
	// pullPause is the pause after a request that the server refused.
	pullPause = 100 * time.Millisecond
)

// pull is the request that is open at the server, if left > 0.
type pull struct {
	sub    *nats.Subscription
	prefix string // of the reply subjects, differs per subscription
	number uint64 // of the last request
	left   int    // messages that it may still bring
	until  time.Time
	heard  time.Time // when the server was heard last, or asked
	after  time.Time // no new request before
	// since when nobody answers requests, zero while somebody does
	unanswered time.Time
}

// subscribe listens for messages on a new inbox. What still comes to an older
// one is given back.
func (c *consumer) subscribe() error {
	prefix := nats.NewInbox() + "."
	sub, err := c.q.nc.Subscribe(prefix+"*", func(m *nats.Msg) { c.arrived(prefix, m) })
	if err != nil {
		return fmt.Errorf("%w: subscribe: %w", queue.ErrUnavailable, err)
	}
	// Requests bound what comes; a dropped message would wait for its ack wait.
	if err := sub.SetPendingLimits(-1, -1); err != nil {
		return fmt.Errorf("%w: subscribe: %w", queue.ErrUnavailable, err)
	}
	c.mu.Lock()
	old := c.pull.sub
	c.pull = pull{sub: sub, prefix: prefix}
	c.mu.Unlock()
	if old != nil {
		_ = old.Drain() // runs the handler for what has come, then ends
	}
	return nil
}

// unsubscribe ends the subscription after what has come was given back.
func (c *consumer) unsubscribe() {
	c.mu.Lock()
	sub := c.pull.sub
	c.pull = pull{}
	c.mu.Unlock()
	if sub == nil {
		return
	}
	closed := make(chan struct{})
	sub.SetClosedHandler(func(string) { close(closed) })
	if err := sub.Drain(); err != nil {
		return // the connection is closed
	}
	select {
	case <-closed:
	case <-time.After(drainTimeout):
	}
}

// ask opens a request if none is open and buf holds less than a Fetch wants. It
// asks for two Fetches, so that the next one need not wait. It is called with mu.
func (c *consumer) ask(now time.Time) {
	p := &c.pull
	if p.sub == nil || c.closing || c.err != nil || c.rewinding || c.holding || now.Before(p.after) {
		return
	}
	if p.left > 0 && now.Before(p.until) {
		if now.Sub(p.heard) > pullSilence {
			p.heard = now
			c.pokeLocked(wakeRestart)
		}
		return
	}
	want := min(c.limit, c.cfg.MaxPending)
	if len(c.buf) >= want || c.bufBytes >= pullBytes {
		return
	}
	n := min(2*want, c.cfg.MaxPending) - len(c.buf)
	p.number++
	req := nats.Msg{
		Subject: "$JS.API.CONSUMER.MSG.NEXT." + string(c.cfg.Stream) + "." + c.cfg.Name,
		Reply:   p.prefix + strconv.FormatUint(p.number, 36),
	}
	var err error
	req.Data, err = json.Marshal(pullRequest{Expires: pullExpires, Heartbeat: pullBeat, Batch: n, MaxBytes: pullBytes})
	if err == nil {
		err = c.q.nc.PublishMsg(&req)
	}
	if err != nil {
		// There is no connection; reconnected asks again.
		p.after = now.Add(pullPause)
		return
	}
	p.left, p.until, p.heard = n, now.Add(pullExpires+pullGrace), now
}

// pullRequest is the server's form of a request for messages.
type pullRequest struct {
	Expires   time.Duration `json:"expires"`        // nanoseconds
	Heartbeat time.Duration `json:"idle_heartbeat"` // nanoseconds
	Batch     int           `json:"batch"`
	MaxBytes  int           `json:"max_bytes"`
}

// arrived is called for everything that comes to an inbox, one at a time.
func (c *consumer) arrived(prefix string, m *nats.Msg) {
	d, ok := parseDelivery(m.Reply)
	if !ok {
		if !isDelivery(m.Reply) {
			c.status(prefix, m)
		}
		return
	}
	now := time.Now()
	it := item{msg: c.message(m, d), d: &handle{c: c, reply: m.Reply, prefix: prefix, seq: d.stream}, came: now}
	it.d.fill(&it.msg)

	c.mu.Lock()
	current := prefix == c.pull.prefix && !c.closing && c.err == nil && !c.rewinding && (c.ordered || !c.holding)
	var w wake
	if prefix == c.pull.prefix {
		c.pull.left = max(c.pull.left-1, 0)
		c.pull.heard, c.pull.unanswered = now, time.Time{}
	}
	if current {
		c.lastCame = now
		it.msg.Position.Epoch = c.epoch
		var accept bool
		if accept, w = c.inOrder(d, &it.msg); accept {
			c.buf = append(c.buf, it)
			c.bufBytes += len(m.Data)
			c.signal()
		}
		if c.pull.left == 0 && c.waiting > 0 {
			c.ask(now)
		}
	}
	c.mu.Unlock()

	if w != 0 {
		c.poke(w)
	}
	if !current {
		c.giveBack([]item{it})
		return
	}
	c.q.stats.delivered.Add(1)
	if d.deliveries > 1 {
		c.q.stats.redelivered.Add(1)
	}
}

// inOrder says whether an ordered consumer may take the message, and what keep
// must do if something is missing before it. It is called with mu.
func (c *consumer) inOrder(d delivery, m *queue.Message) (bool, wake) {
	if !c.ordered {
		return true, 0
	}
	switch {
	case d.stream <= c.lastSeq:
		return false, 0 // came before
	case d.consumer != c.nextDseq, d.stream != c.lastSeq+1 && d.stream != c.gapTo && !c.anyFirst:
		// A message was lost on the way, or is gone from the stream.
		// What is in buf is in order and stays.
		c.rewinding = true
		c.pull.left = 0
		return false, wakeGap
	}
	c.lastSeq, c.lastTime, c.nextDseq, c.anyFirst = d.stream, d.time, d.consumer+1, false
	m.Deliveries = 1
	if d.stream <= c.rewound {
		m.Deliveries += c.rewinds
	}
	return true, 0
}

// status handles what the server says about a request.
func (c *consumer) status(prefix string, m *nats.Msg) {
	code, text := m.Header.Get("Status"), m.Header.Get("Description")
	if code == "" {
		return
	}
	token, _ := strings.CutPrefix(m.Subject, prefix)
	number, err := strconv.ParseUint(token, 36, 64)
	if err != nil {
		return
	}
	now := time.Now()
	var w wake
	c.mu.Lock()
	switch {
	case prefix != c.pull.prefix || number != c.pull.number:
	case code == "100": // a heartbeat
		c.pull.heard, c.pull.unanswered = now, time.Time{}
	default:
		c.pull.left = 0
		if code != "503" {
			c.pull.unanswered = time.Time{}
		}
		switch {
		case code == "408", strings.Contains(text, "Batch Completed"), strings.Contains(text, "MaxBytes"):
			// The request has ended as it should.
		case strings.Contains(text, "Consumer Deleted"), strings.Contains(text, "Consumer is push"):
			c.pull.after = now.Add(pullPause)
			w = wakeDeleted
		case code == "503":
			// Nobody answers: the consumer has no leader at the moment, or is not there.
			c.pull.after = now.Add(pullPause)
			w = wakeAsk
			if c.pull.unanswered.IsZero() {
				c.pull.unanswered = now
			} else if now.Sub(c.pull.unanswered) > takeoverWait {
				c.pull.unanswered = now
				w = wakeDeleted
			}
		default:
			// Leadership change, shutdown, too many requests.
			c.pull.after = now.Add(pullPause)
			w = wakeAsk
		}
		if c.waiting > 0 {
			c.ask(now)
		}
	}
	c.mu.Unlock()
	if w != 0 {
		c.poke(w)
	}
}

// message converts a message of the server.
func (c *consumer) message(m *nats.Msg, d delivery) queue.Message {
	msg := queue.Message{
		Stream:     c.cfg.Stream,
		Position:   queue.Position{Sequence: d.stream},
		Time:       d.time,
		Deliveries: d.deliveries,
	}
	if !c.cfg.HeadersOnly {
		msg.Data = m.Data
	}
	for k, v := range m.Header {
		if len(v) == 0 || strings.HasPrefix(k, reservedHeader) {
			continue
		}
		if msg.Header == nil {
			msg.Header = make(map[string]string, len(m.Header))
		}
		msg.Header[k] = v[0]
	}
	return msg
}
