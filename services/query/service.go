package query

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"go.opentelemetry.io/otel/metric"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/trace"
	tracenoop "go.opentelemetry.io/otel/trace/noop"
	"google.golang.org/grpc"

	queryv1 "github.com/synapse-analytics/synapse/gen/go/synapse/query/v1"
	"github.com/synapse-analytics/synapse/internal/cache"
	"github.com/synapse-analytics/synapse/internal/queue"
)

// Queue is what the service needs of the queue.
type Queue interface {
	Consume(ctx context.Context, cfg queue.ConsumerConfig) (queue.Consumer, error)
	Info(ctx context.Context, stream queue.Stream) (queue.Info, error)
	Trim(ctx context.Context, stream queue.Stream, upTo uint64) error
}

// Deps is what the service needs.
type Deps struct {
	// Config must be valid (Config.Validate).
	Config Config
	// Logger for operators' events; nil for none.
	Logger *slog.Logger
	// TracerProvider of the storing spans; nil for none.
	TracerProvider trace.TracerProvider
	// MeterProvider of the metrics; nil for none.
	MeterProvider metric.MeterProvider
	// Now is the clock; nil is time.Now.
	Now func() time.Time
	// Queue that the events come from.
	Queue Queue
	// Store that they go to. The service does not close it.
	Store Store
	// Explainer answers ExplainEvent.
	Explainer Explainer
	// Charts keeps parts of time series; nil keeps nothing.
	Charts cache.Cache
	// Fatal is told when the store can not be trusted any more: the process
	// should end. nil only logs it; the service is then not ready for ever.
	Fatal func(error)
}

// Service implements query.v1.QueryService and moves what was scored into the
// store.
type Service struct {
	queryv1.UnimplementedQueryServiceServer

	cfg       Config
	log       *slog.Logger
	now       func() time.Time
	store     Store
	explainer Explainer
	queue     Queue
	tracer    trace.Tracer
	meter     metric.Meter
	metrics   *metrics
	fatal     func(error)

	tokens    *tokens
	hub       *hub
	series    *seriesCache
	changes   *changes
	positions *positions
	progress  *progress
	accepted  *accepted
	followers []*follower
	janitor   *janitor
	trimmer   *queue.Trimmer
	watcher   *watcher
	leader    *leader

	// stopping ends when Stop begins, work when it is done with the tails.
	stopping context.Context
	stop     context.CancelFunc
	tails    sync.WaitGroup
	work     sync.WaitGroup
	endWork  context.CancelFunc

	mu    sync.Mutex
	state state
}

type state int

const (
	created state = iota
	running
	stopped
)

// New makes the service; it does nothing until Start.
func New(d Deps) (*Service, error) {
	if err := d.Config.Validate(); err != nil {
		return nil, fmt.Errorf("query: configuration: %w", err)
	}
	if d.Queue == nil || d.Store == nil || d.Explainer == nil {
		return nil, errors.New("query: no queue, no store or no explainer")
	}
	if d.Logger == nil {
		d.Logger = slog.New(slog.DiscardHandler)
	}
	if d.TracerProvider == nil {
		d.TracerProvider = tracenoop.NewTracerProvider()
	}
	if d.MeterProvider == nil {
		d.MeterProvider = metricnoop.NewMeterProvider()
	}
	if d.Now == nil {
		d.Now = time.Now
	}
	if d.Fatal == nil {
		d.Fatal = func(error) {}
	}
	s := &Service{
		cfg: d.Config, log: d.Logger, now: d.Now, store: d.Store, explainer: d.Explainer, queue: d.Queue, fatal: d.Fatal,
		tracer: d.TracerProvider.Tracer(scopeName), meter: d.MeterProvider.Meter(scopeName),
		positions: newPositions(d.Store), changes: newChanges(d.Now),
	}
	s.series = &seriesCache{store: d.Store, cache: d.Charts, changes: s.changes}
	s.stopping, s.stop = context.WithCancel(context.Background())
	var err error
	if s.metrics, err = newMetrics(s.meter); err != nil {
		return nil, fmt.Errorf("query: metrics: %w", err)
	}
	s.trimmer, err = queue.NewTrimmer(d.Queue, queue.TrimConfig{
		Stream: queue.Scored, Consumers: []string{writerConsumer},
		Interval: d.Config.TrimInterval, RecoveryWindow: d.Config.RecoveryWindow,
	}, d.Logger, d.Now)
	if err != nil {
		return nil, fmt.Errorf("query: %w", err)
	}
	return s, nil
}

// Register adds the service to a server.
func (s *Service) Register(r grpc.ServiceRegistrar) { queryv1.RegisterQueryServiceServer(r, s) }

// Start reads what it needs from the store and begins to move events. ctx bounds
// only the start.
func (s *Service) Start(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state != created {
		return errors.New("query: started twice")
	}
	secret, err := s.store.Secret(ctx)
	if err != nil {
		return fmt.Errorf("query: %w", err)
	}
	last, err := s.store.LastSeq(ctx)
	if err != nil {
		return fmt.Errorf("query: %w", err)
	}
	s.tokens, s.series.secret = newTokens(secret), secret
	s.hub = newHub(s.tokens, s.cfg.TailBuffer, s.cfg.MaxTails, last)
	times := &timeline{}
	s.progress = &progress{queue: s.queue, positions: s.positions, times: times, now: s.now, log: s.log}
	s.janitor = &janitor{s.store, s.cfg.IdempotencyWindow, s.cfg.Retention, s.progress, s.metrics, s.now, s.log}
	if err := s.metrics.observe(s.meter, s); err != nil {
		return fmt.Errorf("query: metrics: %w", err)
	}

	s.watcher = &watcher{store: s.store, positions: s.positions, times: times, hub: s.hub, metrics: s.metrics, log: s.log}
	s.watcher.health.set(errNotYet)
	w := &writer{
		store: s.store, watcher: s.watcher, positions: s.positions, changes: s.changes, maxRows: s.cfg.MaxRows, hub: s.hub, metrics: s.metrics,
		spans: &spans{s.tracer}, now: s.now,
	}
	w.follower = s.follow(queue.ConsumerConfig{Stream: queue.Scored, Name: writerConsumer, MaxPending: writerPending}, w.session)
	s.accepted = &accepted{store: s.store, positions: s.positions, times: times, metrics: s.metrics, hurry: make(chan struct{}, 1)}
	s.accepted.follower = s.follow(queue.ConsumerConfig{
		Stream: queue.Events, Name: balanceConsumer, HeadersOnly: true, MaxPending: 2 * gatherMessages,
	}, s.accepted.session)
	s.accepted.follower.byTime = true
	d := &dead{store: s.store, positions: s.positions, metrics: s.metrics, now: s.now}
	d.follower = s.follow(queue.ConsumerConfig{Stream: queue.Dead, Name: deadConsumer, MaxPending: 2 * deadMessages}, d.session)

	run, cancel := context.WithCancel(context.Background())
	s.endWork = cancel
	s.leader = newLeader(s.store, s.log, s.lead, s.watcher.run)
	s.work.Go(func() { s.progress.run(run) })
	s.work.Go(func() { s.leader.run(run) })
	s.state = running
	return nil
}

// lead moves the streams into the store until ctx ends.
func (s *Service) lead(ctx context.Context) {
	var work sync.WaitGroup
	for _, f := range s.followers {
		work.Go(func() { f.run(ctx) })
	}
	work.Go(func() { s.janitor.run(ctx) })
	work.Go(func() { _ = s.trimmer.Run(ctx) }) // it ends with ctx and only then
	work.Wait()
}

// errNotYet is the health of a reader that has not begun.
var errNotYet = errors.New("has not begun yet; wait")

func (s *Service) follow(cfg queue.ConsumerConfig, session func(context.Context, queue.Consumer, uint64, queue.Position) error) *follower {
	f := &follower{
		stream: cfg.Stream, config: cfg, session: session, queue: s.queue, positions: s.positions,
		resume: s.cfg.ResumeAfterLoss, metrics: s.metrics, log: s.log, fatal: s.fatal,
	}
	s.followers = append(s.followers, f)
	return f
}

// Stop ends the tails with a message, then the readers after the transaction they
// are in, and returns when all goroutines have ended. When ctx ends first it
// returns its error and they end as soon as they can.
func (s *Service) Stop(ctx context.Context) error {
	s.mu.Lock()
	was := s.state
	s.state = stopped
	s.mu.Unlock()
	s.stop()
	if was != running {
		return nil
	}
	s.hub.close()
	if err := wait(ctx, &s.tails); err != nil {
		s.endWork()
		return fmt.Errorf("query: tails are still open: %w", err)
	}
	s.endWork()
	if err := wait(ctx, &s.work); err != nil {
		return fmt.Errorf("query: the readers have not ended: %w", err)
	}
	if err := s.metrics.gauges.Unregister(); err != nil {
		return fmt.Errorf("query: metrics: %w", err)
	}
	return nil
}

// wait waits for the group, or for ctx.
func wait(ctx context.Context, g *sync.WaitGroup) error {
	done := make(chan struct{})
	go func() { g.Wait(); close(done) }()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Serving returns nil when calls are answered, whether or not the readers go on:
// without the queue, what is stored can be read.
func (s *Service) Serving(ctx context.Context) error {
	s.mu.Lock()
	st := s.state
	s.mu.Unlock()
	if st != running {
		return errors.New("query: not running; wait for the start")
	}
	if err := s.store.Ready(ctx); err != nil {
		return fmt.Errorf("query: %w", err)
	}
	return nil
}

// Ready returns nil when the service does all of its work, or what fails and what to do.
func (s *Service) Ready(ctx context.Context) error {
	if err := s.Serving(ctx); err != nil {
		return err
	}
	if !s.leader.leading.Load() {
		if err := s.watcher.health.get(); err != nil {
			return fmt.Errorf("query: %w", err)
		}
		return nil
	}
	s.mu.Lock()
	followers := s.followers
	s.mu.Unlock()
	for _, f := range followers {
		if err := f.health.get(); err != nil {
			return fmt.Errorf("query: reader %s of %s: %w", f.config.Name, f.stream, err)
		}
	}
	return nil
}
