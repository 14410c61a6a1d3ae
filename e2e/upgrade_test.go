package e2e

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/synapse-analytics/synapse/e2e/harness"
)

// TestUpgrade runs the version before (N-1) and this one (N) side by side on one NATS
// server and one PostgreSQL schema, under load that a balancer spreads over both: N
// migrates under N-1, all roles of both run at once, those of N-1 that keep data are
// started anew on the schema of N, N is taken away again (the way back), and at last
// N-1 is. Every acknowledged event is stored and counted once.
func TestUpgrade(t *testing.T) {
	bin, commit := harness.BuildPrevious(t)
	t.Logf("N-1 is %s", commit)
	before := harness.Start(t, harness.Servers, harness.WithBin(bin), harness.WithReplicas(1))
	after := before.Beside(harness.WithBin(""))
	gate := before.URL
	lb := newBalancer(t, gate)
	before.URLs = []string{lb.URL} // what the ledger sends and reads goes through the balancer
	l := newLedger(before)
	for w := range 2 { // this is about versions, not about load
		l.wg.Go(func() { l.write(w) })
	}
	goesOn := func(what string, urls ...string) {
		t.Helper()
		start, had := time.Now(), l.count()
		require.Eventually(t, func() bool { return l.count() > had+300 }, time.Minute, 5*time.Millisecond, "nothing is accepted: %s", what)
		for _, url := range urls { // each version takes and shows an event
			c := *before
			c.URLs = []string{url}
			id := c.Ingest(map[string]any{"text": "I like it"})[0]
			l.mu.Lock()
			l.open[id], l.acked[id] = true, true
			l.mu.Unlock()
			c.Event(id)
		}
		t.Logf("%s: %d events more in %s", what, l.count()-had, time.Since(start).Round(time.Millisecond))
	}
	goesOn("N-1 alone", gate)

	for _, do := range []string{"up", "status"} {
		out, errOut, code := after.CLI(append([]string{"migrate", do}, before.StoreArgs()...)...)
		require.Equal(t, 0, code, "%s%s", out, errOut)
	}
	goesOn("N-1 on the schema of N", gate)
	after.StartAll()
	lb.to(gate, after.URL)
	goesOn("both", gate, after.URL)
	for _, name := range []string{"synapse-auth-1", "synapse-query-1"} {
		require.NoError(t, before.Stop(name))
		before.StartProcess(name)
	}
	goesOn("both, N-1 started anew", gate, after.URL)

	stop := slices.Clone(before.Processes())
	slices.Reverse(stop)
	lb.to(gate)
	for _, name := range stop {
		require.NoError(t, after.Stop(name))
	}
	goesOn("back to N-1", gate)

	after.StartAll()
	lb.to(after.URL)
	for _, name := range stop {
		require.NoError(t, before.Stop(name))
	}
	goesOn("N alone", after.URL)
	before.GRPCs = after.GRPCs // of the command line
	l.check(t, 1000)
}

// balancer spreads requests over addresses in turn.
type balancer struct {
	*httptest.Server
	targets atomic.Pointer[[]string]
	n       atomic.Uint64
}

func newBalancer(t *testing.T, targets ...string) *balancer {
	b := &balancer{}
	b.to(targets...)
	transport := &http.Transport{MaxIdleConnsPerHost: 16}
	proxy := &httputil.ReverseProxy{Transport: transport, Rewrite: func(r *httputil.ProxyRequest) {
		all := *b.targets.Load()
		target, err := url.Parse(all[b.n.Add(1)%uint64(len(all))])
		if err == nil {
			r.SetURL(target)
		}
	}, ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) }}
	b.Server = httptest.NewServer(proxy)
	t.Cleanup(func() { b.Close(); transport.CloseIdleConnections() })
	return b
}

func (b *balancer) to(targets ...string) { b.targets.Store(&targets) }
