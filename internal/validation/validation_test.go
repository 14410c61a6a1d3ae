package validation_test

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"buf.build/go/protovalidate"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	authv1 "github.com/synapse-analytics/synapse/gen/go/synapse/auth/v1"
	ingestv1 "github.com/synapse-analytics/synapse/gen/go/synapse/ingest/v1"
	queryv1 "github.com/synapse-analytics/synapse/gen/go/synapse/query/v1"
	scoringv1 "github.com/synapse-analytics/synapse/gen/go/synapse/scoring/v1"
	typev1 "github.com/synapse-analytics/synapse/gen/go/synapse/type/v1"
	"github.com/synapse-analytics/synapse/internal/errs"
	"github.com/synapse-analytics/synapse/internal/validation"
)

var validator = sync.OnceValue(func() protovalidate.Validator {
	v, err := validation.New()
	if err != nil {
		panic(err)
	}
	return v
})

const projectRule = "must be projects/{project}, where {project} has 1 to 63 of a-z, 0-9 and -, begins with a letter and does not end with -"

func TestWords(t *testing.T) {
	attributes := map[string]string{}
	for i := range 33 {
		attributes[strings.Repeat("k", i+1)] = ""
	}
	for _, tc := range []struct {
		name         string
		msg          proto.Message
		field, rule  string
		remedyNeeded bool
	}{
		{"empty text", &typev1.EventInput{}, "text", "must not be empty", true},
		{"long text", &typev1.EventInput{Text: strings.Repeat("secret", 20_000)}, "text", "must have at most 65,536 bytes, has 120,000", true},
		{"nul", &typev1.EventInput{Text: "secret\x00"}, "text", "must not contain the character NUL (U+0000)", true},
		{"id", &typev1.EventInput{Text: "x", Id: "se cret"}, "id", "must consist of letters, digits and . _ ~ - and begin with a letter or a digit", true},
		{"language", &typev1.EventInput{Text: "x", Language: "secret_language"}, "language", `must be a BCP 47 tag such as "en" or "pt-BR"`, true},
		{"future", &typev1.EventInput{Text: "x", OccurredAt: timestamppb.New(time.Now().Add(48 * time.Hour))}, "occurred_at", "must not be more than 24 hours in the future", true},
		{"past", &typev1.EventInput{Text: "x", OccurredAt: &timestamppb.Timestamp{Seconds: 1}}, "occurred_at", "must be at or after 2000-01-01T00:00:00Z", true},
		{"many attributes", &typev1.EventInput{Text: "x", Attributes: attributes}, "attributes", "must have at most 32 pairs, has 33", true},
		{"attribute key", &typev1.EventInput{Text: "x", Attributes: map[string]string{"": "v"}}, `attributes[""]`, "its key must not be empty", true},
		{"attribute value", &typev1.EventInput{Text: "x", Attributes: map[string]string{"plan": "secret\x00"}}, `attributes["plan"]`, "must not contain the character NUL (U+0000)", true},
		{"targets", &typev1.EventInput{Text: "x", Targets: make([]string, 1)}, "targets[0]", "must not be empty", true},
		{"many targets", &typev1.EventInput{Text: "x", Targets: strings.Split(strings.Repeat("a,", 16)+"a", ",")}, "targets", "must have at most 16 items, has 17", true},
		{"nested", &scoringv1.BatchScoreTextsRequest{Requests: []*scoringv1.ScoreTextRequest{{Text: "x"}, {}}}, "requests[1].text", "must not be empty", true},
		{"no items", &ingestv1.IngestEventsRequest{Parent: "projects/a"}, "events", "must not be empty", true},
		{"parent", &ingestv1.IngestEventsRequest{Parent: "projects/Secret", Events: []*typev1.EventInput{{}}}, "parent", projectRule, true},
		{"sequence", &ingestv1.StreamEventsRequest{Events: []*typev1.EventInput{{}}}, "sequence", "must be at least 1", true},
		{"page size", &queryv1.ListEventsRequest{Parent: "projects/a", PageSize: 4321}, "page_size", "must be at least 0 and at most 1,000", true},
		{"in", &queryv1.QueryTimeSeriesRequest{Parent: "projects/a", GroupBy: []string{"secret"}}, "group_by[0]", `must be one of "source", "label", "language" or "model_version"`, true},
		{"unique", &queryv1.QueryTimeSeriesRequest{Parent: "projects/a", GroupBy: []string{"source", "source"}}, "group_by", "must not hold the same item twice", true},
		{"required", &authv1.UpdateProjectRequest{}, "project", "must be set", true},
		{"enum", &authv1.ApiKey{Scopes: []typev1.Access_Scope{7777}}, "scopes[0]", "must be one of INGEST, READ, SCORE or MANAGE", true},
		{"enum zero", &authv1.ApiKey{Scopes: []typev1.Access_Scope{0}}, "scopes[0]", "must be one of INGEST, READ, SCORE or MANAGE", true},
		{"duration", &authv1.RotateApiKeyRequest{Name: "projects/a/apiKeys/b", Overlap: durationpb.New(800 * time.Hour)}, "overlap", "must be at least 0 s and at most 7 days", true},
		{"short e-mail", &authv1.SignInRequest{Email: "x", Password: "x"}, "email", "must have at least 3 bytes, has 1", true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := validator().Validate(tc.msg)
			v := validation.FromProtovalidate(err)
			require.Len(t, v, 1, "%v", err)
			require.Equal(t, tc.field, v[0].Field)
			require.Equal(t, tc.rule, v[0].Rule)
			require.Equal(t, tc.remedyNeeded, v[0].Remedy != "", "remedy")
			e := errs.As(validation.ToError(err))
			require.Equal(t, errs.InvalidField, e.Reason)
			require.NotContains(t, strings.ToLower(e.Error()), "secret", "the value must not be told")
		})
	}
}

// A map's key comes from the caller, and a path tells it: bounded and quoted.
func TestPathOfLongKey(t *testing.T) {
	key := strings.Repeat("ü", 40)
	v := validation.FromProtovalidate(validator().Validate(&typev1.EventInput{Text: "x", Attributes: map[string]string{key: ""}}))
	require.Equal(t, `attributes["`+strings.Repeat("ü", 32)+`…"]`, v[0].Field)
	require.Equal(t, "its key must have at most 64 bytes, has 80", v[0].Rule)
	v = validation.FromProtovalidate(validator().Validate(&typev1.EventInput{Text: "x", Attributes: map[string]string{"\x00\n": ""}}))
	require.Equal(t, `attributes["\x00\n"]`, v[0].Field)
}

func TestSeveral(t *testing.T) {
	err := validator().Validate(&scoringv1.ScoreTextRequest{Source: strings.Repeat("x", 65), Language: "??"})
	var fields []string
	for _, v := range validation.FromProtovalidate(err) {
		fields = append(fields, v.Field)
	}
	require.Equal(t, []string{"text", "source", "language"}, fields)
}

func TestOtherErrors(t *testing.T) {
	require.NoError(t, validation.ToError(nil))
	require.Nil(t, validation.FromProtovalidate(nil))
	require.Nil(t, validation.FromProtovalidate(errors.New("x")))
	require.Equal(t, errs.Internal, errs.ReasonOf(validation.ToError(&protovalidate.RuntimeError{})))
}

func event() *typev1.EventInput {
	return &typev1.EventInput{
		Id: "0198f2d4-2b6e-7c11-9d8e-1234567890ab", Text: strings.Repeat("The new checkout is great! ", 5),
		Source: "app-store", UserId: "user-12345", Language: "en", OccurredAt: timestamppb.Now(),
		Attributes: map[string]string{"plan": "pro", "version": "3.2.1", "country": "de"},
	}
}

func BenchmarkEventInput(b *testing.B) {
	v, e := validator(), event()
	require.NoError(b, v.Validate(e))
	b.ReportAllocs()
	for b.Loop() {
		if err := v.Validate(e); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEventInputWithoutTime(b *testing.B) {
	v, e := validator(), event()
	e.OccurredAt = nil
	b.ReportAllocs()
	for b.Loop() {
		if err := v.Validate(e); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEventInputTextOnly(b *testing.B) {
	v, e := validator(), &typev1.EventInput{Text: "Love it"}
	b.ReportAllocs()
	for b.Loop() {
		if err := v.Validate(e); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkNew(b *testing.B) {
	for b.Loop() {
		if _, err := validation.New(); err != nil {
			b.Fatal(err)
		}
	}
}
