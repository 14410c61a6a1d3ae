// Package errs holds the one error type that crosses a service's edge and the
// one place where an error becomes a gRPC status with google.rpc details
// (AIP-193). Domain code returns an *Error, wrapped or not; everything else
// becomes INTERNAL, is logged in full and told to the caller without detail.
package errs

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"
)

// Domain is the ErrorInfo domain of every error of this product.
const Domain = "synapse"

// Error is an error with all that a caller needs to act on it.
type Error struct {
	// Code is the gRPC code.
	Code codes.Code
	// Reason is one of the Reason constants.
	Reason Reason
	// Message says what happened and why, in one sentence, without secrets or
	// the text of an event.
	Message string
	// Remedy says what the caller can do, as an imperative; may be empty.
	Remedy string
	// Violations are the rules that the request breaks.
	Violations []Violation
	// RetryAfter tells when to try again; 0 is no advice.
	RetryAfter time.Duration
	// Quota names the limit that was hit; nil if none.
	Quota *Quota
	// Cause is the error behind it, for the log only.
	Cause error
}

// Violation is a rule that a field of the request breaks.
type Violation struct {
	// Field is the path of the field, for example "events[3].text".
	Field string
	// Rule says the rule in words.
	Rule string
	// Remedy says what to do.
	Remedy string
}

// Quota is a limit that was hit.
type Quota struct {
	// Subject is whose limit it is, for example "project:default".
	Subject string
	// Description names limit, unit and what was used.
	Description string
}

// Error implements error.
func (e *Error) Error() string {
	s := fmt.Sprintf("%s: %s", e.Reason, e.Message)
	if e.Cause != nil {
		s += ": " + e.Cause.Error()
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

// Retryable says whether the same call can succeed later without a change.
func (e *Error) Retryable() bool {
	switch e.Code {
	case codes.Unavailable, codes.ResourceExhausted, codes.Aborted, codes.DeadlineExceeded:
		return true
	default:
		return e.RetryAfter > 0
	}
}

// With returns a copy with a cause.
func (e *Error) With(cause error) *Error {
	c := *e
	c.Cause = cause
	return &c
}

// Invalid says that fields of the request break rules.
func Invalid(violations ...Violation) *Error {
	msg := "the request is invalid"
	if len(violations) == 1 {
		msg = fmt.Sprintf("%s %s", violations[0].Field, violations[0].Rule)
	} else if len(violations) > 1 {
		msg = fmt.Sprintf("%d fields are invalid, the first: %s %s", len(violations), violations[0].Field, violations[0].Rule)
	}
	return &Error{Code: codes.InvalidArgument, Reason: InvalidField, Message: msg, Violations: violations}
}

// Malformed says that the request could not be read at all.
func Malformed(format string, args ...any) *Error {
	return &Error{Code: codes.InvalidArgument, Reason: MalformedRequest, Message: fmt.Sprintf(format, args...)}
}

// MissingThing says that something in the caller's own project does not exist.
func MissingThing(format string, args ...any) *Error {
	return &Error{Code: codes.NotFound, Reason: NotFound, Message: fmt.Sprintf(format, args...)}
}

// Denied is the one answer for a foreign project, a missing project and a
// missing right (AIP-211): it does not tell them apart.
func Denied(need string) *Error {
	return &Error{
		Code: codes.PermissionDenied, Reason: PermissionDenied,
		Message: "the credential may not do this here, or the project does not exist",
		Remedy:  "use a credential of that project with " + need,
	}
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

// Down says that a part of the system does not answer at the moment.
func Down(message string, retryAfter time.Duration, cause error) *Error {
	return &Error{Code: codes.Unavailable, Reason: Unavailable, Message: message, RetryAfter: retryAfter, Cause: cause}
}

// ToStatus makes the gRPC status of any error: of an *Error with its details, of
// a status as it is, of an ended context as CANCELLED or DEADLINE_EXCEEDED, of
// everything else INTERNAL without its text.
func ToStatus(err error) *status.Status {
	if err == nil {
		return nil
	}
	var e *Error
	if errors.As(err, &e) {
		return e.GRPCStatus()
	}
	switch {
	case errors.Is(err, context.Canceled):
		return (&Error{Code: codes.Canceled, Reason: Canceled, Message: "the caller gave up"}).GRPCStatus()
	case errors.Is(err, context.DeadlineExceeded):
		return (&Error{
			Code: codes.DeadlineExceeded, Reason: DeadlineExceeded,
			Message: "the call took longer than its deadline",
			Remedy:  "try again, with a longer deadline if it lasts",
		}).GRPCStatus()
	}
	if st, ok := status.FromError(err); ok {
		return st
	}
	return (&Error{
		Code: codes.Internal, Reason: Internal, Message: "an error inside the server",
		Remedy: "try again; if it lasts, give the trace id to the operator",
	}).GRPCStatus()
}

// GRPCStatus implements the interface that status.FromError looks for.
func (e *Error) GRPCStatus() *status.Status {
	st := status.New(e.Code, e.Message)
	info := &errdetails.ErrorInfo{Reason: string(e.Reason), Domain: Domain, Metadata: map[string]string{}}
	if e.Remedy != "" {
		info.Metadata["remedy"] = e.Remedy
	}
	if e.Retryable() {
		info.Metadata["retryable"] = "true"
	}
	details := []protoadapt.MessageV1{info}
	if len(e.Violations) > 0 {
		br := &errdetails.BadRequest{}
		for _, v := range e.Violations {
			fv := &errdetails.BadRequest_FieldViolation{Field: v.Field, Description: v.Rule}
			if v.Remedy != "" {
				fv.LocalizedMessage = &errdetails.LocalizedMessage{Locale: "en", Message: v.Remedy}
			}
			br.FieldViolations = append(br.FieldViolations, fv)
		}
		details = append(details, br)
	}
	if e.RetryAfter > 0 {
		details = append(details, &errdetails.RetryInfo{RetryDelay: durationpb.New(e.RetryAfter)})
	}
	if e.Quota != nil {
		details = append(details, &errdetails.QuotaFailure{Violations: []*errdetails.QuotaFailure_Violation{{
			Subject: e.Quota.Subject, Description: e.Quota.Description,
		}}})
	}
	full, err := st.WithDetails(details...)
	if err != nil { // only for a code OK, which no Error has
		return st
	}
	return full
}
