package e2e

import (
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/synapse-analytics/synapse/e2e/harness"
	ingestv1 "github.com/synapse-analytics/synapse/gen/go/synapse/ingest/v1"
	typev1 "github.com/synapse-analytics/synapse/gen/go/synapse/type/v1"
)

// TestRevocationWays: a revoked key is refused everywhere within a second when NATS
// hangs and when Redis does; when both do it is not, until its time in the caches is
// over: so it is the notices that do it.
func TestRevocationWays(t *testing.T) {
	c := harness.Start(t, harness.Servers, harness.WithReplicas(1)) // one that knows the key, not another that asks
	redis, nats := c.Redis(), c.NATS().Nodes[0]
	// Each is answered by the role alone, whatever the queue does.
	use := func(key string) (scoring, query int) {
		return c.Call("POST", "/v1/texts:score", key, map[string]any{"text": "good"}).Status,
			c.Call("GET", "/v1/projects/-/timeSeries:query", key, nil).Status
	}
	done := func(f func() error) func() { return func() { require.NoError(t, f()) } }
	pauseRedis, resumeRedis := done(redis.Pause), done(redis.Resume)
	stopNATS, contNATS := done(nats.Pause), done(nats.Resume)
	for _, way := range []struct {
		name       string
		cut, amend []func()
		heard      bool
	}{
		{"both", nil, nil, true},
		{"NATS cut", []func(){stopNATS}, []func(){contNATS}, true},
		{"Redis cut", []func(){pauseRedis}, []func(){resumeRedis}, true},
		{"both cut", []func(){stopNATS, pauseRedis}, []func(){contNATS, resumeRedis}, false},
	} {
		t.Run(way.name, func(t *testing.T) {
			a := c.Call("POST", "/v1/projects/-/apiKeys", c.Creds.AdminKey, map[string]any{"displayName": way.name, "scopes": []string{"READ", "SCORE"}})
			require.Equal(t, 200, a.Status, "%s", a.Body)
			key, name := a.JSON()["secret"].(string), a.JSON()["apiKey"].(map[string]any)["name"].(string)
			both := func(want int) bool { s, q := use(key); return s == want && q == want }
			require.True(t, both(200))
			for _, f := range way.cut {
				f()
			}
			defer func() {
				for _, f := range way.amend {
					f()
				}
			}()
			require.Equal(t, 200, c.Call("DELETE", "/v1/"+name, c.Creds.AdminKey, nil).Status)
			revoked := time.Now()
			refused := false
			for !refused && time.Since(revoked) < 3*time.Second {
				refused = both(401)
			}
			t.Logf("refused: %t, after %s", refused, time.Since(revoked).Round(time.Millisecond))
			require.Equal(t, way.heard, refused)
			if way.heard {
				require.Less(t, time.Since(revoked), time.Second)
			}
		})
	}
}

// TestRedisFaults: while Redis is killed, hangs, is emptied and is full, every
// process is ready and events are accepted as if nothing was, and none is
// lost.
func TestRedisFaults(t *testing.T) {
	c := harness.Start(t, harness.Servers, harness.WithEnv(
		"SYNAPSE_INGEST_LIMITS_PROJECT_RATE=1000000", "SYNAPSE_INGEST_LIMITS_KEY_RATE=1000000"))
	redis := c.Redis()
	l := newLedger(c)
	var refused atomic.Int64
	l.http.Transport = counting{l.http.Transport, &refused}
	for w := range 8 {
		l.wg.Go(func() { l.write(w) })
	}
	for _, fault := range []func() error{
		func() error { time.Sleep(time.Second); return redis.Restart() },
		redis.Pause,
		func() error { time.Sleep(time.Second); return redis.Resume() },
		redis.Flush,
		func() error { _, err := redis.Command("CONFIG", "SET", "maxmemory", "1"); return err }, // takes no writes
		redis.Kill,
		redis.Run,
	} {
		before := l.count()
		require.NoError(t, fault())
		time.Sleep(time.Second)
		require.Greater(t, l.count(), before)
		for _, name := range c.Processes() {
			status, body := page(t, c.Process(name).Admin+"/readyz")
			require.Equal(t, http.StatusOK, status, "%s: %s", name, body)
		}
	}
	l.check(t, 1000)
	require.Zero(t, refused.Load(), "a call failed since Redis did")
}

// counting counts the answers that are not 200.
type counting struct {
	http.RoundTripper
	refused *atomic.Int64
}

func (c counting) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := c.RoundTripper.RoundTrip(r)
	if err != nil || res.StatusCode != http.StatusOK {
		c.refused.Add(1)
	}
	return res, err
}

// TestSharedLimit: two processes of ingest have one limit for a project.
func TestSharedLimit(t *testing.T) {
	c := harness.Start(t, harness.Servers, harness.WithEnv(
		"SYNAPSE_INGEST_LIMITS_PROJECT_RATE=0.1", "SYNAPSE_INGEST_LIMITS_PROJECT_BURST=100"))
	first, second := c.Addr("synapse-ingest-1"), c.Addr("synapse-ingest-2")
	send := func(addr string, n int) bool {
		conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
		require.NoError(t, err)
		defer conn.Close()
		req := &ingestv1.IngestEventsRequest{Parent: "projects/-"}
		for i := range n {
			req.Events = append(req.Events, &typev1.EventInput{Text: fmt.Sprintf("text %d", i)})
		}
		_, err = ingestv1.NewIngestServiceClient(conn).IngestEvents(metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+c.Creds.IngestKey), req)
		if err != nil {
			require.Equal(t, codes.ResourceExhausted, status.Code(err), "%v", err)
		}
		return err == nil
	}
	require.True(t, send(first, 70))
	require.False(t, send(second, 70), "the other process knows what the first has taken")
	require.True(t, send(second, 25))
	require.False(t, send(first, 25))
}
