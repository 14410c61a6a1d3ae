package jetstream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/synapse-analytics/synapse/internal/queue"
)

const (
	// serverMaxPayload holds the largest message with its headers; it is also
	// the most that the server recommends.
	serverMaxPayload = 8 << 20
	// serverMaxPending is how much the server buffers for one connection before
	// it cuts it as too slow.
	serverMaxPending = 256 << 20
	// shutdownTimeout bounds the stop of the embedded server.
	shutdownTimeout = 30 * time.Second
	// unreserved is the store limit of the embedded server. It only counts the
	// streams' max bytes against it; the disk floor guards the disk.
	unreserved = 1 << 60
)

// embedded is the server in this process. It has no network listener.
type embedded struct {
	srv    *server.Server
	log    *serverLog
	unlock func() error
}

// startEmbedded starts the server on cfg.Dir, which it creates, and waits until
// it has read its store or ctx ends.
func startEmbedded(ctx context.Context, cfg Config, log *slog.Logger) (*embedded, error) {
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("dir: cannot create it: %w", err)
	}
	unlock, err := lockDir(cfg.Dir)
	if err != nil {
		return nil, err
	}
	e := &embedded{log: &serverLog{log: log}, unlock: unlock}
	e.srv, err = server.NewServer(&server.Options{
		ServerName:         "synapse",
		DontListen:         true,
		JetStream:          true,
		StoreDir:           cfg.Dir,
		SyncAlways:         cfg.Sync == SyncAlways,
		SyncInterval:       cfg.SyncInterval,
		JetStreamMaxStore:  unreserved,
		JetStreamMaxMemory: 64 << 20,
		MaxPayload:         serverMaxPayload,
		MaxPending:         serverMaxPending,
		NoSigs:             true,
		NoLog:              true,
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("make embedded server: %w", err), unlock())
	}
	e.srv.SetLogger(e.log, false, false)

	// Start returns when the store is read; a large one takes a while.
	started := make(chan struct{})
	go func() {
		defer close(started)
		e.srv.Start()
	}()
	select {
	case <-started:
	case <-ctx.Done():
		e.srv.Shutdown()
		<-started
		return nil, errors.Join(fmt.Errorf("read the store in %s: %w; raise open_timeout", cfg.Dir, ctx.Err()), e.stop())
	}
	if fault := e.log.Fault(); fault != "" || !e.srv.JetStreamEnabled() {
		return nil, errors.Join(fmt.Errorf("%w: embedded server: %s", queue.ErrUnavailable, fault), e.stop())
	}
	return e, nil
}

// stop shuts the server down and waits for it.
func (e *embedded) stop() error {
	if e == nil {
		return nil
	}
	e.srv.Shutdown()
	done := make(chan struct{})
	go func() {
		defer close(done)
		e.srv.WaitForShutdown()
	}()
	select {
	case <-done:
		return e.unlock()
	case <-time.After(shutdownTimeout):
		return fmt.Errorf("embedded server did not stop in %s", shutdownTimeout)
	}
}

// fault returns why the server takes no messages any more, nil if it does. It is
// cheap.
func (e *embedded) fault() error {
	if e == nil {
		return nil
	}
	if fault := e.log.Fault(); fault != "" {
		return fmt.Errorf("%w: the embedded server failed: %s; check the disk, then restart the process", queue.ErrUnavailable, fault)
	}
	return nil
}

// ready names what keeps the server from taking messages.
func (e *embedded) ready() error {
	if e == nil {
		return nil
	}
	if err := e.fault(); err != nil {
		return err
	}
	if !e.srv.JetStreamEnabled() {
		return fmt.Errorf("%w: the embedded server has switched JetStream off; check the disk, then restart the process", queue.ErrUnavailable)
	}
	return nil
}
