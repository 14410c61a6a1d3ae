package ingest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	ingestv1 "github.com/synapse-analytics/synapse/gen/go/synapse/ingest/v1"
	"github.com/synapse-analytics/synapse/internal/authn"
	"github.com/synapse-analytics/synapse/internal/errs"
	"github.com/synapse-analytics/synapse/internal/limits"
)

// scopeName names the tracer and meter.
const scopeName = "github.com/synapse-analytics/synapse/services/ingest"

// Deps is what the service needs.
type Deps struct {
	// Config must be valid (Config.Validate).
	Config Config
	// Logger for operators' events; nil for none.
	Logger *slog.Logger
	// TracerProvider of the append spans; nil for none.
	TracerProvider trace.TracerProvider
	// MeterProvider of the metrics; nil for none.
	MeterProvider metric.MeterProvider
	// Now is the clock of stamps and limits; nil is time.Now.
	Now func() time.Time
	// Queue takes the events.
	Queue Queue
	// Limits makes the token buckets of a rate limit, "key" or "project"; nil makes
	// buckets of this process alone.
	Limits func(name string, c limits.Config) (Buckets, error)
}

// Service implements ingest.v1.IngestService.
type Service struct {
	ingestv1.UnimplementedIngestServiceServer

	cfg       Config
	log       *slog.Logger
	now       func() time.Time
	validator *validator
	ids       idSource
	recent    *recent // nil when switched off
	limits    *limiter
	backlog   *backlog
	batcher   *batcher
	metrics   *metrics

	stopCtx context.Context // ends, with an *errs.Error as cause, when Stop begins
	stopNow context.CancelCauseFunc

	mu      sync.Mutex
	state   serviceState
	streams sync.WaitGroup // open streams and their readers
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
		return nil, fmt.Errorf("ingest: configuration: %w", err)
	}
	if d.Queue == nil {
		return nil, errors.New("ingest: no queue")
	}
	d = d.withDefaults()
	s := &Service{
		cfg: d.Config, log: d.Logger, now: d.Now,
		recent: newRecent(d.Config.RecentIDs, d.Config.RecentIDsTTL),
	}
	s.stopCtx, s.stopNow = context.WithCancelCause(context.Background())
	var err error
	if s.limits, err = newLimiter(d.Config.Limits, d.Limits); err != nil {
		return nil, fmt.Errorf("ingest: limits: %w", err)
	}
	if s.validator, err = newValidator(d.Now); err != nil {
		return nil, err
	}
	s.backlog = newBacklog(d.Config, d.Queue, d.Logger, d.Now)
	meter := d.MeterProvider.Meter(scopeName)
	if s.metrics, err = newMetrics(meter); err != nil {
		return nil, fmt.Errorf("ingest: metrics: %w", err)
	}
	s.batcher = newBatcher(d.Config.Batch, d.Queue, d.Logger, s.metrics, d.TracerProvider.Tracer(scopeName))
	if err := s.metrics.observe(meter, s); err != nil {
		return nil, fmt.Errorf("ingest: metrics: %w", err)
	}
	return s, nil
}

// Register adds the service to a server.
func (s *Service) Register(r grpc.ServiceRegistrar) { ingestv1.RegisterIngestServiceServer(r, s) }

// Start runs the publishers and the look at the backlog. ctx bounds only the
// start.
func (s *Service) Start(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state != created {
		return errors.New("ingest: started twice")
	}
	s.state = running
	s.backlog.start(ctx)
	s.batcher.start()
	return nil
}

// Stop refuses new calls, ends the streams after they have acknowledged what is
// durable, appends what waits, and returns when all goroutines have ended. When
// ctx ends first, the open appends are given up and their callers are told that
// the outcome is unknown.
func (s *Service) Stop(ctx context.Context) error {
	s.mu.Lock()
	was := s.state
	s.state = stopped
	s.mu.Unlock()
	s.stopNow(errStreamShutDown())
	if was != running {
		return nil
	}
	ended := make(chan struct{})
	go func() {
		s.streams.Wait()
		close(ended)
	}()
	var late error
	select {
	case <-ended:
	case <-ctx.Done():
		late = fmt.Errorf("ingest: streams still open: %w", ctx.Err())
	}
	if err := s.batcher.stop(ctx); err != nil {
		late = errors.Join(late, fmt.Errorf("ingest: appends still open: %w", err))
	}
	s.backlog.stop()
	s.metrics.close()
	return late
}

// Ready returns nil when events can be taken over. A backlog is no fault: calls
// are then refused one by one, with the time to try again.
func (s *Service) Ready(context.Context) error {
	s.mu.Lock()
	state := s.state
	s.mu.Unlock()
	if state != running {
		return errors.New("ingest: not running; wait for its start or use another server")
	}
	if err := s.backlog.ready(); err != nil {
		return fmt.Errorf("ingest: the queue does not tell the state of EVENTS; look at the queue's health: %w", err)
	}
	return nil
}

// refusal says why no call is taken now; nil when they are.
func (s *Service) refusal() *errs.Error {
	if s.stopCtx.Err() != nil {
		return errShuttingDown()
	}
	return s.backlog.refusal()
}

// IngestEvents implements ingest.v1.IngestService.
func (s *Service) IngestEvents(ctx context.Context, req *ingestv1.IngestEventsRequest) (*ingestv1.IngestEventsResponse, error) {
	project, err := projectOf(ctx)
	if err != nil {
		return nil, err
	}
	if err := checkCount(len(req.GetEvents())); err != nil {
		return nil, err
	}
	if err := s.admit(ctx, project, len(req.Events)); err != nil {
		return nil, err
	}
	span := trace.SpanContextFromContext(ctx)
	sub := s.prepare(project, req.Events, span)
	if sub.call != nil {
		if err := s.batcher.add(sub.call); err != nil {
			sub.discard()
			s.metrics.refused(len(req.Events), err)
			return nil, err
		}
		select {
		case <-sub.call.done:
		case <-ctx.Done():
			// The publisher may still write to the parts: sub is not released.
			return nil, errGaveUp(ctx, !s.batcher.giveUp(sub.call))
		}
	}
	if err := s.settle(sub); err != nil {
		s.metrics.refused(len(req.Events), err)
		sub.release()
		return nil, err
	}
	resp := sub.response(req.FullResults)
	if span.IsSampled() {
		resp.TraceId = span.TraceID().String()
	}
	sub.release()
	return resp, nil
}

// admit refuses a call before any work is done for it.
func (s *Service) admit(ctx context.Context, project string, n int) error {
	if err := s.refusal(); err != nil {
		s.metrics.refused(n, err)
		return err
	}
	if err := s.batcher.room(0); err != nil {
		s.metrics.refused(n, err)
		return err
	}
	u, refused := s.limits.take(whoOf(ctx, project), n, s.now())
	if u.policy != "" {
		// Fails only for a call that is no gRPC call, or was answered already.
		_ = grpc.SetHeader(ctx, metadata.Pairs("ratelimit-policy", u.policy, "ratelimit", u.state))
	}
	if refused != nil {
		s.metrics.refused(n, refused)
		return refused
	}
	return nil
}

// response makes the answer of a settled submission.
func (sub *submission) response(full bool) *ingestv1.IngestEventsResponse {
	resp := &ingestv1.IngestEventsResponse{
		Accepted:  int32(sub.tally.accepted),
		Duplicate: int32(sub.tally.duplicate),
		Rejected:  int32(sub.tally.rejected),
	}
	if full {
		resp.Results = make([]*ingestv1.IngestResult, 0, len(sub.verdicts))
	}
	for i := range sub.verdicts {
		if v := &sub.verdicts[i]; full || v.status != ingestv1.IngestResult_ACCEPTED {
			resp.Results = append(resp.Results, v.result(i))
		}
	}
	return resp
}

// discard gives back a submission whose call was never queued.
func (sub *submission) discard() {
	for i := range sub.call.parts {
		putBuffer(sub.call.parts[i].data)
	}
	sub.release()
}

// projectOf is the project that the call was authorised for.
func projectOf(ctx context.Context) (string, error) {
	if p := authn.ProjectFrom(ctx); p != "" {
		return p, nil
	}
	return "", errs.Denied("the scope INGEST")
}

// whoOf is whose use of the limits is counted.
func whoOf(ctx context.Context, project string) who {
	w := who{project: project}
	if p := authn.FromContext(ctx); p != nil {
		w.key = p.ID
	}
	return w
}

// checkCount refuses what the rules of the proto refuse, for callers that come
// past the validation of requests.
func checkCount(n int) error {
	if n >= 1 && n <= maxCallEvents {
		return nil
	}
	return errs.Invalid(errs.Violation{
		Field: "events", Rule: fmt.Sprintf("must have 1 to %d events, not %d", maxCallEvents, n),
		Remedy: "split the events over several calls",
	})
}

func (d Deps) withDefaults() Deps {
	if d.Logger == nil {
		d.Logger = slog.New(slog.DiscardHandler)
	}
	if d.TracerProvider == nil {
		d.TracerProvider = noopTracer()
	}
	if d.MeterProvider == nil {
		d.MeterProvider = noopMeter()
	}
	if d.Now == nil {
		d.Now = time.Now
	}
	return d
}
