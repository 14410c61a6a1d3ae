package errs_test

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/synapse-analytics/synapse/internal/errs"
)

// every is one error of each reason that a constructor makes, with the code and
// whether it can succeed later.
var every = []struct {
	err       *errs.Error
	reason    errs.Reason
	code      codes.Code
	retryable bool
	fault     bool
}{
	{errs.Invalid(errs.Violation{Field: "text", Rule: "must not be empty"}), errs.InvalidField, codes.InvalidArgument, false, false},
	{errs.Malformed("line %d is no JSON", 3), errs.MalformedRequest, codes.InvalidArgument, false, false},
	{errs.Unsupported("text/xml is not read", "send JSON"), errs.UnsupportedMediaType, codes.InvalidArgument, false, false},
	{errs.TooLarge("9 MB", "send less"), errs.RequestTooLarge, codes.ResourceExhausted, false, false},
	{errs.BadPageToken("page_token"), errs.InvalidPageToken, codes.InvalidArgument, false, false},
	{errs.BadFilter("names an unknown field at column 5", "see the list"), errs.InvalidFilter, codes.InvalidArgument, false, false},
	{errs.Ambiguous("parent"), errs.AmbiguousProject, codes.InvalidArgument, false, false},
	{errs.MissingThing("no event %q", "a"), errs.NotFound, codes.NotFound, false, false},
	{errs.Taken("the project %q exists", "a"), errs.AlreadyExists, codes.AlreadyExists, false, false},
	{errs.Denied("the scope READ"), errs.PermissionDenied, codes.PermissionDenied, false, false},
	{errs.CrossSite("from elsewhere", "use the dashboard"), errs.CrossOrigin, codes.PermissionDenied, false, false},
	{errs.Unauthenticated(errs.CredentialMissing, "none", "send one"), errs.CredentialMissing, codes.Unauthenticated, false, false},
	{errs.Unauthenticated(errs.CredentialMalformed, "x", ""), errs.CredentialMalformed, codes.Unauthenticated, false, false},
	{errs.Unauthenticated(errs.CredentialUnknown, "x", ""), errs.CredentialUnknown, codes.Unauthenticated, false, false},
	{errs.Unauthenticated(errs.CredentialExpired, "x", ""), errs.CredentialExpired, codes.Unauthenticated, false, false},
	{errs.Unauthenticated(errs.CredentialRevoked, "x", ""), errs.CredentialRevoked, codes.Unauthenticated, false, false},
	{errs.Exhausted(errs.RateLimited, "too fast", "slow down", time.Second, &errs.Quota{Subject: "key:a", Description: "10/s"}), errs.RateLimited, codes.ResourceExhausted, true, false},
	{errs.Exhausted(errs.SignInThrottled, "x", "", time.Minute, nil), errs.SignInThrottled, codes.ResourceExhausted, true, false},
	{errs.Exhausted(errs.BacklogFull, "x", "", time.Second, nil), errs.BacklogFull, codes.ResourceExhausted, true, false},
	{errs.Exhausted(errs.DiskFull, "x", "", time.Second, nil), errs.DiskFull, codes.ResourceExhausted, true, false},
	{errs.Exhausted(errs.StoreBusy, "x", "", time.Second, nil), errs.StoreBusy, codes.ResourceExhausted, true, false},
	{errs.Exhausted(errs.TooManyStreams, "x", "", time.Second, nil), errs.TooManyStreams, codes.ResourceExhausted, true, false},
	{errs.Poison("it never worked", nil), errs.Unprocessable, codes.FailedPrecondition, false, false},
	{errs.Down("the store is away", time.Second, nil), errs.Unavailable, codes.Unavailable, true, true},
	{errs.Stopping(), errs.ShuttingDown, codes.Unavailable, true, false},
	{errs.Timeout(nil), errs.DeadlineExceeded, codes.DeadlineExceeded, true, false},
	{errs.GaveUp(nil), errs.Canceled, codes.Canceled, false, false},
	{errs.Fault(errors.New("x")), errs.Internal, codes.Internal, false, true},
}

func TestEveryReason(t *testing.T) {
	seen := map[errs.Reason]bool{errs.IDRepeatedInBatch: true} // of one event in a batch, never of a call
	for _, tc := range every {
		t.Run(string(tc.reason), func(t *testing.T) {
			seen[tc.reason] = true
			require.Equal(t, tc.reason, tc.err.Reason)
			require.Equal(t, tc.code, tc.err.Code)
			require.Equal(t, tc.retryable, tc.err.Retryable())
			require.Equal(t, tc.fault, tc.err.ServerFault())
			require.NotEmpty(t, tc.err.Message)

			st := errs.ToStatus(tc.err.With(errors.New("secret cause")))
			require.Equal(t, tc.code, st.Code())
			require.NotContains(t, st.String(), "secret cause")
			info := st.Details()[0].(*errdetails.ErrorInfo)
			require.Equal(t, string(tc.reason), info.GetReason())
			require.Equal(t, errs.Domain, info.GetDomain())
			require.Equal(t, tc.retryable, info.GetMetadata()["retryable"] == "true")

			// there and back
			back := errs.FromStatus(st)
			require.Empty(t, cmp.Diff(tc.err.With(nil), back.With(nil)))
			require.Empty(t, cmp.Diff(st.Proto(), back.GRPCStatus().Proto(), protocmp.Transform()))
		})
	}
	for _, r := range errs.Reasons() {
		require.True(t, seen[r], "no error with the reason %s", r)
	}
}

// Reasons must list every constant, and each once.
func TestReasonsIsComplete(t *testing.T) {
	f, err := parser.ParseFile(token.NewFileSet(), "reasons.go", nil, 0)
	require.NoError(t, err)
	var declared []errs.Reason
	ast.Inspect(f, func(n ast.Node) bool {
		if v, ok := n.(*ast.ValueSpec); ok {
			s, err := strconv.Unquote(v.Values[0].(*ast.BasicLit).Value)
			require.NoError(t, err)
			declared = append(declared, errs.Reason(s))
		}
		return true
	})
	require.Equal(t, declared, errs.Reasons())
}

func TestDetails(t *testing.T) {
	e := errs.Exhausted(errs.BacklogFull, "the queue is full", "wait", 1500*time.Millisecond,
		&errs.Quota{Subject: "project:demo", Description: "backlog: limit 1 GiB, used 1 GiB"})
	e.Violations = []errs.Violation{{Field: "events[3].text", Rule: "must not be empty", Remedy: "set it"}, {Field: "id", Rule: "is odd"}}
	want := []proto.Message{
		&errdetails.ErrorInfo{Reason: "BACKLOG_FULL", Domain: "synapse", Metadata: map[string]string{"remedy": "wait", "retryable": "true"}},
		&errdetails.BadRequest{FieldViolations: []*errdetails.BadRequest_FieldViolation{
			{Field: "events[3].text", Description: "must not be empty", LocalizedMessage: &errdetails.LocalizedMessage{Locale: "en", Message: "set it"}},
			{Field: "id", Description: "is odd"},
		}},
		&errdetails.RetryInfo{RetryDelay: durationpb.New(1500 * time.Millisecond)},
		&errdetails.QuotaFailure{Violations: []*errdetails.QuotaFailure_Violation{{Subject: "project:demo", Description: "backlog: limit 1 GiB, used 1 GiB"}}},
	}
	var got []proto.Message
	for _, d := range e.GRPCStatus().Details() {
		got = append(got, d.(proto.Message))
	}
	require.Empty(t, cmp.Diff(want, got, protocmp.Transform()))
}

func TestToStatusOfOthers(t *testing.T) {
	require.Nil(t, errs.ToStatus(nil))
	peer := errs.MissingThing("gone").GRPCStatus()
	for name, tc := range map[string]struct {
		err    error
		code   codes.Code
		reason errs.Reason
		text   string
	}{
		"plain":                 {errors.New("sql: secret"), codes.Internal, errs.Internal, "an error inside the server"},
		"cancelled":             {fmt.Errorf("secret: %w", context.Canceled), codes.Canceled, errs.Canceled, "the caller gave up"},
		"late":                  {fmt.Errorf("secret: %w", context.DeadlineExceeded), codes.DeadlineExceeded, errs.DeadlineExceeded, "the call took longer than its deadline"},
		"wrapped":               {fmt.Errorf("secret: %w", errs.Denied("x")), codes.PermissionDenied, errs.PermissionDenied, errs.Denied("x").Message},
		"joined":                {errors.Join(errors.New("secret"), errs.Denied("x")), codes.PermissionDenied, errs.PermissionDenied, errs.Denied("x").Message},
		"a peer's answer":       {fmt.Errorf("secret: %w", peer.Err()), codes.NotFound, errs.NotFound, "gone"},
		"a peer's fault":        {errs.Down("the store is away", 0, nil).GRPCStatus().Err(), codes.Unavailable, errs.Unavailable, "the store is away"},
		"a broken connection":   {status.Error(codes.Unavailable, "dial 10.0.0.1"), codes.Unavailable, errs.Unavailable, "a part of the system does not answer"},
		"a stranger's fault":    {status.Error(codes.Internal, "secret"), codes.Internal, errs.Internal, "an error inside the server"},
		"a stranger's unknown":  {status.Error(codes.Unknown, "secret"), codes.Internal, errs.Internal, "an error inside the server"},
		"a stranger's judgment": {status.Error(codes.InvalidArgument, "as it is"), codes.InvalidArgument, errs.MalformedRequest, "as it is"},
	} {
		t.Run(name, func(t *testing.T) {
			st := errs.ToStatus(tc.err)
			require.Equal(t, tc.code, st.Code())
			require.Equal(t, tc.text, st.Message())
			require.Equal(t, tc.reason, errs.ReasonOf(tc.err))
		})
	}
}

// A status without our details still has a reason.
func TestReasonOfEveryCode(t *testing.T) {
	known := map[errs.Reason]bool{}
	for _, r := range errs.Reasons() {
		known[r] = true
	}
	for c := codes.Code(1); c <= codes.Unauthenticated+1; c++ {
		require.True(t, known[errs.FromStatus(status.New(c, "x")).Reason], "%v", c)
	}
	late := errs.FromStatus(status.New(codes.DeadlineExceeded, "stream terminated by RST_STREAM with error code: CANCEL"))
	require.Equal(t, errs.Timeout(nil).Message, late.Message)
	require.NotEmpty(t, late.Remedy)
	require.Nil(t, errs.FromStatus(nil))
	require.Nil(t, errs.FromStatus(status.New(codes.OK, "")))
	require.Nil(t, errs.FromError(nil))
	require.Empty(t, errs.ReasonOf(nil))
	require.Nil(t, errs.As(errors.New("x")))
}

func TestViolationsAreBounded(t *testing.T) {
	v := make([]errs.Violation, 1000)
	for i := range v {
		v[i] = errs.Violation{Field: fmt.Sprintf("requests[%d].text", i), Rule: "must not be empty"}
	}
	e := errs.Invalid(v...)
	require.Len(t, e.Violations, errs.MaxViolations)
	require.Contains(t, e.Message, "1000")
	require.Less(t, proto.Size(e.GRPCStatus().Proto()), 4<<10, "it must fit into the trailers")
	raw := &errs.Error{Code: codes.InvalidArgument, Violations: v}
	require.Less(t, proto.Size(raw.GRPCStatus().Proto()), 4<<10)
}

func TestText(t *testing.T) {
	cause := errors.New("disk on fire")
	e := errs.Down("the store is away", time.Second, cause)
	require.Equal(t, "UNAVAILABLE: the store is away: disk on fire", e.Error())
	require.ErrorIs(t, e, cause)
	require.Equal(t, "the request is invalid", errs.Invalid().Message)
	require.Equal(t, "the request must name a project", errs.Invalid(errs.Violation{Rule: "must name a project"}).Message)
	require.Equal(t, codes.OK, errs.ToStatus(&errs.Error{Message: "a mistake"}).Code(), "an Error without a code has no details, and does not panic")
}
