package errs

import (
	"fmt"
	"time"

	"google.golang.org/grpc/codes"
)

// ShutdownRetryAfter is the advice that goes with ShuttingDown: time for a
// client to find another replica, or for this one to be back.
const ShutdownRetryAfter = time.Second

// Invalid says that fields of the request break rules.
func Invalid(violations ...Violation) *Error {
	msg := "the request is invalid"
	switch n := len(violations); {
	case n == 1:
		msg = violations[0].text()
	case n > 1:
		msg = fmt.Sprintf("%d rules are broken, the first: %s", n, violations[0].text())
	}
	if len(violations) > MaxViolations {
		violations = violations[:MaxViolations:MaxViolations]
	}
	return &Error{Code: codes.InvalidArgument, Reason: InvalidField, Message: msg, Violations: violations}
}

func (v Violation) text() string {
	if v.Field == "" {
		return "the request " + v.Rule
	}
	return v.Field + " " + v.Rule
}

// Malformed says that the request could not be read at all.
func Malformed(format string, args ...any) *Error {
	return &Error{Code: codes.InvalidArgument, Reason: MalformedRequest, Message: fmt.Sprintf(format, args...)}
}

// Unsupported says that the request's content type or encoding is not one that
// is read.
func Unsupported(message, remedy string) *Error {
	return &Error{Code: codes.InvalidArgument, Reason: UnsupportedMediaType, Message: message, Remedy: remedy}
}

// TooLarge says that the request is larger than the limit; the same request
// will never be taken.
func TooLarge(message, remedy string) *Error {
	return &Error{Code: codes.ResourceExhausted, Reason: RequestTooLarge, Message: message, Remedy: remedy}
}

// BadPageToken says that a page token or cursor in the field is not one that
// this server gave for this query.
func BadPageToken(field string) *Error {
	v := Violation{
		Field: field, Rule: "is not a token that was given for this query",
		Remedy: "take it unchanged from the answer before, with the same parent and filter, or leave it out to start anew",
	}
	return &Error{
		Code: codes.InvalidArgument, Reason: InvalidPageToken, Message: v.text(), Remedy: v.Remedy,
		Violations: []Violation{v},
	}
}

// BadFilter says what is wrong with a filter: rule completes the sentence
// "filter …", for example `names an unknown field at column 5`.
func BadFilter(rule, remedy string) *Error {
	v := Violation{Field: "filter", Rule: rule, Remedy: remedy}
	return &Error{
		Code: codes.InvalidArgument, Reason: InvalidFilter, Message: v.text(), Remedy: remedy,
		Violations: []Violation{v},
	}
}

// Ambiguous says that `projects/-` in the field cannot be resolved, since the
// credential has not exactly one project.
func Ambiguous(field string) *Error {
	v := Violation{
		Field: field, Rule: "is projects/-, and the credential has not exactly one project",
		Remedy: "name the project: projects/{project}",
	}
	return &Error{
		Code: codes.InvalidArgument, Reason: AmbiguousProject, Message: v.text(), Remedy: v.Remedy,
		Violations: []Violation{v},
	}
}

// MissingThing says that something in the caller's own project does not exist.
func MissingThing(format string, args ...any) *Error {
	return &Error{Code: codes.NotFound, Reason: NotFound, Message: fmt.Sprintf(format, args...)}
}

// Taken says that the id of a thing to create is in use.
func Taken(format string, args ...any) *Error {
	return &Error{
		Code: codes.AlreadyExists, Reason: AlreadyExists, Message: fmt.Sprintf(format, args...),
		Remedy: "choose another id",
	}
}

// Denied is the one answer for a foreign project, a missing project and a
// missing right (AIP-211): it does not tell them apart. need names the right,
// for example "the scope READ".
func Denied(need string) *Error {
	return &Error{
		Code: codes.PermissionDenied, Reason: PermissionDenied,
		Message: "the credential may not do this here, or the project does not exist",
		Remedy:  "use a credential of that project with " + need,
	}
}

// CrossSite refuses a browser's call that does not come from the dashboard's
// own pages.
func CrossSite(message, remedy string) *Error {
	return &Error{Code: codes.PermissionDenied, Reason: CrossOrigin, Message: message, Remedy: remedy}
}

// Unauthenticated says that the caller's credential does not hold.
func Unauthenticated(reason Reason, message, remedy string) *Error {
	return &Error{Code: codes.Unauthenticated, Reason: reason, Message: message, Remedy: remedy}
}

// Exhausted says that a limit was hit; nothing of the request was done.
func Exhausted(reason Reason, message, remedy string, retryAfter time.Duration, quota *Quota) *Error {
	return &Error{
		Code: codes.ResourceExhausted, Reason: reason, Message: message, Remedy: remedy,
		RetryAfter: retryAfter, Quota: quota,
	}
}

// Poison says that an event failed every try to process it: what its dead
// letter and its verdict carry.
func Poison(message string, cause error) *Error {
	return &Error{
		Code: codes.FailedPrecondition, Reason: Unprocessable, Message: message,
		Remedy: "see the dead letter; replay it after the cause is gone", Cause: cause,
	}
}

// Down says that a part of the system does not answer at the moment.
func Down(message string, retryAfter time.Duration, cause error) *Error {
	return &Error{Code: codes.Unavailable, Reason: Unavailable, Message: message, RetryAfter: retryAfter, Cause: cause}
}

// Stopping says that the server is being stopped; what the call did up to then
// holds.
func Stopping() *Error {
	return &Error{
		Code: codes.Unavailable, Reason: ShuttingDown, Message: "the server is being stopped",
		Remedy: "connect again", RetryAfter: ShutdownRetryAfter,
	}
}

// Timeout says that the call took longer than its deadline.
func Timeout(cause error) *Error {
	return &Error{
		Code: codes.DeadlineExceeded, Reason: DeadlineExceeded,
		Message: "the call took longer than its deadline",
		Remedy:  "try again, with a longer deadline if it lasts", Cause: cause,
	}
}

// GaveUp says that the caller ended the call before it was answered.
func GaveUp(cause error) *Error {
	return &Error{Code: codes.Canceled, Reason: Canceled, Message: "the caller gave up", Cause: cause}
}

// Fault is an error inside the server: the cause goes to the log, the caller
// learns no detail.
func Fault(cause error) *Error {
	return &Error{
		Code: codes.Internal, Reason: Internal, Message: "an error inside the server",
		Remedy: "try again; if it lasts, give the trace id to the operator", Cause: cause,
	}
}
