package e2e

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/synapse-analytics/synapse/e2e/harness"
)

// secretText marks texts which must never be seen in a log.
const secretText = "canary-7f3a-text"

func testREST(t *testing.T, c *harness.Cluster) {
	id := fmt.Sprintf("rest-%s-1", c.Profile)
	occurred := time.Now().Add(-time.Hour).UTC().Truncate(time.Second)
	event := map[string]any{
		"id": id, "text": "I love this, it is wonderful! " + secretText, "source": "e2e", "userId": "u1",
		"occurredAt": occurred.Format(time.RFC3339), "attributes": map[string]any{"plan": "pro"}, "targets": []string{"this"},
	}
	require.Equal(t, []string{id}, c.Ingest(event))
	ev := c.Event(id)
	require.Equal(t, "projects/default/events/"+id, ev["name"])
	require.Equal(t, event["text"], ev["text"])
	require.Equal(t, "e2e", ev["source"])
	require.Equal(t, "u1", ev["userId"])
	require.Equal(t, map[string]any{"plan": "pro"}, ev["attributes"])
	require.Equal(t, occurred.Format(time.RFC3339), ev["occurredAt"])
	require.Equal(t, "en", ev["language"])
	s := ev["sentiment"].(map[string]any)
	require.Equal(t, "POSITIVE", s["label"])
	require.Greater(t, s["score"], 0.3)
	p := s["probabilities"].(map[string]any)
	require.InDelta(t, 1, p["negative"].(float64)+p["neutral"].(float64)+p["positive"].(float64), 0.001)
	require.NotEmpty(t, s["modelVersion"])

	t.Run("repeats count once", func(t *testing.T) {
		before := c.Settle()
		for range 3 {
			a := c.Call("POST", "/v1/projects/-/events:ingest", c.Creds.IngestKey, map[string]any{"events": []any{event}})
			require.Equal(t, 200, a.Status)
			require.EqualValues(t, 1, a.JSON()["accepted"].(float64)+a.JSON()["duplicate"].(float64))
		}
		other := map[string]any{"id": id, "text": "another text of the same id"}
		a := c.Call("POST", "/v1/projects/-/events:ingest", c.Creds.IngestKey, map[string]any{"events": []any{other}})
		require.Equal(t, 200, a.Status)
		after := c.Settle()
		require.Equal(t, before["stored"], after["stored"])
		require.Equal(t, before["conflict"].(float64)+1, after["conflict"])
		require.Equal(t, event["text"], c.Event(id)["text"], "the first text stays")
	})
	t.Run("trail", func(t *testing.T) {
		a := c.Call("GET", "/v1/projects/-/events/"+id+"/trail", c.Creds.ReadKey, nil)
		require.Equal(t, 200, a.Status, "%s", a.Body)
		var stages []string
		last := ""
		for _, h := range a.JSON()["hops"].([]any) {
			hop := h.(map[string]any)
			stages = append(stages, hop["stage"].(string))
			require.GreaterOrEqual(t, hop["time"].(string), last, "hops are in order of time")
		}
		require.Equal(t, []string{"ACCEPTED", "QUEUED", "SCORED", "STORED", "COUNTED"}, stages)
	})
	t.Run("series", func(t *testing.T) {
		a := c.Call("GET", fmt.Sprintf("/v1/projects/-/timeSeries:query?startTime=%s&endTime=%s&step=60s&groupBy=source&filter=%s",
			occurred.Add(-time.Minute).Format(time.RFC3339), occurred.Add(time.Minute).Format(time.RFC3339), "source%3D%22e2e%22"), c.Creds.ReadKey, nil)
		require.Equal(t, 200, a.Status, "%s", a.Body)
		points := a.JSON()["points"].([]any)
		require.Len(t, points, 1)
		pt := points[0].(map[string]any)
		require.Equal(t, 1.0, pt["count"])
		require.Equal(t, 1.0, pt["positive"])
		require.Equal(t, 0.0, pt["negative"], "a count of 0 is written out")
		require.Equal(t, 1.0, pt["net"])
		require.InDelta(t, s["score"], pt["mean"], 1e-9)
		require.NotEmpty(t, a.JSON()["completeTo"])
		require.Len(t, a.JSON()["series"], 1)
	})
	t.Run("list pages", func(t *testing.T) {
		var events []map[string]any
		for i := range 25 {
			events = append(events, map[string]any{"id": fmt.Sprintf("page-%02d", i), "text": "page", "source": "pages"})
		}
		for _, id := range c.Ingest(events...) {
			c.Event(id)
		}
		seen := map[string]bool{}
		token := ""
		for range 10 {
			a := c.Call("GET", "/v1/projects/-/events?pageSize=10&filter=source%3D%22pages%22&pageToken="+token, c.Creds.ReadKey, nil)
			require.Equal(t, 200, a.Status, "%s", a.Body)
			for _, e := range a.JSON()["events"].([]any) {
				id := e.(map[string]any)["id"].(string)
				require.False(t, seen[id], "%s is on two pages", id)
				seen[id] = true
			}
			if token, _ = a.JSON()["nextPageToken"].(string); token == "" {
				break
			}
		}
		require.Len(t, seen, 25)
		a := c.Call("GET", "/v1/projects/-/events?pageToken=AAAA", c.Creds.ReadKey, nil)
		require.Equal(t, 400, a.Status)
		require.Equal(t, "INVALID_PAGE_TOKEN", a.JSON()["reason"])
	})
	t.Run("NDJSON", func(t *testing.T) {
		body := `{"id":"nd-1","text":"great"}` + "\n\n" + `{"id":"nd-2","text":"awful"}` + "\n" + `{"id":"nd-3"` + "\n" + `{"id":"nd-4","txt":"x"}`
		a := c.Call("POST", "/v1/projects/-/events:ingest", c.Creds.IngestKey, body, "Content-Type", "application/x-ndjson")
		require.Equal(t, 200, a.Status, "%s", a.Body)
		require.EqualValues(t, 2, a.JSON()["accepted"])
		require.EqualValues(t, 2, a.JSON()["rejected"])
		require.Equal(t, "NEGATIVE", c.Event("nd-2")["sentiment"].(map[string]any)["label"])
	})
	t.Run("gzip", func(t *testing.T) {
		var z bytes.Buffer
		w := gzip.NewWriter(&z)
		_, _ = w.Write([]byte(`{"events":[{"id":"gz-1","text":"fine"}]}`))
		require.NoError(t, w.Close())
		a := c.Call("POST", "/v1/projects/-/events:ingest", c.Creds.IngestKey, z.Bytes(), "Content-Encoding", "gzip")
		require.Equal(t, 200, a.Status, "%s", a.Body)
		c.Event("gz-1")
	})
	t.Run("score without storing", func(t *testing.T) {
		a := c.Call("POST", "/v1/texts:score", c.Creds.ReadKey, map[string]any{"text": "Not bad at all 😀", "explain": true})
		require.Equal(t, 200, a.Status, "%s", a.Body)
		require.NotEmpty(t, a.JSON()["evidence"])
		a = c.Call("POST", "/v1/texts:batchScore", c.Creds.ReadKey, map[string]any{"requests": []any{map[string]any{"text": "good"}, map[string]any{"text": "bad"}}})
		require.Equal(t, 200, a.Status, "%s", a.Body)
		require.Len(t, a.JSON()["texts"], 2)
	})
	t.Run("token", func(t *testing.T) {
		a := c.Call("POST", "/v1/tokens:exchange", "", map[string]any{"apiKey": c.Creds.ReadKey})
		require.Equal(t, 200, a.Status, "%s", a.Body)
		token := a.JSON()["accessToken"].(string)
		require.Equal(t, 200, c.Call("GET", "/v1/projects/-/balance", token, nil).Status)
		require.Equal(t, 403, c.Call("POST", "/v1/projects/-/events:ingest", token, map[string]any{"events": []any{map[string]any{"text": "x"}}}).Status)
		require.Equal(t, 200, c.Call("GET", "/.well-known/jwks.json", "", nil).Status)
	})
	t.Run("edge", func(t *testing.T) {
		for _, path := range []string{"/healthz", "/readyz", "/openapi.json", "/docs", "/"} {
			require.Equal(t, 200, c.Call("GET", path, "", nil).Status, path)
		}
		require.Contains(t, string(c.Call("GET", "/openapi.json", "", nil).Body), `"3.1`)
		require.Equal(t, 404, c.Call("GET", "/metrics", "", nil).Status, "metrics are on the admin port only")
		csp := c.Call("GET", "/", "", nil).Header.Get("Content-Security-Policy")
		require.Contains(t, csp, "default-src")
		require.NotContains(t, csp, "unsafe-inline")
	})
}

func testBadInput(t *testing.T, c *harness.Cluster) {
	ingest := "/v1/projects/-/events:ingest"
	events := func(e ...map[string]any) map[string]any { return map[string]any{"events": e} }
	whole := []struct {
		name    string
		key     string
		body    any
		headers []string
		status  int
		reason  string
	}{
		{"no credential", "", events(map[string]any{"text": "x"}), nil, 401, "CREDENTIAL_MISSING"},
		{"no key at all", "hello", events(map[string]any{"text": "x"}), nil, 401, "CREDENTIAL_MALFORMED"},
		{"key with a typing error", c.Creds.IngestKey[:len(c.Creds.IngestKey)-1] + "_", events(map[string]any{"text": "x"}), nil, 401, "CREDENTIAL_MALFORMED"},
		{"key without the scope", c.Creds.ReadKey, events(map[string]any{"text": "x"}), nil, 403, "PERMISSION_DENIED"},
		{"not JSON", c.Creds.IngestKey, "{", nil, 400, "MALFORMED_REQUEST"},
		{"unknown field", c.Creds.IngestKey, `{"events":[{"txt":"x"}]}`, nil, 400, ""},
		{"no events", c.Creds.IngestKey, `{"events":[]}`, nil, 400, "INVALID_FIELD"},
		{"too many events", c.Creds.IngestKey, `{"events":[` + strings.Repeat(`{"text":"x"},`, 1000) + `{"text":"x"}]}`, nil, 400, "INVALID_FIELD"},
		{"deeply nested", c.Creds.IngestKey, strings.Repeat(`{"events":[`, 2000), nil, 400, ""},
		{"content type", c.Creds.IngestKey, "text=x", []string{"Content-Type", "application/x-www-form-urlencoded"}, 415, "UNSUPPORTED_MEDIA_TYPE"},
		{"encoding", c.Creds.IngestKey, "x", []string{"Content-Encoding", "br"}, 415, "UNSUPPORTED_MEDIA_TYPE"},
		{"bad gzip", c.Creds.IngestKey, "no gzip", []string{"Content-Encoding", "gzip"}, 400, "MALFORMED_REQUEST"},
		{"bomb", c.Creds.IngestKey, bomb(t), []string{"Content-Encoding", "gzip"}, 413, "REQUEST_TOO_LARGE"},
		{"invalid UTF-8", c.Creds.IngestKey, "{\"events\":[{\"text\":\"\xff\"}]}", nil, 400, ""},
	}
	for _, tc := range whole {
		t.Run(tc.name, func(t *testing.T) {
			a := c.Call("POST", ingest, tc.key, tc.body, tc.headers...)
			require.Equal(t, tc.status, a.Status, "%s", a.Body)
			require.Contains(t, a.Header.Get("Content-Type"), "application/problem+json")
			p := a.JSON()
			require.EqualValues(t, tc.status, p["status"])
			if tc.reason != "" {
				require.Equal(t, tc.reason, p["reason"])
			}
			require.NotEmpty(t, p["detail"])
		})
	}
	long := strings.Repeat("a", 65537)
	items := []struct {
		name  string
		event map[string]any
		field string
	}{
		{"empty text", map[string]any{"text": ""}, "text"},
		{"oversized text", map[string]any{"text": long}, "text"},
		{"NUL", map[string]any{"text": "a\x00b"}, "text"},
		{"future", map[string]any{"text": "x", "occurredAt": time.Now().Add(48 * time.Hour).UTC().Format(time.RFC3339)}, "occurred_at"},
		{"ancient", map[string]any{"text": "x", "occurredAt": "1999-12-31T23:59:59Z"}, "occurred_at"},
		{"id", map[string]any{"text": "x", "id": "a/b"}, "id"},
		{"language", map[string]any{"text": "x", "language": "englisch"}, "language"},
		{"source", map[string]any{"text": "x", "source": strings.Repeat("s", 65)}, "source"},
		{"target", map[string]any{"text": "x", "targets": []string{""}}, "targets"},
	}
	for _, tc := range items {
		t.Run(tc.name, func(t *testing.T) {
			a := c.Call("POST", ingest, c.Creds.IngestKey, events(tc.event, map[string]any{"text": "a good one"}))
			require.Equal(t, 200, a.Status, "%s", a.Body)
			require.EqualValues(t, 1, a.JSON()["accepted"], "one bad event does not hold up the other")
			require.EqualValues(t, 1, a.JSON()["rejected"])
			r := a.JSON()["results"].([]any)[0].(map[string]any)
			require.Equal(t, "REJECTED", r["status"])
			v := r["violations"].([]any)[0].(map[string]any)
			require.Contains(t, strings.ToLower(strings.ReplaceAll(v["field"].(string), "_", "")), strings.ReplaceAll(tc.field, "_", ""))
			require.NotEmpty(t, v["rule"])
			require.NotEmpty(t, v["remedy"])
		})
	}
	t.Run("65,536 bytes are taken whole", func(t *testing.T) {
		id := c.Ingest(map[string]any{"text": long[1:]})[0]
		require.Len(t, c.Event(id)["text"], 65536)
	})
	t.Run("id twice in a batch", func(t *testing.T) {
		a := c.Call("POST", ingest, c.Creds.IngestKey, events(
			map[string]any{"id": "twice", "text": "a"}, map[string]any{"id": "twice", "text": "a"}, map[string]any{"id": "twice", "text": "b"}))
		require.Equal(t, 200, a.Status, "%s", a.Body)
		require.EqualValues(t, 1, a.JSON()["accepted"])
		require.EqualValues(t, 1, a.JSON()["duplicate"])
		require.EqualValues(t, 1, a.JSON()["rejected"])
	})
	t.Run("routes", func(t *testing.T) {
		require.Equal(t, 404, c.Call("GET", "/v1/nothing", c.Creds.ReadKey, nil).Status)
		require.Equal(t, 405, c.Call("PUT", ingest, c.Creds.IngestKey, "{}").Status)
		require.Equal(t, 400, c.Call("GET", "/v1/projects/-/balance?key="+c.Creds.ReadKey, "", nil).Status, "a key in the URL is refused")
		require.Equal(t, 400, c.Call("GET", "/v1/projects/-/events?filter=label%20%3D%3D", c.Creds.ReadKey, nil).Status)
		require.Equal(t, 404, c.Call("GET", "/v1/projects/-/events/no-such-event", c.Creds.ReadKey, nil).Status)
	})
	c.Settle()
}

// bomb is a quarter of a megabyte that unpacks to 256 MiB.
func bomb(t *testing.T) []byte {
	var z bytes.Buffer
	w := gzip.NewWriter(&z)
	block := make([]byte, 1<<20)
	for range 256 {
		_, err := w.Write(block)
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	return z.Bytes()
}
