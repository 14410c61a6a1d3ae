package e2e

import (
	"context"
	"encoding/hex"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/synapse-analytics/synapse/e2e/harness"
	collectorv1 "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracev1 "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
)

// collector takes spans by OTLP, as any collector does.
type collector struct {
	collectorv1.UnimplementedTraceServiceServer
	addr  string
	mu    sync.Mutex
	spans map[string][]span // by trace id
}

type span struct {
	name, service, id, parent string
	attrs                     string
}

func startCollector(t *testing.T) *collector {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	c := &collector{addr: lis.Addr().String(), spans: map[string][]span{}}
	s := grpc.NewServer()
	collectorv1.RegisterTraceServiceServer(s, c)
	go func() { _ = s.Serve(lis) }()
	t.Cleanup(s.Stop)
	return c
}

func (c *collector) Export(_ context.Context, req *collectorv1.ExportTraceServiceRequest) (*collectorv1.ExportTraceServiceResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, rs := range req.GetResourceSpans() {
		service := ""
		for _, a := range rs.GetResource().GetAttributes() {
			if a.GetKey() == "service.name" {
				service = a.GetValue().GetStringValue()
			}
		}
		for _, ss := range rs.GetScopeSpans() {
			for _, s := range ss.GetSpans() {
				c.add(service, s)
			}
		}
	}
	return &collectorv1.ExportTraceServiceResponse{}, nil
}

func (c *collector) add(service string, s *tracev1.Span) {
	id := hex.EncodeToString(s.GetTraceId())
	var attrs []string
	for _, a := range s.GetAttributes() {
		attrs = append(attrs, a.GetKey()+"="+a.GetValue().GetStringValue())
	}
	c.spans[id] = append(c.spans[id], span{
		name: s.GetName(), service: service, id: hex.EncodeToString(s.GetSpanId()), parent: hex.EncodeToString(s.GetParentSpanId()), attrs: strings.Join(attrs, " "),
	})
}

func (c *collector) trace(id string) []span {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.spans[id])
}

// testOneTrace follows one event by one trace id from the REST call to the
// committed row.
func testOneTrace(t *testing.T, c *harness.Cluster, col *collector) {
	const traceID = "4bf92f3577b34da6a3ce929d0e0e4736"
	id := strings.Replace(traceID, "4bf9", map[harness.Profile]string{harness.Embedded: "a110", harness.Servers: "a9a1", harness.Clustered: "a9a2"}[c.Profile], 1)
	a := c.Call("POST", "/v1/projects/-/events:ingest", freshKey(t, c), map[string]any{"events": []any{map[string]any{"id": "traced", "text": "follow me"}}},
		"traceparent", "00-"+id+"-00f067aa0ba902b7-01")
	require.Equal(t, 200, a.Status, "%s", a.Body)
	require.Equal(t, id, a.JSON()["traceId"])
	require.Equal(t, id, c.Event("traced")["traceId"])

	// what must be in the trace, as part of a span's name or attributes
	want := []string{"events:ingest", "IngestService/IngestEvents", "IntrospectApiKey", "EVENTS", "score event", "store event"}
	services := 1
	if c.Profile != harness.Embedded {
		services = 5
	}
	var missing []string
	require.Eventually(t, func() bool { // each process sends its spans by itself
		missing = nil
		spans := col.trace(id)
		ids, seen := map[string]bool{"00f067aa0ba902b7": true}, map[string]bool{}
		for _, s := range spans {
			ids[s.id], seen[s.service] = true, true
		}
		for _, w := range want {
			if !slices.ContainsFunc(spans, func(s span) bool { return strings.Contains(s.name+" "+s.attrs, w) }) {
				missing = append(missing, w)
			}
		}
		for _, s := range spans {
			if !ids[s.parent] {
				missing = append(missing, "the parent of "+s.name)
			}
		}
		return len(missing) == 0 && len(seen) == services
	}, 20*time.Second, 50*time.Millisecond, "the trace is not whole")
	t.Logf("%d spans", len(col.trace(id)))
	require.Equal(t, id, c.Call("GET", "/v1/projects/-/events/traced/trail", c.Creds.ReadKey, nil).JSON()["traceId"])
}

// freshKey returns a key that no verifier has seen yet, so that the trace holds
// the check at auth.
func freshKey(t *testing.T, c *harness.Cluster) string {
	a := c.Call("POST", "/v1/projects/-/apiKeys", c.Creds.AdminKey, map[string]any{"displayName": "traced", "scopes": []string{"INGEST"}})
	require.Equal(t, 200, a.Status, "%s", a.Body)
	return a.JSON()["secret"].(string)
}
