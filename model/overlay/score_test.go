package overlay

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/synapse-analytics/synapse/model"
)

// texts are of many kinds; none is scored to any one value here.
var texts = []string{
	"", " ", "👍🏽", "that trick was sick", "Ticket closed. The agent was rude, the app is great!",
	"I love the phone, but its battery is terrible. Not sick at all, sadly 😭", "la película es muy buena",
	"not sick", "SICK!!! siiiick", "ticket closed", "#TicketClosed again :(", "Это ужасный фильм", "\xff\x00 sick \xe2\x82",
	strings.Repeat("The plot was thin, but a sick day is a ticket closed. ", 40),
}

func checkResult(t testing.TB, r *model.Result) {
	t.Helper()
	sum, stars := 0.0, 0.0
	for _, p := range r.Probabilities {
		require.False(t, math.IsNaN(p))
		require.GreaterOrEqual(t, p, 0.0)
		require.LessOrEqual(t, p, r.Confidence)
		sum += p
	}
	require.InDelta(t, 1, sum, 1e-9)
	require.Equal(t, r.Probabilities[r.Label], r.Confidence)
	require.InDelta(t, r.Probabilities[model.Positive]-r.Probabilities[model.Negative], r.Score, 1e-12)
	for _, p := range r.Stars {
		require.False(t, math.IsNaN(p))
		require.GreaterOrEqual(t, p, 0.0)
		stars += p
	}
	if stars != 0 {
		require.InDelta(t, 1, stars, 1e-9)
	}
}

// checkAnalysis holds o to what Analyze promises for in.
func checkAnalysis(t testing.TB, o *Overlay, in model.Input) {
	t.Helper()
	s := model.Default()
	base := s.Score(in)
	r := o.Score(s, in)
	checkResult(t, &r)
	require.Equal(t, base.Language, r.Language)
	require.Equal(t, base.LanguageSupported, r.LanguageSupported)
	a, plain := o.Analyze(s, in, model.AllExtras), s.Analyze(in, model.AllExtras)
	require.Equal(t, r, a.Result)

	sum := a.Bias
	last, lastUnits := 0, 0
	for _, e := range a.Evidence {
		sum += e.Weight
		require.LessOrEqual(t, last, e.StartByte)
		require.Less(t, e.StartByte, e.EndByte)
		require.LessOrEqual(t, e.EndByte, len(in.Text))
		require.LessOrEqual(t, lastUnits, e.StartUTF16)
		require.Less(t, e.StartUTF16, e.EndUTF16)
		last, lastUnits = e.EndByte, e.EndUTF16
	}
	require.InDelta(t, a.LogitDifference, sum, 1e-6)
	require.InDelta(t, math.Log(r.Probabilities[model.Positive]/r.Probabilities[model.Negative]), a.LogitDifference, 1e-6)
	if utf8.ValidString(in.Text) {
		units := utf16.Encode([]rune(in.Text))
		for _, e := range a.Evidence {
			require.Equal(t, in.Text[e.StartByte:e.EndByte], string(utf16.Decode(units[e.StartUTF16:e.EndUTF16])))
		}
	}
	// A phrase is inside one span of the evidence.
	for _, h := range o.Hits(s, in) {
		if h.Weight == 0 || h.Phrase.Add {
			continue
		}
		inside := false
		for _, e := range a.Evidence {
			inside = inside || e.StartByte <= h.StartByte && h.EndByte <= e.EndByte
		}
		require.True(t, inside, "%q", in.Text[h.StartByte:h.EndByte])
	}
	require.Len(t, a.Emotions, len(plain.Emotions))
	require.Len(t, a.Sentences, len(plain.Sentences))
	for i := range a.Sentences {
		require.Equal(t, plain.Sentences[i].Span, a.Sentences[i].Span)
	}
	require.Len(t, a.Targets, len(plain.Targets))
	for i := range a.Targets {
		require.Equal(t, plain.Targets[i].Target, a.Targets[i].Target)
		require.Equal(t, plain.Targets[i].Span, a.Targets[i].Span)
	}
	// Only what is asked for is there.
	few := o.Analyze(s, in, 0)
	require.Equal(t, r, few.Result)
	require.Empty(t, few.Evidence)
	require.Empty(t, few.Sentences)
	require.Empty(t, few.Emotions)
}

func TestAnalyzeAgreesWithScore(t *testing.T) {
	tuned, err := New(fullSpec)
	require.NoError(t, err)
	rng := rand.New(rand.NewPCG(1, 2))
	pieces := []string{"good", "bad", "sick", "not", "ticket closed", "👍🏽", "🔥", "e\u0301te\u0301", "naïve", ". ", ", ", "!!", "don't panic", "meh", "\U0001d54f", "#sick", "\xff"}
	for i := range 400 {
		in := model.Input{Source: []string{"", "jira", "tweet"}[i%3], Targets: []model.Target{{Text: "ticket"}, {Text: "nothing here"}}}
		if i < len(texts) {
			in.Text = texts[i]
		} else {
			var b strings.Builder
			for range rng.IntN(30) {
				b.WriteString(pieces[rng.IntN(len(pieces))])
				if rng.IntN(3) > 0 {
					b.WriteByte(' ')
				}
			}
			in.Text = b.String()
		}
		checkAnalysis(t, tuned, in)
		checkAnalysis(t, mustNew(t, Phrase{Text: "sick", Weight: 3}, Phrase{Text: "ticket closed", Neutral: true}), in)
	}
}

// TestCommunityWords: what users mean by an overlay, whatever the scorer makes of
// these texts.
func TestCommunityWords(t *testing.T) {
	o := mustNew(t,
		Phrase{Text: "sick", Weight: 4}, Phrase{Text: "mid", Weight: -4}, Phrase{Text: "🗿", Weight: -4},
		Phrase{Text: "ticket closed", Neutral: true}, Phrase{Text: "terrible two", Neutral: true},
		Phrase{Text: "chef's kiss", Weight: 5}, Phrase{Text: "große Klasse", Weight: -5})
	for _, c := range []struct {
		text string
		want model.Label
	}{
		{"sick", model.Positive},
		{"that was sick", model.Positive},
		{"SIIIICK trick at the park", model.Positive},
		{"#sick", model.Positive},
		{"not sick", model.Negative},
		{"the trick isn't sick", model.Negative},
		{"mid", model.Negative},
		{"the new album is mid", model.Negative},
		{"🗿", model.Negative},
		{"ticket closed", model.Neutral},
		{"#TicketClosed", model.Neutral},
		{"Ticket closed.", model.Neutral},
		{"terrible two", model.Neutral},
		{"the sauce: chef's kiss", model.Positive},
		{"GROSSE klasse, große Klasse", model.Negative},
	} {
		in := model.Input{Text: c.text}
		r := o.Score(model.Default(), in)
		require.Equal(t, c.want, r.Label, "%q %v", c.text, r.Probabilities)
	}
}

// A neutral phrase leaves the scorer what the text says without it, to the bit.
func TestNeutralReadsAsIfAbsent(t *testing.T) {
	o := mustNew(t, Phrase{Text: "ticket closed", Neutral: true})
	s := model.Default()
	for _, c := range [][2]string{
		{"I love it: ticket closed", "I love it:              "},
		{"ticket closed, what a terrible service", "             , what a terrible service"},
		{"not ticket closed", "not              "},
	} {
		whole := s.Score(model.Input{Text: c[0]})
		want := s.Score(model.Input{Text: c[1], Language: whole.Language})
		got := o.Score(s, model.Input{Text: c[0]})
		require.Equal(t, want.Probabilities, got.Probabilities, c[0])
		require.Equal(t, whole.Language, got.Language)
	}
}

func TestWeightsAreAdded(t *testing.T) {
	s := model.Default()
	rest := s.Score(model.Input{Text: "that was      at the park", Language: "en"})
	in := model.Input{Text: "that was sick at the park", Language: "en"}
	base := s.Score(in)
	at := func(p Phrase) shift {
		r := mustNew(t, p).Score(s, in)
		return logits(&r.Probabilities)
	}
	for _, w := range []float64{-6, -1, 0.25, 3} {
		got := at(Phrase{Text: "sick", Weight: w})
		require.InDelta(t, logits(&rest.Probabilities).d+w, got.d, 1e-9)
		require.InDelta(t, logits(&rest.Probabilities).n-math.Abs(w), got.n, 1e-9)
		got = at(Phrase{Text: "sick", Weight: w, Add: true})
		require.InDelta(t, logits(&base.Probabilities).d+w, got.d, 1e-9)
		require.InDelta(t, logits(&base.Probabilities).n-math.Abs(w), got.n, 1e-9)
	}
	got := at(Phrase{Text: "sick", Weight: 2, Neutral: true, Add: true})
	require.InDelta(t, logits(&base.Probabilities).d, got.d, 1e-9)
	require.InDelta(t, logits(&base.Probabilities).n+2, got.n, 1e-9)

	o, err := New(Spec{Bias: Bias{Polarity: -0.5, Neutral: 0.25}})
	require.NoError(t, err)
	r := o.Score(s, in)
	require.InDelta(t, logits(&base.Probabilities).d-0.5, logits(&r.Probabilities).d, 1e-9)
	require.InDelta(t, logits(&base.Probabilities).n+0.25, logits(&r.Probabilities).n, 1e-9)
}

// The negation is part of what the phrase replaces: its weight is all that is left.
func TestNegationIsReplacedToo(t *testing.T) {
	s := model.Default()
	rest := s.Score(model.Input{Text: "it is     that      ", Language: "en"})
	r := mustNew(t, Phrase{Text: "sick", Weight: 2}).Score(s, model.Input{Text: "it is not that sick ", Language: "en"})
	require.InDelta(t, logits(&rest.Probabilities).d-1.5, logits(&r.Probabilities).d, 1e-9)
}

func TestMoveResult(t *testing.T) {
	r := model.Result{
		Label: model.Negative, Probabilities: [3]float64{0.6, 0.3, 0.1}, Confidence: 0.6, Score: -0.5,
		Stars: [5]float64{0.4, 0.2, 0.2, 0.1, 0.1}, Language: "en", LanguageSupported: true,
	}
	require.Equal(t, r, moveResult(r, shift{}))
	up := moveResult(r, shift{d: 4, n: -1})
	checkResult(t, &up)
	require.Equal(t, model.Positive, up.Label)
	require.Greater(t, up.Stars[4], r.Stars[4])
	require.InDelta(t, r.Stars[0]/r.Stars[1], up.Stars[0]/up.Stars[1], 1e-12)
	require.Equal(t, "en", up.Language)
	flat := moveResult(r, shift{n: 9})
	checkResult(t, &flat)
	require.Equal(t, model.Neutral, flat.Label)
	require.Greater(t, flat.Stars[2], 0.9)
	back := moveResult(up, shift{d: -4, n: 1})
	require.InDelta(t, r.Probabilities[0], back.Probabilities[0], 1e-12)
	none := r
	none.Stars = [5]float64{}
	require.Zero(t, moveResult(none, shift{d: 1}).Stars)
	sure := moveResult(model.Result{Probabilities: [3]float64{0, 0, 1}}, shift{d: -6})
	checkResult(t, &sure)
}

func TestMixed(t *testing.T) {
	o := mustNew(t, Phrase{Text: "blip", Weight: 3, Add: true}, Phrase{Text: "blop", Weight: -3, Add: true}, Phrase{Text: "blup", Weight: 0.5, Add: true})
	for _, c := range []struct {
		text string
		rest [3]float64
		want bool
	}{
		{"blip blop", [3]float64{0.1, 0.8, 0.1}, true},
		{"blip", [3]float64{0.6, 0.2, 0.2}, true},
		{"blip", [3]float64{0.4, 0.3, 0.3}, false},
		{"blip", [3]float64{0.1, 0.1, 0.8}, false},
		{"not blip", [3]float64{0.1, 0.1, 0.8}, true},
		{"blop", [3]float64{0.1, 0.1, 0.8}, true},
		{"blup", [3]float64{0.8, 0.1, 0.1}, false},
		{"", [3]float64{0.5, 0, 0.5}, false},
	} {
		var sc scratch
		hits := o.hits(&sc, &model.Input{Text: c.text}, &model.Result{})
		require.Equal(t, c.want, o.finish(model.Result{Probabilities: c.rest}, hits).Mixed, "%q %v", c.text, c.rest)
		require.True(t, o.finish(model.Result{Probabilities: c.rest, Mixed: true}, hits).Mixed)
	}
}

// span is that of the first place of part in text, which is ASCII.
func span(text, part string) model.Span {
	i := strings.Index(text, part)
	return model.Span{StartByte: i, EndByte: i + len(part), StartUTF16: i, EndUTF16: i + len(part)}
}

// TestTargets gives moveTargets what a scorer could have found.
func TestTargets(t *testing.T) {
	const text = "The deck is sick. Our board and the wheels are mid, sick bearings"
	s := model.Default()
	in := model.Input{Text: text}
	even := model.Polarity{Label: model.Neutral, Probabilities: [3]float64{0.25, 0.5, 0.25}}
	target := func(name string, opinions ...model.Span) model.TargetResult {
		return model.TargetResult{Polarity: even, Target: name, Mentioned: true, Span: span(text, name), Opinions: opinions}
	}
	end := strings.Index(text, ".") + 1
	sentences := []model.Sentence{
		{Span: model.Span{EndByte: end, EndUTF16: end}},
		{Span: model.Span{StartByte: end + 1, EndByte: len(text), StartUTF16: end + 1, EndUTF16: len(text)}},
	}
	mid := span(text, "mid")
	a := model.Analysis{
		Result: model.Result{Label: model.Positive, Score: 0.5, Probabilities: [3]float64{0.2, 0.1, 0.7}},
		Targets: []model.TargetResult{
			target("deck"), target("board", mid), target("wheels", mid), target("bearings"),
			{Polarity: even, Target: "helmet"},
		},
	}
	o := mustNew(t, Phrase{Text: "sick", Weight: 2, Add: true}, Phrase{Text: "mid", Weight: -2, Add: true})
	var sc scratch
	whole := s.Score(in)
	o.moveTargets(s, &in, &a, sentences, o.hits(&sc, &in, &whole), &whole, &sc)
	for i, want := range []struct {
		d        float64
		opinions string
	}{{2, "sick"}, {-2, "mid"}, {-2, "mid"}, {2, "sick"}} {
		got := &a.Targets[i]
		require.InDelta(t, want.d, logits(&got.Probabilities).d, 1e-9, got.Target)
		require.Len(t, got.Opinions, 1)
		require.Equal(t, want.opinions, text[got.Opinions[0].StartByte:got.Opinions[0].EndByte])
		require.Equal(t, got.Opinions[0].StartByte, got.Opinions[0].StartUTF16)
	}
	require.Equal(t, model.Positive, a.Targets[4].Label, "not mentioned: as the text")
	require.Equal(t, a.Probabilities, a.Targets[4].Probabilities)

	// A phrase that replaces moves its target as far as it moves the sentence.
	a.Targets = []model.TargetResult{target("deck")}
	o = mustNew(t, Phrase{Text: "sick", Weight: 2})
	o.moveTargets(s, &in, &a, sentences, o.hits(&sc, &in, &whole), &whole, &sc)
	first := model.Input{Text: text[:end], Language: whole.Language}
	before, after := s.Score(first), o.Score(s, first)
	require.InDelta(t, logits(&after.Probabilities).d-logits(&before.Probabilities).d, logits(&a.Targets[0].Probabilities).d, 1e-9)
}

func TestNearby(t *testing.T) {
	text := strings.Repeat("é", 10) + " " + strings.Repeat("wörd ", 1000)
	whole := model.Span{EndByte: len(text)}
	target := model.Span{StartByte: 3021, EndByte: 3026}
	require.Equal(t, "wörd ", text[3021:3027])
	got := nearby(whole, target, []hit{{start: 2997, end: 3002}}, text)
	require.Equal(t, " wörd", text[got.StartByte:got.StartByte+6])
	require.Equal(t, "wörd ", text[got.EndByte-5:got.EndByte+1])
	require.Less(t, target.StartByte-got.StartByte, 1040)
	require.Less(t, got.EndByte-target.EndByte, 1010)
	require.Equal(t, model.Span{StartByte: 3000, EndByte: 3100}, nearby(model.Span{StartByte: 3000, EndByte: 3100}, target, nil, text))
	require.Equal(t, whole.EndByte, nearby(whole, model.Span{StartByte: 2, EndByte: 4}, []hit{{start: len(text) - 6, end: len(text)}}, text).EndByte)
}

// Sentences without a phrase keep their bits, the others move.
func TestSentences(t *testing.T) {
	s := model.Default()
	in := model.Input{Text: "The agent was friendly. That trick was sick. It rained."}
	plain := s.Analyze(in, model.Sentences)
	got := mustNew(t, Phrase{Text: "sick", Weight: 5}).Analyze(s, in, model.Sentences)
	require.Len(t, got.Sentences, len(plain.Sentences))
	for i, p := range plain.Sentences {
		if strings.Contains(in.Text[p.StartByte:p.EndByte], "sick") {
			require.Greater(t, got.Sentences[i].Score, p.Score)
			continue
		}
		require.Equal(t, p, got.Sentences[i])
	}
}

// TestIsolation: overlays of two projects, used at once, give what each gives
// alone, and the scorer what it gives without any.
func TestIsolation(t *testing.T) {
	s := model.Default()
	one := mustNew(t, Phrase{Text: "sick", Weight: 4}, Phrase{Text: "ticket closed", Neutral: true})
	two, err := New(Spec{Phrases: []Phrase{{Text: "sick", Weight: -4}, {Text: "great", Weight: -1, Add: true}}, Bias: Bias{Polarity: 0.5}})
	require.NoError(t, err)
	type answer struct {
		result   model.Result
		analysis string
	}
	ask := func(o *Overlay, text string) answer {
		in := model.Input{Text: text}
		return answer{o.Score(s, in), fmt.Sprintf("%+v", o.Analyze(s, in, model.AllExtras))}
	}
	overlays := []*Overlay{nil, one, two}
	var alone [3][]answer
	for i, o := range overlays {
		for _, text := range texts {
			alone[i] = append(alone[i], ask(o, text))
		}
	}
	var wg sync.WaitGroup
	for g := range 12 {
		wg.Go(func() {
			for k := range 3 * len(texts) {
				o, j := (g+k)%3, (g*7+k)%len(texts)
				if ask(overlays[o], texts[j]) != alone[o][j] {
					t.Errorf("overlay %d, text %d: another answer", o, j)
					return
				}
			}
		})
	}
	wg.Wait()
	for j, text := range texts {
		require.Equal(t, alone[0][j].result, s.Score(model.Input{Text: text}))
	}
}

func TestNoPhraseNoChange(t *testing.T) {
	s := model.Default()
	o := mustNew(t, Phrase{Text: "flibbertigibbet", Weight: 4}, Phrase{Text: "sick", Weight: 2, Scope: Scope{Sources: []string{"nowhere"}}})
	for _, text := range texts {
		in := model.Input{Text: text}
		require.Equal(t, s.Score(in), o.Score(s, in))
		require.Equal(t, s.Analyze(in, model.AllExtras), o.Analyze(s, in, model.AllExtras))
	}
}

// A huge text with a phrase at every word stays bounded.
func TestHostileText(t *testing.T) {
	var phrases []Phrase
	for i := 1; i <= 12; i++ {
		phrases = append(phrases, Phrase{Text: strings.Repeat("a ", i), Weight: 6})
	}
	o := mustNew(t, phrases...)
	r := o.Score(model.Default(), model.Input{Text: strings.Repeat("a ", 1<<15)})
	checkResult(t, &r)
	require.Equal(t, model.Positive, r.Label)
}

func TestExpAndLn(t *testing.T) {
	for x := 0.0; x > -60; x -= 0.0137 {
		require.InEpsilon(t, math.Exp(x), exp(x), 1e-14)
	}
	for x := 1.0; x > 1e-299; x *= 0.7317 {
		if want := math.Log(x); want != 0 {
			require.InEpsilon(t, want, ln(x), 1e-14)
		}
	}
	require.Zero(t, ln(1))
	require.Equal(t, 1.0, exp(0))
	require.Equal(t, ln(tiny), ln(0))
	require.Zero(t, exp(-1e9))
}

// Bits that must be the same on every machine; the input is no scorer's.
func TestBits(t *testing.T) {
	r := moveResult(model.Result{Probabilities: [3]float64{0.2, 0.5, 0.3}, Stars: [5]float64{0.1, 0.2, 0.3, 0.2, 0.2}}, shift{d: 1.3, n: -0.7})
	require.Equal(t, [3]uint64{0x3fbcd280c019eb69, 0x3fd122a7db02ddcf, 0x3fe3d45bfa7b53ac}, [3]uint64{
		math.Float64bits(r.Probabilities[0]), math.Float64bits(r.Probabilities[1]), math.Float64bits(r.Probabilities[2]),
	})
	require.Equal(t, uint64(0x3fd6e053a94d0f8b), math.Float64bits(r.Stars[4]))
}
