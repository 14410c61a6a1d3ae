package e2e

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"

	"github.com/synapse-analytics/synapse/e2e/harness"
	ingestv1 "github.com/synapse-analytics/synapse/gen/go/synapse/ingest/v1"
	queryv1 "github.com/synapse-analytics/synapse/gen/go/synapse/query/v1"
	typev1 "github.com/synapse-analytics/synapse/gen/go/synapse/type/v1"
)

// TestOneAway takes all of each role and each server away in turn. What needs it is
// refused as away, with the time to come again; everything else is answered. What was
// accepted meanwhile is stored once when it is back.
func TestOneAway(t *testing.T) {
	c := harness.Start(t, harness.Servers, harness.WithReplicas(1))
	created := func(scopes ...string) string {
		a := c.Call("POST", "/v1/projects/-/apiKeys", c.Creds.AdminKey, map[string]any{"displayName": "away", "scopes": scopes})
		require.Equal(t, 200, a.Status, "%s", a.Body)
		return a.JSON()["secret"].(string)
	}
	var known, person string // a key that the roles have checked before, and the token of a session
	signIn := func() harness.Answer {
		return c.Call("POST", "/v1/sessions", "", map[string]any{"email": c.Creds.AdminEmail, "password": c.Creds.AdminPassword})
	}
	l := newLedger(c)
	sent := 0
	event := func() string { // that was sent, whatever is answered
		sent++
		id := fmt.Sprintf("away-%d", sent)
		l.open[id] = true
		return id
	}
	calls := map[string]func() harness.Answer{
		"sign in": signIn,
		"ingest": func() harness.Answer {
			id := event()
			a := c.Call("POST", "/v1/projects/-/events:ingest", known, map[string]any{"events": []map[string]any{{"id": id, "text": "I like it"}}})
			if a.Status == http.StatusOK {
				l.acked[id] = true
			}
			return a
		},
		"score":   func() harness.Answer { return c.Call("POST", "/v1/texts:score", known, map[string]any{"text": "good"}) },
		"read":    func() harness.Answer { return c.Call("GET", "/v1/projects/-/timeSeries:query", known, nil) },
		"balance": func() harness.Answer { return c.Call("GET", "/v1/projects/-/balance", known, nil) },
		"read of a person": func() harness.Answer {
			return c.Call("GET", "/v1/projects/"+c.Creds.Project+"/timeSeries:query", person, nil)
		},
	}
	ready := func(name string) bool {
		status, _ := page(t, c.Process(name).Admin+"/readyz")
		return status == http.StatusOK
	}

	direct := func(role string) *grpc.ClientConn {
		conn, err := grpc.NewClient(c.Addr(c.Role(role)[0]), grpc.WithTransportCredentials(insecure.NewCredentials()))
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, conn.Close()) })
		return conn
	}
	conns := map[string]*grpc.ClientConn{}
	for _, role := range []string{"auth", "ingest", "scoring", "query"} {
		conns[role] = direct(role)
	}
	serves := func(role string) bool {
		h, err := healthpb.NewHealthClient(conns[role]).Check(t.Context(), &healthpb.HealthCheckRequest{})
		require.NoError(t, err, role)
		return h.Status == healthpb.HealthCheckResponse_SERVING
	}

	kill := func(role string) func() { return func() { c.Kill(c.Role(role)[0]) } }
	start := func(role string) func() { return func() { c.StartProcess(c.Role(role)[0]) } }
	must := func(f func() error) func() { return func() { require.NoError(t, f()) } }
	nats := c.NATS().Nodes[0]
	fresh := created("READ")
	absences := []struct {
		name       string
		away, back func()
		refused    []string // calls
		unready    []string // roles, besides the one that is away
		closed     []string // those of them that answer no calls
		during     func()
	}{
		{name: "auth", away: kill("auth"), back: start("auth"), refused: []string{"sign in"}, during: func() {
			a := c.Call("GET", "/v1/projects/-/timeSeries:query", fresh, nil)
			require.Equal(t, http.StatusServiceUnavailable, a.Status, "a key that nobody could check is not a bad one: %s", a.Body)
		}},
		{name: "ingest", away: kill("ingest"), back: start("ingest"), refused: []string{"ingest"}},
		{name: "scoring", away: kill("scoring"), back: start("scoring"), refused: []string{"score"}, during: func() {
			a := c.Call("GET", fmt.Sprintf("/v1/projects/-/events/away-%d", sent), known, nil)
			require.Equal(t, http.StatusNotFound, a.Status, "it waits to be scored: %s", a.Body)
			require.Eventually(t, func() bool {
				out, _, code := c.CLI("doctor", "--output", "table", "--data", c.Dir)
				return code != 0 && strings.Contains(out, "FAIL  balance") && strings.Contains(out, "add scoring processes")
			}, time.Minute, time.Second, "doctor does not tell that nothing is stored")
		}},
		{name: "query", away: kill("query"), back: start("query"), refused: []string{"read", "read of a person", "balance"}},
		{
			name: "NATS", away: must(nats.Kill), back: must(nats.Run),
			refused: []string{"ingest", "balance"}, unready: []string{"auth", "ingest", "scoring", "query"}, closed: []string{"ingest"},
		},
		{
			name: "PostgreSQL", away: must(c.Postgres().Kill), back: must(c.Postgres().Run),
			refused: []string{"sign in", "read", "read of a person", "balance"}, unready: []string{"auth", "query"}, closed: []string{"auth", "query"},
		},
		{name: "Redis", away: must(c.Redis().Kill), back: must(c.Redis().Run)},
	}
	answered := func(when string) {
		for name, call := range calls {
			require.Eventually(t, func() bool { return call().Status == http.StatusOK }, time.Minute, 10*time.Millisecond, "%s %s", name, when)
		}
	}
	for _, o := range absences {
		known = created("INGEST", "SCORE", "READ") // of now: what a role knows holds for 30 s
		session := signIn()
		require.Equal(t, 200, session.Status, "%s", session.Body)
		person = session.JSON()["accessToken"].(string)
		answered("before " + o.name)
		o.away()
		for name, call := range calls {
			a := call()
			if !slices.Contains(o.refused, name) {
				require.Equal(t, 200, a.Status, "%s without %s: %s", name, o.name, a.Body)
				continue
			}
			require.Equal(t, http.StatusServiceUnavailable, a.Status, "%s without %s: %s", name, o.name, a.Body)
			require.NotEmpty(t, a.Header.Get("Retry-After"), "%s without %s: %s", name, o.name, a.Body)
		}
		if o.during != nil {
			o.during()
		}
		for _, role := range []string{"auth", "ingest", "scoring", "query", "gateway"} {
			if role != o.name {
				require.Equal(t, !slices.Contains(o.unready, role), ready(c.Role(role)[0]), "%s is ready without %s", role, o.name)
			}
		}
		if len(o.unready) > 0 {
			time.Sleep(2 * time.Second) // health follows within one
		}
		for role := range conns {
			if role != o.name {
				require.Eventually(t, func() bool { return serves(role) != slices.Contains(o.closed, role) },
					10*time.Second, 10*time.Millisecond, "gRPC health of %s without %s", role, o.name)
			}
		}
		o.back()
		for _, name := range c.Processes() {
			c.WaitReady(c.Process(name))
		}
		answered("after " + o.name)
		for id := range l.acked {
			c.Event(id)
		}
		t.Logf("without %s: refused is %v, not ready %v", o.name, o.refused, o.unready)
	}

	// Without a gateway the roles answer those who call them, and all goes on.
	gateway := c.Role("gateway")[0]
	c.Kill(gateway)
	id := event()
	ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+known)
	out, err := ingestv1.NewIngestServiceClient(conns["ingest"]).IngestEvents(ctx, &ingestv1.IngestEventsRequest{
		Parent: "projects/-", Events: []*typev1.EventInput{{Id: id, Text: "I like it"}},
	})
	require.NoError(t, err)
	require.EqualValues(t, 1, out.Accepted)
	l.acked[id] = true
	reads := queryv1.NewQueryServiceClient(conns["query"])
	require.Eventually(t, func() bool {
		_, err := reads.GetEvent(ctx, &queryv1.GetEventRequest{Name: "projects/" + c.Creds.Project + "/events/" + id})
		return err == nil
	}, time.Minute, 10*time.Millisecond, "it is not stored without a gateway")
	c.StartProcess(gateway)
	l.check(t, 10)
}

// TestHangingPostgres: PostgreSQL hangs under load, as a server does whose disk does not
// answer. Events are accepted, reads end in bounded time, and it goes on when it does.
func TestHangingPostgres(t *testing.T) {
	c := harness.Start(t, harness.Servers, harness.WithReplicas(1), harness.WithSet("gateway.request_timeout=5s"))
	l := newLedger(c)
	l.wg.Go(func() { l.write(0) })
	require.Eventually(t, func() bool { return l.count() > 100 }, time.Minute, 10*time.Millisecond)
	read := func() harness.Answer {
		return c.Call("GET", "/v1/projects/-/timeSeries:query", c.Creds.AdminKey, nil)
	}
	require.Equal(t, http.StatusOK, read().Status)
	require.NoError(t, c.Postgres().Pause())
	before := l.count()
	for range 3 {
		a := read()
		require.Contains(t, []int{http.StatusServiceUnavailable, http.StatusGatewayTimeout}, a.Status, "%s", a.Body)
		require.Equal(t, true, a.JSON()["retryable"], "%s", a.Body)
	}
	require.Greater(t, l.count(), before, "nothing is accepted")
	for _, role := range []string{"auth", "query"} {
		status, body := page(t, c.Process(c.Role(role)[0]).Admin+"/readyz")
		require.Equal(t, http.StatusServiceUnavailable, status, "%s: %s", role, body)
		require.Contains(t, string(body), "deadline exceeded", "%s waited for as long as its connections do", role)
	}
	require.NoError(t, c.Postgres().Resume())
	for _, name := range c.Processes() {
		c.WaitReady(c.Process(name))
	}
	require.Eventually(t, func() bool { return read().Status == http.StatusOK }, time.Minute, 10*time.Millisecond)
	l.check(t, 100)
}
