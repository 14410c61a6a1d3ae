package overlay

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/synapse-analytics/synapse/model"
)

func mustNew(t testing.TB, phrases ...Phrase) *Overlay {
	t.Helper()
	o, err := New(Spec{Phrases: phrases})
	require.NoError(t, err)
	return o
}

var fullSpec = Spec{
	Phrases: []Phrase{
		{Text: "sick", Weight: 2.5, Note: "praise, <3 & more"},
		{Text: "Ticket closed", Neutral: true, Scope: Scope{Sources: []string{"zendesk", "jira"}, Languages: []string{"EN", "de", "en"}}},
		{Text: "ticket closed", Weight: -1.25},
		{Text: "🔥", Weight: 3, Add: true},
		{Text: "meh", Weight: 0.4, Neutral: true, Add: true, Origin: Learned, Seen: 5, Agreed: 4},
		{Text: "meh", Weight: -1},
		{Text: "don't panic", Weight: 0.1 + 0.2},
		{Text: "\u2028 naïve \u00a0", Weight: 6},
	},
	Bias:    Bias{Polarity: 0.125, Neutral: -0.3},
	Unlearn: []string{"chris", "a b", "chris"},
	Parent:  "0123",
}

func TestCanonicalForm(t *testing.T) {
	o, err := New(fullSpec)
	require.NoError(t, err)
	require.Len(t, o.Version(), 32)
	rng := rand.New(rand.NewPCG(1, 1))
	for range 10 {
		s := o.Spec()
		rng.Shuffle(len(s.Phrases), func(i, j int) { s.Phrases[i], s.Phrases[j] = s.Phrases[j], s.Phrases[i] })
		for i := range s.Phrases {
			slices.Reverse(s.Phrases[i].Scope.Sources)
			slices.Reverse(s.Phrases[i].Scope.Languages)
		}
		slices.Reverse(s.Unlearn)
		other, err := New(s)
		require.NoError(t, err)
		require.Equal(t, o.Version(), other.Version())
		require.Equal(t, o.Spec(), other.Spec())
	}

	raw, err := json.Marshal(o)
	require.NoError(t, err)
	back, err := Parse(raw)
	require.NoError(t, err)
	require.Equal(t, o.Spec(), back.Spec())
	require.Equal(t, o.Version(), back.Version())
	again, err := back.MarshalJSON()
	require.NoError(t, err)
	direct, err := o.MarshalJSON()
	require.NoError(t, err)
	require.Equal(t, string(direct), string(again))
	require.Contains(t, string(direct), `"languages":["de","en"]`)
	require.Contains(t, string(direct), `<3 & more`)

	// The caller may change what Spec returns, and what it gave.
	o.Spec().Phrases[0].Text = "x"
	for _, p := range o.Spec().Phrases {
		if len(p.Scope.Sources) > 0 {
			p.Scope.Sources[0] = "x"
		}
	}
	require.Equal(t, back.Spec(), o.Spec())
}

// The JSON form is stored: it must stay readable.
func TestStoredForm(t *testing.T) {
	const stored = `{"format":1,"phrases":[` +
		`{"text":"ok","weight":0.5,"neutral":true,"add":true,"origin":"learned","seen":3,"agreed":3},` +
		`{"text":"sick","weight":2,"scope":{"sources":["x"],"languages":["en"]},"note":"n","origin":"user"}],` +
		`"bias":{"polarity":0.1,"neutral":-0.2},"unlearn":["a"],"parent":"p"}`
	o, err := Parse([]byte(stored))
	require.NoError(t, err)
	raw, err := o.MarshalJSON()
	require.NoError(t, err)
	require.Equal(t, stored, string(raw))
	require.Equal(t, "p", o.Parent())
	require.Equal(t, "ee70e1108dd977b8dd93bbac632b6dca", o.Version())
}

func TestVersionIsTheContent(t *testing.T) {
	base := Spec{Phrases: []Phrase{{Text: "sick", Weight: 2}}}
	o, err := New(base)
	require.NoError(t, err)
	seen := map[string]bool{o.Version(): true}
	for _, change := range []func(*Spec){
		func(s *Spec) { s.Phrases[0].Text = "Sick" },
		func(s *Spec) { s.Phrases[0].Weight = math.Nextafter(2, 3) },
		func(s *Spec) { s.Phrases[0].Neutral, s.Phrases[0].Weight = true, 0 },
		func(s *Spec) { s.Phrases[0].Add = true },
		func(s *Spec) { s.Phrases[0].Note = "n" },
		func(s *Spec) { s.Phrases[0].Origin = Learned },
		func(s *Spec) { s.Phrases[0].Scope.Sources = []string{"en"} },
		func(s *Spec) { s.Phrases[0].Scope.Languages = []string{"en"} },
		func(s *Spec) { s.Phrases = nil },
		func(s *Spec) { s.Bias.Polarity = 1 },
		func(s *Spec) { s.Bias.Neutral = 1 },
		func(s *Spec) { s.Unlearn = []string{"sick"} },
	} {
		s := Spec{Phrases: slices.Clone(base.Phrases)}
		change(&s)
		c, err := New(s)
		require.NoError(t, err)
		require.False(t, seen[c.Version()], "%+v", s)
		seen[c.Version()] = true
	}
	base.Parent = "p"
	base.Phrases = []Phrase{{Text: " sick\t", Weight: 2, Origin: User}}
	same, err := New(base)
	require.NoError(t, err)
	require.Equal(t, o.Version(), same.Version())
	require.Equal(t, "p", same.Parent())
}

func TestNewRefuses(t *testing.T) {
	nan := math.NaN()
	long := strings.Repeat("a ", 13)
	for name, c := range map[string]struct {
		spec  Spec
		field string
	}{
		"no text":           {Spec{Phrases: []Phrase{{Weight: 1}}}, "phrases[0].text"},
		"white space":       {Spec{Phrases: []Phrase{{Text: " \t\u00a0", Weight: 1}}}, "phrases[0].text"},
		"nothing to find":   {Spec{Phrases: []Phrase{{Text: "\u200d", Weight: 1}}}, "phrases[0].text"},
		"thirteen words":    {Spec{Phrases: []Phrase{{Text: long, Weight: 1}}}, "phrases[0].text"},
		"a long text":       {Spec{Phrases: []Phrase{{Text: strings.Repeat("a", 401), Weight: 1}}}, "phrases[0].text"},
		"not UTF-8":         {Spec{Phrases: []Phrase{{Text: "a\xff", Weight: 1}}}, "phrases[0].text"},
		"no weight":         {Spec{Phrases: []Phrase{{Text: "a"}}}, "phrases[0].weight"},
		"weight too large":  {Spec{Phrases: []Phrase{{Text: "a", Weight: 6.1}}}, "phrases[0].weight"},
		"weight too small":  {Spec{Phrases: []Phrase{{Text: "a", Weight: -6.1}}}, "phrases[0].weight"},
		"not a number":      {Spec{Phrases: []Phrase{{Text: "a", Weight: nan}}}, "phrases[0].weight"},
		"infinite":          {Spec{Phrases: []Phrase{{Text: "a", Weight: math.Inf(1)}}}, "phrases[0].weight"},
		"neutral weight":    {Spec{Phrases: []Phrase{{Text: "a", Weight: 1, Neutral: true}}}, "phrases[0].weight"},
		"neutral, added":    {Spec{Phrases: []Phrase{{Text: "a", Weight: -1, Neutral: true, Add: true}}}, "phrases[0].weight"},
		"neutral, add zero": {Spec{Phrases: []Phrase{{Text: "a", Neutral: true, Add: true}}}, "phrases[0].weight"},
		"note":              {Spec{Phrases: []Phrase{{Text: "a", Weight: 1, Note: strings.Repeat("é", 501)}}}, "phrases[0].note"},
		"note not UTF-8":    {Spec{Phrases: []Phrase{{Text: "a", Weight: 1, Note: "\xff"}}}, "phrases[0].note"},
		"empty source":      {Spec{Phrases: []Phrase{{Text: "a", Weight: 1, Scope: Scope{Sources: []string{"x", ""}}}}}, "phrases[0].scope.sources[1]"},
		"many sources":      {Spec{Phrases: []Phrase{{Text: "a", Weight: 1, Scope: Scope{Sources: make([]string, 21)}}}}, "phrases[0].scope.sources"},
		"region":            {Spec{Phrases: []Phrase{{Text: "a", Weight: 1, Scope: Scope{Languages: []string{"en-GB"}}}}}, "phrases[0].scope.languages[0]"},
		"no language":       {Spec{Phrases: []Phrase{{Text: "a", Weight: 1, Scope: Scope{Languages: []string{"é"}}}}}, "phrases[0].scope.languages[0]"},
		"origin":            {Spec{Phrases: []Phrase{{Text: "a", Weight: 1, Origin: "x"}}}, "phrases[0].origin"},
		"seen by a user":    {Spec{Phrases: []Phrase{{Text: "a", Weight: 1, Seen: 1}}}, "phrases[0].seen"},
		"agreed":            {Spec{Phrases: []Phrase{{Text: "a", Weight: 1, Origin: Learned, Seen: 1, Agreed: 2}}}, "phrases[0].seen"},
		"bias":              {Spec{Bias: Bias{Polarity: nan}}, "bias.polarity"},
		"neutral bias":      {Spec{Bias: Bias{Neutral: -7}}, "bias.neutral"},
		"unlearn":           {Spec{Unlearn: []string{"a", ""}}, "unlearn[1]"},
		"many to unlearn":   {Spec{Unlearn: make([]string, MaxPhrases+1)}, "unlearn"},
		"parent":            {Spec{Parent: strings.Repeat("a", 101)}, "parent"},
		"many phrases":      {Spec{Phrases: make([]Phrase, MaxPhrases+1)}, "phrases"},
		"same words": {Spec{Phrases: []Phrase{
			{Text: "b", Weight: 1},
			{Text: "#Ticket-Closed!", Weight: 1, Scope: Scope{Languages: []string{"en", "de"}}},
			{Text: `"ticket closed!"`, Weight: 2, Scope: Scope{Languages: []string{"DE", "en", "en"}}},
		}}, "phrases[2].text"},
	} {
		t.Run(name, func(t *testing.T) {
			o, err := New(c.spec)
			require.Nil(t, o)
			var invalid *InvalidError
			require.ErrorAs(t, err, &invalid)
			require.Len(t, invalid.Violations, 1)
			require.Equal(t, c.field, invalid.Violations[0].Field)
			require.NotEmpty(t, invalid.Violations[0].Rule)
			require.NotEmpty(t, invalid.Violations[0].Remedy)
			require.Contains(t, err.Error(), c.field+": ")
		})
	}
	_, err := New(Spec{Phrases: make([]Phrase, 100)})
	var invalid *InvalidError
	require.ErrorAs(t, err, &invalid)
	require.Len(t, invalid.Violations, 20)
}

func TestBoundsAreIncluded(t *testing.T) {
	phrases := make([]Phrase, MaxPhrases)
	for i := range phrases {
		phrases[i] = Phrase{Text: fmt.Sprintf("word%dx", i), Weight: 6, Note: strings.Repeat("é", 500)}
	}
	phrases[0].Text = strings.Repeat("a ", 12)
	phrases[1].Text = strings.Repeat("b", 400/8)
	phrases[2].Scope.Sources = []string{strings.Repeat("s", 64)}
	o := mustNew(t, phrases...)
	raw, err := o.MarshalJSON()
	require.NoError(t, err)
	_, err = Parse(raw)
	require.NoError(t, err)
}

func TestParseRefuses(t *testing.T) {
	for _, raw := range []string{
		"", "null", "[]", "{}", `{"format":2}`, `{"format":1} {}`, `{"format":1,"colour":1}`,
		`{"format":1,"phrases":[{"text":"a","weight":1e999}]}`, `{"format":1,"phrases":[{"text":"a","weight":"1"}]}`,
		strings.Repeat(" ", maxJSON) + `{"format":1}`,
	} {
		o, err := Parse([]byte(raw))
		require.Error(t, err, raw[:min(len(raw), 60)])
		require.Nil(t, o)
	}
	_, err := Parse([]byte(`{"format":1,"phrases":[{"text":"a","weight":9}]}`))
	var invalid *InvalidError
	require.True(t, errors.As(err, &invalid))
}

func TestNilOverlay(t *testing.T) {
	var o *Overlay
	require.Empty(t, o.Version())
	require.Empty(t, o.Parent())
	require.Equal(t, Spec{}, o.Spec())
	raw, err := o.MarshalJSON()
	require.NoError(t, err)
	require.Equal(t, "null", string(raw))
	require.Nil(t, o.Hits(model.Default(), model.Input{Text: "good"}))
	empty := mustNew(t)
	require.NotEmpty(t, empty.Version())
	for _, text := range texts {
		in := model.Input{Text: text}
		want := model.Default().Score(in)
		require.Equal(t, want, o.Score(model.Default(), in))
		require.Equal(t, want, empty.Score(model.Default(), in))
		require.Equal(t, model.Default().Analyze(in, model.AllExtras), o.Analyze(model.Default(), in, model.AllExtras))
		require.Equal(t, model.Default().Analyze(in, model.AllExtras), empty.Analyze(model.Default(), in, model.AllExtras))
	}
}

func FuzzParse(f *testing.F) {
	o, err := New(fullSpec)
	if err != nil {
		f.Fatal(err)
	}
	raw, err := o.MarshalJSON()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Add([]byte(`{"format":1,"phrases":[{"text":"don’t \ud83d\udd25 1984 @me #a-b","weight":-0}],"bias":{"neutral":-1e-9}}`))
	f.Add([]byte(`{"format":1,"phrases":[{"text":"\u0000<\u2028>","weight":5e-324}],"parent":"\ufffd"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		o, err := Parse(data)
		if err != nil {
			return
		}
		raw, err := o.MarshalJSON()
		require.NoError(t, err)
		back, err := Parse(raw)
		require.NoError(t, err, string(raw))
		require.Equal(t, o.Version(), back.Version())
		require.Equal(t, o.Spec(), back.Spec())
		again, err := back.MarshalJSON()
		require.NoError(t, err)
		require.Equal(t, string(raw), string(again))
		for _, p := range o.Spec().Phrases {
			r := o.Score(model.Default(), model.Input{Text: "so " + p.Text, Source: "x"})
			checkResult(t, &r)
		}
	})
}
