package query

import (
	"context"
	"errors"
	"math"
	"strings"
	"time"

	"google.golang.org/grpc"

	queryv1 "github.com/synapse-analytics/synapse/gen/go/synapse/query/v1"
	scoringv1 "github.com/synapse-analytics/synapse/gen/go/synapse/scoring/v1"
	typev1 "github.com/synapse-analytics/synapse/gen/go/synapse/type/v1"
	"github.com/synapse-analytics/synapse/internal/authn"
	"github.com/synapse-analytics/synapse/internal/errs"
	"github.com/synapse-analytics/synapse/internal/queue"
	"github.com/synapse-analytics/synapse/services/query/filter"
)

const (
	defaultPage = 50
	maxPage     = 1000
	// scanPiece is how many events a list with a filter looks at between two
	// looks at the clock.
	scanPiece = 50_000
)

// begin returns the project of a call, or why it can not be answered.
func (s *Service) begin(ctx context.Context) (string, error) {
	s.mu.Lock()
	st := s.state
	s.mu.Unlock()
	if st != running {
		return "", errs.Down("the service is not running", time.Second, nil)
	}
	project := authn.ProjectFrom(ctx)
	if project == "" {
		return "", errs.Denied("scope READ")
	}
	return project, nil
}

// answer turns an error of the store or the queue into one for the caller.
func answer(err error) error {
	var known *errs.Error
	switch {
	case err == nil, errors.As(err, &known):
		return err
	case errors.Is(err, ErrExhausted):
		return errs.Exhausted(errs.StoreBusy, "every connection to the store is taken",
			"try again in a second; when it lasts, ask for less at a time, or let the operator raise stores.query.max_conns", time.Second, nil)
	case errors.Is(err, ErrBusy):
		return errs.Down("the store is busy", time.Second, err)
	case errors.Is(err, ErrBroken):
		return errs.Down("the store is out of order", 10*time.Second, err)
	case errors.Is(err, queue.ErrUnavailable):
		return errs.Down("the queue does not answer", time.Second, err)
	default:
		return err
	}
}

// GetEvent implements queryv1.QueryServiceServer.
func (s *Service) GetEvent(ctx context.Context, req *queryv1.GetEventRequest) (*typev1.Event, error) {
	e, err := s.find(ctx, req.GetName(), "")
	if err != nil {
		return nil, err
	}
	return toProto(e), nil
}

// GetEventTrail implements queryv1.QueryServiceServer.
func (s *Service) GetEventTrail(ctx context.Context, req *queryv1.GetEventTrailRequest) (*queryv1.EventTrail, error) {
	e, err := s.find(ctx, req.GetName(), "/trail")
	if err != nil {
		return nil, err
	}
	return trailOf(e), nil
}

// ExplainEvent implements queryv1.QueryServiceServer.
func (s *Service) ExplainEvent(ctx context.Context, req *queryv1.ExplainEventRequest) (*queryv1.EventExplanation, error) {
	e, err := s.find(ctx, req.GetName(), "")
	if err != nil {
		return nil, err
	}
	a, err := s.explainer.Explain(ctx, e.Model, &scoringv1.ScoreTextRequest{
		Text: e.Text, Source: e.Source, Language: e.LanguageHint, Targets: e.Targets,
		Extras: []scoringv1.ScoreTextRequest_Extra{
			scoringv1.ScoreTextRequest_EMOTIONS, scoringv1.ScoreTextRequest_EVIDENCE,
			scoringv1.ScoreTextRequest_SENTENCES, scoringv1.ScoreTextRequest_ASPECTS,
		},
	})
	if err != nil {
		return nil, err
	}
	return &queryv1.EventExplanation{
		Name: eventName(e.Project, e.ID), Sentiment: a.Sentiment, Language: a.Language, LanguageSupported: a.LanguageSupported,
		Evidence: a.Evidence, Bias: a.Bias, LogitDifference: a.LogitDifference,
		Emotions: a.Emotions, Sentences: a.Sentences, Targets: a.Targets,
	}, nil
}

// find reads the event of a name `projects/{project}/events/{event}` + suffix.
func (s *Service) find(ctx context.Context, name, suffix string) (*Event, error) {
	project, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	_, id, _ := strings.Cut(strings.TrimPrefix(name, "projects/"), "/events/")
	id = strings.TrimSuffix(id, suffix)
	if id == "" || strings.Contains(id, "/") {
		return nil, errs.Invalid(errs.Violation{
			Field: "name", Rule: "must be projects/{project}/events/{event}" + suffix, Remedy: "take the name of an event",
		})
	}
	e, err := s.store.GetEvent(ctx, project, id)
	if errors.Is(err, ErrNotFound) {
		return nil, errs.MissingThing("the project has no event %q, or it is still on its way", id)
	}
	if err != nil {
		return nil, answer(err)
	}
	return e, nil
}

// ListEvents implements queryv1.QueryServiceServer.
func (s *Service) ListEvents(ctx context.Context, req *queryv1.ListEventsRequest) (*queryv1.ListEventsResponse, error) {
	project, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	size := int(req.GetPageSize())
	switch {
	case size < 0 || size > maxPage:
		return nil, errs.Invalid(errs.Violation{Field: "page_size", Rule: "must be 0 to 1000", Remedy: "ask for less"})
	case size == 0:
		size = defaultPage
	}
	f, err := parseFilter(req.GetFilter(), filter.Events)
	if err != nil {
		return nil, err
	}
	q := ListQuery{Project: project, Filter: f, Scan: scanPiece}
	if req.GetPageToken() != "" {
		if q.After, err = s.tokens.parsePage(project, f.String(), req.GetPageToken()); err != nil {
			return nil, err
		}
	}
	resp := &queryv1.ListEventsResponse{}
	deadline := time.Now().Add(s.cfg.ListBudget)
	for {
		q.Limit = size - len(resp.Events)
		page, err := s.store.ListEvents(ctx, q)
		if err != nil {
			return nil, answer(err)
		}
		for _, e := range page.Events {
			resp.Events = append(resp.Events, toProto(e))
		}
		if page.Next == nil {
			return resp, nil
		}
		if len(resp.Events) == size || time.Now().After(deadline) {
			resp.NextPageToken = s.tokens.page(project, f.String(), *page.Next)
			return resp, nil
		}
		q.After = page.Next
	}
}

// TailEvents implements queryv1.QueryServiceServer.
func (s *Service) TailEvents(req *queryv1.TailEventsRequest, stream grpc.ServerStreamingServer[queryv1.TailEventsResponse]) error {
	s.mu.Lock()
	if s.state == running { // with mu, so that Stop waits for it
		s.tails.Add(1)
		defer s.tails.Done()
	}
	s.mu.Unlock()
	project, err := s.begin(stream.Context())
	if err != nil {
		return err
	}
	return answer(s.tailEvents(project, req, stream))
}

// QueryTimeSeries implements queryv1.QueryServiceServer.
func (s *Service) QueryTimeSeries(ctx context.Context, req *queryv1.QueryTimeSeriesRequest) (*queryv1.QueryTimeSeriesResponse, error) {
	project, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	resp, err := s.timeSeries(ctx, project, req)
	if err != nil {
		return nil, answer(err)
	}
	return resp, nil
}

// GetBalance implements queryv1.QueryServiceServer.
func (s *Service) GetBalance(ctx context.Context, _ *queryv1.GetBalanceRequest) (*queryv1.Balance, error) {
	project, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	b, err := s.balance(ctx, project)
	if err != nil {
		return nil, answer(err)
	}
	return b, nil
}

// VerifyRollups implements queryv1.QueryServiceServer.
func (s *Service) VerifyRollups(ctx context.Context, _ *queryv1.VerifyRollupsRequest) (*queryv1.VerifyRollupsResponse, error) {
	project, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	r, err := s.store.Verify(ctx, project)
	if err != nil {
		return nil, answer(err)
	}
	return &queryv1.VerifyRollupsResponse{
		Events: float64(r.Events), Rollups: float64(r.Rollups),
		DifferenceCount: int32(min(r.Count, math.MaxInt32)), Differences: r.Differences,
	}, nil
}
