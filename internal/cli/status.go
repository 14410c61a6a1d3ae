package cli

import (
	"context"
	"errors"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// describeStatus tells a person what a server's answer means.
func describeStatus(err error) failure {
	f := failure{code: exitFailed, message: err.Error()}
	st, ok := statusOf(err)
	if !ok {
		if errors.Is(err, context.Canceled) {
			f.message = "interrupted"
		}
		return f
	}
	f.message, f.try = st.Message(), "synapse doctor"
	switch st.Code() {
	case codes.InvalidArgument:
		f.code, f.try = exitUsage, "the command with --help"
	case codes.NotFound:
		f.code, f.try = exitNotFound, "check the name and --project; `synapse events list` and `synapse key list` show what is there"
	case codes.PermissionDenied, codes.Unauthenticated:
		f.code, f.try = exitDenied, "--key with a key that may do this, and --project with its project"
	case codes.ResourceExhausted:
		f.code, f.try = exitUnavailable, "again in a moment"
	case codes.Unavailable, codes.DeadlineExceeded:
		f.code, f.try = exitUnavailable, "synapse doctor"
	}
	for _, d := range st.Details() {
		switch d := d.(type) {
		case *errdetails.ErrorInfo:
			if r := d.GetMetadata()["remedy"]; r != "" {
				f.try = r
			}
		case *errdetails.BadRequest:
			for _, v := range d.GetFieldViolations() {
				line := v.GetField() + " " + v.GetDescription()
				if m := v.GetLocalizedMessage().GetMessage(); m != "" {
					line += "; " + m
				}
				f.details = append(f.details, line)
			}
		}
	}
	return f
}

func statusOf(err error) (*status.Status, bool) {
	var gs interface{ GRPCStatus() *status.Status }
	if errors.As(err, &gs) {
		return gs.GRPCStatus(), true
	}
	return nil, false
}

// retryDelay says whether a call can be tried again and after how long.
func retryDelay(err error) (time.Duration, bool) {
	st, ok := statusOf(err)
	if !ok || (st.Code() != codes.ResourceExhausted && st.Code() != codes.Unavailable) {
		return 0, false
	}
	for _, d := range st.Details() {
		if r, ok := d.(*errdetails.RetryInfo); ok {
			return r.GetRetryDelay().AsDuration(), true
		}
	}
	return time.Second, true
}
