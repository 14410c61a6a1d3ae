package gateway

import (
	"context"
	"net/http"
	"strings"
	"time"

	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/synapse-analytics/synapse/internal/errs"
)

// call is one request on its way through the gateway. It is the ResponseWriter
// of its handlers and knows what was answered.
type call struct {
	http.ResponseWriter
	g *Gateway
	r *http.Request
	// ctx carries the span and, for calls to services, the deadline.
	ctx     context.Context //nolint:containedctx // lives as long as the request
	span    trace.Span
	traceID string
	route   *route
	start   time.Time
	status  int
	written int64
	err     error
	// held counts the bytes taken from the gateway's body memory.
	held int64
}

// WriteHeader notes the status.
func (c *call) WriteHeader(status int) {
	if c.status == 0 && status >= http.StatusOK {
		c.status = status
	}
	c.ResponseWriter.WriteHeader(status)
}

// Write counts the bytes.
func (c *call) Write(p []byte) (int, error) {
	if c.status == 0 {
		c.status = http.StatusOK
	}
	n, err := c.ResponseWriter.Write(p)
	c.written += int64(n)
	return n, err
}

// Unwrap lets http.ResponseController find the connection.
func (c *call) Unwrap() http.ResponseWriter { return c.ResponseWriter }

// unsafe says whether the method may change something.
func (c *call) unsafe() bool {
	switch c.r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
		return false
	}
	return true
}

// credential returns the value of the authorization metadata: that of the header
// or, without one, that of the session cookie. A cookie does not count for a
// method that changes something unless the request comes from the dashboard's
// own pages.
func (c *call) credential() (string, error) {
	if vals := c.r.Header["Authorization"]; len(vals) > 0 {
		if len(vals) > 1 || !printable(vals[0]) {
			return "", errs.Unauthenticated(errs.CredentialMalformed, "the Authorization header is not one line of printable characters",
				"send one header: `Authorization: Bearer <key or token>`")
		}
		return vals[0], nil
	}
	if len(c.r.Header["Cookie"]) == 0 {
		return "", nil
	}
	cookie, err := c.r.Cookie(sessionCookie)
	if err != nil || cookie.Value == "" || !printable(cookie.Value) {
		return "", nil //nolint:nilerr // no session cookie is no credential, which the service refuses
	}
	if c.unsafe() {
		if err := c.sameSite(); err != nil {
			return "", err
		}
	}
	return "Bearer " + cookie.Value, nil
}

// sameSite refuses a browser's request from another site, or without the CSRF
// header, which a form cannot send and a script of another site may not.
func (c *call) sameSite() error {
	if c.r.Header.Get(csrfHeader) != "1" {
		return errs.CrossSite("a request with a session cookie that changes something needs the header "+csrfHeader+": 1",
			"send that header from the dashboard's own pages, or use an Authorization header")
	}
	if err := c.g.crossOrigin.Check(c.r); err != nil {
		return errs.CrossSite("the browser says that this request comes from another site",
			"use the dashboard's own pages, or an Authorization header").With(err)
	}
	return nil
}

// outgoing returns the metadata for a call to a service: the credential, the
// trace, and nothing else that the caller sent but the two headers named here.
func (c *call) outgoing() (metadata.MD, error) {
	cred, err := c.credential()
	if err != nil {
		return nil, err
	}
	md := make(metadata.MD, 4)
	if cred != "" {
		md["authorization"] = []string{cred}
	}
	if key := c.r.Header.Get("Idempotency-Key"); key != "" {
		if len(key) > 255 || !printable(key) {
			return nil, errs.Invalid(errs.Violation{
				Field: "Idempotency-Key", Rule: "must be 1 to 255 printable ASCII characters", Remedy: "use a UUID",
			})
		}
		md["idempotency-key"] = []string{key}
	}
	if id := c.r.Header.Get("Last-Event-Id"); id != "" && printable(id) {
		md["last-event-id"] = []string{id}
	}
	c.g.tel.inject(c.ctx, md)
	return md, nil
}

// printable says whether s can be the value of a header and of metadata.
func printable(s string) bool {
	for i := range len(s) {
		if s[i] < 0x20 || s[i] > 0x7e {
			return false
		}
	}
	return true
}

// answers collects the metadata that a service answers with.
type answers struct {
	header, trailer metadata.MD
}

func (a *answers) options() []grpc.CallOption {
	return []grpc.CallOption{grpc.Header(&a.header), grpc.Trailer(&a.trailer)}
}

// passed maps the metadata that is passed on to its header.
var passed = [...]struct{ key, header string }{
	{"ratelimit", "Ratelimit"},
	{"ratelimit-policy", "Ratelimit-Policy"},
	{"idempotent-replayed", "Idempotent-Replayed"},
	{"etag", "Etag"},
	{"cache-control", "Cache-Control"},
}

// headers puts what a service answered with into the response header.
func (c *call) headers(header, trailer metadata.MD) {
	if len(header) == 0 && len(trailer) == 0 {
		return
	}
	h := c.Header()
	for _, p := range passed {
		v := header[p.key]
		if len(v) == 0 {
			v = trailer[p.key]
		}
		if len(v) > 0 {
			h[p.header] = v[:1]
		}
	}
	if len(h["Etag"]) > 0 && len(header["cache-control"]) == 0 && len(trailer["cache-control"]) == 0 {
		h["Cache-Control"] = []string{"private, no-cache"}
	}
}

// unchanged says whether the caller already has the answer with this ETag.
func (c *call) unchanged() bool {
	tag := c.Header().Get("Etag")
	if tag == "" || c.unsafe() {
		return false
	}
	for _, line := range c.r.Header["If-None-Match"] {
		for have := range strings.SplitSeq(line, ",") {
			if have = strings.TrimSpace(have); have == "*" || strings.TrimPrefix(have, "W/") == strings.TrimPrefix(tag, "W/") {
				return true
			}
		}
	}
	return false
}
