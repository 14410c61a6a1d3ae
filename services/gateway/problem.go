package gateway

import (
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"strconv"
	"time"

	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/grpc/codes"

	"github.com/synapse-analytics/synapse/internal/errs"
)

// Problem is the body of every error answer: RFC 9457 with what the gRPC status
// carries.
type Problem struct {
	// Type refers to the page that explains the reason.
	Type string `json:"type"`
	// Title is the reason in words.
	Title string `json:"title"`
	// Status is the HTTP status.
	Status int `json:"status"`
	// Detail says what happened and why.
	Detail string `json:"detail"`
	// Code is the gRPC code, for example "INVALID_ARGUMENT".
	Code string `json:"code"`
	// Reason is one of the reasons of internal/errs.
	Reason errs.Reason `json:"reason"`
	// Remedy says what to do; may be empty.
	Remedy string `json:"remedy,omitempty"`
	// Violations are the fields that break rules.
	Violations []Violation `json:"violations"`
	// Retryable says whether the same request can succeed later.
	Retryable bool `json:"retryable"`
	// Quota names the limit that was hit.
	Quota *Quota `json:"quota,omitempty"`
	// TraceID of the request, 32 hexadecimal digits.
	TraceID string `json:"traceId,omitempty"`
}

// Violation is a rule that a field breaks.
type Violation struct {
	Field  string `json:"field"`
	Rule   string `json:"rule"`
	Remedy string `json:"remedy,omitempty"`
}

// Quota is a limit that was hit.
type Quota struct {
	Subject     string `json:"subject"`
	Description string `json:"description"`
}

const problemJSON = "application/problem+json"

// edgeError is an error of HTTP itself, which gRPC has no code for: the status
// replaces the one that follows from the code.
type edgeError struct {
	cause  *errs.Error
	status int
	header http.Header // added to the answer; may be nil
}

// Error implements error.
func (e *edgeError) Error() string { return e.cause.Error() }

// Unwrap makes the *errs.Error visible to errors.As.
func (e *edgeError) Unwrap() error { return e.cause }

// statusOfReason holds the reasons whose HTTP status does not follow from their
// code.
var statusOfReason = map[errs.Reason]int{
	errs.UnsupportedMediaType: http.StatusUnsupportedMediaType,
	errs.RequestTooLarge:      http.StatusRequestEntityTooLarge,
	errs.Unprocessable:        http.StatusUnprocessableEntity,
}

// statusClientClosed is what others answer to a caller that went away; it is
// seen in logs only.
const statusClientClosed = 499

// httpStatus is the one place where an error gets its HTTP status.
func httpStatus(e *errs.Error) int {
	if s, ok := statusOfReason[e.Reason]; ok {
		return s
	}
	switch e.Code {
	case codes.InvalidArgument, codes.OutOfRange, codes.FailedPrecondition:
		return http.StatusBadRequest
	case codes.Unauthenticated:
		return http.StatusUnauthorized
	case codes.PermissionDenied:
		return http.StatusForbidden
	case codes.NotFound:
		return http.StatusNotFound
	case codes.AlreadyExists, codes.Aborted:
		return http.StatusConflict
	case codes.ResourceExhausted:
		return http.StatusTooManyRequests
	case codes.Unavailable:
		return http.StatusServiceUnavailable
	case codes.DeadlineExceeded:
		return http.StatusGatewayTimeout
	case codes.Unimplemented:
		return http.StatusNotImplemented
	case codes.Canceled:
		return statusClientClosed
	default:
		return http.StatusInternalServerError
	}
}

// problemOf makes the problem of any error, with the headers that go with it.
func problemOf(err error, traceID string) (Problem, http.Header) {
	e := errs.FromError(err)
	status := httpStatus(e)
	header := http.Header{}
	var edge *edgeError
	if errors.As(err, &edge) {
		status = edge.status
		for k, v := range edge.header {
			header[k] = v
		}
	}
	p := Problem{
		Type: problemType(e.Reason), Title: titleOf(e.Reason), Status: status, Detail: e.Message,
		Code: code.Code(e.Code).String(), Reason: e.Reason, Remedy: e.Remedy,
		Violations: make([]Violation, 0, len(e.Violations)), Retryable: e.Retryable(), TraceID: traceID,
	}
	for _, v := range e.Violations {
		p.Violations = append(p.Violations, Violation{Field: v.Field, Rule: v.Rule, Remedy: v.Remedy})
	}
	if e.Quota != nil {
		p.Quota = &Quota{Subject: e.Quota.Subject, Description: e.Quota.Description}
	}
	if e.RetryAfter > 0 {
		header.Set("Retry-After", retryAfter(e.RetryAfter))
	} else if status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable {
		header.Set("Retry-After", "1")
	}
	if status == http.StatusUnauthorized {
		challenge := `Bearer realm="synapse"`
		if e.Reason != errs.CredentialMissing {
			challenge += `, error="invalid_token"`
		}
		header.Set("WWW-Authenticate", challenge)
	}
	return p, header
}

// retryAfter writes a wait in whole seconds, rounded up.
func retryAfter(d time.Duration) string {
	return strconv.FormatInt(int64(math.Ceil(d.Seconds())), 10)
}

// fail answers with the problem of err. After the first byte of an answer it can
// only log.
func (c *call) fail(err error) {
	c.err = err
	if c.status != 0 {
		return
	}
	p, extra := problemOf(err, c.traceID)
	h := c.Header()
	for k, v := range extra {
		h[k] = v
	}
	h["Cache-Control"] = noStore
	h.Del("Etag")
	h.Set("Content-Type", problemJSON)
	body := p.json()
	h.Set("Content-Length", strconv.Itoa(len(body)))
	c.WriteHeader(p.Status)
	if c.r.Method != http.MethodHead {
		_, _ = c.Write(body)
	}
}

// json writes the problem on one line.
func (p Problem) json() []byte {
	b, err := json.Marshal(p)
	if err != nil { // no field of it can fail
		return []byte(`{"type":"about:blank","title":"Internal error","status":500}`)
	}
	return b
}
