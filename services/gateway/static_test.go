package gateway

import (
	"encoding/json"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/synapse-analytics/synapse/services/gateway/openapi"
)

func TestDashboard(t *testing.T) {
	e := newEdge(t, &backend{}, func(d *Deps) {
		d.Assets = fstest.MapFS{
			"index.html":      {Data: []byte("<!doctype html>" + strings.Repeat("x", 2000))},
			"assets/a-1.js":   {Data: []byte("1")},
			"assets/odd.blob": {Data: []byte("2")},
		}
	})
	w := e.do(t, "GET", "/", "")
	require.Equal(t, 200, w.Code)
	require.Equal(t, "no-cache", w.Header().Get("Cache-Control"))
	require.Equal(t, "same-origin", w.Header().Get("Cross-Origin-Opener-Policy"))
	require.Equal(t, "text/html; charset=utf-8", w.Header().Get("Content-Type"))
	require.Equal(t, 304, e.do(t, "GET", "/", "", with("If-None-Match", w.Header().Get("Etag"))).Code)
	packed := e.do(t, "GET", "/", "", with("Accept-Encoding", "gzip, br"))
	require.Equal(t, "gzip", packed.Header().Get("Content-Encoding"))
	require.Less(t, packed.Body.Len(), 200)
	require.Equal(t, 304, e.do(t, "GET", "/", "", with("Accept-Encoding", "gzip"), with("If-None-Match", packed.Header().Get("Etag"))).Code)
	require.Empty(t, e.do(t, "HEAD", "/", "").Body.String())
	require.Contains(t, e.do(t, "GET", "/assets/a-1.js", "").Header().Get("Cache-Control"), "immutable")
	require.Equal(t, "application/octet-stream", e.do(t, "GET", "/assets/odd.blob", "").Header().Get("Content-Type"))
	require.Equal(t, 200, e.do(t, "GET", "/projects/p/alerts", "", with("Accept", "text/html")).Code, "a place inside the dashboard")
	require.Equal(t, 404, e.do(t, "GET", "/projects/p/alerts", "").Code)
	require.Equal(t, 404, e.do(t, "GET", "/assets/b.js", "", with("Accept", "text/html")).Code)

	off := newEdge(t, &backend{}, func(d *Deps) { d.Config.Dashboard, d.Config.Docs = false, false })
	require.Equal(t, 404, off.do(t, "GET", "/", "").Code)
	require.Equal(t, 404, off.do(t, "GET", "/docs", "").Code)
	require.Equal(t, 404, off.do(t, "GET", "/openapi.json", "").Code)
}

func TestDocs(t *testing.T) {
	e := newEdge(t, &backend{})
	for _, path := range []string{"/docs", "/docs/", "/docs/problems"} {
		page := e.do(t, "GET", path, "", anonymous)
		require.Equal(t, 200, page.Code, path)
		require.Equal(t, "text/html; charset=utf-8", page.Header().Get("Content-Type"))
		require.NotContains(t, page.Body.String(), "style=")
		require.NotContains(t, page.Body.String(), "http://")
		require.NotContains(t, page.Body.String(), "https://")
		require.NotRegexp(t, `<script[^>]*>[^<]`, page.Body.String(), "no inline script")
	}
	for _, path := range []string{"/docs/explorer.js", "/docs/explorer.css", "/openapi.json"} {
		require.Equal(t, 200, e.do(t, "GET", path, "", anonymous).Code, path)
	}
	for r := range explanations {
		require.Contains(t, e.do(t, "GET", "/docs/problems", "").Body.String(), `id="`+string(r)+`"`)
	}
}

// TestOpenAPIListsEveryRoute holds the document and the routes together.
func TestOpenAPIListsEveryRoute(t *testing.T) {
	e := newEdge(t, &backend{})
	var doc struct {
		Paths map[string]map[string]any `json:"paths"`
	}
	require.NoError(t, json.Unmarshal(openapi.Document(), &doc))
	plain := func(path string) string {
		segs := strings.Split(path, "/")
		for i, s := range segs {
			if strings.HasPrefix(s, "{") {
				_, verb, _ := strings.Cut(s, "}")
				segs[i] = "*" + verb
			}
		}
		return strings.Join(segs, "/")
	}
	want := map[string]bool{}
	for _, r := range e.table {
		want[r.method+" "+flatten(r.template)] = true
	}
	for p := range e.fixed {
		if p == "/healthz" || p == "/readyz" {
			want["GET "+p] = true
		}
	}
	have := map[string]bool{}
	for path, item := range doc.Paths {
		for method := range item {
			have[strings.ToUpper(method)+" "+plain(path)] = true
		}
	}
	require.Equal(t, want, have)
}
