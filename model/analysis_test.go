package model

import (
	"math"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

// validPieces and brokenPieces are what generated texts are made of.
var (
	validPieces = []string{
		// Words, marks, lines.
		"good", "bad", "awful", "great service", "the battery", "not", "but", "can't", "ca n't", "SO", "sooooo", "’s", "12.5",
		" ", "  ", "\n", "\r\n\r\n", "\n- ", ".", ". ", ", ", "!!", "?! ", "…", "... ", "(", ")", "\"", "“", "”", "<br />", "&amp;",
		":)", ":'-(", "<3", "#tag", "#", "@me", "@", "http://a.example/?b", "jo@mail.example", "Mr. ", "e.g. ", "U.S. ", "• ",
		// Emoji: plain, with modifiers, joined, flags, keycaps, tags, and pieces of them.
		"😀", "👍🏽", "❤️", "☹︎", "👩‍💻", "👨‍👩‍👧‍👦", "🏳️‍🌈", "🇩🇪", "🇩", "1️⃣", "\u20e3", "🏴\U000e0067\U000e0062\U000e007f",
		"\u200d", "\ufe0f", "🏽", "👩\u200d", "\u200d💻",
		// Combining marks, alone and many; letters beyond the basic plane.
		"e\u0301te\u0301", "\u0301", "a" + strings.Repeat("\u0316\u0300", 12), "naïve", "\U0001d54f", "\U00020000", "\U0010ffff",
		// Right to left, with and without its controls.
		"مرحبا", "جيد؟ ", "שלום", "\u200f", "\u202b", "\u202c", "\u2067", "\u2069", "نص\u0651",
		// Other scripts, odd spaces and controls.
		"很好", "。", "「すごい！」", "यह", "। ", "ไม่ดี", "\u00a0", "\u3000", "\u2028", "\u200b", "\ufeff", "\ufffd", "\x00", "\x7f", "\u0085",
	}
	brokenPieces = []string{
		"\xff", "\x80", "\xe2\x82", "\xf0\x9f\x98", "\xc0\xaf", "\xf4\x90\x80\x80", "\xed\xa0\x80", "\xed\xb0\x80", "\xed\xa0\xbd\xed\xb8\x80",
	}
)

// generate makes a text of up to n pieces.
func generate(rng *rand.Rand, broken bool, n int) string {
	var b strings.Builder
	for range rng.IntN(n + 1) {
		if broken && rng.IntN(6) == 0 {
			b.WriteString(brokenPieces[rng.IntN(len(brokenPieces))])
		} else {
			b.WriteString(validPieces[rng.IntN(len(validPieces))])
		}
		if rng.IntN(2) == 0 {
			b.WriteByte(' ')
		}
	}
	return b.String()
}

// generatedInputs are fixed: the same on every run.
func generatedInputs(n int) []Input {
	rng := rand.New(rand.NewPCG(7, 11))
	in := make([]Input, n)
	for i := range in {
		in[i] = Input{
			Text:     generate(rng, i%3 == 2, 60),
			Source:   []string{"", "tweet", "review", "comment", "\xff"}[rng.IntN(5)],
			Language: []string{"", "en", "ar", "xx-yy"}[rng.IntN(4)],
		}
		for range rng.IntN(4) {
			target := Target{Text: []string{"battery", "service", "the battery", "👩‍💻", "مرحبا", "nowhere", "", "\xff"}[rng.IntN(8)]}
			if rng.IntN(3) == 0 {
				target.Span.StartByte, target.Span.EndByte = rng.IntN(80)-5, rng.IntN(80)-5
			}
			in[i].Targets = append(in[i].Targets, target)
		}
	}
	return in
}

// utf16Offsets gives for every byte offset that starts a character (or ends the
// text) how many UTF-16 units lie before it, and -1 for the others. A byte that is
// not UTF-8 counts as a character of one unit.
func utf16Offsets(text string) []int {
	offsets := make([]int, len(text)+1)
	for i := range offsets {
		offsets[i] = -1
	}
	units := 0
	for i, r := range text {
		offsets[i] = units
		units += utf16.RuneLen(r)
	}
	offsets[len(text)] = units
	return offsets
}

// TestUTF16Offsets holds the yardstick to the standard library's encoder.
func TestUTF16Offsets(t *testing.T) {
	for _, in := range generatedInputs(300) {
		for at, units := range utf16Offsets(in.Text) {
			if units >= 0 {
				require.Len(t, utf16.Encode([]rune(in.Text[:at])), units, "%.600q at %d", in.Text, at)
			} else {
				require.False(t, utf8.RuneStart(in.Text[at]), "%.600q at %d", in.Text, at)
			}
		}
	}
}

// analyzed is an analysis and all that it is held against.
type analyzed struct {
	in      Input
	want    Extra
	offsets []int
	score   Result
	Analysis
}

func analyze(s *Scorer, in Input, want Extra) *analyzed {
	return &analyzed{in: in, want: want, offsets: utf16Offsets(in.Text), score: s.Score(in), Analysis: s.Analyze(in, want)}
}

// checkSpan holds a span to the characters of the text, not before after.
func (a *analyzed) checkSpan(t *testing.T, what string, s Span, after int) {
	t.Helper()
	if s.StartByte < after || s.EndByte <= s.StartByte || s.EndByte > len(a.in.Text) {
		t.Fatalf("%s %+v: out of order, empty or out of the text %.600q (after %d)", what, s, a.in.Text, after)
	}
	start, end := a.offsets[s.StartByte], a.offsets[s.EndByte]
	if start < 0 || end < 0 {
		t.Fatalf("%s %+v cuts a character of %.600q", what, s, a.in.Text)
	}
	if s.StartUTF16 != start || s.EndUTF16 != end {
		t.Fatalf("%s %+v: the UTF-16 offsets are %d and %d in %.600q", what, s, start, end, a.in.Text)
	}
}

func (a *analyzed) checkPolarity(t *testing.T, what string, p *Polarity) {
	t.Helper()
	sum, top := 0.0, Negative
	for i, v := range p.Probabilities {
		if !(v >= 0 && v <= 1) {
			t.Fatalf("%s: probability %v for %.600q", what, v, a.in.Text)
		}
		if v > p.Probabilities[top] {
			top = Label(i)
		}
		sum += v
	}
	if math.Abs(sum-1) > 1e-9 || p.Probabilities[top] != p.Probabilities[p.Label] ||
		math.Abs(p.Probabilities[Positive]-p.Probabilities[Negative]-p.Score) > 1e-12 {
		t.Fatalf("%s: %+v is at odds with itself for %.600q", what, p, a.in.Text)
	}
}

// The checks of each part of an analysis. They hold for any bytes.
var analysisChecks = []struct {
	name  string
	check func(t *testing.T, a *analyzed)
}{
	{"result", func(t *testing.T, a *analyzed) {
		require.Equal(t, resultBits(&a.score), resultBits(&a.Result), "Score and Analyze differ for %.600q", a.in.Text)
		p := Polarity{Label: a.Label, Score: a.Score, Probabilities: a.Probabilities}
		a.checkPolarity(t, "result", &p)
		require.Equal(t, a.Probabilities[a.Label], a.Confidence)
		require.NotEmpty(t, a.Language)

		binary := a.Binary()
		require.NotEqual(t, Neutral, binary.Label)
		require.Zero(t, binary.Probabilities[Neutral])
		a.checkPolarity(t, "binary", &binary)
		if a.Probabilities[Positive] != a.Probabilities[Negative] {
			require.Equal(t, a.Probabilities[Positive] > a.Probabilities[Negative], binary.Label == Positive)
		}
	}},
	{"stars", func(t *testing.T, a *analyzed) {
		sum := 0.0
		for _, p := range a.Stars {
			if !(p >= 0 && p <= 1) {
				t.Fatalf("stars %v for %.600q", a.Stars, a.in.Text)
			}
			sum += p
		}
		require.InDelta(t, 1, sum, 1e-9, "stars %v for %.600q", a.Stars, a.in.Text)
	}},
	{"evidence", func(t *testing.T, a *analyzed) {
		if a.want&Evidences == 0 {
			require.Nil(t, a.Evidence)
			return
		}
		sum, last := a.Bias, 0
		for _, e := range a.Evidence {
			a.checkSpan(t, "evidence", Span{e.StartByte, e.EndByte, e.StartUTF16, e.EndUTF16}, last)
			last = e.EndByte
			sum += e.Weight
		}
		require.InDelta(t, a.LogitDifference, sum, 1e-6, "the weights do not add up for %.600q", a.in.Text)
		odds := math.Log(a.Probabilities[Positive] / a.Probabilities[Negative])
		require.InDelta(t, odds, a.LogitDifference, 1e-6, "%.600q", a.in.Text)
	}},
	{"emotions", func(t *testing.T, a *analyzed) {
		if a.want&Emotions == 0 {
			require.Nil(t, a.Emotions)
			return
		}
		require.Len(t, a.Emotions, len(EmotionNames()))
		for i, p := range a.Emotions {
			if !(p >= 0 && p <= 1) {
				t.Fatalf("%s is %v for %.600q", EmotionNames()[i], p, a.in.Text)
			}
		}
	}},
	{"sentences", func(t *testing.T, a *analyzed) {
		if a.want&Sentences == 0 {
			require.Nil(t, a.Sentences)
			return
		}
		last := 0
		blank := func(to int) {
			if i := strings.IndexFunc(a.in.Text[last:to], func(r rune) bool { return !unicode.IsSpace(r) }); i >= 0 {
				t.Fatalf("no sentence covers byte %d of %.600q", last+i, a.in.Text)
			}
		}
		for i := range a.Sentences {
			s := &a.Sentences[i]
			a.checkSpan(t, "sentence", s.Span, last)
			a.checkPolarity(t, "sentence", &s.Polarity)
			blank(s.StartByte)
			last = s.EndByte
		}
		blank(len(a.in.Text))
	}},
	{"targets", func(t *testing.T, a *analyzed) {
		given := len(a.in.Targets)
		require.GreaterOrEqual(t, len(a.Targets), given)
		if a.want&Aspects == 0 {
			require.Len(t, a.Targets, given)
		}
		last := 0 // end of the last target that was found
		for i := range a.Targets {
			target := &a.Targets[i]
			require.Equal(t, i >= given, target.Found)
			a.checkPolarity(t, "target", &target.Polarity)
			if target.Found {
				require.NotEmpty(t, target.Target)
				require.True(t, target.Mentioned)
				a.checkSpan(t, "found target", target.Span, last)
				last = target.Span.EndByte
			} else {
				require.Equal(t, a.in.Targets[i].Text, target.Target)
				if target.Mentioned {
					a.checkSpan(t, "target", target.Span, 0)
				}
			}
			if !target.Mentioned {
				require.Zero(t, target.Span)
				require.Equal(t, Polarity{Label: a.Label, Score: a.Score, Probabilities: a.Probabilities}, target.Polarity,
					"a target without a mention has the sentiment of the text: %.600q", a.in.Text)
			}
			end := 0
			for _, o := range target.Opinions {
				a.checkSpan(t, "opinion", o, end)
				end = o.EndByte
			}
		}
	}},
}

// TestAnalysisOfGeneratedTexts tries each check on texts of emoji, joined emoji,
// combining marks, right-to-left text, lone surrogates and broken bytes.
func TestAnalysisOfGeneratedTexts(t *testing.T) {
	s := Default()
	rng := rand.New(rand.NewPCG(5, 6))
	inputs := generatedInputs(1500)
	all := make([]*analyzed, len(inputs))
	for i, in := range inputs {
		want := AllExtras
		if i%4 == 0 {
			want = Extra(rng.IntN(int(AllExtras) + 1))
		}
		all[i] = analyze(s, in, want)
	}
	for _, c := range analysisChecks {
		t.Run(c.name, func(t *testing.T) {
			for _, a := range all {
				c.check(t, a)
			}
		})
	}
	t.Run("batch", func(t *testing.T) {
		out := make([]Result, len(inputs))
		s.ScoreBatch(inputs, out)
		for i := range out {
			require.Equal(t, resultBits(&all[i].score), resultBits(&out[i]), "%q", inputs[i].Text)
		}
	})
}

// Extras do not change each other: each alone gives the bits that it gives with
// all the others.
func TestExtrasAreIndependent(t *testing.T) {
	s := Default()
	for _, in := range generatedInputs(100) {
		all := s.Analyze(in, AllExtras)
		var joined Analysis
		for _, want := range []Extra{0, Emotions, Evidences, Sentences, Aspects} {
			a := s.Analyze(in, want)
			switch want {
			case 0:
				joined.Result = a.Result
			case Emotions:
				joined.Emotions = a.Emotions
			case Evidences:
				joined.Evidence, joined.Bias, joined.LogitDifference = a.Evidence, a.Bias, a.LogitDifference
			case Sentences:
				joined.Sentences = a.Sentences
			case Aspects:
				joined.Targets = a.Targets
			}
		}
		require.Equal(t, analysisBits(&all), analysisBits(&joined), "%.600q", in.Text)
	}
}

// TestKnownSpans has the offsets written out.
func TestKnownSpans(t *testing.T) {
	const text = "👍🏽 Café ☕️! The battery is great, but the e\u0301cran\xff died. The battery!"
	first, second := strings.Index(text, "battery"), strings.LastIndex(text, "battery")
	in := Input{Text: text, Targets: []Target{
		{Text: "battery"},
		{Text: "battery", Span: Span{StartByte: second, EndByte: second + len("battery")}},
		{Text: "my battery", Span: Span{StartByte: first, EndByte: first + len("battery")}},
		{Text: "keyboard"},
	}}
	a := Default().Analyze(in, Sentences)

	require.Len(t, a.Sentences, 3)
	// Two surrogate pairs, a blank, "Café", a blank, the cup, its selector, "!".
	require.Equal(t, Span{StartByte: 0, EndByte: 22, StartUTF16: 0, EndUTF16: 13}, a.Sentences[0].Span)
	require.Equal(t, "The battery is great, but the e\u0301cran\xff died.", text[a.Sentences[1].StartByte:a.Sentences[1].EndByte])
	require.Equal(t, Span{StartByte: 23, EndByte: 67, StartUTF16: 14, EndUTF16: 57}, a.Sentences[1].Span)

	require.Len(t, a.Targets, 4)
	require.Equal(t, Span{StartByte: 27, EndByte: 34, StartUTF16: 18, EndUTF16: 25}, a.Targets[0].Span)
	require.Equal(t, Span{StartByte: 72, EndByte: 79, StartUTF16: 62, EndUTF16: 69}, a.Targets[1].Span)
	require.Equal(t, a.Targets[0].Span, a.Targets[2].Span)
	require.Equal(t, []bool{true, true, true, false},
		[]bool{a.Targets[0].Mentioned, a.Targets[1].Mentioned, a.Targets[2].Mentioned, a.Targets[3].Mentioned})
}

// TestAnalyzeIsLinear counts what an analysis of 64 KiB allocates, against a
// quarter of it: four times as much, with room for slices that grow.
func TestAnalyzeIsLinear(t *testing.T) {
	const long = 64 << 10
	s := Default()
	targets := []Target{{Text: "food"}, {Text: "a"}, {Text: "😀"}, {Text: "nowhere"}}
	cost := func(text string) (allocations, bytes uint64) {
		in := Input{Text: text, Targets: targets}
		s.Analyze(in, AllExtras) // fills the pools
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		a := s.Analyze(in, AllExtras)
		runtime.ReadMemStats(&after)
		runtime.KeepAlive(a)
		return after.Mallocs - before.Mallocs, after.TotalAlloc - before.TotalAlloc
	}
	for _, unit := range []string{
		"a", "a ", " ", "\n", "!", "a. ", "food ", "The food was great, but the service was bad. ", "not ", "but ", "can't ", "(", "\"", "#a ",
		"http://", "Mr. ", ":) ", "😀", "😀 ", "👩\u200d", "\u200d", "\u0301", "e\u0301", "好", "好。", "مرحبا ", "ไม่", "\u202b", "\x00", "\xff", "\xed\xa0\x80 ",
	} {
		text := strings.Repeat(unit, long/len(unit))
		shortAllocations, shortBytes := cost(text[:len(text)/4/len(unit)*len(unit)])
		allocations, bytes := cost(text)
		require.LessOrEqual(t, allocations, 6*shortAllocations+1000, "allocations for %q", unit)
		require.LessOrEqual(t, bytes, 6*shortBytes+1<<20, "bytes for %q", unit)
		require.LessOrEqual(t, bytes, uint64(512*long), "bytes for %q", unit)
		a := analyze(s, Input{Text: text, Targets: targets}, AllExtras)
		for _, c := range analysisChecks {
			c.check(t, a)
		}
	}
}

func FuzzAnalyze(f *testing.F) {
	for i, in := range generatedInputs(40) {
		f.Add(in.Text, "battery\nservice\n"+in.Text, in.Source, in.Language, i-3, 2*i, uint8(i))
	}
	f.Add("\xff\x00👩\u200d💻 n't", "\xff\n👩\n\n💻", "tweet", "en", 1, 5, uint8(AllExtras))
	s := Default()
	f.Fuzz(func(t *testing.T, text, targets, source, language string, start, end int, want uint8) {
		in := Input{Text: text, Source: source, Language: language}
		for _, name := range strings.SplitN(targets, "\n", 8) {
			in.Targets = append(in.Targets, Target{Text: name})
		}
		in.Targets[0].Span = Span{StartByte: start, EndByte: end}
		a := analyze(s, in, Extra(want)&AllExtras)
		for _, c := range analysisChecks {
			c.check(t, a)
		}
	})
}
