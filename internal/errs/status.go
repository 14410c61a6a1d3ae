package errs

import (
	"context"
	"errors"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"
)

// Keys of the ErrorInfo metadata.
const (
	metaRemedy    = "remedy"
	metaRetryable = "retryable"
)

// ToStatus makes the gRPC status of any error: of an *Error with its details, of
// an ended context as CANCELLED or DEADLINE_EXCEEDED, of everything else INTERNAL
// without its text. A status that a call to another service returned is passed
// on as it is, without the text wrapped around it, which is for the log; but a
// fault without our ErrorInfo, such as grpc's own about a broken connection,
// loses its text, which may name addresses. nil gives nil.
func ToStatus(err error) *status.Status {
	if err == nil {
		return nil
	}
	if e := As(err); e != nil {
		return e.GRPCStatus()
	}
	// Before the context errors: a status of a peer may wrap one of them.
	var s interface{ GRPCStatus() *status.Status }
	if errors.As(err, &s) {
		if st := s.GRPCStatus(); st != nil {
			return sanitized(st, err)
		}
	}
	switch {
	case errors.Is(err, context.Canceled):
		return GaveUp(err).GRPCStatus()
	case errors.Is(err, context.DeadlineExceeded):
		return Timeout(err).GRPCStatus()
	default:
		return Fault(err).GRPCStatus()
	}
}

// sanitized hides the text of a fault that no *Error of ours described.
func sanitized(st *status.Status, cause error) *status.Status {
	switch st.Code() {
	case codes.Unavailable, codes.Internal, codes.Unknown, codes.DataLoss:
	default:
		return st
	}
	for _, d := range st.Details() {
		if info, ok := d.(*errdetails.ErrorInfo); ok && info.GetDomain() == Domain {
			return st
		}
	}
	if st.Code() == codes.Unavailable {
		return Down("a part of the system does not answer", ShutdownRetryAfter, cause).GRPCStatus()
	}
	return Fault(cause).GRPCStatus()
}

// GRPCStatus implements the interface that status.FromError looks for. The
// cause is not part of it.
func (e *Error) GRPCStatus() *status.Status {
	st := status.New(e.Code, e.Message)
	info := &errdetails.ErrorInfo{Reason: string(e.Reason), Domain: Domain, Metadata: map[string]string{}}
	if e.Remedy != "" {
		info.Metadata[metaRemedy] = e.Remedy
	}
	if e.Retryable() {
		info.Metadata[metaRetryable] = "true"
	}
	details := []protoadapt.MessageV1{info}
	if len(e.Violations) > 0 {
		details = append(details, badRequest(e.Violations))
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

func badRequest(violations []Violation) *errdetails.BadRequest {
	br := &errdetails.BadRequest{}
	for _, v := range violations[:min(len(violations), MaxViolations)] {
		fv := &errdetails.BadRequest_FieldViolation{Field: v.Field, Description: v.Rule}
		if v.Remedy != "" {
			fv.LocalizedMessage = &errdetails.LocalizedMessage{Locale: "en", Message: v.Remedy}
		}
		br.FieldViolations = append(br.FieldViolations, fv)
	}
	return br
}

// FromError makes an *Error of any error: it returns the *Error in its chain, or
// reads the status that a call to another service returned, details included.
// nil gives nil.
func FromError(err error) *Error {
	if err == nil {
		return nil
	}
	if e := As(err); e != nil {
		return e
	}
	e := FromStatus(ToStatus(err))
	e.Cause = err
	return e
}

// FromStatus reads a status back. One without our ErrorInfo, such as one that
// grpc itself makes, gets the reason that fits its code. nil and OK give nil.
func FromStatus(st *status.Status) *Error {
	if st == nil || st.Code() == codes.OK {
		return nil
	}
	e := &Error{Code: st.Code(), Message: st.Message()}
	for _, d := range st.Details() {
		switch d := d.(type) {
		case *errdetails.ErrorInfo:
			if d.GetDomain() == Domain {
				e.Reason = Reason(d.GetReason())
				e.Remedy = d.GetMetadata()[metaRemedy]
			}
		case *errdetails.BadRequest:
			for _, v := range d.GetFieldViolations() {
				e.Violations = append(e.Violations, Violation{
					Field: v.GetField(), Rule: v.GetDescription(), Remedy: v.GetLocalizedMessage().GetMessage(),
				})
			}
		case *errdetails.RetryInfo:
			e.RetryAfter = d.GetRetryDelay().AsDuration()
		case *errdetails.QuotaFailure:
			for _, v := range d.GetViolations() {
				e.Quota = &Quota{Subject: v.GetSubject(), Description: v.GetDescription()}
			}
		}
	}
	switch {
	case e.Reason != "":
	case e.Code == codes.DeadlineExceeded: // grpc's own words are of its streams
		return Timeout(st.Err())
	default:
		e.Reason = reasonOfCode(e.Code)
	}
	return e
}

// reasonOfCode is the reason for a status that carries none.
func reasonOfCode(c codes.Code) Reason {
	switch c {
	case codes.InvalidArgument, codes.OutOfRange:
		return MalformedRequest
	case codes.NotFound, codes.Unimplemented:
		return NotFound
	case codes.AlreadyExists:
		return AlreadyExists
	case codes.Unauthenticated:
		return CredentialUnknown
	case codes.PermissionDenied:
		return PermissionDenied
	case codes.ResourceExhausted:
		// grpc's own are about the size of a message
		return RequestTooLarge
	case codes.FailedPrecondition:
		return Unprocessable
	case codes.Unavailable, codes.Aborted:
		return Unavailable
	case codes.DeadlineExceeded:
		return DeadlineExceeded
	case codes.Canceled:
		return Canceled
	default:
		return Internal
	}
}
