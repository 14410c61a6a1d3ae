package ingestjson

import (
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	ingestv1 "github.com/synapse-analytics/synapse/gen/go/synapse/ingest/v1"
	typev1 "github.com/synapse-analytics/synapse/gen/go/synapse/type/v1"
)

// seeds are documents at the borders of the grammar; the fuzz targets start
// from them and the differential test runs them all.
var seeds = []string{
	`{"events":[{"text":"Love it"}]}`,
	`{"parent":"projects/-","events":[{"id":"a","text":"x","source":"s","userId":"u","occurredAt":"2026-01-31T12:00:00.123456789Z","language":"en","attributes":{"k":"v","k2":""},"targets":["a","b"]}],"fullResults":true}`,
	`{"events":[{"user_id":"u","occurred_at":"2026-01-31T12:00:00+05:30"}],"full_results":false}`,
	`{}`, `{ }`, ` {} `, `null`, `[]`, `""`, `1`, ``, ` `, `{`, `}`, `{"`, `{"events"`, `{"events":`, `{"events":[`, `{"events":[{`, `{"events":[]`, `{"events":[]}x`, `{}{}`, `{},`,
	`{"events":null,"parent":null,"fullResults":null}`, `{"events":[null]}`, `{"events":[{}]}`, `{"events":[{},]}`, `{"events":[,{}]}`, `{"events":[{}{}]}`, `{"events":{}}`, `{"events":"x"}`,
	`{"parent":"a","parent":"b"}`, `{"fullResults":true,"full_results":true}`, `{"parent":null,"parent":null}`, `{"events":[{"userId":"a","user_id":"b"}]}`,
	`{"parent":1}`, `{"parent":true}`, `{"parent":{}}`, `{"parent":["a"]}`, `{"fullResults":"true"}`, `{"fullResults":1}`, `{"fullResults":truex}`, `{"fullResults":nullx}`, `{"fullResults":tru}`,
	`{"nope":1}`, `{"events":[{"nope":1}]}`, `{"events":[{"text":"x","nope":{"a":[1,2,{"b":null}]}}]}`, `{"@type":"x"}`, `{"[a.b]":1}`, `{"Text":"x"}`,
	`{"p\u0061rent":"x"}`, `{"parent":"\ud83d\ude00 \u0000 \n\t\"\\\/\b\f\r"}`, `{"parent":"\ud83d"}`, `{"parent":"\ude00"}`, `{"parent":"\ud83dxxxxxx"}`, `{"parent":"\ud83d\u0041"}`, `{"parent":"\uZZZZ"}`, `{"parent":"\u12"}`, `{"parent":"\x"}`, `{"parent":"\"}`,
	"{\"parent\":\"\xff\"}", "{\"parent\":\"abc\xc3\"}", "{\"\xff\":1}", "{\"parent\":\"\xed\xa0\x80\"}", "{\"parent\":\"\u2028\ufffd\U0001F600\"}", "{\"parent\":\"a\x00b\"}", "{\"parent\":\"a\nb\"}", "{\"parent\":\"\x7f\"}", "\ufeff{}", "{\x00}", "{}\x00",
	`{"events":[{"occurredAt":""}]}`, `{"events":[{"occurredAt":null}]}`, `{"events":[{"occurredAt":1}]}`, `{"events":[{"occurredAt":{"seconds":1}}]}`, `{"events":[{"occurredAt":"2026-01-31"}]}`, `{"events":[{"occurredAt":"2026-01-31T12:00:00"}]}`, `{"events":[{"occurredAt":"2026-01-31t12:00:00z"}]}`,
	`{"events":[{"occurredAt":"2026-01-31T12:00:00.1234567891Z"}]}`, `{"events":[{"occurredAt":"2026-01-31T12:00:00,5Z"}]}`, `{"events":[{"occurredAt":"0000-01-01T00:00:00Z"}]}`, `{"events":[{"occurredAt":"9999-12-31T23:59:59.999999999Z"}]}`, `{"events":[{"occurredAt":"9999-12-31T23:59:59-01:00"}]}`, `{"events":[{"occurredAt":"2026-02-30T12:00:00Z"}]}`, `{"events":[{"occurredAt":"2026-01-31T12:00:60Z"}]}`, `{"events":[{"occurredAt":"2026-01-31T12:00:00.Z"}]}`,
	`{"events":[{"attributes":{}}]}`, `{"events":[{"attributes":{"a":"1","a":"2"}}]}`, `{"events":[{"attributes":{"a":null}}]}`, `{"events":[{"attributes":{"a":1}}]}`, `{"events":[{"attributes":[]}]}`, `{"events":[{"attributes":{"":"x"}}]}`, `{"events":[{"attributes":{"a":"\u00e9"},"targets":[]}]}`,
	`{"events":[{"targets":["a",null]}]}`, `{"events":[{"targets":[1]}]}`, `{"events":[{"targets":"a"}]}`, `{"events":[{"targets":["a",]}]}`,
	"\t\r\n{\n\"events\" :\t[ { \"text\" : \"x\" } , { } ] }\n", `{"parent" "x"}`, `{"parent":"x",}`, `{,"parent":"x"}`, `{parent:"x"}`, `{'parent':'x'}`, `{"parent":"x"/**/}`, `{"parent":-}`, `{"parent":01}`,
	`{"events":[{"text":"` + strings.Repeat("a", 70000) + `"}]}`, strings.Repeat("[", 100000), strings.Repeat(`{"events":`, 1000),
}

// agree checks that the decoder and protojson say the same of a document.
func agree[M proto.Message](t *testing.T, doc string, got M, err error, want M) {
	t.Helper()
	var e *Error
	if errors.As(err, &e) && e.Kind == Limit {
		return
	}
	werr := protojson.UnmarshalOptions{}.Unmarshal([]byte(doc), want)
	if (err == nil) != (werr == nil) {
		t.Fatalf("%.300q: decoder says %v, protojson says %v", doc, err, werr)
	}
	if err == nil && !proto.Equal(got, want) {
		t.Fatalf("%.300q: %s", doc, cmp.Diff(want, got, protocmp.Transform()))
	}
	if err != nil && (e.Rule == "" || e.Remedy == "" || e.Offset < 0 || e.Offset > len(doc)) {
		t.Fatalf("%.300q: incomplete error %+v", doc, e)
	}
}

func checkRequest(t *testing.T, doc string) {
	t.Helper()
	got, err := DecodeRequest(doc)
	agree(t, doc, got, err, &ingestv1.IngestEventsRequest{})
}

func checkEvent(t *testing.T, doc string) {
	t.Helper()
	got := &typev1.EventInput{}
	err := DecodeEvent(doc, got)
	agree(t, doc, got, err, &typev1.EventInput{})
}

func TestDecodeAgreesWithProtojson(t *testing.T) {
	for _, doc := range seeds {
		checkRequest(t, doc)
		checkEvent(t, doc)
		// Every cut of a document, and every byte of it spoilt.
		if len(doc) < 400 {
			for i := range doc {
				checkRequest(t, doc[:i])
				for _, c := range []byte{0, '"', '\\', '{', '}', ',', 0xff, 'x'} {
					checkRequest(t, doc[:i]+string([]byte{c})+doc[i+1:])
				}
			}
		}
	}
}

func FuzzIngestJSON(f *testing.F) {
	for _, s := range seeds {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, doc string) {
		checkRequest(t, doc)
		checkEvent(t, doc)
	})
}

func TestDecodeErrors(t *testing.T) {
	tests := []struct {
		doc, path, rule string
		kind            Kind
		line, column    int
	}{
		{`{"events":[{"text":"a"},` + "\n" + ` {"txt":"b"}]}`, "events[1].txt", "is not a known field", Field, 2, 3},
		{`{"events":[{"userId":7}]}`, "events[0].userId", "must be a string", Field, 1, 22},
		{`{"events":[{"attributes":{"plan":true}}]}`, `events[0].attributes["plan"]`, "must be a string", Field, 1, 34},
		{`{"events":[{"targets":["a",3]}]}`, "events[0].targets[1]", "must be a string", Field, 1, 28},
		{`{"events":[{"text":"a","text":"b"}]}`, "events[0].text", "is given twice", Field, 1, 24},
		{"{\"events\":[{\"text\":\"\xff\"}]}", "events[0].text", "is not valid UTF-8", Field, 1, 21},
		{`{"events":[{"occurredAt":"yesterday"}]}`, "events[0].occurredAt", "must be a time as in RFC 3339, from the year 1 to 9999", Field, 1, 26},
		{`{"events":"x"}`, "events", "must be an array", Field, 1, 11},
		{`[1]`, "", "must be an object", Field, 1, 1},
		{`{"events":[{"text":"a"`, "events[0]", "ends too early", Syntax, 1, 23},
		{`{"events":[}`, "events[0]", "has no value where one must be", Syntax, 1, 12},
		{`{"events":[]} x`, "", "has something after its end", Syntax, 1, 15},
		{`{"` + strings.Repeat("é", 60) + `":1}`, strings.Repeat("é", 32) + "…", "is not a known field", Field, 1, 2},
		{`{"events":[` + strings.Repeat("{},", 1000) + `{}]}`, "events", "must hold at most 1,000 events", Limit, 1, 3012},
	}
	for _, tt := range tests {
		_, err := DecodeRequest(tt.doc)
		var e *Error
		require.ErrorAs(t, err, &e, tt.doc)
		require.Equal(t, tt.path, e.Path, tt.doc)
		require.Equal(t, tt.rule, e.Rule, tt.doc)
		require.Equal(t, tt.kind, e.Kind, tt.doc)
		line, column := Position(tt.doc, e.Offset)
		require.Equal(t, [2]int{tt.line, tt.column}, [2]int{line, column}, tt.doc)
	}
}

func TestBounds(t *testing.T) {
	var many strings.Builder
	for i := range MaxAttributes + 1 {
		if i > 0 {
			many.WriteByte(',')
		}
		many.WriteString(`"` + strings.Repeat("k", i+1) + `":""`)
	}
	for _, doc := range []string{
		`{"attributes":{` + many.String() + `}}`,
		`{"targets":[` + strings.Repeat(`"a",`, MaxTargets) + `"a"]}`,
	} {
		err := DecodeEvent(doc, &typev1.EventInput{})
		var e *Error
		require.ErrorAs(t, err, &e)
		require.Equal(t, Limit, e.Kind)
	}
}

func TestAppendResponseAgreesWithProtojson(t *testing.T) {
	for _, r := range []*ingestv1.IngestEventsResponse{
		{},
		{Accepted: 3, Duplicate: 1, Rejected: 2, TraceId: "0af7651916cd43dd8448eb211c80319c", Results: []*ingestv1.IngestResult{
			{Index: 4, Id: "a\"\\\n\x01é😀\u2028", Status: ingestv1.IngestResult_REJECTED, Reason: "INVALID_FIELD", Retryable: true,
				Violations: []*typev1.FieldViolation{{Field: "text", Rule: "must not be empty", Remedy: "send <text> & more"}, {}}},
			{Status: ingestv1.IngestResult_DUPLICATE}, {Status: 77},
		}},
	} {
		want, err := protojson.MarshalOptions{EmitDefaultValues: true}.Marshal(r)
		require.NoError(t, err)
		require.JSONEq(t, string(want), string(AppendResponse(nil, r)))
	}
	require.True(t, json.Valid(appendString(nil, "bro\xffken")))
}

func block(t *testing.T, doc string, maxLine, maxLines, maxBytes int) []Line {
	t.Helper()
	l := NewLines(iotest.OneByteReader(strings.NewReader(doc)), maxLine)
	var out []Line
	for {
		lines, err := l.Block(maxLines, maxBytes)
		out = append(out, lines...)
		if errors.Is(err, io.EOF) {
			return out
		}
		require.NoError(t, err)
		require.NotEmpty(t, lines)
		require.LessOrEqual(t, len(lines), maxLines)
	}
}

func TestLines(t *testing.T) {
	long := strings.Repeat("x", 100)
	require.Equal(t, []Line{{1, "a\n", false}, {4, "b\r\n", false}, {5, "", true}, {6, "c", false}},
		block(t, "a\n\n \t\r\nb\r\n"+long+"\nc", 50, 2, 1000))
	require.Empty(t, block(t, "", 50, 2, 10))
	require.Empty(t, block(t, "\n\n  \n", 50, 2, 10))
	require.Equal(t, []Line{{1, "", true}}, block(t, long, 50, 2, 10))
}

func TestLinesBroken(t *testing.T) {
	fault := errors.New("cut")
	l := NewLines(io.MultiReader(strings.NewReader("a\nb\nhalf"), iotest.ErrReader(fault)), 100)
	lines, err := l.Block(10, 1000)
	require.NoError(t, err)
	require.Len(t, lines, 2, "the half line is not a line")
	_, err = l.Block(10, 1000)
	require.ErrorIs(t, err, fault)

	l = NewLines(strings.NewReader("a\nb\n\nc\n"), 100)
	_, err = l.Block(1, 1000)
	require.NoError(t, err)
	n, err := l.Skip()
	require.NoError(t, err)
	require.Equal(t, 2, n)
}

func FuzzNDJSON(f *testing.F) {
	f.Add("{\"text\":\"a\"}\n\nx\n", 5, 3)
	f.Fuzz(func(t *testing.T, doc string, maxLine, maxLines int) {
		maxLine, maxLines = max(1, maxLine&0xfff), max(1, maxLines&0xff)
		// The splitter keeps every line that is not blank, in order, whole or
		// marked as too long.
		var want []Line
		rest := doc
		for n := 1; rest != ""; n++ {
			line, tail, found := strings.Cut(rest, "\n")
			if found {
				line += "\n"
			}
			rest = tail
			if len(line) > maxLine {
				want = append(want, Line{Number: n, TooLong: true})
			} else if strings.TrimSpace(line) != "" {
				want = append(want, Line{Number: n, Text: line})
			}
		}
		require.Equal(t, want, block(t, doc, maxLine, maxLines, 1<<20))
		for _, l := range want {
			checkEvent(t, l.Text)
		}
	})
}

func TestCloudEvents(t *testing.T) {
	ev, err := DecodeCloudEvent(`{"specversion":"1.0","type":"review","id":"7","source":"shop","time":"2026-01-31T12:00:00Z","subject":"x","data":{"text":"fine","userId":"u","attributes":{"a":"b"},"targets":["t"],"extra":[1]}}`)
	require.NoError(t, err)
	require.Equal(t, "fine", ev.GetText())
	require.Equal(t, "7", ev.GetId())
	require.Equal(t, "shop", ev.GetSource())
	require.Equal(t, "u", ev.GetUserId())
	require.EqualValues(t, 1769860800, ev.GetOccurredAt().GetSeconds())
	require.Equal(t, map[string]string{"a": "b"}, ev.GetAttributes())

	evs, err := DecodeCloudEvents(`[{"specversion":"1.0","type":"t","id":"7","source":"s","data":"one"},{"specversion":"1.0","type":"t","id":"8","source":"s","data":{"text":"two"}}] `)
	require.NoError(t, err)
	require.Len(t, evs, 2)
	require.Equal(t, "one", evs[0].GetText())

	head := `{"specversion":"1.0","type":"t","id":"7","source":"s",`
	for doc, path := range map[string]string{
		`{"specversion":"0.3"}`: "specversion", `{"specversion":"1.0","type":"t","source":"s"}`: "id",
		head + `"data":1}`: "data", head + `"data":{}}`: "data.text", head + `"data":{"text":1}}`: "data.text",
		head + `"data_base64":"eA=="}`: "data_base64", head + `"time":"x","data":"y"}`: "time",
		head + `"id":"8","data":"y"}`: "id", `{`: "", `[]`: "", `x`: "", head + "\"data\":\"\xff\"}": "data",
	} {
		_, err := DecodeCloudEvent(doc)
		var e *Error
		require.ErrorAs(t, err, &e, doc)
		require.Equal(t, path, e.Path, doc)
		_, err = DecodeCloudEvents("[" + doc)
		require.ErrorAs(t, err, &e, doc)
	}
	for _, doc := range []string{`{}`, `[1]`, `[]x`, `[`, `[` + strings.Repeat(head+`"data":"y"},`, 1000) + head + `"data":"y"}]`} {
		_, err := DecodeCloudEvents(doc)
		require.Error(t, err, doc)
	}
}

func FuzzCloudEvents(f *testing.F) {
	f.Add(`[{"specversion":"1.0","type":"t","id":"7","source":"s","data":"one"}]`)
	f.Fuzz(func(_ *testing.T, doc string) {
		_, _ = DecodeCloudEvent(doc)
		_, _ = DecodeCloudEvents(doc)
	})
}
