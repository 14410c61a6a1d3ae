package gateway

import (
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/synapse-analytics/synapse/internal/errs"
)

// Routes that belong to no RPC, or to one that the generated handlers do not
// serve.
const (
	templateIngest  = "/v1/{parent=projects/*}/events:ingest"
	templateTail    = "/v1/{parent=projects/*}/events:tail"
	templateSignIn  = "/v1/sessions"
	templateRefresh = "/v1/sessions:refresh"
	templateCurrent = "/v1/sessions/current"
)

// newRoutes makes the table of all routes under /v1 and of the JWKS.
func (g *Gateway) newRoutes() {
	g.table = contractRoutes(g.unary)
	for _, r := range g.table {
		switch r.method + " " + r.template {
		case "POST " + templateIngest:
			r.serve = g.ingestEvents
			r.query["fullResults"], r.query["full_results"] = struct{}{}, struct{}{}
			g.ingestRoute = r
		case "POST " + templateSignIn:
			r.serve = g.signIn
		case "POST " + templateRefresh:
			r.serve = g.refresh
		case "DELETE " + templateCurrent:
			r.serve = g.signOut
		}
	}
	tail := newRoute(http.MethodGet, templateTail, g.tail)
	for _, name := range []string{"filter", "cursor"} {
		tail.query[name] = struct{}{}
	}
	tail.bare = true // counts against max_tails instead
	g.table = append(g.table, tail)

	fixed := func(path string, bare bool, serve func(*call)) {
		r := newRoute(http.MethodGet, path, serve)
		r.bare, r.query = bare, nil
		g.fixed[path] = r
	}
	fixed("/healthz", true, g.healthz)
	fixed("/readyz", true, g.readyz)
	if g.cfg.Docs {
		for _, path := range g.explorer.paths() {
			fixed(path, false, g.explore)
		}
	}
	g.assets = newRoute(http.MethodGet, "/{asset=**}", g.asset)
	g.assets.query = nil
	g.unknown = newRoute("", "/{unknown=**}", nil)
	g.api = newRoute("", "/v1/{unknown=**}", nil)
}

// resolve finds the route of a request. The error is what to answer when there
// is none; the route then only names the request in telemetry.
func (g *Gateway) resolve(r *http.Request) (*route, error) {
	if err := checkAddress(r); err != nil {
		return g.unknown, err
	}
	path := r.URL.Path
	if r.Method == http.MethodPost && ingestProject(path) != "" {
		return g.ingestRoute, nil
	}
	if rt, ok := g.fixed[path]; ok {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			return rt, errMethod([]string{http.MethodGet, http.MethodHead})
		}
		return rt, nil
	}
	if path != "/v1" && !strings.HasPrefix(path, "/v1/") && !strings.HasPrefix(path, "/.well-known/") {
		if !g.cfg.Dashboard {
			return g.unknown, errNoRoute()
		}
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			return g.unknown, errMethod([]string{http.MethodGet, http.MethodHead})
		}
		return g.assets, nil
	}
	parts := strings.Split(path[1:], "/")
	var (
		other   *route
		allowed []string
	)
	for _, rt := range g.table {
		if !rt.match(parts) {
			continue
		}
		if rt.method == r.Method {
			return rt, nil
		}
		other = rt
		if !slices.Contains(allowed, rt.method) {
			allowed = append(allowed, rt.method)
		}
	}
	if other != nil {
		slices.Sort(allowed)
		return other, errMethod(allowed)
	}
	return g.api, errNoRoute()
}

// ingestProject returns the project of the path of the ingest route; empty if it
// is another.
func ingestProject(path string) string {
	const head, tail = "/v1/projects/", "/events:ingest"
	if len(path) <= len(head)+len(tail) || !strings.HasPrefix(path, head) || !strings.HasSuffix(path, tail) {
		return ""
	}
	p := path[len(head) : len(path)-len(tail)]
	if strings.ContainsAny(p, "/:") {
		return ""
	}
	return p
}

// ServeHTTP answers every request.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := &call{ResponseWriter: w, g: g, r: r}
	rt, err := g.resolve(r)
	c.route = rt
	c.secure()
	g.tel.begin(c)
	defer g.finish(c)
	if err == nil && !rt.bare {
		if n := g.requests.Add(1); n > int64(g.cfg.MaxRequests) {
			err = errBusy("requests", g.cfg.MaxRequests)
		}
		defer g.requests.Add(-1)
	}
	if err == nil && rt.query != nil { // a route of the API
		if r.URL.RawQuery != "" {
			err = checkQuery(r, rt)
		}
		want := mediaJSON
		if rt.template == templateTail {
			want = mediaSSE
		}
		if err == nil && !c.accepts(want) {
			err = errNotAcceptable(want)
		}
	}
	if err != nil {
		c.fail(err)
		return
	}
	rt.serve(c)
}

// checkQuery refuses query parameters that the route does not know.
func checkQuery(r *http.Request, rt *route) error {
	q := r.URL.Query()
	if strings.Contains(r.URL.RawQuery, ";") && len(q) == 0 {
		return errPath("has a semicolon in its query")
	}
	unknown := make([]string, 0, 1)
	for name := range q {
		if _, ok := rt.query[name]; !ok {
			unknown = append(unknown, name)
		}
	}
	if len(unknown) == 0 {
		return nil
	}
	slices.Sort(unknown)
	name := unknown[0]
	if len(name) > 64 {
		name = strings.ToValidUTF8(name[:64], "") + "…"
	}
	return errQuery(strings.ToValidUTF8(name, "\uFFFD"))
}

// finish ends a call whatever happened in it. A panic is logged with its stack
// and answered as a fault; it must not take the process down.
func (g *Gateway) finish(c *call) {
	if p := recover(); p != nil {
		if err, ok := p.(error); ok && errors.Is(err, http.ErrAbortHandler) {
			g.tel.end(c)
			c.release()
			panic(p)
		}
		g.log.Error("panic in a handler", "route", c.route.template, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
		c.fail(errs.Fault(fmt.Errorf("panic: %v", p)))
	}
	c.release()
	g.tel.end(c)
}
