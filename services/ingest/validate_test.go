package ingest

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/types/known/timestamppb"

	ingestv1 "github.com/synapse-analytics/synapse/gen/go/synapse/ingest/v1"
	typev1 "github.com/synapse-analytics/synapse/gen/go/synapse/type/v1"
)

func pairs(n int) map[string]string {
	m := map[string]string{}
	for i := range n {
		m[fmt.Sprint("k", i)] = "v"
	}
	return m
}

func list(n int) []string {
	var out []string
	for i := range n {
		out = append(out, fmt.Sprint("t", i))
	}
	return out
}

// boundCases are events at and beyond each bound of EventInput; field is what the
// violation names, empty for a valid event.
var boundCases = map[string]struct {
	change func(*typev1.EventInput)
	field  string
}{
	"plain":                              {func(*typev1.EventInput) {}, ""},
	"text empty":                         {func(e *typev1.EventInput) { e.Text = "" }, "text"},
	"text of one byte":                   {func(e *typev1.EventInput) { e.Text = "a" }, ""},
	"text of 65,536 bytes":               {func(e *typev1.EventInput) { e.Text = strings.Repeat("a", 65_536) }, ""},
	"text of 65,537 bytes":               {func(e *typev1.EventInput) { e.Text = strings.Repeat("a", 65_537) }, "text"},
	"text of 65,536 bytes, 16,384 runes": {func(e *typev1.EventInput) { e.Text = strings.Repeat("😀", 16_384) }, ""},
	"text not UTF-8":                     {func(e *typev1.EventInput) { e.Text = "a\xffb" }, "text"},
	"text with NUL":                      {func(e *typev1.EventInput) { e.Text = "a\x00b" }, "text"},
	"id of 128":                          {func(e *typev1.EventInput) { e.Id = strings.Repeat("a", 128) }, ""},
	"id of 129":                          {func(e *typev1.EventInput) { e.Id = strings.Repeat("a", 129) }, "id"},
	"id of all characters":               {func(e *typev1.EventInput) { e.Id = "0aZ9._~-" }, ""},
	"id of one":                          {func(e *typev1.EventInput) { e.Id = "0" }, ""},
	"id begins with a dot":               {func(e *typev1.EventInput) { e.Id = ".a" }, "id"},
	"id with a slash":                    {func(e *typev1.EventInput) { e.Id = "a/b" }, "id"},
	"id with a line break":               {func(e *typev1.EventInput) { e.Id = "a\n" }, "id"},
	"id with a letter beyond ASCII":      {func(e *typev1.EventInput) { e.Id = "aé" }, "id"},
	"id not UTF-8":                       {func(e *typev1.EventInput) { e.Id = "a\xff" }, "id"},
	"source of 64":                       {func(e *typev1.EventInput) { e.Source = strings.Repeat("s", 64) }, ""},
	"source of 65":                       {func(e *typev1.EventInput) { e.Source = strings.Repeat("s", 65) }, "source"},
	"source with NUL":                    {func(e *typev1.EventInput) { e.Source = "\x00" }, "source"},
	"source not UTF-8":                   {func(e *typev1.EventInput) { e.Source = "\xc3" }, "source"},
	"user of 128":                        {func(e *typev1.EventInput) { e.UserId = strings.Repeat("s", 128) }, ""},
	"user of 129":                        {func(e *typev1.EventInput) { e.UserId = strings.Repeat("s", 129) }, "user_id"},
	"user with NUL":                      {func(e *typev1.EventInput) { e.UserId = "a\x00" }, "user_id"},
	"occurred in 2000":                   {func(e *typev1.EventInput) { e.OccurredAt = &timestamppb.Timestamp{Seconds: 946684800} }, ""},
	"occurred before 2000": {func(e *typev1.EventInput) {
		e.OccurredAt = &timestamppb.Timestamp{Seconds: 946684799, Nanos: 999999999}
	}, "occurred_at"},
	"occurred in 24 hours":          {func(e *typev1.EventInput) { e.OccurredAt = timestamppb.New(testNow.Add(24 * time.Hour)) }, ""},
	"occurred in 24 hours and 1 ns": {func(e *typev1.EventInput) { e.OccurredAt = timestamppb.New(testNow.Add(24*time.Hour + 1)) }, "occurred_at"},
	"occurred in the year 1":        {func(e *typev1.EventInput) { e.OccurredAt = &timestamppb.Timestamp{Seconds: -62135596800} }, "occurred_at"},
	"occurred at no time":           {func(e *typev1.EventInput) { e.OccurredAt = &timestamppb.Timestamp{Seconds: 1777863721, Nanos: -1} }, "occurred_at"},
	"occurred with too many nanos":  {func(e *typev1.EventInput) { e.OccurredAt = &timestamppb.Timestamp{Seconds: 1777863721, Nanos: 1e9} }, "occurred_at"},
	"occurred beyond time":          {func(e *typev1.EventInput) { e.OccurredAt = &timestamppb.Timestamp{Seconds: 1 << 62} }, "occurred_at"},
	"language en":                   {func(e *typev1.EventInput) { e.Language = "en" }, ""},
	"language pt-BR":                {func(e *typev1.EventInput) { e.Language = "pt-BR" }, ""},
	"language of three parts":       {func(e *typev1.EventInput) { e.Language = "zho-Hans-CN" }, ""},
	"language of 35":                {func(e *typev1.EventInput) { e.Language = "aa-aaaaaaaa-aaaaaaaa-aaaaaaaa-aaaaa" }, ""},
	"language of 36":                {func(e *typev1.EventInput) { e.Language = "aa-aaaaaaaa-aaaaaaaa-aaaaaaaa-aaaaaa" }, "language"},
	"language of one letter":        {func(e *typev1.EventInput) { e.Language = "e" }, "language"},
	"language of four letters":      {func(e *typev1.EventInput) { e.Language = "engl" }, "language"},
	"language with underscore":      {func(e *typev1.EventInput) { e.Language = "pt_BR" }, "language"},
	"language with empty part":      {func(e *typev1.EventInput) { e.Language = "pt-" }, "language"},
	"language with long part":       {func(e *typev1.EventInput) { e.Language = "pt-aaaaaaaaa" }, "language"},
	"language with a digit first":   {func(e *typev1.EventInput) { e.Language = "p1" }, "language"},
	"32 attributes":                 {func(e *typev1.EventInput) { e.Attributes = pairs(32) }, ""},
	"33 attributes":                 {func(e *typev1.EventInput) { e.Attributes = pairs(33) }, "attributes"},
	"attribute key empty":           {func(e *typev1.EventInput) { e.Attributes = map[string]string{"": "v"} }, `attributes[""]`},
	"attribute key of 64":           {func(e *typev1.EventInput) { e.Attributes = map[string]string{strings.Repeat("k", 64): "v"} }, ""},
	"attribute key of 65":           {func(e *typev1.EventInput) { e.Attributes = map[string]string{strings.Repeat("k", 65): "v"} }, "attributes["},
	"attribute value empty":         {func(e *typev1.EventInput) { e.Attributes = map[string]string{"k": ""} }, ""},
	"attribute value of 1,024":      {func(e *typev1.EventInput) { e.Attributes = map[string]string{"k": strings.Repeat("v", 1024)} }, ""},
	"attribute value of 1,025":      {func(e *typev1.EventInput) { e.Attributes = map[string]string{"k": strings.Repeat("v", 1025)} }, `attributes["k"]`},
	"attribute value with NUL":      {func(e *typev1.EventInput) { e.Attributes = map[string]string{"k": "\x00"} }, `attributes["k"]`},
	"attribute value not UTF-8":     {func(e *typev1.EventInput) { e.Attributes = map[string]string{"k": "\xff"} }, `attributes["k"]`},
	"attribute key not UTF-8":       {func(e *typev1.EventInput) { e.Attributes = map[string]string{"\xff": "v"} }, "attributes"},
	"16 targets":                    {func(e *typev1.EventInput) { e.Targets = list(16) }, ""},
	"17 targets":                    {func(e *typev1.EventInput) { e.Targets = list(17) }, "targets"},
	"target empty":                  {func(e *typev1.EventInput) { e.Targets = []string{"a", ""} }, "targets[1]"},
	"target of 128":                 {func(e *typev1.EventInput) { e.Targets = []string{strings.Repeat("t", 128)} }, ""},
	"target of 129":                 {func(e *typev1.EventInput) { e.Targets = []string{strings.Repeat("t", 129)} }, "targets[0]"},
	"target not UTF-8":              {func(e *typev1.EventInput) { e.Targets = []string{"\xff"} }, "targets[0]"},
}

func TestBounds(t *testing.T) {
	q := &memory{}
	s := newService(t, q, func(d *Deps) { d.Now = func() time.Time { return testNow } })
	for name, tc := range boundCases {
		t.Run(name, func(t *testing.T) {
			e := fullEvent("")
			e.Id = "id-" + strings.Map(func(r rune) rune {
				if r < 128 && isAlnum(byte(r)) {
					return r
				}
				return '-'
			}, name)
			tc.change(e)
			before := len(q.events(t))
			resp, err := s.IngestEvents(callerCtx(t.Context(), project), request(e))
			require.NoError(t, err)
			if tc.field == "" {
				require.EqualValues(t, 1, resp.Accepted, "%v", resp)
				require.Len(t, q.events(t), before+1)
				require.True(t, wellFormed(e, testNow), "the quick check must know a valid event, or it is of no use")
				return
			}
			require.EqualValues(t, 1, resp.Rejected)
			require.Len(t, q.events(t), before, "a refused event must not be stored")
			r := resp.Results[0]
			require.Equal(t, ingestv1.IngestResult_REJECTED, r.Status)
			require.Equal(t, "INVALID_FIELD", r.Reason)
			require.False(t, r.Retryable)
			require.NotEmpty(t, r.Violations)
			require.True(t, strings.HasPrefix(r.Violations[0].Field, tc.field), "%v", r.Violations)
			require.NotEmpty(t, r.Violations[0].Rule)
			require.NotEmpty(t, r.Violations[0].Remedy)
		})
	}
}

// The quick check copies the rules of the proto. When they change, so must it.
func TestQuickCheckIsOfTheseRules(t *testing.T) {
	desc := protodesc.ToDescriptorProto((&typev1.EventInput{}).ProtoReflect().Descriptor())
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(desc)
	require.NoError(t, err)
	require.Equal(t, "435f3464a8c6e746", fmt.Sprintf("%x", sha256.Sum256(b))[:16],
		"the rules of EventInput have changed: change wellFormed in validate.go, then this sum")
}

// FuzzWellFormed compares the quick check with the rules, and the stamp and
// encoding of what they pass with the generated code.
func FuzzWellFormed(f *testing.F) {
	for _, tc := range boundCases {
		e := fullEvent("seed")
		tc.change(e)
		if b, err := proto.Marshal(e); err == nil {
			f.Add(b)
		}
	}
	v, err := newValidator(func() time.Time { return testNow })
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, b []byte) {
		e := &typev1.EventInput{}
		if proto.Unmarshal(b, e) != nil {
			t.Skip()
		}
		bad := v.judge(e)
		require.Equal(t, len(bad) == 0, wellFormed(e, testNow), "rules say %v", bad)
		if len(bad) > 0 {
			return
		}
		st := &stamp{project: project, acceptedUS: testNow.UnixMicro(), span: testSpan()}
		st.encode()
		out := appendEvent(nil, st, e, "x")
		require.LessOrEqual(t, len(out), maxEventBytes)
		got := decodeOne(t, out)
		want := proto.CloneOf(e)
		want.Id = "x"
		if want.OccurredAt == nil {
			want.OccurredAt = timestamppb.New(testNow.Truncate(time.Microsecond))
		}
		want.ProtoReflect().SetUnknown(nil)
		want.OccurredAt.ProtoReflect().SetUnknown(nil)
		require.True(t, proto.Equal(want, got.Event), "%v\n%v", want, got.Event)
		require.Equal(t, testNow.UnixMicro(), got.AcceptedAtUs)
	})
}
