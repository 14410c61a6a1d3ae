package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	scoringv1 "github.com/synapse-analytics/synapse/gen/go/synapse/scoring/v1"
	"github.com/synapse-analytics/synapse/model"
)

// command runs the command line on an input.
func command(t *testing.T, in string, args ...string) (out, errOut string, code int) {
	t.Helper()
	var o, e bytes.Buffer
	code = Main(t.Context(), args, strings.NewReader(in), &o, &e)
	return o.String(), e.String(), code
}

func objects(t *testing.T, jsonl string) []map[string]any {
	t.Helper()
	var out []map[string]any
	for line := range strings.Lines(jsonl) {
		var m map[string]any
		require.NoError(t, json.Unmarshal([]byte(line), &m), line)
		out = append(out, m)
	}
	return out
}

// The fields that callers rely on are there, with their types.
func TestScoreFields(t *testing.T) {
	out, errOut, code := command(t, `{"id":"é\"1","text":"The camera is great \ud83d\ude00 but I hate the price.","targets":["camera","delivery"],"source":"review"}`,
		"score", "-", "--explain", "--output", "jsonl")
	require.Zero(t, code, errOut)
	m := objects(t, out)[0]
	require.Equal(t, `é"1`, m["id"])
	require.Contains(t, []any{"NEGATIVE", "NEUTRAL", "POSITIVE"}, m["label"])
	p := m["probabilities"].(map[string]any)
	require.InDelta(t, 1, p["negative"].(float64)+p["neutral"].(float64)+p["positive"].(float64), 1e-9)
	require.InDelta(t, m["score"], p["positive"].(float64)-p["negative"].(float64), 1e-9)
	require.Len(t, m["stars"], 5)
	require.IsType(t, true, m["mixed"])
	require.Equal(t, "en", m["language"])
	require.Equal(t, true, m["languageSupported"])
	require.Len(t, m["emotions"], len(model.EmotionNames()))
	require.Equal(t, model.Default().Version(), m["modelVersion"])
	require.NotEmpty(t, m["evidence"])
	sum := m["bias"].(float64)
	for _, e := range m["evidence"].([]any) {
		sum += e.(map[string]any)["weight"].(float64)
	}
	require.InDelta(t, m["logitDifference"], sum, 1e-6)
	require.Contains(t, m, "sentences")
	require.IsType(t, []any{}, m["targets"])

	out, _, code = command(t, `{"text":"x"}`, "score", "-", "--extras", "none", "--output", "jsonl")
	require.Zero(t, code)
	m = objects(t, out)[0]
	for _, field := range []string{"emotions", "evidence", "sentences", "bias"} {
		require.NotContains(t, m, field)
	}
	require.Equal(t, []any{}, m["targets"])
	require.Equal(t, "", m["id"])
}

func TestScoreOne(t *testing.T) {
	text := "I love the camera. The battery is awful, I hate it."
	line, _, code := command(t, "", "score", text, "--output", "jsonl", "--target", "camera", "--target", "a, b", "--language", "en", "--source", "review")
	require.Zero(t, code)
	same, _, _ := command(t, fmt.Sprintf(`{"text":%q,"targets":["camera","a, b"],"language":"en","source":"review"}`, text), "score", "-", "--output", "jsonl")
	require.Equal(t, line, same, "a text and a line of the same are scored the same")
	pretty, _, code := command(t, "", "score", text, "--output", "json")
	require.Zero(t, code)
	require.Contains(t, pretty, "\n  \"label\"")
	people, _, code := command(t, "", "score", text, "--output", "table", "--explain")
	require.Zero(t, code)
	require.Contains(t, people, "awful")
	require.Contains(t, people, "negative 0.")
	binary, _, code := command(t, "", "score", "It is a table.", "--binary", "--output", "jsonl")
	require.Zero(t, code)
	p := objects(t, binary)[0]["probabilities"].(map[string]any)
	require.Zero(t, p["neutral"])
	require.InDelta(t, 1, p["negative"].(float64)+p["positive"].(float64), 1e-9)
	for _, args := range [][]string{
		{"score"},
		{"score", ""},
		{"score", strings.Repeat("a", 65_537)},
		{"score", "x", "--input", "y"},
		{"score", "x", "--extras", "everything"},
		{"score", "x", "--language", "english"},
		{"score", "-", "--source", strings.Repeat("s", 65)},
		{"score", "x", "--target", ""},
		{"score", "a\xffb"},
	} {
		_, errOut, code := command(t, "", args...)
		require.Equal(t, exitUsage, code, "%.60q", args)
		require.Contains(t, errOut, "try: ")
	}
	_, _, code = command(t, "", "score", "--input", "no/such/file")
	require.Equal(t, exitFailed, code)
}

// A line that can not be scored is named; the others are scored.
func TestScoreBadLines(t *testing.T) {
	good := `{"id":"good","text":"fine"}`
	for line, says := range map[string]string{
		`{"id":"x"`:                      "line must be a JSON object",
		`[1]`:                            "line must be a JSON object, not a array",
		`"text"`:                         "line must be a JSON object, not a string",
		`{"text":"a"} {"text":"b"}`:      "line must be a JSON object",
		`{"text":"a",}`:                  "line must be a JSON object",
		`{"text":7}`:                     "text must be a string, not a number",
		`{"text":"a","targets":"b"}`:     "targets must be a list of strings, not a string",
		`{"id":"x"}`:                     "text must not be empty",
		`{"text":""}`:                    "text must not be empty",
		`{"text":null}`:                  "text must not be empty",
		`{"text":"a\u0000b"}`:            "text must not contain the character NUL",
		"{\"text\":\"a\xffb\"}":          "line must be UTF-8",
		`{"text":"a","language":"engl"}`: "language must",
		`{"text":"a","targets":[""]}`:    "targets[0] must not be empty",
		`{"text":"a","targets":["a",1]}`: "targets must be",
		`{"text":"` + strings.Repeat("a", 65_537) + `"}`:                 "text must have at most 65,536 bytes",
		`{"text":"` + strings.Repeat("é", 32_769) + `"}`:                 "text must have at most 65,536 bytes",
		`{"text":"a","source":"` + strings.Repeat("s", 65) + `"}`:        "source must have at most 64 bytes",
		`{"text":"a","targets":[` + strings.Repeat(`"t",`, 16) + `"t"]}`: "targets must have at most 16 items",
		`{"text":"a","targets":["` + strings.Repeat("t", 129) + `"]}`:    "targets[0] must have at most 128 bytes",
		`{"text":"` + strings.Repeat("a", maxLine) + `"}`:                "line must have at most 1048576 bytes",
		`{"text":"` + strings.Repeat("a", 2*maxLine+blockBytes) + `"}`:   "line must have at most 1048576 bytes",
	} {
		t.Run(fmt.Sprintf("%.40q", line), func(t *testing.T) {
			out, errOut, code := command(t, good+"\n"+line+"\n"+good+"\n\n"+line, "score", "-", "--output", "jsonl")
			require.Equal(t, exitFailed, code)
			require.Len(t, objects(t, out), 2)
			faults := strings.Split(errOut, "\n")
			require.Contains(t, faults[0], "line 2: "+says)
			require.Contains(t, faults[0], "; ", "a remedy after the rule")
			require.Contains(t, faults[1], "line 5: "+says)
			require.Contains(t, errOut, "error: 2 of 4 lines could not be scored")
			require.Contains(t, errOut, "try: ")
		})
	}
	for _, line := range []string{
		`{"text":"` + strings.Repeat("a", 65_536) + `"}`,
		`{"text":"` + strings.Repeat(`\u00e9`, 32_768) + `"}`, // escaped six times as long
		` { "text" : "a" , "targets" : [ "b" , "c" ] , "more" : { "x" : [ 1 ] } } ` + "\r",
		`{"Text":"a"}`, "\ufeff" + `{"text":"a"}`, `{"text":"a","text":"b"}`, `{"text":"a","language":"zh-Hans-CN"}`,
	} {
		out, errOut, code := command(t, line, "score", "-", "--output", "jsonl")
		require.Zero(t, code, errOut)
		require.Len(t, objects(t, out), 1)
	}
}

// lines makes n lines of different lengths, some empty, some not to be scored.
func lines(n int) (text string, ids []string, refused int) {
	var b strings.Builder
	for i := range n {
		switch {
		case i%97 == 5:
			b.WriteString("\n")
		case i%101 == 7:
			b.WriteString("{\n")
			refused++
		default:
			id := fmt.Sprint("id-", i)
			ids = append(ids, id)
			fmt.Fprintf(&b, `{"id":%q,"text":"number %d is %s","source":"tweet"}`+"\n", id, i, strings.Repeat([]string{"good ", "bad ", "so so "}[i%3], i%40))
		}
	}
	return strings.TrimSuffix(b.String(), "\n"), ids, refused
}

func scoreAll(t testing.TB, in io.Reader, format string, workers int) (out, faults string, err error) {
	t.Helper()
	var o, e bytes.Buffer
	s := lineScorer{scorer: model.Default(), format: format, workers: workers}
	err = s.run(t.Context(), in, &o, &e)
	return o.String(), e.String(), err
}

// The output is in the order of the input and the same, whatever the number of
// workers and however the input comes.
func TestScoreOrder(t *testing.T) {
	text, ids, refused := lines(10_000)
	want, wantFaults, err := scoreAll(t, strings.NewReader(text), "jsonl", 1)
	require.ErrorContains(t, err, fmt.Sprintf("%d of ", refused))
	got := objects(t, want)
	require.Len(t, got, len(ids))
	for i, m := range got {
		require.Equal(t, ids[i], m["id"])
	}
	require.Equal(t, refused, strings.Count(wantFaults, "\n"))
	for name, in := range map[string]io.Reader{
		"8 workers": strings.NewReader(text), "half": iotest.HalfReader(strings.NewReader(text)),
		"with the end": iotest.DataErrReader(strings.NewReader(text)), "small": &pieces{text, 70},
	} {
		out, faults, err := scoreAll(t, in, "jsonl", 8)
		require.Error(t, err)
		require.True(t, want == out, name)
		require.Equal(t, wantFaults, faults, name)
	}
	array, _, _ := scoreAll(t, strings.NewReader(text), "json", 3)
	var list []map[string]any
	require.NoError(t, json.Unmarshal([]byte(array), &list))
	require.Equal(t, got, list)
	table, _, _ := scoreAll(t, strings.NewReader(text), "table", 3)
	require.Equal(t, len(ids), strings.Count(table, "\n"))
}

// pieces reads a text some bytes at a time.
type pieces struct {
	rest string
	n    int
}

func (p *pieces) Read(b []byte) (int, error) {
	if p.rest == "" {
		return 0, io.EOF
	}
	n := copy(b, p.rest[:min(p.n, len(p.rest))])
	p.rest = p.rest[n:]
	return n, nil
}

func TestScoreNothing(t *testing.T) {
	for format, want := range map[string]string{"jsonl": "", "json": "[\n]\n", "table": ""} {
		out, faults, err := scoreAll(t, strings.NewReader("\n \n"), format, 2)
		require.NoError(t, err)
		require.Equal(t, want, out)
		require.Empty(t, faults)
	}
	_, _, err := scoreAll(t, iotest.ErrReader(errors.New("broken disk")), "jsonl", 2)
	require.ErrorContains(t, err, "broken disk")
}

// A line that comes alone is answered before the next one comes, and a reader
// that hangs does not hold up the end.
func TestScoreStreams(t *testing.T) {
	inR, inW := io.Pipe()
	outR, outW := io.Pipe()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		s := lineScorer{scorer: model.Default(), format: "jsonl", workers: 2}
		ended <- s.run(ctx, inR, outW, io.Discard)
	}()
	for i := range 5 {
		_, err := fmt.Fprintf(inW, `{"id":"%d","text":"line"}`+"\n", i)
		require.NoError(t, err)
		b := make([]byte, 4096)
		n, err := outR.Read(b)
		require.NoError(t, err)
		require.Contains(t, string(b[:n]), fmt.Sprintf(`{"id":"%d"`, i))
	}
	cancel()
	require.ErrorIs(t, <-ended, context.Canceled)
	require.NoError(t, inW.Close())

	text, _, _ := lines(5000)
	s := lineScorer{scorer: model.Default(), format: "jsonl", workers: 2}
	require.NoError(t, outR.Close())
	require.ErrorIs(t, s.run(t.Context(), strings.NewReader(text), outW, io.Discard), io.ErrClosedPipe)
}

func TestModelsCommand(t *testing.T) {
	out, _, code := command(t, "", "models", "--output", "table")
	require.Zero(t, code)
	require.Contains(t, out, model.Default().Version())
	out, _, code = command(t, "", "models", "show", model.Models()[0], "--output", "table")
	require.Zero(t, code)
	require.Contains(t, out, "vader")
	require.Contains(t, out, "calibration error")
	_, errOut, code := command(t, "", "models", "show", "none")
	require.Equal(t, exitUsage, code)
	require.Contains(t, errOut, "try: ")
}

// FuzzScoreInput: the quick reader takes only what encoding/json takes, and sees
// the same in it; what is taken keeps the rules of ScoreText.
func FuzzScoreInput(f *testing.F) {
	for _, s := range []string{
		`{"id":"a","text":"b","source":"c","language":"en","targets":["d","e"]}`, `{}`, `{"text":"\u00e9"}`, ` { "targets" : [ ] } `, `{"text":"a",}`,
		`{"text":"a","targets":[]`, `{"text":"a","text":null}`, `{"language":"x-y"}`, `{"id":"` + "\x00" + `"}`, `{"text":"😀"}x`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		var quick, slow scoreInput
		if utf8.ValidString(line) && quick.quick(line) {
			var x struct {
				ID, Text, Source, Language string
				Targets                    []string
			}
			require.NoError(t, json.Unmarshal([]byte(line), &x))
			slow = scoreInput{x.ID, x.Text, x.Source, x.Language, x.Targets}
			require.Equal(t, [4]string{slow.id, slow.text, slow.source, slow.language}, [4]string{quick.id, quick.text, quick.source, quick.language})
			require.Equal(t, len(slow.targets), len(quick.targets))
			for i := range slow.targets {
				require.Equal(t, slow.targets[i], quick.targets[i])
			}
		}
		var in scoreInput
		if len(in.read(line)) == 0 && in.fits() {
			rules, err := scoreRules()
			require.NoError(t, err)
			require.NoError(t, rules.Validate(&scoringv1.ScoreTextRequest{Text: in.text, Source: in.source, Language: in.language, Targets: in.targets}))
		}
	})
}

// FuzzScoreLines: whatever the lines and however they come, each is scored or
// refused under its own number, in order.
func FuzzScoreLines(f *testing.F) {
	f.Add([]byte("tnetbn"), uint16(7))
	f.Add([]byte("tLntLLnnt"), uint16(60_000))
	f.Add([]byte("LXLXtXe"), uint16(40_000))
	f.Add([]byte("XrtX"), uint16(65_535))
	f.Fuzz(func(t *testing.T, kinds []byte, piece uint16) {
		var text strings.Builder
		var ids []any
		var refused []string
		for i, kind := range kinds[:min(len(kinds), 16)] {
			if i > 0 {
				text.WriteByte('\n')
			}
			good := func(more int) {
				fmt.Fprintf(&text, `{"id":"%d","text":"a"%s}`, i+1, strings.Repeat(" ", more))
				ids = append(ids, fmt.Sprint(i+1))
			}
			bad := func(line string) {
				text.WriteString(line)
				refused = append(refused, fmt.Sprintf("line %d: ", i+1))
			}
			switch kind {
			case 'n', 'r': // nothing
				text.WriteString(map[byte]string{'r': " \r"}[kind])
			case 't':
				good(0)
			case 'L': // as long as can be
				at := text.Len()
				good(0)
				text.WriteString(strings.Repeat(" ", maxLine-(text.Len()-at)))
			case 'X': // and longer
				bad(strings.Repeat("x", maxLine+1+i%4*blockBytes/2))
			case 'e':
				good(int(piece))
			default:
				bad(fmt.Sprintf("%q", kind))
			}
		}
		out, faults, err := scoreAll(t, &pieces{text.String(), max(int(piece), 100)}, "jsonl", 1+int(piece)%3)
		if len(refused) > 0 {
			require.ErrorContains(t, err, fmt.Sprintf("%d of %d lines", len(refused), len(refused)+len(ids)))
		} else {
			require.NoError(t, err)
		}
		var got []any
		for _, m := range objects(t, out) {
			got = append(got, m["id"])
		}
		require.Equal(t, ids, got)
		told := strings.Split(strings.TrimSuffix(faults, "\n"), "\n")
		if faults == "" {
			told = nil
		}
		require.Len(t, told, len(refused))
		for i, want := range refused {
			require.True(t, strings.HasPrefix(told[i], want), "%s is not %s", told[i], want)
		}
	})
}

// FuzzAppendText: any string is written as JSON that reads as it.
func FuzzAppendText(f *testing.F) {
	for _, s := range []string{"", "a\"b\\c\n\x00\x1f", "é😀\u2028", "a\xff\xc3b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var got string
		require.NoError(t, json.Unmarshal(appendText(nil, s), &got))
		require.Equal(t, string([]rune(s)), got)
	})
}

func TestAppendNumbers(t *testing.T) {
	for _, x := range []float64{0, 1, -1, 0.1, 1e-9, 1e-300, 1.0 / 3, 123456789.5, 1e300} {
		var got float64
		require.NoError(t, json.Unmarshal(appendFloat(nil, x), &got))
		require.Equal(t, x, got)
	}
	for p, want := range map[float64]string{0: "0", 1: "1", 0.5: "0.500000", 0.0000004: "0", 0.0000006: "0.000001", 0.9999994: "0.999999", 0.9999996: "1", -0.1: "0"} {
		require.Equal(t, want, string(appendFixed(nil, p)))
	}
}

// BenchmarkScoreLines is the whole of `synapse score --input`, in lines of the
// length of a tweet.
func BenchmarkScoreLines(b *testing.B) {
	for _, want := range []model.Extra{0, model.Emotions} {
		b.Run(map[model.Extra]string{0: "label", model.Emotions: "emotions"}[want], func(b *testing.B) {
			const n = 1000
			var text strings.Builder
			for i := range n {
				fmt.Fprintf(&text, `{"id":"%d","text":"@support my order %d is three weeks late and nobody answers, this is really disappointing :("}`+"\n", i, i)
			}
			b.ReportAllocs()
			for b.Loop() {
				s := lineScorer{scorer: model.Default(), opts: scoreOptions{want: want}, format: "jsonl", workers: 1}
				if err := s.run(b.Context(), strings.NewReader(text.String()), io.Discard, io.Discard); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/line")
		})
	}
}
