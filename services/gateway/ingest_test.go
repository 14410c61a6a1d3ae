package gateway

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"

	ingestv1 "github.com/synapse-analytics/synapse/gen/go/synapse/ingest/v1"
	"github.com/synapse-analytics/synapse/internal/errs"
)

const ingestURL = "/v1/projects/-/events:ingest"

func gzipped(t testing.TB, data []byte) string {
	t.Helper()
	var buf bytes.Buffer
	w := gzip.NewWriter(&buf)
	_, err := w.Write(data)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return buf.String()
}

func zstded(t testing.TB, data []byte) string {
	t.Helper()
	w, err := zstd.NewWriter(nil)
	require.NoError(t, err)
	defer func() { _ = w.Close() }()
	return string(w.EncodeAll(data, nil))
}

func TestIngestJSON(t *testing.T) {
	e := newEdge(t, &backend{})
	w := e.do(t, "POST", "/v1/projects/p/events:ingest", `{"events":[{"id":"a","text":"fine","userId":"u"},{"id":"b"},{"id":"dup1","text":"x"}]}`)
	require.JSONEq(t, `{"accepted":1,"duplicate":1,"rejected":1,"traceId":"","results":[
		{"index":1,"id":"b","status":"REJECTED","reason":"INVALID_FIELD","retryable":false,"violations":[{"field":"text","rule":"must not be empty","remedy":"send a text"}]},
		{"index":2,"id":"dup1","status":"DUPLICATE","reason":"","retryable":false,"violations":[]}]}`, w.Body.String())
	require.Equal(t, "application/json", w.Header().Get("Content-Type"))
	require.Equal(t, `"key";r=9;t=1`, w.Header().Get("RateLimit"))
	require.Equal(t, `"key";q=10;w=1`, w.Header().Get("RateLimit-Policy"))
	require.Equal(t, "projects/p", e.backend.ingested()[0].GetParent())

	body := decoded(t, e.do(t, "POST", ingestURL, `{"parent":"projects/other","events":[{"id":"a","text":"x"}],"fullResults":true}`))
	require.Len(t, body["results"], 1)
	require.Equal(t, "projects/-", e.backend.ingested()[1].GetParent(), "the address says which project")
	require.Len(t, decoded(t, e.do(t, "POST", ingestURL+"?fullResults=true", `{"events":[{"id":"a","text":"x"}]}`))["results"], 1)
}

func TestIngestPacked(t *testing.T) {
	e := newEdge(t, &backend{})
	doc := []byte(`{"events":[{"text":"` + strings.Repeat("a long text ", 3000) + `"}]}`)
	for encoding, body := range map[string]string{"gzip": gzipped(t, doc), "x-gzip": gzipped(t, doc), "zstd": zstded(t, doc), "identity": string(doc), "GZIP": gzipped(t, doc)} {
		for range 3 { // unpackers are used again
			require.Equal(t, 1.0, decoded(t, e.do(t, "POST", ingestURL, body, with("Content-Encoding", encoding)))["accepted"], encoding)
		}
	}
}

func TestIngestHostileBodies(t *testing.T) {
	e := newEdge(t, &backend{}, func(d *Deps) {
		d.Config.MaxBody, d.Config.MaxBodyUnpacked, d.Config.BodyMemory = 1<<20, 4<<20, 16<<20
	})
	zeros := make([]byte, 64<<20)
	valid := `{"events":[{"text":"x"}]}`
	gz := gzipped(t, []byte(valid))
	zs := zstded(t, []byte(valid))
	var concat bytes.Buffer
	concat.WriteString(gz + "garbage after the end")
	enc := func(v string) []option { return []option{with("Content-Encoding", v)} }
	ct := func(v string) []option { return []option{with("Content-Type", v)} }
	tests := []struct {
		name, body string
		opts       []option
		status     int
		reason     errs.Reason
		field      string
	}{
		{"empty", "", ct("application/json"), 400, errs.MalformedRequest, ""},
		{"no type", valid, []option{func(r *http.Request) { r.Header.Del("Content-Type") }}, 415, errs.UnsupportedMediaType, ""},
		{"wrong type", valid, ct("text/plain"), 415, errs.UnsupportedMediaType, ""},
		{"form", "a=b", ct("application/x-www-form-urlencoded"), 415, errs.UnsupportedMediaType, ""},
		{"two types", valid, []option{func(r *http.Request) { r.Header.Add("Content-Type", "text/plain") }}, 415, errs.UnsupportedMediaType, ""},
		{"unknown encoding", valid, enc("br"), 415, errs.UnsupportedMediaType, ""},
		{"two encodings", valid, enc("gzip, gzip"), 415, errs.UnsupportedMediaType, ""},
		{"two encoding headers", valid, []option{func(r *http.Request) { r.Header["Content-Encoding"] = []string{"gzip", "zstd"} }}, 415, errs.UnsupportedMediaType, ""},
		{"not gzip", valid, enc("gzip"), 400, errs.MalformedRequest, ""},
		{"not zstd", valid, enc("zstd"), 400, errs.MalformedRequest, ""},
		{"cut gzip", gz[:len(gz)-5], enc("gzip"), 400, errs.MalformedRequest, ""},
		{"cut gzip header", gz[:5], enc("gzip"), 400, errs.MalformedRequest, ""},
		{"broken gzip sum", gz[:len(gz)-8] + "12345678", enc("gzip"), 400, errs.MalformedRequest, ""},
		{"garbage after gzip", concat.String(), enc("gzip"), 400, errs.MalformedRequest, ""},
		{"cut zstd", zs[:len(zs)-3], enc("zstd"), 400, errs.MalformedRequest, ""},
		{"too large", strings.Repeat(" ", 1<<20+1), nil, 413, errs.RequestTooLarge, ""},
		{"too large in chunks", strings.Repeat(" ", 1<<20+1), []option{func(r *http.Request) { r.ContentLength = -1 }}, 413, errs.RequestTooLarge, ""},
		{"gzip bomb", gzipped(t, zeros), enc("gzip"), 413, errs.RequestTooLarge, ""},
		{"zstd bomb", zstded(t, zeros), enc("zstd"), 413, errs.RequestTooLarge, ""},
		{"nested", strings.Repeat("[", 100_000), nil, 400, errs.InvalidField, "body"},
		{"nested in a field", `{"events":[{"text":` + strings.Repeat(`{"a":`, 50_000), nil, 400, errs.InvalidField, "events[0].text"},
		{"cut", `{"events":[{"text":"x`, nil, 400, errs.MalformedRequest, "events[0].text"},
		{"unknown field", `{"events":[{"txt":"x"}]}`, nil, 400, errs.InvalidField, "events[0].txt"},
		{"not UTF-8", "{\"events\":[{\"text\":\"\xc3\x28\"}]}", nil, 400, errs.InvalidField, "events[0].text"},
		{"NUL", "{\"events\":[{\"text\":\"a\x00b\"}]}", nil, 400, errs.MalformedRequest, "events[0].text"},
		{"more events than may be", `{"events":[` + strings.Repeat(`{"text":"x"},`, 1000) + `{"text":"x"}]}`, nil, 400, errs.InvalidField, "events"},
		{"array", `[{"text":"x"}]`, nil, 400, errs.InvalidField, "body"},
		{"bad cloud event", `{"specversion":"1.0"}`, ct("application/cloudevents+json"), 400, errs.InvalidField, "id"},
		{"bad cloud batch", `[{"specversion":"2"}]`, ct("application/cloudevents-batch+json"), 400, errs.InvalidField, "[0].specversion"},
		{"empty lines", "\n \n", ct("application/x-ndjson"), 400, errs.MalformedRequest, ""},
		{"lines with a bad parameter", "{}", append(ct("application/x-ndjson"), func(r *http.Request) { r.URL.RawQuery = "fullResults=maybe" }), 400, errs.InvalidField, "fullResults"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			body := tt.body
			w := e.do(t, "POST", ingestURL, body, tt.opts...)
			p := problem(t, w)
			require.Equal(t, tt.status, p.Status, p.Detail)
			require.Equal(t, tt.reason, p.Reason, p.Detail)
			if tt.field != "" {
				require.Equal(t, tt.field, p.Violations[0].Field)
			}
		})
	}
	require.Empty(t, e.backend.ingested())
	require.Zero(t, e.bodyBytes.Load(), "all body memory is given back")
}

func TestBodyMemory(t *testing.T) {
	e := newEdge(t, &backend{}, func(d *Deps) {
		d.Config.MaxBody, d.Config.MaxBodyUnpacked, d.Config.BodyMemory = 1<<20, 1<<20, 1<<20
	})
	large := `{"events":[{"text":"` + strings.Repeat("x", 600<<10) + `"}]}`
	e.bodyBytes.Store(800 << 10) // other requests hold as much
	w := e.do(t, "POST", ingestURL, large)
	require.Equal(t, 503, problem(t, w).Status)
	require.NotEmpty(t, w.Header().Get("Retry-After"))
	require.Equal(t, 200, e.do(t, "POST", ingestURL, `{"events":[{"text":"small"}]}`).Code)
	e.bodyBytes.Store(0)
	require.Equal(t, 200, e.do(t, "POST", ingestURL, large).Code)
	require.Zero(t, e.bodyBytes.Load())
}

func TestIngestErrors(t *testing.T) {
	b := &backend{}
	e := newEdge(t, b)
	require.Equal(t, errs.CredentialMissing, problem(t, e.do(t, "POST", ingestURL, `{"events":[{"text":"x"}]}`, anonymous)).Reason)
	b.ingest = func(*ingestv1.IngestEventsRequest) (*ingestv1.IngestEventsResponse, error) {
		return nil, errs.Exhausted(errs.BacklogFull, "the backlog is full", "wait", 3*time.Second, &errs.Quota{Subject: "installation", Description: "limit 1"})
	}
	w := e.do(t, "POST", ingestURL, `{"events":[{"text":"x"}]}`)
	p := problem(t, w)
	require.Equal(t, 429, p.Status)
	require.Equal(t, "3", w.Header().Get("Retry-After"))
	require.Equal(t, "installation", p.Quota.Subject)
	require.Equal(t, `"key";r=9;t=1`, w.Header().Get("RateLimit"), "also on refusals")
}

func TestCloudEventsRoute(t *testing.T) {
	e := newEdge(t, &backend{})
	one := `{"specversion":"1.0","type":"review","id":"7","source":"shop","data":{"text":"fine"}}`
	require.Equal(t, 1.0, decoded(t, e.do(t, "POST", ingestURL, one, with("Content-Type", "application/cloudevents+json; charset=utf-8")))["accepted"])
	require.Equal(t, 2.0, decoded(t, e.do(t, "POST", ingestURL, "["+one+","+strings.Replace(one, "7", "8", 1)+"]", with("Content-Type", "application/cloudevents-batch+json")))["accepted"])
	require.Equal(t, "shop", e.backend.ingested()[1].GetEvents()[1].GetSource())
}

type ndjsonAnswer struct {
	Accepted, Duplicate, Rejected int
	Results                       []struct {
		Index      int
		ID, Status string
		Reason     string
		Retryable  bool
		Violations []Violation
	}
}

func (e *edge) lines(t *testing.T, body string, opts ...option) (ndjsonAnswer, http.Header) {
	t.Helper()
	w := e.do(t, "POST", ingestURL, body, append([]option{with("Content-Type", "application/x-ndjson")}, opts...)...)
	require.Equal(t, 200, w.Code, w.Body.String())
	var a ndjsonAnswer
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &a), w.Body.String())
	return a, w.Header()
}

func TestNDJSON(t *testing.T) {
	e := newEdge(t, &backend{})
	a, h := e.lines(t, "{\"id\":\"a\",\"text\":\"fine\"}\n\n{\"txt\":1}\r\n{\"id\":\"dup1\",\"text\":\"x\"}\n{oops\n{\"id\":\"e\"}\n"+strings.Repeat("y", maxLine+1)+"\n{\"id\":\"z\",\"text\":\"last\"}")
	require.Equal(t, []int{2, 1, 4}, []int{a.Accepted, a.Duplicate, a.Rejected})
	require.Equal(t, `"key";r=9;t=1`, h.Get("RateLimit"))
	require.Len(t, a.Results, 5)
	for i, want := range []struct {
		index         int
		reason, field string
	}{
		{1, "MALFORMED_REQUEST", "txt"}, {2, "", ""}, {3, "MALFORMED_REQUEST", "line 5"},
		{4, "INVALID_FIELD", "text"}, {5, "REQUEST_TOO_LARGE", "line 7"},
	} {
		got := a.Results[i]
		require.Equal(t, want.index, got.Index)
		require.Equal(t, want.reason, got.Reason)
		if want.field != "" {
			require.Equal(t, want.field, got.Violations[0].Field)
		}
	}
	require.Contains(t, a.Results[0].Violations[0].Rule, "line 3, column 2")
	require.Len(t, e.backend.ingested(), 1)
}

func TestNDJSONInBlocks(t *testing.T) {
	e := newEdge(t, &backend{})
	var b strings.Builder
	for i := range 2500 {
		switch {
		case i%1000 == 7:
			b.WriteString("nonsense\n")
		case i%1000 == 9:
			fmt.Fprintf(&b, "{\"id\":\"dup%d\",\"text\":\"x\"}\n", i)
		default:
			fmt.Fprintf(&b, "{\"id\":\"e%d\",\"text\":\"x\"}\n", i)
		}
	}
	body := b.String()
	for _, opts := range [][]option{nil, {with("Content-Encoding", "gzip")}} {
		sent := body
		if opts != nil {
			sent = gzipped(t, []byte(body))
		}
		a, _ := e.lines(t, sent, opts...)
		require.Equal(t, []int{2494, 3, 3}, []int{a.Accepted, a.Duplicate, a.Rejected})
		var at []int
		for _, r := range a.Results {
			at = append(at, r.Index)
		}
		require.Equal(t, []int{7, 9, 1007, 1009, 2007, 2009}, at)
	}
	calls := e.backend.ingested()
	require.Len(t, calls, 6)
	for _, c := range calls {
		require.LessOrEqual(t, len(c.GetEvents()), 1000)
	}
	a, _ := e.lines(t, body, func(r *http.Request) { r.URL.RawQuery = "fullResults=true" })
	require.Len(t, a.Results, 2500)
	for i, r := range a.Results {
		require.Equal(t, i, r.Index)
	}
}

// TestNDJSONPartly: what was taken over before a fault stays so, and each event
// after it says what became of it.
func TestNDJSONPartly(t *testing.T) {
	n := 0
	b := &backend{ingest: func(r *ingestv1.IngestEventsRequest) (*ingestv1.IngestEventsResponse, error) {
		if n++; n > 1 {
			return nil, errs.Exhausted(errs.BacklogFull, "full", "wait", 2*time.Second, nil)
		}
		return judge(r), nil
	}}
	e := newEdge(t, b)
	line := "{\"id\":\"x\",\"text\":\"x\"}\n"
	a, h := e.lines(t, strings.Repeat(line, 2200)+"bad\n")
	require.Equal(t, []int{1000, 0, 1201}, []int{a.Accepted, a.Duplicate, a.Rejected})
	require.Len(t, a.Results, 1201)
	require.Equal(t, 1000, a.Results[0].Index)
	require.Equal(t, "BACKLOG_FULL", a.Results[0].Reason)
	require.True(t, a.Results[0].Retryable)
	require.Equal(t, "BACKLOG_FULL", a.Results[1199].Reason)
	require.Equal(t, "MALFORMED_REQUEST", a.Results[1200].Reason)
	require.Equal(t, "2", h.Get("Retry-After"))
	require.Equal(t, 2, n, "nothing more is sent")

	// Before anything was taken over it is an error of the whole request.
	n = 1
	w := e.do(t, "POST", ingestURL, line, with("Content-Type", "application/x-ndjson"))
	require.Equal(t, errs.BacklogFull, problem(t, w).Reason)
	require.Equal(t, errs.CredentialMissing, problem(t, e.do(t, "POST", ingestURL, "bad\n", with("Content-Type", "application/x-ndjson"), anonymous)).Reason,
		"also when no line could be sent")
}

// TestNDJSONBroken: the body ends badly after a block was taken over.
func TestNDJSONBroken(t *testing.T) {
	e := newEdge(t, &backend{}, func(d *Deps) { d.Config.MaxResults = 1000 })
	lines := strings.Repeat("{\"text\":\"x\"}\n", 1000)
	body := func(r *http.Request) {
		r.ContentLength = -1
		r.Body = io.NopCloser(io.MultiReader(strings.NewReader(lines+"{\"text\":\"half"), failing{}))
	}
	a, _ := e.lines(t, "x", body)
	require.Equal(t, []int{1000, 0, 1}, []int{a.Accepted, a.Duplicate, a.Rejected})
	require.Equal(t, 1000, a.Results[0].Index)
	require.Equal(t, "line 1001", a.Results[0].Violations[0].Field)
	require.Contains(t, a.Results[0].Violations[0].Rule, "not read")

	// The list of verdicts is bounded; the counts are still those of all lines.
	a, _ = e.lines(t, lines+strings.Repeat("bad\n", 1000)+strings.Repeat("{\"text\":\"x\"}\n\n", 500))
	require.Equal(t, []int{1000, 0, 1500}, []int{a.Accepted, a.Duplicate, a.Rejected})
	require.Len(t, a.Results, 1001)
	require.Equal(t, "REQUEST_TOO_LARGE", a.Results[1000].Reason)
	require.Equal(t, "line 2001", a.Results[1000].Violations[0].Field)
	w := e.do(t, "POST", ingestURL, strings.Repeat("bad\n", 3000), with("Content-Type", "application/x-ndjson"))
	require.Equal(t, 413, w.Code, "nothing was taken over")
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errors.New("cut") }

func FuzzIngestRoute(f *testing.F) {
	e := newEdge(f, &backend{})
	kinds := []string{"application/json", "application/x-ndjson", "application/cloudevents+json", "application/cloudevents-batch+json"}
	encodings := []string{"", "gzip", "zstd"}
	f.Add([]byte(`{"events":[{"text":"x"}]}`), 0, 0)
	f.Add([]byte(gzipped(f, []byte("{\"text\":\"x\"}\n"))), 1, 1)
	f.Add([]byte(zstded(f, []byte("{\"text\":\"x\"}\n"))), 1, 2)
	f.Fuzz(func(t *testing.T, body []byte, kind, encoding int) {
		w := e.do(t, "POST", ingestURL, string(body), with("Content-Type", kinds[uint(kind)%4]), with("Content-Encoding", encodings[uint(encoding)%3]))
		require.True(t, json.Valid(w.Body.Bytes()))
		require.Contains(t, []int{200, 400, 413, 415}, w.Code, w.Body.String())
		require.Zero(t, e.bodyBytes.Load())
	})
}
