package gateway

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/synapse-analytics/synapse/internal/errs"
	"github.com/synapse-analytics/synapse/services/gateway/ingestjson"
)

// The gateway's own errors.

func errNoRoute() error {
	return &edgeError{status: http.StatusNotFound, cause: &errs.Error{
		Code: codes.NotFound, Reason: errs.NotFound, Message: "there is nothing at this address",
		Remedy: "see /docs for the addresses",
	}}
}

func errMethod(allowed []string) error {
	list := strings.Join(allowed, ", ")
	return &edgeError{
		status: http.StatusMethodNotAllowed, header: http.Header{"Allow": {list}},
		cause: &errs.Error{
			Code: codes.Unimplemented, Reason: errs.NotFound, Message: "this address does not take this method",
			Remedy: "use " + list,
		},
	}
}

func errNotAcceptable(have string) error {
	return &edgeError{status: http.StatusNotAcceptable, cause: errs.Unsupported(
		"the Accept header allows none of the types that this address answers with", "accept "+have)}
}

func errPath(what string) error {
	return &errs.Error{
		Code: codes.InvalidArgument, Reason: errs.MalformedRequest, Message: "the address " + what,
		Remedy: "ids need no escapes: write the address in plain characters",
	}
}

func errKeyInURL() error {
	return &errs.Error{
		Code: codes.InvalidArgument, Reason: errs.MalformedRequest,
		Message: "an API key is in the address of this request, where logs and histories keep it; it was not used",
		Remedy:  "revoke that key now, and send its successor as `Authorization: Bearer <key>`",
	}
}

func errQuery(name string) error {
	return errs.Invalid(errs.Violation{
		Field: name, Rule: "is not a known query parameter of this address", Remedy: "remove it or correct its name",
	})
}

func errBusy(what string, limit int) error {
	return &errs.Error{
		Code: codes.Unavailable, Reason: errs.Unavailable, RetryAfter: time.Second,
		Message: fmt.Sprintf("the gateway serves as many %s at once as it may: %d", what, limit),
		Remedy:  "try again a little later",
		Quota:   &errs.Quota{Subject: "gateway", Description: fmt.Sprintf("limit %d %s at once", limit, what)},
	}
}

func errTails(limit int) error {
	return errs.Exhausted(errs.TooManyStreams, fmt.Sprintf("the gateway serves as many tails at once as it may: %d", limit),
		"close tails that nobody reads, or try again later", 5*time.Second,
		&errs.Quota{Subject: "gateway", Description: fmt.Sprintf("limit %d tails at once", limit)})
}

func errTooLarge(what string, limit int64) *errs.Error {
	return errs.TooLarge(fmt.Sprintf("the body is larger than the limit of %d bytes %s", limit, what),
		"split it into several requests")
}

func errRatio(limit int) *errs.Error {
	return errs.TooLarge(fmt.Sprintf("the body unpacks to more than %d times its size", limit),
		"send it with less compression or unpacked")
}

func errSlowBody() error {
	return &edgeError{
		status: http.StatusRequestTimeout, header: http.Header{"Connection": {"close"}},
		cause: &errs.Error{
			Code: codes.DeadlineExceeded, Reason: errs.DeadlineExceeded, Message: "the body did not come in time",
			Remedy: "send the body without pauses",
		},
	}
}

func errMediaType(got string, want string) error {
	what := "the request has no Content-Type"
	if got != "" {
		what = "the Content-Type of the request is not one that is read here"
	}
	return errs.Unsupported(what, "send "+want)
}

func errEmptyBody() error {
	return errs.Malformed("the body is empty")
}

// errJSON makes the error of a document that the ingest decoder refused.
func errJSON(doc string, err error) error {
	e := errs.FromError(err)
	de, ok := err.(*ingestjson.Error) //nolint:errorlint // the decoder returns this type
	if !ok {
		return e
	}
	line, column := ingestjson.Position(doc, de.Offset)
	where := fmt.Sprintf("line %d, column %d", line, column)
	if de.Kind == ingestjson.Syntax {
		out := errs.Malformed("the JSON %s (%s)", de.Rule, where)
		out.Remedy = de.Remedy
		if de.Path != "" {
			out.Violations = []errs.Violation{{Field: de.Path, Rule: de.Rule, Remedy: de.Remedy}}
		}
		return out
	}
	field := de.Path
	if field == "" {
		field = "body"
	}
	out := errs.Invalid(errs.Violation{Field: field, Rule: de.Rule, Remedy: de.Remedy})
	out.Message += " (" + where + ")"
	return out
}
