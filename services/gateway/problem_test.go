package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/synapse-analytics/synapse/internal/errs"
)

// usual is the error that the product makes for each reason.
var usual = map[errs.Reason]error{
	errs.InvalidField:         errs.Invalid(errs.Violation{Field: "text", Rule: "must not be empty", Remedy: "send a text"}),
	errs.MalformedRequest:     errs.Malformed("the JSON ends too early"),
	errs.UnsupportedMediaType: errs.Unsupported("no", "send JSON"),
	errs.RequestTooLarge:      errs.TooLarge("too large", "split it"),
	errs.IDRepeatedInBatch:    &errs.Error{Code: codes.InvalidArgument, Reason: errs.IDRepeatedInBatch, Message: "twice"},
	errs.InvalidPageToken:     errs.BadPageToken("page_token"),
	errs.InvalidFilter:        errs.BadFilter("is wrong", "correct it"),
	errs.AmbiguousProject:     errs.Ambiguous("parent"),
	errs.NotFound:             errs.MissingThing("no event %s", "e"),
	errs.AlreadyExists:        errs.Taken("the project is there"),
	errs.CredentialMissing:    errs.Unauthenticated(errs.CredentialMissing, "none", "send one"),
	errs.CredentialMalformed:  errs.Unauthenticated(errs.CredentialMalformed, "odd", "copy it"),
	errs.CredentialUnknown:    errs.Unauthenticated(errs.CredentialUnknown, "unknown", "use another"),
	errs.CredentialExpired:    errs.Unauthenticated(errs.CredentialExpired, "old", "refresh"),
	errs.CredentialRevoked:    errs.Unauthenticated(errs.CredentialRevoked, "revoked", "use another"),
	errs.PermissionDenied:     errs.Denied("the scope READ"),
	errs.CrossOrigin:          errs.CrossSite("no", "use the dashboard"),
	errs.RateLimited:          errs.Exhausted(errs.RateLimited, "too fast", "slow down", 1500*time.Millisecond, &errs.Quota{Subject: "key:k", Description: "limit 10"}),
	errs.SignInThrottled:      errs.Exhausted(errs.SignInThrottled, "too often", "wait", time.Minute, nil),
	errs.BacklogFull:          errs.Exhausted(errs.BacklogFull, "full", "wait", time.Second, nil),
	errs.DiskFull:             errs.Exhausted(errs.DiskFull, "full", "wait", time.Second, nil),
	errs.StoreBusy:            errs.Exhausted(errs.StoreBusy, "busy", "wait", time.Second, nil),
	errs.TooManyStreams:       errs.Exhausted(errs.TooManyStreams, "many", "close some", 0, nil),
	errs.Unprocessable:        errs.Poison("failed", nil),
	errs.Unavailable:          errs.Down("away", time.Second, nil),
	errs.ShuttingDown:         errs.Stopping(),
	errs.DeadlineExceeded:     errs.Timeout(nil),
	errs.Canceled:             errs.GaveUp(nil),
	errs.Internal:             errs.Fault(errors.New("secret")),
}

func TestEachReasonHasItsProblem(t *testing.T) {
	require.Len(t, explanations, len(errs.Reasons()))
	for _, r := range errs.Reasons() {
		t.Run(string(r), func(t *testing.T) {
			err, ok := usual[r]
			require.True(t, ok, "the test lacks it")
			want, ok := explanations[r]
			require.True(t, ok)
			require.NotEmpty(t, want.title)
			require.NotEmpty(t, want.meaning)
			require.NotEmpty(t, want.remedy)
			// The same problem is made of the error and of the status that it
			// becomes on the wire.
			p, h := problemOf(err, "t")
			onWire, _ := problemOf(status.ErrorProto(errs.ToStatus(err).Proto()), "t")
			require.Equal(t, p, onWire)
			require.Equal(t, want.status, p.Status)
			require.Equal(t, want.title, p.Title)
			require.Equal(t, r, p.Reason)
			require.Equal(t, "/docs/problems#"+string(r), p.Type)
			require.Equal(t, p.Status == 401, h.Get("Www-Authenticate") != "")
			require.Equal(t, p.Status == 429 || p.Status == 503 || h.Get("Retry-After") != "", h.Get("Retry-After") != "")
			require.NotContains(t, string(p.json()), "secret")
		})
	}
}

func TestProblemDetails(t *testing.T) {
	p, h := problemOf(usual[errs.RateLimited], "0af7651916cd43dd8448eb211c80319c")
	require.Equal(t, "2", h.Get("Retry-After"), "rounded up")
	require.JSONEq(t, `{"type":"/docs/problems#RATE_LIMITED","title":"Rate limited","status":429,"detail":"too fast","code":"RESOURCE_EXHAUSTED",
		"reason":"RATE_LIMITED","remedy":"slow down","violations":[],"retryable":true,"quota":{"subject":"key:k","description":"limit 10"},
		"traceId":"0af7651916cd43dd8448eb211c80319c"}`, string(p.json()))
	p, _ = problemOf(fmt.Errorf("wrapped: %w", usual[errs.InvalidField]), "")
	require.JSONEq(t, `{"type":"/docs/problems#INVALID_FIELD","title":"Invalid field","status":400,"detail":"text must not be empty","code":"INVALID_ARGUMENT",
		"reason":"INVALID_FIELD","violations":[{"field":"text","rule":"must not be empty","remedy":"send a text"}],"retryable":false}`, string(p.json()))
	require.True(t, json.Valid(p.json()))
	_, h = problemOf(usual[errs.CredentialMissing], "")
	require.Equal(t, `Bearer realm="synapse"`, h.Get("Www-Authenticate"))
	_, h = problemOf(usual[errs.CredentialExpired], "")
	require.Contains(t, h.Get("Www-Authenticate"), "invalid_token")
}

func TestProblemsOfOthers(t *testing.T) {
	for _, tt := range []struct {
		err    error
		status int
	}{
		{status.Error(codes.Unavailable, "connection to 10.0.0.1 refused"), 503},
		{status.Error(codes.ResourceExhausted, "received message larger than max"), 413},
		{status.Error(codes.Unimplemented, "unknown method"), 501},
		{status.Error(codes.Aborted, "again"), 409},
		{status.Error(codes.DataLoss, "lost"), 500},
		{status.Error(codes.OutOfRange, "far"), 400},
		{context.Canceled, statusClientClosed},
		{context.DeadlineExceeded, 504},
		{errors.New("anything"), 500},
		{&edgeError{status: http.StatusTeapot, cause: errs.Malformed("tea")}, http.StatusTeapot},
		{&errs.Error{Code: codes.ResourceExhausted, Reason: "NEW_REASON", Message: "m"}, 429},
	} {
		p, _ := problemOf(tt.err, "")
		require.Equal(t, tt.status, p.Status, tt.err)
		require.NotContains(t, p.Detail, "10.0.0.1")
		require.NotEmpty(t, p.Title)
	}
	require.Equal(t, "New reason", titleOf("NEW_REASON"))
}
