package auth

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/metric"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"

	authv1 "github.com/synapse-analytics/synapse/gen/go/synapse/auth/v1"
	"github.com/synapse-analytics/synapse/internal/errs"
)

// How often the service looks after its own things.
const (
	lookEvery    = time.Second
	flushEvery   = 20 * time.Second
	refreshEvery = time.Minute
	pruneEvery   = 10 * time.Minute
)

// pageTokenSecret names the key of page tokens in the store.
const pageTokenSecret = "page-tokens"

var errNotStarted = errors.New("the service was not started")

// Deps are what the service needs.
type Deps struct {
	Config Config
	Store  Store
	// Notifier tells the other processes of revocations; nil tells nobody, and
	// they learn of them when their caches end.
	Notifier Notifier
	// Logger; nil is slog.Default.
	Logger *slog.Logger
	// TracerProvider is not used yet: the server's interceptors trace each call.
	TracerProvider trace.TracerProvider
	// MeterProvider; nil counts nothing.
	MeterProvider metric.MeterProvider
	// Now; nil is time.Now.
	Now func() time.Time
}

// Service is the role.
type Service struct {
	authv1.UnimplementedAuthServiceServer

	cfg      Config
	store    Store
	log      *slog.Logger
	now      func() time.Time
	hasher   *hasher
	throttle *throttle
	keys     *keyring
	announce *announcer
	uses     *useLog
	metrics  *metrics

	pages atomic.Pointer[pageTokens] // nil until Start

	mu     sync.Mutex
	cancel context.CancelFunc
	done   chan struct{}
}

// New makes the service; nothing runs until Start.
func New(d Deps) (*Service, error) {
	if err := d.Config.Validate(); err != nil {
		return nil, fmt.Errorf("auth: configuration: %w", err)
	}
	if d.Store == nil {
		return nil, errors.New("auth: a store is needed")
	}
	if d.Logger == nil {
		d.Logger = slog.Default()
	}
	if d.Now == nil {
		d.Now = time.Now
	}
	if d.MeterProvider == nil {
		d.MeterProvider = metricnoop.NewMeterProvider()
	}
	h, err := newHasher(d.Config.HashParallelism)
	if err != nil {
		return nil, fmt.Errorf("auth: %w", err)
	}
	m, err := newMetrics(d.MeterProvider)
	if err != nil {
		return nil, fmt.Errorf("auth: %w", err)
	}
	return &Service{
		cfg: d.Config, store: d.Store, log: d.Logger, now: d.Now, hasher: h, metrics: m,
		throttle: newThrottle(d.Config, d.Store, d.Now),
		keys:     &keyring{store: d.Store, now: d.Now, cfg: d.Config},
		announce: &announcer{to: d.Notifier, store: d.Store, now: d.Now, ttl: d.Config.AccessTokenTTL, log: d.Logger},
		uses:     newUseLog(d.Store),
	}, nil
}

// Register adds the service to a server.
func (s *Service) Register(r grpc.ServiceRegistrar) { authv1.RegisterAuthServiceServer(r, s) }

// Start loads the keys, making them on the first start, and starts the one
// goroutine that looks after rotation, notices, last uses and old rows.
func (s *Service) Start(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.done != nil {
		return errors.New("auth: started already")
	}
	fresh := make([]byte, 32)
	if _, err := rand.Read(fresh); err != nil {
		return fmt.Errorf("auth: random source: %w", err)
	}
	key, err := s.store.Secret(ctx, pageTokenSecret, fresh)
	if err != nil {
		return fmt.Errorf("auth: %w", err)
	}
	s.pages.Store(&pageTokens{key: key})
	if err := s.rotate(ctx); err != nil {
		return fmt.Errorf("auth: %w", err)
	}
	run, cancel := context.WithCancel(context.WithoutCancel(ctx))
	s.cancel, s.done = cancel, make(chan struct{})
	go func() {
		defer close(s.done)
		s.lookAfter(run)
	}()
	return nil
}

// Stop ends the goroutine and writes the last uses of keys. The server must have
// stopped before.
func (s *Service) Stop(ctx context.Context) error {
	s.mu.Lock()
	done, cancel := s.done, s.cancel
	s.mu.Unlock()
	if done == nil {
		return nil
	}
	cancel()
	select {
	case <-done:
	case <-ctx.Done():
		return fmt.Errorf("auth: stop: %w", context.Cause(ctx))
	}
	if err := s.uses.flush(ctx); err != nil {
		return fmt.Errorf("auth: stop: %w", err)
	}
	return nil
}

// Ready says whether the service can answer; the error names what fails and the
// remedy.
func (s *Service) Ready(ctx context.Context) error {
	if _, ok := s.keys.current(s.now()); !ok {
		return fmt.Errorf("auth: %w; wait for the start, or look into the log for why the store could not give one", errNoSigningKey)
	}
	if err := s.store.Ping(ctx); err != nil {
		return fmt.Errorf("auth: the store does not answer; check its disk and file: %w", err)
	}
	return nil
}

// lookAfter runs until the context ends. Each task is tried again at its next
// time, so a failure is logged only.
func (s *Service) lookAfter(ctx context.Context) {
	type task struct {
		name  string
		every int // looks
		run   func(context.Context) error
	}
	tasks := []task{
		{"notices", 1, s.announce.look},
		{"last uses", int(flushEvery / lookEvery), s.uses.flush},
		{"signing keys", int(refreshEvery / lookEvery), s.rotate},
		{"old rows", int(pruneEvery / lookEvery), s.prune},
	}
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for n := 1; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for _, t := range tasks {
			if n%t.every != 0 {
				continue
			}
			if err := t.run(ctx); err != nil && ctx.Err() == nil {
				s.log.ErrorContext(ctx, "a background task failed; it is tried again", "task", t.name, "error", err)
			}
		}
	}
}

func (s *Service) rotate(ctx context.Context) error {
	changed, err := s.keys.refresh(ctx)
	if err != nil {
		return err
	}
	if changed {
		s.log.InfoContext(ctx, "a signing key was made", "audit", true)
		s.announce.tell(ctx, signingKeysChanged())
	}
	return nil
}

func (s *Service) prune(ctx context.Context) error {
	return s.store.Prune(ctx, s.now().Add(-failuresForgotten))
}

// edge makes the caller's error of a store's.
func edge(err error) error {
	if err == nil {
		return nil
	}
	var own *errs.Error
	switch {
	case errors.As(err, &own):
		return own
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.Is(err, ErrExhausted):
		return errs.Exhausted(errs.StoreBusy, "every connection to the store of accounts is taken",
			"try again in a second; when it lasts, let the operator raise stores.auth.max_conns", time.Second, nil)
	case errors.Is(err, ErrUnavailable):
		return errs.Down("the store of accounts does not answer", time.Second, err)
	case errors.Is(err, errNoSigningKey), errors.Is(err, errNotStarted):
		return errs.Down("the service is starting", time.Second, err)
	default:
		return errs.Fault(err)
	}
}
