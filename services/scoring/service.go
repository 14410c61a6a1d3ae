package scoring

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

	scoringv1 "github.com/synapse-analytics/synapse/gen/go/synapse/scoring/v1"
	"github.com/synapse-analytics/synapse/internal/queue"
)

// scopeName names the tracer and meter.
const scopeName = "github.com/synapse-analytics/synapse/services/scoring"

// balanceConsumer is the consumer of EVENTS by which the query role counts what
// was accepted; a message stays until it has been counted.
const balanceConsumer = "balance"

// Deps is what the service needs.
type Deps struct {
	// Config must be valid (Config.Validate).
	Config Config
	// Logger for operators' events; nil for none.
	Logger *slog.Logger
	// TracerProvider of the spans; nil for none.
	TracerProvider trace.TracerProvider
	// MeterProvider of the metrics; nil for none.
	MeterProvider metric.MeterProvider
	// Now is the clock of stamps; nil is time.Now.
	Now func() time.Time
	// Queue brings the events and takes the scores.
	Queue Queue
	// Scorer scores.
	Scorer Scorer
	// KeepFor are more consumers of EVENTS: a message stays until they have
	// acknowledged it.
	KeepFor []string
}

// Service implements scoring.v1.ScoringService and runs the worker.
type Service struct {
	scoringv1.UnimplementedScoringServiceServer

	worker  *worker
	metrics *metrics
	trimmer *queue.Trimmer

	mu       sync.Mutex
	state    serviceState
	stopTrim context.CancelFunc
	trimming sync.WaitGroup
}

type serviceState int

const (
	created serviceState = iota
	running
	stopped
)

// New makes the service; it does nothing until Start.
func New(d Deps) (*Service, error) {
	if err := d.Config.Validate(); err != nil {
		return nil, fmt.Errorf("scoring: configuration: %w", err)
	}
	if d.Queue == nil || d.Scorer == nil {
		return nil, errors.New("scoring: no queue or no scorer")
	}
	d = d.withDefaults()
	meter := d.MeterProvider.Meter(scopeName)
	m, err := newMetrics(meter)
	if err != nil {
		return nil, fmt.Errorf("scoring: metrics: %w", err)
	}
	s := &Service{metrics: m}
	s.worker = newWorker(d.Config, d, m, d.TracerProvider.Tracer(scopeName))
	if err := m.observe(meter, s.worker); err != nil {
		return nil, fmt.Errorf("scoring: metrics: %w", err)
	}
	s.trimmer, err = queue.NewTrimmer(d.Queue, queue.TrimConfig{
		Stream: queue.Events, Consumers: append([]string{consumerName, balanceConsumer}, d.KeepFor...),
		Interval: d.Config.TrimInterval, RecoveryWindow: d.Config.RecoveryWindow,
	}, d.Logger, d.Now)
	if err != nil {
		return nil, fmt.Errorf("scoring: %w", err)
	}
	return s, nil
}

// Register adds the service to a server.
func (s *Service) Register(r grpc.ServiceRegistrar) { scoringv1.RegisterScoringServiceServer(r, s) }

// Start opens the consumer and runs the worker and the trimmer of EVENTS. ctx
// bounds only the start.
func (s *Service) Start(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state != created {
		return errors.New("scoring: started twice")
	}
	if err := s.worker.start(ctx); err != nil {
		return err
	}
	s.state = running
	trim, cancel := context.WithCancel(context.Background())
	s.stopTrim = cancel
	s.trimming.Go(func() { _ = s.trimmer.Run(trim) }) // returns nil; it logs what fails
	return nil
}

// Stop takes no more messages, finishes and acknowledges those that are held,
// and returns when all goroutines have ended. When ctx ends first, they are given
// back: another process, or the next start, gets them.
func (s *Service) Stop(ctx context.Context) error {
	s.mu.Lock()
	was := s.state
	s.state = stopped
	s.mu.Unlock()
	if was != running {
		return nil
	}
	err := s.worker.stop(ctx)
	s.stopTrim()
	s.trimming.Wait()
	s.metrics.close()
	return err
}

// Serving returns nil when calls are answered, whether or not events are being scored:
// texts of a call need no queue.
func (s *Service) Serving(context.Context) error {
	s.mu.Lock()
	state := s.state
	s.mu.Unlock()
	if state != running {
		return errors.New("scoring: not running; wait for its start or use another server")
	}
	return nil
}

// Ready returns nil when events are being scored, or could be.
func (s *Service) Ready(ctx context.Context) error {
	if err := s.Serving(ctx); err != nil {
		return err
	}
	if t := s.worker.trouble.Load(); t != nil {
		return fmt.Errorf("scoring: %s; look at the queue's health and free space", *t)
	}
	return nil
}

func (d Deps) withDefaults() Deps {
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
	return d
}
