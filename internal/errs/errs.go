// Package errs holds the one error type that crosses a service's edge and the
// one place where an error becomes a gRPC status with google.rpc details
// (AIP-193). Domain code returns an *Error, wrapped or not; everything else
// becomes INTERNAL, is logged in full and told to the caller without detail.
//
// Services make their errors by the constructors of this package and do not
// import grpc's codes and status. FromError is the way back: it makes an *Error
// of what a call to another service returned.
package errs

import (
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc/codes"
)

// Domain is the ErrorInfo domain of every error of this product.
const Domain = "synapse"

// MaxViolations bounds the field violations that one answer lists: details
// travel in the trailers, whose size peers limit. The message still tells how
// many there are.
const MaxViolations = 20

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
	// Violations are the rules that the request breaks, at most MaxViolations.
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

// Error implements error. The text holds the cause, so it is for logs only.
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
	switch e.Reason {
	case RequestTooLarge: // RESOURCE_EXHAUSTED, yet the same request never fits
		return false
	case ShuttingDown: // another replica or the next process takes it
		return true
	}
	switch e.Code {
	case codes.Unavailable, codes.ResourceExhausted, codes.Aborted, codes.DeadlineExceeded:
		return true
	default:
		return e.RetryAfter > 0
	}
}

// ServerFault says whether the error is the server's fault rather than the
// caller's: these are the ones that an operator wants to see.
func (e *Error) ServerFault() bool {
	switch e.Code {
	case codes.Internal, codes.Unknown, codes.DataLoss, codes.Unavailable:
		return e.Reason != ShuttingDown
	default:
		return false
	}
}

// With returns a copy with a cause.
func (e *Error) With(cause error) *Error {
	c := *e
	c.Cause = cause
	return &c
}

// As returns the *Error in err's chain, or nil.
func As(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return nil
}

// ReasonOf returns the reason of the *Error that FromError makes of err; empty
// for nil.
func ReasonOf(err error) Reason {
	if err == nil {
		return ""
	}
	return FromError(err).Reason
}
