package jetstream

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/synapse-analytics/synapse/internal/queue"
)

const (
	reconnectWait   = 250 * time.Millisecond
	reconnectJitter = 250 * time.Millisecond
	pingInterval    = 3 * time.Second
	// headerRoom is what headers may add to MaxMessageBytes on the wire.
	headerRoom = 64 << 10
)

// connect connects, by URL again and again until ctx ends: the server may start
// after this process.
func (q *Queue) connect(ctx context.Context) (*nats.Conn, error) {
	opts, err := q.connOptions()
	if err != nil {
		return nil, err
	}
	target := strings.Join(q.cfg.servers(), ",")
	for logged := false; ; logged = true {
		nc, err := nats.Connect(target, opts...)
		if err == nil {
			if err := q.checkServer(nc.ConnectedServerVersion(), nc.MaxPayload()); err != nil {
				nc.Close()
				return nil, err
			}
			return nc, nil
		}
		if q.cfg.embedded() || errors.Is(err, nats.ErrAuthorization) {
			return nil, fmt.Errorf("%w: connect: %w", queue.ErrUnavailable, err)
		}
		if !logged {
			q.log.Warn("queue: NATS server not reached, trying again", "err", err)
		}
		select {
		case <-time.After(reconnectWait):
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: connect to the NATS server: %w; check that it runs and that url is right", queue.ErrUnavailable, err)
		}
	}
}

func (q *Queue) connOptions() ([]nats.Option, error) {
	opts := []nats.Option{
		nats.Name("synapse"),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(reconnectWait),
		nats.ReconnectJitter(reconnectJitter, reconnectJitter),
		// Without a buffer a publish fails at once while there is no connection,
		// and nothing is sent late that its caller has given up.
		nats.ReconnectBufSize(-1),
		nats.DrainTimeout(drainTimeout),
		// A peer that is gone without a word is noticed within ten seconds, and a
		// write to it does not block longer than a publish may take.
		nats.PingInterval(pingInterval),
		nats.MaxPingsOutstanding(2),
		nats.FlusherTimeout(q.cfg.PublishTimeout),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) { q.disconnected(err) }),
		nats.ReconnectHandler(func(*nats.Conn) { q.reconnected() }),
		nats.ErrorHandler(func(_ *nats.Conn, sub *nats.Subscription, err error) {
			subject := ""
			if sub != nil {
				subject = sub.Subject
			}
			q.log.Warn("queue: connection error", "err", err, "subject", subject)
		}),
	}
	if q.srv != nil {
		return append(opts, nats.InProcessServer(q.srv.srv)), nil
	}
	c := q.cfg
	if c.User != "" {
		opts = append(opts, nats.UserInfo(c.User, string(c.Password)))
	}
	if c.CredsFile != "" {
		opts = append(opts, nats.UserCredentials(c.CredsFile))
	}
	if c.NKeyFile != "" {
		opt, err := nats.NkeyOptionFromSeed(c.NKeyFile)
		if err != nil {
			return nil, fmt.Errorf("nkey_file: %w", err)
		}
		opts = append(opts, opt)
	}
	if c.CAFile != "" {
		opts = append(opts, nats.RootCAs(c.CAFile))
	}
	if c.CertFile != "" {
		opts = append(opts, nats.ClientCert(c.CertFile, c.KeyFile))
	}
	return opts, nil
}

// disconnected ends the publishes in flight: their acknowledgements are lost.
func (q *Queue) disconnected(err error) {
	if q.isClosed() {
		return
	}
	q.stats.disconnects.Add(1)
	q.log.Warn("queue: connection lost", "err", err)
	q.pub.disconnected()
}

// reconnected makes every consumer ask anew: the server forgot what it was
// asked before.
func (q *Queue) reconnected() {
	q.log.Info("queue: connected again")
	q.mu.Lock()
	defer q.mu.Unlock()
	for c := range q.consumers {
		c.mu.Lock()
		c.holding = true
		c.pokeLocked(wakeRestart)
		c.mu.Unlock()
	}
}

// unavailable makes queue.ErrUnavailable of an error of the client. Without a connection
// that is one of a buffer which is not there.
func unavailable(err error) error {
	if errors.Is(err, nats.ErrReconnectBufExceeded) {
		return fmt.Errorf("%w: no connection to the NATS server; check that it runs and that url is right", queue.ErrUnavailable)
	}
	return fmt.Errorf("%w: %w", queue.ErrUnavailable, err)
}
