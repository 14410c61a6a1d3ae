package gateway

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	authv1 "github.com/synapse-analytics/synapse/gen/go/synapse/auth/v1"
	queryv1 "github.com/synapse-analytics/synapse/gen/go/synapse/query/v1"
	"github.com/synapse-analytics/synapse/internal/errs"
)

func TestRoutes(t *testing.T) {
	e := newEdge(t, &backend{})
	body := decoded(t, e.do(t, "GET", "/v1/projects/-/balance", ""))
	require.Equal(t, map[string]any{
		"accepted": 0.0, "stored": 0.0, "duplicate": 0.0, "conflict": 0.0, "deadLetter": 0.0, "inFlight": 0.0, "erased": 0.0,
	}, body["total"], "zeros are there")
	require.Equal(t, []any{}, body["hours"])
	require.Equal(t, 0.0, body["difference"])

	body = decoded(t, e.do(t, "GET", "/v1/projects/p/events/e-1", ""))
	require.Equal(t, "projects/p/events/e-1", body["name"])
	require.Equal(t, 0.0, body["sentiment"].(map[string]any)["score"])

	body = decoded(t, e.do(t, "GET", "/v1/projects/p/events?pageSize=5&filter=label%20%3D%20%22POSITIVE%22", ""))
	require.Equal(t, map[string]any{"events": []any{}, "nextPageToken": ""}, body)
	_, last := e.backend.seen()
	require.EqualValues(t, 5, last.(*queryv1.ListEventsRequest).GetPageSize())
	require.Equal(t, `label = "POSITIVE"`, last.(*queryv1.ListEventsRequest).GetFilter())

	decoded(t, e.do(t, "GET", "/v1/projects/p/timeSeries:query?step=60s&groupBy=source&groupBy=label&startTime=2026-01-31T00:00:00Z", ""))
	_, last = e.backend.seen()
	require.Equal(t, []string{"source", "label"}, last.(*queryv1.QueryTimeSeriesRequest).GetGroupBy())
	require.EqualValues(t, 60, last.(*queryv1.QueryTimeSeriesRequest).GetStep().GetSeconds())

	body = decoded(t, e.do(t, "POST", "/v1/texts:score", `{"text":"x"}`))
	require.Equal(t, "NEUTRAL", body["sentiment"].(map[string]any)["label"])
	body = decoded(t, e.do(t, "POST", "/v1/texts%3Ascore", `{"text":"x"}`))
	require.Equal(t, "en", body["language"])

	decoded(t, e.do(t, "POST", "/v1/projects?projectId=shop", `{"displayName":"Shop"}`))
	_, last = e.backend.seen()
	require.Equal(t, "shop", last.(*authv1.CreateProjectRequest).GetProjectId())
	require.Equal(t, "Shop", last.(*authv1.CreateProjectRequest).GetProject().GetDisplayName())

	decoded(t, e.do(t, "PATCH", "/v1/projects/shop", `{"displayName":"New"}`))
	_, last = e.backend.seen()
	require.Equal(t, "projects/shop", last.(*authv1.UpdateProjectRequest).GetProject().GetName())
	require.Equal(t, []string{"display_name"}, last.(*authv1.UpdateProjectRequest).GetUpdateMask().GetPaths())

	body = decoded(t, e.do(t, "GET", "/.well-known/jwks.json", "", anonymous))
	require.Len(t, body["keys"], 1)
	require.Equal(t, true, decoded(t, e.do(t, "GET", "/v1/projects/p/ingestStatus", ""))["accepting"])
}

func TestOnlyAllowedHeadersReachTheServices(t *testing.T) {
	e := newEdge(t, &backend{})
	const trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	for _, target := range []string{"/v1/projects/p/balance", "/v1/projects/p/events:ingest"} {
		method, body := "GET", ""
		if strings.HasSuffix(target, "ingest") {
			method, body = "POST", `{"events":[{"text":"x"}]}`
		}
		w := e.do(t, method, target, body, with("Traceparent", trace), with("Tracestate", "a=b"), with("Idempotency-Key", "k-1"),
			with("Grpc-Metadata-Authorization", "Bearer evil"), with("Grpc-Metadata-X-Project", "evil"), with("X-Project", "evil"),
			with("X-Forwarded-For", "6.6.6.6"), with("X-Forwarded-Host", "evil"), with("Grpc-Timeout", "1n"), with("X-Http-Method-Override", "DELETE"),
			with("User-Agent", "evil"), with("Te", "trailers"), with("Authority", "evil"), with("Connection", "keep-alive"))
		require.Equal(t, 200, w.Code, w.Body.String())
		md, _ := e.backend.seen()
		for key, values := range md {
			switch key {
			case "authorization":
				require.Equal(t, []string{goodKey}, values)
			case "idempotency-key":
				require.Equal(t, []string{"k-1"}, values)
			case "traceparent":
				require.Contains(t, values[0], "0af7651916cd43dd8448eb211c80319c")
				require.True(t, strings.HasSuffix(values[0], "-01"), "the caller's sampling goes on: %s", values)
			case "tracestate":
				require.Equal(t, []string{"a=b"}, values)
			case ":authority", "content-type", "user-agent":
				require.NotContains(t, values[0], "evil")
			default:
				t.Errorf("%s reached the service: %v", key, values)
			}
		}
		require.Equal(t, "0af7651916cd43dd8448eb211c80319c", w.Header().Get("X-Trace-Id"))
		require.Empty(t, w.Header().Values("Grpc-Metadata-Secret"))
		require.Empty(t, w.Header().Values("Secret"))
	}
}

func TestRefusedRequests(t *testing.T) {
	e := newEdge(t, &backend{})
	deep := strings.Repeat(`{"a":`, 10_000)
	tests := []struct {
		name, method, target, body string
		opts                       []option
		status                     int
		reason                     errs.Reason
		field                      string
	}{
		{name: "unknown route", method: "GET", target: "/v1/nope", status: 404, reason: errs.NotFound},
		{name: "verb of another route", method: "GET", target: "/v1/projects/p:undelete", status: 404, reason: errs.NotFound},
		{name: "empty id", method: "GET", target: "/v1/projects//balance", status: 400, reason: errs.MalformedRequest},
		{name: "trailing slash", method: "GET", target: "/v1/projects/", status: 404, reason: errs.NotFound},
		{name: "method", method: "DELETE", target: "/v1/projects/p/balance", status: 405, reason: errs.NotFound},
		{name: "method of ingest", method: "GET", target: "/v1/projects/p/events:ingest", status: 405, reason: errs.NotFound},
		{name: "odd method", method: "BREW", target: "/v1/models", status: 405, reason: errs.NotFound},
		{name: "options", method: "OPTIONS", target: "/v1/models", status: 405, reason: errs.NotFound},
		{name: "encoded slash", method: "GET", target: "/v1/projects/p/events/a%2Fb", status: 400, reason: errs.MalformedRequest},
		{name: "encoded slash in lower case", method: "GET", target: "/v1/projects%2fp/balance", status: 400, reason: errs.MalformedRequest},
		{name: "encoded NUL", method: "GET", target: "/v1/projects/p%00/balance", status: 400, reason: errs.MalformedRequest},
		{name: "twice encoded", method: "GET", target: "/v1/projects/p/events/a%252Fb", status: 400, reason: errs.MalformedRequest},
		{name: "dots", method: "GET", target: "/v1/projects/../balance", status: 400, reason: errs.MalformedRequest},
		{name: "encoded dots", method: "GET", target: "/v1/projects/%2e%2e/balance", status: 400, reason: errs.MalformedRequest},
		{name: "backslash", method: "GET", target: "/v1/projects/a%5Cb/balance", status: 400, reason: errs.MalformedRequest},
		{name: "broken query", method: "GET", target: "/v1/models?a=%zz", status: 400, reason: errs.MalformedRequest},
		{name: "unknown parameter", method: "GET", target: "/v1/projects/p/events?filer=x", status: 400, reason: errs.InvalidField, field: "filer"},
		{name: "path field in the query", method: "GET", target: "/v1/projects/p/events?parent=projects/q", status: 400, reason: errs.InvalidField, field: "parent"},
		{name: "parameter type", method: "GET", target: "/v1/projects/p/events?pageSize=many", status: 400, reason: errs.InvalidField, field: "page_size"},
		{name: "parameter twice", method: "GET", target: "/v1/projects/p/events?pageSize=1&page_size=2", status: 400, reason: errs.InvalidField, field: "page_size"},
		{name: "parameter list", method: "GET", target: "/v1/projects/p/events?pageSize=1&pageSize=2", status: 400, reason: errs.InvalidField, field: "page_size"},
		{name: "key in query", method: "GET", target: "/v1/projects/p/events?key=syn_sk_abc", status: 400, reason: errs.MalformedRequest},
		{name: "escaped key in query", method: "GET", target: "/v1/models?k=syn%5Fsk_abc", status: 400, reason: errs.MalformedRequest},
		{name: "key in path", method: "GET", target: "/v1/projects/syn_sk_abc", status: 400, reason: errs.MalformedRequest},
		{name: "no credential", method: "GET", target: "/v1/projects/p/balance", opts: []option{anonymous}, status: 401, reason: errs.CredentialMissing},
		{name: "bad credential", method: "GET", target: "/v1/projects/p/balance", opts: []option{with("Authorization", "Bearer x")}, status: 401, reason: errs.CredentialUnknown},
		{name: "two credentials", method: "GET", target: "/v1/projects/p/balance", opts: []option{func(r *http.Request) { r.Header.Add("Authorization", "x") }}, status: 401, reason: errs.CredentialMalformed},
		{name: "odd credential", method: "GET", target: "/v1/projects/p/balance", opts: []option{with("Authorization", "Bearer \xff")}, status: 401, reason: errs.CredentialMalformed},
		{name: "accept", method: "GET", target: "/v1/models", opts: []option{with("Accept", "text/html, application/xml;q=0.9")}, status: 406, reason: errs.UnsupportedMediaType},
		{name: "form", method: "POST", target: "/v1/texts:score", body: "text=x", opts: []option{with("Content-Type", "application/x-www-form-urlencoded")}, status: 415, reason: errs.UnsupportedMediaType},
		{name: "form that wants another method", method: "POST", target: "/v1/projects/p", body: "a=b", opts: []option{with("Content-Type", "application/x-www-form-urlencoded"), with("X-Http-Method-Override", "DELETE")}, status: 405, reason: errs.NotFound},
		{name: "no content type", method: "POST", target: "/v1/texts:score", body: "{}", opts: []option{func(r *http.Request) { r.Header.Del("Content-Type") }}, status: 415, reason: errs.UnsupportedMediaType},
		{name: "broken content type", method: "POST", target: "/v1/texts:score", body: "{}", opts: []option{with("Content-Type", ";;")}, status: 415, reason: errs.UnsupportedMediaType},
		{name: "character set", method: "POST", target: "/v1/texts:score", body: "{}", opts: []option{with("Content-Type", "application/json; charset=latin1")}, status: 415, reason: errs.UnsupportedMediaType},
		{name: "syntax", method: "POST", target: "/v1/texts:score", body: `{"text":`, status: 400, reason: errs.MalformedRequest},
		{name: "two documents", method: "POST", target: "/v1/texts:score", body: `{}{}`, status: 400, reason: errs.MalformedRequest},
		{name: "unknown field", method: "POST", target: "/v1/texts:score", body: `{"txt":"x"}`, status: 400, reason: errs.InvalidField, field: "txt"},
		{name: "nested unknown field", method: "POST", target: "/v1/texts:batchScore", body: "{\"requests\":[{\"text\":\"é\"},\n {\"text\":\"x\",\"txt\":1}]}", status: 400, reason: errs.InvalidField, field: "requests[1].txt"},
		{name: "type", method: "POST", target: "/v1/texts:score", body: `{"text":{"a":1}}`, status: 400, reason: errs.InvalidField, field: "text"},
		{name: "field twice", method: "POST", target: "/v1/texts:score", body: `{"text":"a","text":"b"}`, status: 400, reason: errs.InvalidField, field: "text"},
		{name: "not UTF-8", method: "POST", target: "/v1/texts:score", body: "{\"text\":\"\xff\"}", status: 400, reason: errs.InvalidField, field: "text"},
		{name: "NUL", method: "POST", target: "/v1/texts:score", body: "{\"text\":\"\x00\"}", status: 400, reason: errs.MalformedRequest, field: "text"},
		{name: "lone surrogate", method: "POST", target: "/v1/texts:score", body: `{"text":"\ud800"}`, status: 400, reason: errs.MalformedRequest, field: "text"},
		{name: "deep", method: "POST", target: "/v1/texts:score", body: deep, status: 400, reason: errs.MalformedRequest},
		{name: "wide", method: "POST", target: "/v1/texts:batchScore", body: `{"requests":[` + strings.Repeat("{},", 60_000) + `{}]}`, status: 413, reason: errs.RequestTooLarge},
		{name: "nested body field", method: "POST", target: "/v1/projects?projectId=a", body: `{"display":"x"}`, status: 400, reason: errs.InvalidField, field: "display"},
		{name: "idempotency key", method: "POST", target: "/v1/texts:score", body: `{"text":"x"}`, opts: []option{with("Idempotency-Key", strings.Repeat("x", 256))}, status: 400, reason: errs.InvalidField, field: "Idempotency-Key"},
		{name: "write to the dashboard", method: "POST", target: "/", body: `{}`, status: 405, reason: errs.NotFound},
		{name: "write to the docs", method: "POST", target: "/docs", body: `{}`, status: 405, reason: errs.NotFound},
		{name: "unimplemented", method: "GET", target: "/v1/models", status: 501, reason: errs.NotFound},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := e.do(t, tt.method, tt.target, tt.body, tt.opts...)
			p := problem(t, w)
			require.Equal(t, tt.status, p.Status, p.Detail)
			require.Equal(t, tt.reason, p.Reason, p.Detail)
			if tt.field != "" {
				require.NotEmpty(t, p.Violations)
				require.Equal(t, tt.field, p.Violations[0].Field)
				require.NotEmpty(t, p.Violations[0].Rule)
			}
			switch tt.status {
			case 405:
				require.NotEmpty(t, w.Header().Get("Allow"))
			case 401:
				require.Contains(t, w.Header().Get("Www-Authenticate"), "Bearer")
			}
			require.NotContains(t, w.Body.String()+e.log.String(), "syn_sk_a")
			require.NotContains(t, w.Body.String(), "\x1f")
		})
	}
}

func TestEveryAnswerHasSecurityHeaders(t *testing.T) {
	e := newEdge(t, &backend{}, func(d *Deps) { d.Config.TrustedProxies = []string{"192.0.2.0/24"} })
	for _, target := range []string{"/", "/docs", "/docs/problems", "/openapi.json", "/v1/models", "/v1/projects/p/balance", "/nope.js", "/healthz"} {
		h := e.do(t, "GET", target, "").Header()
		require.Equal(t, "nosniff", h.Get("X-Content-Type-Options"), target)
		require.Contains(t, h.Get("Content-Security-Policy"), "frame-ancestors 'none'", target)
		require.NotContains(t, h.Get("Content-Security-Policy"), "unsafe", target)
		require.Equal(t, "no-referrer", h.Get("Referrer-Policy"), target)
		require.Empty(t, h.Get("Strict-Transport-Security"), target)
		require.Empty(t, h.Get("Access-Control-Allow-Origin"), target)
	}
	require.Equal(t, "no-store", e.do(t, "GET", "/v1/projects/p/balance", "").Header().Get("Cache-Control"))
	require.NotEmpty(t, e.do(t, "GET", "/", "", with("X-Forwarded-Proto", "https")).Header().Get("Strict-Transport-Security"))
	other := func(r *http.Request) { r.RemoteAddr = "198.51.100.7:99" }
	require.Empty(t, e.do(t, "GET", "/", "", with("X-Forwarded-Proto", "https"), other).Header().Get("Strict-Transport-Security"), "not a trusted proxy")
}

func TestConditionalRead(t *testing.T) {
	e := newEdge(t, &backend{})
	w := e.do(t, "GET", "/v1/projects/p/timeSeries:query", "")
	require.Equal(t, `"v1"`, w.Header().Get("Etag"))
	require.Equal(t, "private, no-cache", w.Header().Get("Cache-Control"))
	w = e.do(t, "GET", "/v1/projects/p/timeSeries:query", "", with("If-None-Match", `"v0", W/"v1"`))
	require.Equal(t, http.StatusNotModified, w.Code)
	require.Empty(t, w.Body.String())
	require.Equal(t, 200, e.do(t, "GET", "/v1/projects/p/timeSeries:query", "", with("If-None-Match", `"v0"`)).Code)
}

func TestFaultsTellNothing(t *testing.T) {
	b := &backend{balance: func(context.Context) (*queryv1.Balance, error) { return nil, errors.New("dial 10.0.0.1: secret") }}
	e := newEdge(t, b)
	p := problem(t, e.do(t, "GET", "/v1/projects/p/balance", ""))
	require.Equal(t, 500, p.Status)
	require.NotContains(t, p.Detail, "secret")
	b.balance = func(context.Context) (*queryv1.Balance, error) { panic("no") }
	e.unknown.serve = func(*call) { panic("boom") }
	w := httptest.NewRecorder()
	c := &call{ResponseWriter: w, g: e.Gateway, r: httptest.NewRequest("GET", "/", nil), route: e.unknown}
	e.tel.begin(c)
	func() { defer e.finish(c); c.route.serve(c) }()
	require.Equal(t, 500, problem(t, w).Status)
	require.Contains(t, e.log.String(), "boom")
}

func TestTooManyRequests(t *testing.T) {
	hold, entered := make(chan struct{}), make(chan struct{})
	b := &backend{balance: func(context.Context) (*queryv1.Balance, error) {
		close(entered)
		<-hold
		return &queryv1.Balance{}, nil
	}}
	e := newEdge(t, b, func(d *Deps) { d.Config.MaxRequests = 1 })
	done := make(chan int)
	go func() { done <- e.do(t, "GET", "/v1/projects/p/balance", "").Code }()
	<-entered
	w := e.do(t, "GET", "/v1/projects/p/events", "")
	require.Equal(t, 503, problem(t, w).Status)
	require.Equal(t, "1", w.Header().Get("Retry-After"))
	require.Equal(t, 200, e.do(t, "GET", "/healthz", "").Code, "health is no request")
	close(hold)
	require.Equal(t, 200, <-done)
	require.Equal(t, 200, e.do(t, "GET", "/v1/projects/p/events", "").Code)
}

func TestHealth(t *testing.T) {
	var fault error
	e := newEdge(t, &backend{}, func(d *Deps) {
		d.Ready = func(context.Context) map[string]error { return map[string]error{"queue": fault, "auth": nil} }
	})
	require.Equal(t, "ok", decoded(t, e.do(t, "GET", "/healthz", "", anonymous))["status"])
	require.JSONEq(t, `{"ready":true,"parts":[{"name":"auth","ready":true},{"name":"gateway","ready":true},{"name":"queue","ready":true}]}`,
		e.do(t, "GET", "/readyz?verbose", "", anonymous).Body.String())
	down := errs.Down("the queue does not answer", 0, errors.New("10.0.0.1"))
	down.Remedy = "start it"
	fault = down
	w := e.do(t, "GET", "/readyz", "")
	require.Equal(t, 503, w.Code)
	require.Contains(t, w.Body.String(), `{"name":"queue","ready":false,"error":"the queue does not answer","remedy":"start it"}`)
	require.NoError(t, e.Stop(context.Background()))
	require.Equal(t, 503, e.do(t, "GET", "/readyz", "").Code)
	require.Contains(t, e.do(t, "GET", "/readyz", "").Body.String(), "being stopped")
}

func TestSpansAndLogsNameTheRouteOnly(t *testing.T) {
	rec := tracetest.NewSpanRecorder()
	tp := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(rec))
	e := newEdge(t, &backend{}, func(d *Deps) { d.TracerProvider = tp })
	e.do(t, "GET", "/v1/projects/secret-project/events?filter=secret-filter", "", with("User-Agent", "secret-agent"))
	e.do(t, "GET", "/secret-file", "")
	e.do(t, "SECRET", "/v1/secret", "")
	spans := rec.Ended()
	require.Len(t, spans, 3)
	require.Equal(t, "GET /v1/{parent=projects/*}/events", spans[0].Name())
	for _, s := range spans {
		require.NotContains(t, s.Name(), "secret")
		for _, kv := range s.Attributes() {
			require.NotContains(t, strings.ToLower(kv.Value.String()), "secret")
		}
	}
	require.NotContains(t, strings.ToLower(e.log.String()), "secret")
	require.Contains(t, e.log.String(), `"route":"/v1/{parent=projects/*}/events"`)
	require.NoError(t, tp.Shutdown(context.Background()))
}

func TestConfig(t *testing.T) {
	require.NoError(t, DefaultConfig().Validate())
	err := Config{TrustedProxies: []string{"x"}}.Validate()
	for _, name := range []string{"max_header_bytes", "max_body", "max_results", "idle_timeout", "trusted_proxies", "max_tails"} {
		require.ErrorContains(t, err, name)
	}
	_, err = New(Deps{Config: DefaultConfig()})
	require.ErrorContains(t, err, "no connection")
	_, err = New(Deps{})
	require.ErrorContains(t, err, "max_body")
}

// TestLogsHoldNothingOfTheCaller plants a mark in every place that a caller can
// fill and looks for it in the log.
func TestLogsHoldNothingOfTheCaller(t *testing.T) {
	e := newEdge(t, &backend{})
	const mark = "canary"
	for _, doc := range []string{
		`{"events":[{"` + mark + `":1}]}`, `{"events":[{"text":"` + mark + `","attributes":{"` + mark + `":1}}]}`, `{"` + mark + `":`, mark,
		"{\"text\":\"" + mark + "\xff\"}", `{"text":"` + mark + `\x"}`,
	} {
		e.do(t, "POST", ingestURL, doc)
		e.do(t, "POST", ingestURL, doc, with("Content-Type", "application/x-ndjson"))
		e.do(t, "POST", ingestURL, doc, with("Content-Type", "application/cloudevents+json"))
		e.do(t, "POST", "/v1/texts:score", doc)
		e.do(t, "POST", "/v1/sessions", doc)
	}
	for _, target := range []string{"/v1/projects/p/events?" + mark + "=1", "/v1/projects/p/events?pageSize=" + mark, "/v1/" + mark, "/" + mark, "/v1/models?x=%zz" + mark} {
		e.do(t, "GET", target, "")
	}
	for _, h := range []string{"Authorization", "Content-Type", "Content-Encoding", "Accept", "Traceparent", "Idempotency-Key", "Origin", "User-Agent", "Cookie"} {
		e.do(t, "POST", "/v1/texts:score", `{"text":"x"}`, with(h, mark+";"+mark))
	}
	require.Contains(t, e.log.String(), "INVALID_FIELD")
	require.NotContains(t, e.log.String(), mark)
}
