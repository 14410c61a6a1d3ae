package overlay

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/synapse-analytics/synapse/model"
)

// render shows hits as the words in the text with their weights.
func render(text string, hits []Hit) string {
	var out []string
	for _, h := range hits {
		s := fmt.Sprintf("%s%+g", text[h.StartByte:h.EndByte], h.Weight)
		if h.Negated {
			s = "not:" + s
		}
		out = append(out, s)
	}
	return strings.Join(out, ", ")
}

// TestWhatAPhraseMatches is the table of what users can rely on.
func TestWhatAPhraseMatches(t *testing.T) {
	en := Scope{Languages: []string{"en"}}
	tweets := Scope{Sources: []string{"tweet"}}
	for _, c := range []struct {
		name    string
		phrases []Phrase
		in      model.Input
		want    string
	}{
		{"a word", []Phrase{{Text: "sick", Weight: 2}}, model.Input{Text: "that trick was sick!"}, "sick+2"},
		{"not part of a word", []Phrase{{Text: "sick", Weight: 2}}, model.Input{Text: "sickness homesick sicko"}, ""},
		{"case", []Phrase{{Text: "Sick", Weight: 2}}, model.Input{Text: "SICK sIcK"}, "SICK+2, sIcK+2"},
		{"stretched", []Phrase{{Text: "sick", Weight: 2}}, model.Input{Text: "siiiiick SIIICK sickkk"}, "siiiiick+2, SIIICK+2, sickkk+2"},
		{"doubled is another word", []Phrase{{Text: "sick", Weight: 2}}, model.Input{Text: "siick"}, ""},
		{"stretched in a pair", []Phrase{{Text: "so sick", Weight: 2}}, model.Input{Text: "sooooo siiick"}, "sooooo siiick+2"},
		{"hashtag", []Phrase{{Text: "sick", Weight: 2}}, model.Input{Text: "wow #sick"}, "sick+2"},
		{"phrase with the sign", []Phrase{{Text: "#sick", Weight: 2}}, model.Input{Text: "sick"}, "sick+2"},
		{"hashtag of several words", []Phrase{{Text: "ticket closed", Weight: -2}}, model.Input{Text: "#TicketClosed ticketclosed"}, "TicketClosed-2"},
		{"several words", []Phrase{{Text: "ticket closed", Weight: -2}}, model.Input{Text: "Ticket  closed. ticket was closed"}, "Ticket  closed-2"},
		{"across a sentence's end", []Phrase{{Text: "ticket closed", Weight: -2}}, model.Input{Text: "my ticket. Closed!"}, ""},
		{"across a comma", []Phrase{{Text: "ticket closed", Weight: -2}}, model.Input{Text: "ticket, closed"}, ""},
		{"hyphen in the text", []Phrase{{Text: "state of the art", Weight: 2}}, model.Input{Text: "state-of-the-art, state‑of‑the art"}, "state-of-the-art+2, state‑of‑the art+2"},
		{"hyphen in the phrase", []Phrase{{Text: "state-of-the-art", Weight: 2}}, model.Input{Text: "state of the art"}, "state of the art+2"},
		{"a dash is no hyphen", []Phrase{{Text: "ticket closed", Weight: 2}}, model.Input{Text: "ticket - closed ticket—closed"}, ""},
		{"quotes around", []Phrase{{Text: "“sick”.", Weight: 2}}, model.Input{Text: `a "sick" trick`}, "sick+2"},
		{"a sign that counts", []Phrase{{Text: "yikes!", Weight: -2}}, model.Input{Text: "yikes yikes! yikes!!"}, "yikes!-2"},
		{"only signs", []Phrase{{Text: "...", Weight: -2}}, model.Input{Text: "well…  ok."}, "…-2"},
		{"clitics", []Phrase{{Text: "can't even", Weight: 2}}, model.Input{Text: "I can’t even. cannot even, CANT EVEN"}, "can’t even+2, CANT EVEN+2"},
		{"emoji", []Phrase{{Text: "🔥", Weight: 2}}, model.Input{Text: "this is 🔥🔥"}, "🔥+2, 🔥+2"},
		{"emoji with a skin tone", []Phrase{{Text: "👎", Weight: 2}}, model.Input{Text: "👎🏽"}, "👎🏽+2"},
		{"emoji within a phrase", []Phrase{{Text: "on 🔥", Weight: 2}}, model.Input{Text: "we're ON 🔥!"}, "ON 🔥+2"},
		{"emoticon", []Phrase{{Text: ":)", Weight: -2}}, model.Input{Text: "sure :-)))"}, ":-)))-2"},
		{"accents", []Phrase{{Text: "NAÏVE", Weight: 2}}, model.Input{Text: "so naïve, so naive"}, "naïve+2"},
		{"other scripts", []Phrase{{Text: "огонь", Weight: 2}, {Text: "مش حلو", Weight: -3}}, model.Input{Text: "Это ОГОНЬ مش حلو"}, "ОГОНЬ+2, مش حلو-3"},
		{"numbers are exact", []Phrase{{Text: "error 404", Weight: -2}}, model.Input{Text: "error 404, error 500"}, "error 404-2"},
		{"user names are exact", []Phrase{{Text: "@acme", Weight: -2}}, model.Input{Text: "@acme @other"}, "@acme-2"},
		{"broken bytes between", []Phrase{{Text: "very sick", Weight: 2}}, model.Input{Text: "very\xff sick"}, "very\xff sick+2"},

		{"longest first", []Phrase{{Text: "sick", Weight: 2}, {Text: "sick day", Neutral: true}}, model.Input{Text: "a sick day, a sick trick"}, "sick day+0, sick+2"},
		{"longest first, from the right", []Phrase{{Text: "ticket closed", Weight: 1}, {Text: "closed without answer", Weight: -3}}, model.Input{Text: "ticket closed without answer"}, "closed without answer-3"},
		{"of two as long the first", []Phrase{{Text: "b c", Weight: 1}, {Text: "a b", Weight: 2}}, model.Input{Text: "a b c"}, "a b+2"},
		{"repeated", []Phrase{{Text: "ha ha", Weight: 1}}, model.Input{Text: "ha ha ha"}, "ha ha+1"},
		{"a user's before a longer learned one", []Phrase{{Text: "sick", Weight: 2}, {Text: "sick trick", Weight: -1, Add: true, Origin: Learned}}, model.Input{Text: "sick trick"}, "sick+2"},
		{"a user's before the same learned one", []Phrase{{Text: "sick", Weight: 2}, {Text: "sick", Weight: -1, Add: true, Origin: Learned}}, model.Input{Text: "sick"}, "sick+2"},

		{"negated", []Phrase{{Text: "sick", Weight: 2}}, model.Input{Text: "not sick"}, "not:sick-1.5"},
		{"negated by a clitic", []Phrase{{Text: "sick", Weight: 2}}, model.Input{Text: "it isn't that sick"}, "not:sick-1.5"},
		{"negated bad", []Phrase{{Text: "mid", Weight: -2}}, model.Input{Text: "not really a mid run"}, "not:mid+1.5"},
		{"negated in German", []Phrase{{Text: "krass", Weight: 2}}, model.Input{Text: "das ist nicht so krass"}, "not:krass-1.5"},
		{"negated in French", []Phrase{{Text: "ouf", Weight: 2}}, model.Input{Text: "c'est pas ouf"}, "not:ouf-1.5"},
		{"negation too far", []Phrase{{Text: "sick", Weight: 2}}, model.Input{Text: "not a so very sick trick"}, "sick+2"},
		{"negation of something else", []Phrase{{Text: "sick", Weight: 2}}, model.Input{Text: "I never liked this sick trick"}, "sick+2"},
		{"negation before a comma", []Phrase{{Text: "sick", Weight: 2}}, model.Input{Text: "no, sick"}, "sick+2"},
		{"not only", []Phrase{{Text: "sick", Weight: 2}}, model.Input{Text: "not only sick but cheap"}, "sick+2"},
		{"negation in the phrase", []Phrase{{Text: "not sick", Weight: -1}, {Text: "sick", Weight: 2}}, model.Input{Text: "not sick"}, "not sick-1"},
		{"negation in the phrase before", []Phrase{{Text: "why not", Weight: 1}, {Text: "sick", Weight: 2}}, model.Input{Text: "why not sick"}, "why not+1, sick+2"},
		{"two negations", []Phrase{{Text: "sick", Weight: 2}}, model.Input{Text: "not not sick"}, "not:sick-1.5"},

		{"source in scope", []Phrase{{Text: "sick", Weight: 2, Scope: tweets}}, model.Input{Text: "sick", Source: "tweet"}, "sick+2"},
		{"source out of scope", []Phrase{{Text: "sick", Weight: 2, Scope: tweets}}, model.Input{Text: "sick", Source: "Tweet"}, ""},
		{"no source", []Phrase{{Text: "sick", Weight: 2, Scope: tweets}}, model.Input{Text: "sick"}, ""},
		{"language in scope", []Phrase{{Text: "gift", Weight: 2, Scope: en}}, model.Input{Text: "I really like this gift, thank you"}, "gift+2"},
		{"language out of scope", []Phrase{{Text: "gift", Weight: 2, Scope: en}}, model.Input{Text: "Das ist wirklich Gift für die Wirtschaft und für uns alle"}, ""},
		{"undetermined language", []Phrase{{Text: "🔥", Weight: 2, Scope: en}}, model.Input{Text: "🔥"}, ""},
		{"the narrower scope", []Phrase{{Text: "sick", Weight: 2}, {Text: "sick", Weight: -3, Scope: tweets}}, model.Input{Text: "sick", Source: "tweet"}, "sick-3"},
		{"the wider scope", []Phrase{{Text: "sick", Weight: 2}, {Text: "sick", Weight: -3, Scope: tweets}}, model.Input{Text: "sick", Source: "mail"}, "sick+2"},
		{"a longer one out of scope", []Phrase{{Text: "sick", Weight: 2}, {Text: "sick day", Neutral: true, Scope: tweets}}, model.Input{Text: "sick day"}, "sick+2"},

		{"together at most six", []Phrase{{Text: "sick", Weight: 3}, {Text: "mid", Weight: -3}}, model.Input{Text: "sick sick sick mid"}, "sick+1.5, sick+1.5, sick+1.5, mid-1.5"},
		{"learned neutral", []Phrase{{Text: "slam", Weight: 2, Neutral: true, Add: true}}, model.Input{Text: "slam"}, "slam+0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			// The order in which phrases are given makes no difference.
			for range 2 {
				o := mustNew(t, c.phrases...)
				require.Equal(t, c.want, render(c.in.Text, o.Hits(model.Default(), c.in)))
				slices.Reverse(c.phrases)
			}
		})
	}
}

func TestHitOffsets(t *testing.T) {
	const text = "👍🏽 é 𝕏 ticket closed"
	o := mustNew(t, Phrase{Text: "ticket closed", Weight: 1, Note: "n"})
	hits := o.Hits(model.Default(), model.Input{Text: text})
	require.Len(t, hits, 1)
	require.Equal(t, model.Span{StartByte: 17, EndByte: 30, StartUTF16: 10, EndUTF16: 23}, hits[0].Span)
	require.Equal(t, "n", hits[0].Phrase.Note)
}

// Long texts go through the matcher in pieces; no place may be lost between two.
func TestMatchAcrossPieces(t *testing.T) {
	o := mustNew(t, Phrase{Text: "a b c d e f g h i j k l", Weight: 1}, Phrase{Text: "sick", Weight: 1})
	for n := range 200 {
		text := strings.Repeat("word ", n) + "A b c-d e f g h i j k l"
		hits := o.Hits(model.Default(), model.Input{Text: text})
		require.Equal(t, "A b c-d e f g h i j k l+1", render(text, hits), n)
		text = strings.Repeat("word ", n) + "not a very sick" + strings.Repeat(" word", 100)
		require.Equal(t, "not:sick-0.75", render(text, o.Hits(model.Default(), model.Input{Text: text})), n)
	}
}

// naive finds the places of phrases by comparing words one by one.
func naive(o *Overlay, text string) []hit {
	all := words(text, 1<<20)
	var out []hit
	for i := range all {
		for _, p := range o.phrases {
			w := phraseWords(p.Text)
			if len(w) > len(all)-i {
				continue
			}
			same := true
			for k := range w {
				t := &all[i+k]
				same = same && (t.hash == w[k].hash || t.alt == w[k].squeezed)
			}
			if same {
				out = append(out, hit{first: i, last: i + len(w) - 1, start: all[i].start, end: all[i+len(w)-1].end})
			}
		}
	}
	return out
}

func FuzzMatch(f *testing.F) {
	f.Add("sick", "sick day", "a sick day is not sick #sickday", "en")
	f.Add("a a", "a", strings.Repeat("a ", 80)+"not a", "")
	f.Add("👩\u200d💻", "don't", "👩\u200d💻 don’t DONT dooon't \xff -- a-b ‑", "xx")
	f.Add("b-c", "\U0001d54f", "b c-\U0001d54fb-c", "pt-BR")
	s := model.Default()
	f.Fuzz(func(t *testing.T, one, two, text, language string) {
		o, err := New(Spec{Phrases: []Phrase{{Text: one, Weight: 2}, {Text: two, Weight: -1, Add: true}}, Bias: Bias{Neutral: 0.1}})
		if err != nil {
			return
		}
		in := model.Input{Text: text, Language: language}
		// Words with two squeezed forms in one place are the first phrase's, which
		// the naive way doesn't know; they need stretched words in the text.
		var sc scratch
		o.matcher.find(text, &sc)
		type place struct{ first, last, start, end int }
		found, want := map[place]bool{}, map[place]bool{}
		for _, h := range sc.found {
			found[place{h.first, h.last, h.start, h.end}] = true
		}
		stretched := false
		for _, w := range words(text, 1<<20) {
			stretched = stretched || w.alt != 0
		}
		for _, h := range naive(o, text) {
			want[place{h.first, h.last, h.start, h.end}] = true
		}
		if !stretched {
			require.Equal(t, want, found)
		}
		hits := o.Hits(s, in)
		last := 0
		total := 0.0
		for _, h := range hits {
			require.LessOrEqual(t, last, h.StartByte)
			require.Less(t, h.StartByte, h.EndByte)
			require.LessOrEqual(t, h.EndByte, len(text))
			last = h.EndByte
			total += max(h.Weight, -h.Weight)
		}
		require.LessOrEqual(t, total, MaxWeight+1e-9)
		checkAnalysis(t, o, in)
	})
}

// All orders of many overlapping phrases give the same hits.
func TestChoiceIsDeterministic(t *testing.T) {
	var phrases []Phrase
	for i, text := range []string{"a", "a b", "b a", "a b a", "b b", "b", "a a a", "b a b b"} {
		phrases = append(phrases, Phrase{Text: text, Weight: float64(i+1) / 100, Add: i%2 == 0})
	}
	rng := rand.New(rand.NewPCG(9, 9))
	for range 50 {
		var text strings.Builder
		for range 60 {
			text.WriteString([]string{"a ", "b ", "not ", "c ", ". "}[rng.IntN(5)])
		}
		in := model.Input{Text: text.String()}
		want := mustNew(t, phrases...).Hits(model.Default(), in)
		rng.Shuffle(len(phrases), func(i, j int) { phrases[i], phrases[j] = phrases[j], phrases[i] })
		require.Equal(t, want, mustNew(t, phrases...).Hits(model.Default(), in))
	}
}
