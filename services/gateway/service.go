package gateway

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"

	authv1 "github.com/synapse-analytics/synapse/gen/go/synapse/auth/v1"
	ingestv1 "github.com/synapse-analytics/synapse/gen/go/synapse/ingest/v1"
	queryv1 "github.com/synapse-analytics/synapse/gen/go/synapse/query/v1"
	"github.com/synapse-analytics/synapse/internal/errs"
	"github.com/synapse-analytics/synapse/services/gateway/assets"
)

// Deps are what a Gateway works with.
type Deps struct {
	// Config holds the bounds; see DefaultConfig.
	Config Config
	// Logger takes the log; nil is none.
	Logger *slog.Logger
	// TracerProvider and MeterProvider take spans and metrics; nil is none.
	TracerProvider trace.TracerProvider
	MeterProvider  metric.MeterProvider
	// Now is the clock; nil is time.Now.
	Now func() time.Time

	// Auth, Ingest, Scoring and Query are the connections to the services. The
	// gateway does not close them.
	Auth, Ingest, Scoring, Query grpc.ClientConnInterface
	// Ready tells in bounded time by name which parts are ready, for /readyz: nil, or
	// an error that names the fault and its remedy. nil is no parts but the gateway.
	Ready func(context.Context) map[string]error
	// Assets is the built dashboard; nil is the one that is embedded.
	Assets fs.FS
}

// Gateway is the HTTP edge. Make it with New.
type Gateway struct {
	deps    Deps
	cfg     Config
	log     *slog.Logger
	now     func() time.Time
	tel     *telemetry
	proxies []netip.Prefix

	auth   authv1.AuthServiceClient
	ingest ingestv1.IngestServiceClient
	query  queryv1.QueryServiceClient

	mux         *runtime.ServeMux
	merge       *merger
	crossOrigin *http.CrossOriginProtection
	zstds       sync.Pool
	site        *site
	explorer    *site

	table       []*route
	fixed       map[string]*route
	ingestRoute *route
	assets      *route
	api         *route
	unknown     *route

	requests, tails, bodyBytes atomic.Int64

	mu       sync.Mutex
	server   *http.Server
	served   chan struct{}
	stopping chan struct{}
	stopOnce sync.Once
}

// New makes a Gateway. It opens nothing; Handler can be used without Start.
func New(d Deps) (*Gateway, error) {
	if err := d.Config.Validate(); err != nil {
		return nil, fmt.Errorf("gateway: %w", err)
	}
	for name, conn := range map[string]grpc.ClientConnInterface{
		"Auth": d.Auth, "Ingest": d.Ingest, "Scoring": d.Scoring, "Query": d.Query,
	} {
		if conn == nil {
			return nil, fmt.Errorf("gateway: no connection %s", name)
		}
	}
	if d.Logger == nil {
		d.Logger = slog.New(slog.DiscardHandler)
	}
	if d.Now == nil {
		d.Now = time.Now
	}
	if d.Assets == nil {
		d.Assets = assets.Dist()
	}
	g := &Gateway{
		deps: d, cfg: d.Config, log: d.Logger, now: d.Now,
		auth: authv1.NewAuthServiceClient(d.Auth), ingest: ingestv1.NewIngestServiceClient(d.Ingest),
		query:       queryv1.NewQueryServiceClient(d.Query),
		crossOrigin: http.NewCrossOriginProtection(),
		fixed:       make(map[string]*route), stopping: make(chan struct{}),
	}
	var err error
	if g.proxies, err = prefixes(d.Config.TrustedProxies); err != nil {
		return nil, fmt.Errorf("gateway: %w", err)
	}
	if g.tel, err = newTelemetry(d); err != nil {
		return nil, fmt.Errorf("gateway: metrics: %w", err)
	}
	if g.site, err = newSite(d.Assets); err != nil {
		return nil, fmt.Errorf("gateway: dashboard: %w", err)
	}
	if g.explorer, err = newExplorer(); err != nil {
		return nil, fmt.Errorf("gateway: explorer: %w", err)
	}
	if d.Config.MergeCalls {
		g.merge = newMerger(d.Config.RequestTimeout, g.sendAlone)
	}
	if g.mux, err = g.newMux(); err != nil {
		return nil, fmt.Errorf("gateway: routes: %w", err)
	}
	g.newRoutes()
	return g, nil
}

// Handler returns the handler of all routes.
func (g *Gateway) Handler() http.Handler { return g }

// Start serves on the listener, which it then owns, and returns at once. An
// error while serving goes to the log and to Ready.
func (g *Gateway) Start(_ context.Context, lis net.Listener) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.server != nil {
		return errors.New("gateway: started twice")
	}
	g.server = &http.Server{
		Handler:           g,
		ReadHeaderTimeout: g.cfg.ReadHeaderTimeout,
		WriteTimeout:      g.cfg.WriteTimeout,
		IdleTimeout:       g.cfg.IdleTimeout,
		MaxHeaderBytes:    int(g.cfg.MaxHeaderBytes),
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: 100},
		ErrorLog:          slog.NewLogLogger(g.log.Handler(), slog.LevelDebug),
	}
	g.served = make(chan struct{})
	go func() {
		defer close(g.served)
		if err := g.server.Serve(lis); err != nil && !errors.Is(err, http.ErrServerClosed) {
			g.log.Error("the gateway's listener failed", "error", err)
		}
	}()
	return nil
}

// Stop ends the tails with a typed event, lets the requests under way finish and
// closes what is left when ctx ends. It returns the error of ctx in that case.
func (g *Gateway) Stop(ctx context.Context) error {
	g.stopOnce.Do(func() { close(g.stopping) })
	g.mu.Lock()
	server, served := g.server, g.served
	g.mu.Unlock()
	if server == nil {
		return nil
	}
	err := server.Shutdown(ctx)
	if err != nil {
		_ = server.Close()
		err = fmt.Errorf("gateway: requests were cut: %w", err)
	}
	<-served
	return err
}

// Ready says whether the gateway takes requests. Whether the services behind it
// do is Deps.Ready's to say.
func (g *Gateway) Ready(context.Context) error {
	select {
	case <-g.stopping:
		return errs.Stopping()
	default:
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.served != nil {
		select {
		case <-g.served:
			return errs.Down("the gateway's listener has failed", time.Second, nil)
		default:
		}
	}
	return nil
}
