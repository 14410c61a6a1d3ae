// Package app puts the roles together: it is the only place that knows which
// roles run in a process and which engines they use. The roles find each other
// by gRPC either way: in one process over an in-memory connection, with the same
// interceptors as over the network.
package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	authv1 "github.com/synapse-analytics/synapse/gen/go/synapse/auth/v1"
	"github.com/synapse-analytics/synapse/internal/admin"
	"github.com/synapse-analytics/synapse/internal/authn"
	"github.com/synapse-analytics/synapse/internal/blob"
	"github.com/synapse-analytics/synapse/internal/config"
	"github.com/synapse-analytics/synapse/internal/grpcclient"
	"github.com/synapse-analytics/synapse/internal/grpcproxy"
	"github.com/synapse-analytics/synapse/internal/grpcserver"
	"github.com/synapse-analytics/synapse/internal/lifecycle"
	"github.com/synapse-analytics/synapse/internal/queue"
	"github.com/synapse-analytics/synapse/internal/queue/jetstream"
	"github.com/synapse-analytics/synapse/internal/redisdb"
	"github.com/synapse-analytics/synapse/internal/telemetry"
	"github.com/synapse-analytics/synapse/services/auth"
	"github.com/synapse-analytics/synapse/services/gateway"
	"github.com/synapse-analytics/synapse/services/ingest/archive"
	"google.golang.org/grpc"
	"google.golang.org/grpc/test/bufconn"
)

// Version of the program; set when it is linked.
var Version = "dev"

// bufconnBytes is the buffer of the in-memory connection between roles.
const bufconnBytes = 1 << 20

// peerClockSkew is by how much the clock of auth's machine may be ahead.
const peerClockSkew = 2 * time.Second

// readyTimeout bounds the questions to a process's parts: who does not answer in time is
// not ready.
const readyTimeout = 3 * time.Second

// What readiness says of a process some of whose parts can not be asked.
var (
	errStarting = errors.New("the server is starting")
	errStopping = errors.New("the server is being stopped")
)

// service is what every role offers to the process.
type service interface {
	Register(grpc.ServiceRegistrar)
	Start(ctx context.Context) error
	Stop(ctx context.Context) error
	Ready(ctx context.Context) error
}

// partly is a role that answers calls also when it is not ready to do the rest of its
// work.
type partly interface {
	Serving(ctx context.Context) error
}

// App is a process: some roles with all that they need.
type App struct {
	cfg   Config
	roles []Role
	group lifecycle.Group

	tel      *telemetry.Telemetry
	queue    queue.Queue
	redis    *redisdb.DB // nil without
	blob     blob.Store  // of the archive
	archive  *archive.Archiver
	local    *bufconn.Listener
	conns    map[Role]*grpc.ClientConn
	verifier *authn.CachingVerifier
	server   *grpcserver.Server
	proxy    *grpcproxy.Server
	services map[Role]service
	gateway  *gateway.Gateway
	admin    *admin.Server
	lock     *os.File
	creds    *auth.Credentials
	created  bool
	grpcLis  net.Listener
	httpLis  net.Listener
	adminLis net.Listener
	stopping atomic.Bool
	// started says that all parts are there to be asked.
	started atomic.Bool
	// waiting says by role which steps of a schema the start waits for.
	waiting atomic.Pointer[map[string]error]
	serving sync.WaitGroup
	// adminServing is apart: it answers while the rest is started and stopped.
	adminServing sync.WaitGroup
	// servingStops end the goroutines in serving.
	servingStops []func()
	// closers close the stores.
	closers []func() error
}

func (a *App) onServingStop(f func()) { a.servingStops = append(a.servingStops, f) }

// New prepares a process; nothing runs or is written before Start. Logs go to w.
func New(cfg Config, roles []Role, w io.Writer) (*App, error) {
	if err := checkRoles(cfg, roles); err != nil {
		return nil, err
	}
	a := &App{cfg: cfg, roles: roles, conns: map[Role]*grpc.ClientConn{}, services: map[Role]service{}}
	for _, c := range []lifecycle.Component{
		{Name: "telemetry", Start: func(ctx context.Context) error { return a.startTelemetry(ctx, w) }, Stop: a.stopTelemetry},
		{Name: "data folder", Start: a.lockData, Stop: a.unlockData},
		{Name: "admin", Start: a.startAdmin, Stop: a.stopAdmin},
		{Name: "schemas", Start: a.awaitSchemas},
		{Name: "queue", Start: a.startQueue, Stop: a.stopQueue},
		{Name: "redis", Start: a.startRedis, Stop: a.stopRedis},
		{Name: "connections", Start: a.startConns, Stop: a.stopConns},
		{Name: "archive", Start: a.startArchive, Stop: a.stopArchive, StopTimeout: cfg.StopTimeout},
		{Name: "services", Start: a.startServices, Stop: a.stopServices, StopTimeout: 3 * cfg.StopTimeout},
		{Name: "grpc", Start: a.startGRPC, Stop: a.stopGRPC, StopTimeout: cfg.StopTimeout},
		{Name: "bootstrap", Start: a.bootstrap},
		{Name: "gateway", Start: a.startGateway, Stop: a.stopGateway, StopTimeout: cfg.StopTimeout},
		{Name: "readiness", Start: a.sayReady, Stop: a.sayNotReady, StopTimeout: cfg.ShutdownDelay + time.Second},
	} {
		a.group.Add(c)
	}
	return a, nil
}

// Start starts everything and returns when calls are answered.
func (a *App) Start(ctx context.Context) error { return a.group.Start(ctx) }

// Stop stops everything in order, each step bounded.
func (a *App) Stop(ctx context.Context) error { return a.group.Stop(ctx) }

// Run starts everything, calls ready, waits for ctx to end and stops.
func (a *App) Run(ctx context.Context, ready func()) error {
	a.group.Add(lifecycle.Component{Name: "ready", Start: func(context.Context) error { ready(); return nil }})
	return a.group.Run(ctx)
}

// Credentials returns what was written to credentials.json, and whether this
// start created it; nil when auth does not run here.
func (a *App) Credentials() (c *auth.Credentials, created bool) { return a.creds, a.created }

// HTTPURL is the address of REST and the dashboard; empty without the gateway.
func (a *App) HTTPURL() string {
	if a.httpLis == nil {
		return ""
	}
	return "http://" + a.httpLis.Addr().String()
}

// GRPCAddr is the address of gRPC.
func (a *App) GRPCAddr() string { return a.grpcLis.Addr().String() }

// AdminAddr is the address of the admin port.
func (a *App) AdminAddr() string { return a.adminLis.Addr().String() }

func (a *App) has(r Role) bool { return slices.Contains(a.roles, r) }

func (a *App) log() *slog.Logger { return a.tel.Logger }

func (a *App) name() string {
	if len(a.roles) == len(AllRoles()) {
		return "synapse-all"
	}
	names := make([]string, len(a.roles))
	for i, r := range a.roles {
		names[i] = string(r)
	}
	return "synapse-" + strings.Join(names, "-")
}

func (a *App) startTelemetry(ctx context.Context, w io.Writer) error {
	tel, err := telemetry.Setup(ctx, a.cfg.Telemetry, a.name(), Version, w)
	if err != nil {
		return err
	}
	a.tel = tel
	a.group.Logger = tel.Logger
	return nil
}

func (a *App) stopTelemetry(ctx context.Context) error { return a.tel.Shutdown(ctx) }

func (a *App) startQueue(ctx context.Context) error {
	if onlyGateway(a.roles) {
		return nil
	}
	qc := a.cfg.Queue
	if qc.Dir == "" && qc.URL == "" {
		qc.Dir = a.cfg.path("queue")
	}
	q, err := jetstream.Open(ctx, qc, a.log())
	if err != nil {
		return err
	}
	a.queue = q
	stop, err := q.Observe(a.tel.MeterProvider)
	a.closers = append(a.closers, stop)
	return err
}

func (a *App) stopQueue(context.Context) error {
	if a.queue == nil {
		return nil
	}
	return a.queue.Close()
}

// startConns opens a connection to each role that is called from here.
func (a *App) startConns(context.Context) error {
	a.local = bufconn.Listen(bufconnBytes)
	opts := grpcclient.Options{TracerProvider: a.tel.TracerProvider, MeterProvider: a.tel.MeterProvider}
	for _, r := range a.roles {
		for _, peer := range r.calls() {
			if a.conns[peer] != nil {
				continue
			}
			var conn *grpc.ClientConn
			var err error
			if a.has(peer) {
				conn, err = grpcclient.InProcess(a.local, opts)
			} else {
				conn, err = grpcclient.Dial(a.cfg.Peers.of(peer), opts)
			}
			if err != nil {
				return fmt.Errorf("connect to %s: %w", peer, err)
			}
			a.conns[peer] = conn
		}
	}
	return nil
}

func (a *App) stopConns(context.Context) error {
	var errs []error
	for _, c := range a.conns {
		errs = append(errs, c.Close())
	}
	return errors.Join(append(errs, a.local.Close())...)
}

// startGRPC answers gRPC calls, in memory and over the network.
func (a *App) startGRPC(context.Context) error {
	lis, err := net.Listen("tcp", a.cfg.GRPCAddr)
	if err != nil {
		return hintAddr(err, "grpc-addr")
	}
	a.grpcLis = lis
	if onlyGateway(a.roles) {
		return a.startProxy()
	}
	vc := authn.VerifierConfig{}
	if !a.has(Auth) {
		vc.NoticeSkew = peerClockSkew
	}
	a.verifier = authn.NewVerifier(vc, authv1.NewAuthServiceClient(a.conns[Auth]), a.log())
	stopListening, err := notices{a.queue, a.redis}.Listen(func(notice []byte) {
		if err := a.verifier.HandleNotice(notice); err != nil {
			a.log().Warn("notice can not be read", "error", err)
		}
	})
	if err != nil {
		return fmt.Errorf("listen for revocations: %w", err)
	}
	a.onServingStop(stopListening)
	a.server, err = grpcserver.New(grpcserver.Options{
		Logger: a.log(), Verifier: a.verifier, TracerProvider: a.tel.TracerProvider, MeterProvider: a.tel.MeterProvider,
		Reflection: a.cfg.GRPC.Reflection, MaxStreamsPerProject: a.cfg.GRPC.MaxStreamsPerProject,
	})
	if err != nil {
		return err
	}
	for _, r := range a.roles {
		if s := a.services[r]; s != nil {
			s.Register(a.server)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	a.onServingStop(cancel)
	a.serve("credential caches", func() error { return a.verifier.Run(ctx) })
	a.serve("grpc", func() error { return a.server.Serve(a.local) })
	a.serve("grpc", func() error { return a.server.Serve(a.grpcLis) })
	return nil
}

// startProxy gives callers of a gateway that runs apart one gRPC address.
func (a *App) startProxy() error {
	backends := map[string]grpc.ClientConnInterface{}
	for r, name := range grpcServiceOf {
		backends[name] = a.conns[r]
	}
	proxy, err := grpcproxy.New(grpcproxy.Options{
		Backends: backends, TracerProvider: a.tel.TracerProvider, MeterProvider: a.tel.MeterProvider,
		Reflection: a.cfg.GRPC.Reflection,
	})
	if err != nil {
		return err
	}
	a.proxy = proxy
	a.serve("grpc", func() error { return a.proxy.Serve(a.grpcLis) })
	return nil
}

// serve runs f until it returns; an error ends the process.
func (a *App) serve(name string, f func() error) {
	a.serving.Go(func() {
		if err := f(); err != nil && !errors.Is(err, context.Canceled) {
			a.group.Fail(name, err)
		}
	})
}

func (a *App) stopGRPC(ctx context.Context) error {
	var err error
	if a.server != nil {
		err = a.server.Stop(ctx)
	}
	if a.proxy != nil {
		a.proxy.Stop(ctx)
	}
	for _, f := range a.servingStops {
		f()
	}
	a.serving.Wait()
	return err
}

func hintAddr(err error, flag string) error {
	return fmt.Errorf("%w (choose another address with --%s)", err, flag)
}

func (a *App) bootstrap(ctx context.Context) error {
	if !a.has(Auth) {
		return nil
	}
	svc, ok := a.services[Auth].(*auth.Service)
	if !ok {
		return errors.New("auth is not the auth service")
	}
	in := auth.BootstrapInput{DataDir: a.cfg.Data, HTTPURL: "http://" + a.cfg.HTTPAddr, GRPCAddr: a.cfg.GRPCAddr}
	if a.has(Ingest) && a.has(Query) { // with port 0 the real one is known only now
		in.GRPCAddr = a.GRPCAddr()
	}
	if a.has(Gateway) {
		lis, err := net.Listen("tcp", a.cfg.HTTPAddr)
		if err != nil {
			return hintAddr(err, "http-addr")
		}
		a.httpLis = lis
		in.HTTPURL = a.HTTPURL()
	}
	var err error
	a.creds, a.created, err = svc.Bootstrap(ctx, in)
	return err
}

func (a *App) startAdmin(context.Context) error {
	lis, err := net.Listen("tcp", a.cfg.AdminAddr)
	if err != nil {
		return hintAddr(err, "admin-addr")
	}
	a.adminLis = lis
	h := admin.Handlers{Metrics: a.tel.Metrics, Ready: a.Ready, Config: http.HandlerFunc(a.serveConfig)}
	if a.tel.Ring != nil {
		h.Traces = a.tel.Ring
	}
	a.admin = admin.New(h)
	a.adminServing.Go(func() {
		if err := a.admin.Serve(lis); err != nil {
			a.group.Fail("admin", err)
		}
	})
	return nil
}

func (a *App) stopAdmin(ctx context.Context) error {
	err := a.admin.Stop(ctx)
	a.adminServing.Wait()
	return err
}

func (a *App) serveConfig(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	base := DefaultConfig()
	if r.URL.Query().Get("mode") == "diff" {
		_ = config.Diff(w, &a.cfg, &base)
		return
	}
	_ = config.Print(w, &a.cfg)
}

// Ready returns the parts of the process by name: nil for one that works.
func (a *App) Ready(ctx context.Context) map[string]error {
	parts := map[string]error{}
	if a.stopping.Load() {
		return map[string]error{"process": errStopping}
	}
	if !a.started.Load() {
		parts["process"] = errStarting
		if w := a.waiting.Load(); w != nil {
			maps.Copy(parts, *w)
		}
		return parts
	}
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	if a.queue != nil {
		parts["queue"] = a.queue.Ready(ctx)
	}
	for r, s := range a.services {
		parts[string(r)] = s.Ready(ctx)
	}
	return parts
}

// sayReady watches the parts and tells gRPC health of them.
func (a *App) sayReady(ctx context.Context) error {
	a.started.Store(true)
	for name, err := range a.Ready(ctx) {
		if err != nil {
			a.log().Warn("not ready", "part", name, "error", err)
		}
	}
	a.updateHealth(ctx)
	watchCtx, cancel := context.WithCancel(context.Background())
	a.onServingStop(cancel)
	a.serving.Go(func() {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-watchCtx.Done():
				return
			case <-tick.C:
				a.updateHealth(watchCtx)
			}
		}
	})
	a.log().Info("ready", "roles", a.name(), "version", Version, "grpc", addrOf(a.grpcLis), "http", addrOf(a.httpLis), "admin", addrOf(a.adminLis))
	return nil
}

func addrOf(l net.Listener) string {
	if l == nil {
		return ""
	}
	return l.Addr().String()
}

func (a *App) sayNotReady(ctx context.Context) error {
	a.stopping.Store(true)
	a.updateHealth(ctx)
	select {
	case <-time.After(a.cfg.ShutdownDelay):
	case <-ctx.Done():
	}
	return nil
}
