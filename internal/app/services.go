package app

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/synapse-analytics/synapse/model"
	"github.com/synapse-analytics/synapse/services/auth"
	"github.com/synapse-analytics/synapse/services/gateway"
	"github.com/synapse-analytics/synapse/services/ingest"
	"github.com/synapse-analytics/synapse/services/query"
	"github.com/synapse-analytics/synapse/services/scoring"
)

// startServices makes and starts the services of the roles, but for the gateway,
// which is started once gRPC answers.
func (a *App) startServices(ctx context.Context) error {
	for _, r := range a.roles {
		if r == Gateway {
			continue
		}
		s, err := a.newService(ctx, r)
		if err != nil {
			return errors.Join(fmt.Errorf("%s: %w", r, err), a.stopServices(ctx))
		}
		if err := s.Start(ctx); err != nil {
			return errors.Join(fmt.Errorf("%s: %w", r, err), a.stopServices(ctx))
		}
		a.services[r] = s
	}
	return nil
}

func (a *App) newService(ctx context.Context, r Role) (service, error) {
	log := a.log().With("role", string(r))
	switch r {
	case Auth:
		store, err := a.openAuthStore(ctx, log)
		if err != nil {
			return nil, err
		}
		return auth.New(auth.Deps{
			Config: a.cfg.Auth, Logger: log, TracerProvider: a.tel.TracerProvider, MeterProvider: a.tel.MeterProvider,
			Store: store, Notifier: notices{a.queue, a.redis},
		})
	case Ingest:
		return ingest.New(ingest.Deps{
			Config: a.cfg.Ingest, Logger: log, TracerProvider: a.tel.TracerProvider, MeterProvider: a.tel.MeterProvider,
			Queue: a.queue, Limits: a.sharedLimits(),
		})
	case Scoring:
		scorer := scoring.NewModelScorer(model.Default())
		scores, err := a.newCache("scores", a.cfg.Scoring.Cache)
		if err != nil {
			return nil, err
		}
		if scores != nil {
			scorer = scoring.NewCachedScorer(scorer, scores)
		}
		return scoring.New(scoring.Deps{
			Config: a.cfg.Scoring, Logger: log, TracerProvider: a.tel.TracerProvider, MeterProvider: a.tel.MeterProvider,
			Queue: a.queue, Scorer: scorer, KeepFor: a.cfg.archiveConsumers(),
		})
	case Query:
		store, err := a.openQueryStore(ctx, log)
		if err != nil {
			return nil, err
		}
		charts, err := a.newCache("charts", a.cfg.Query.Cache)
		if err != nil {
			return nil, err
		}
		return query.New(query.Deps{
			Config: a.cfg.Query, Logger: log, TracerProvider: a.tel.TracerProvider, MeterProvider: a.tel.MeterProvider,
			Queue: a.queue, Store: store, Charts: charts, Explainer: scoring.NewExplainer(scoring.NewModelScorer(model.Default()), log),
			Fatal: func(err error) { a.group.Fail("query", err) },
		})
	}
	return nil, fmt.Errorf("role %q has no service", r)
}

// stopServices stops them in the opposite order of the data flow's start, so
// that what ingest accepted can still be scored and stored.
func (a *App) stopServices(ctx context.Context) error {
	var errs []error
	for _, r := range AllRoles() {
		if s := a.services[r]; s != nil {
			stopCtx, cancel := context.WithTimeout(ctx, a.cfg.StopTimeout)
			if err := s.Stop(stopCtx); err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", r, err))
			}
			cancel()
		}
	}
	return errors.Join(append(errs, a.closeStores())...)
}

func (a *App) closeStores() error {
	var errs []error
	for _, c := range a.closers {
		errs = append(errs, c())
	}
	a.closers = nil
	return errors.Join(errs...)
}

func (a *App) startGateway(ctx context.Context) error {
	if !a.has(Gateway) {
		return nil
	}
	if a.httpLis == nil {
		lis, err := net.Listen("tcp", a.cfg.HTTPAddr)
		if err != nil {
			return hintAddr(err, "http-addr")
		}
		a.httpLis = lis
	}
	g, err := gateway.New(gateway.Deps{
		Config: a.cfg.Gateway, Logger: a.log().With("role", string(Gateway)), TracerProvider: a.tel.TracerProvider, MeterProvider: a.tel.MeterProvider,
		Auth: a.conns[Auth], Ingest: a.conns[Ingest], Scoring: a.conns[Scoring], Query: a.conns[Query], Ready: a.Ready,
	})
	if err != nil {
		return err
	}
	if err := g.Start(ctx, a.httpLis); err != nil {
		return err
	}
	a.gateway = g
	return nil
}

func (a *App) stopGateway(ctx context.Context) error {
	if a.gateway == nil {
		return nil
	}
	return a.gateway.Stop(ctx)
}

// updateHealth tells gRPC health which services answer their calls. Readiness asks more:
// whoever takes processes out of service that are not ready would take all of a role
// when a server is away which its calls do not need.
func (a *App) updateHealth(ctx context.Context) {
	stopping := a.stopping.Load()
	if a.proxy != nil { // the roles answer for themselves
		for _, name := range append(a.proxy.Services(), "") {
			a.proxy.SetServing(name, !stopping)
		}
	}
	if a.server == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	all := !stopping
	for r, s := range a.services {
		ok := !stopping && serving(ctx, s) == nil
		all = all && ok
		a.server.SetServing(grpcServiceOf[r], ok)
	}
	a.server.SetServing("", all)
}

// serving says whether a role answers its calls.
func serving(ctx context.Context, s service) error {
	if p, ok := s.(partly); ok {
		return p.Serving(ctx)
	}
	return s.Ready(ctx)
}

// grpcServiceOf names the gRPC service of a role, for health.
var grpcServiceOf = map[Role]string{
	Auth: "synapse.auth.v1.AuthService", Ingest: "synapse.ingest.v1.IngestService",
	Scoring: "synapse.scoring.v1.ScoringService", Query: "synapse.query.v1.QueryService",
}
