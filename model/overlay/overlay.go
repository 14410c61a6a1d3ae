// Package overlay adapts a model.Scorer to one project: phrases whose meaning its
// users know better than the scorer, and a correction learned from the labels
// that they changed. An overlay is a value beside the scorer. It never changes
// the scorer, and so never a bit of another project's results.
//
// # What a phrase means
//
// A phrase replaces what the scorer makes of its words: the text is scored as if
// they weren't there, and then Weight is added to the logit of positive over
// negative and its size taken off the logit of neutral. A phrase that is Neutral
// says nothing, and leaves it at that. A phrase with Add leaves the scorer's own
// reading alone and adds to it; learned phrases are of this kind.
//
//   - Words are compared the way the scorer reads them: without case, without the
//     # of a hashtag, skin tones and stretched letters ("SIIICK"), with typographic
//     apostrophes as plain ones. A hyphen inside a word counts as a space. A phrase
//     of several words is also found as one hashtag (#TicketClosed). Numbers, links
//     and user names must be the same to the letter.
//   - Phrases don't overlap: those of users go before learned ones, then the one of
//     more words, then the one further left.
//   - A negation right before a phrase ("not sick", "isn't that sick") turns its
//     weight around, at three quarters: what is not good is rarely as bad as bad.
//     A negation within the phrase's own text is just a word of it.
//   - The phrases of a text together weigh at most 6, as much as one alone may;
//     beyond that all are scaled down alike.
package overlay

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"unicode/utf8"
)

// Bounds of a Spec.
const (
	MaxPhrases = 2000
	MaxWeight  = 6.0 // of a phrase, and of each part of Bias; a size
	maxTokens  = 12  // words of one phrase
	maxText    = 400 // bytes of one phrase
	maxNote    = 500 // characters
	maxScope   = 20  // sources, and languages, of one phrase
	maxSource  = 64  // bytes, as in an event
	maxParent  = 100 // bytes
	maxJSON    = 16 << 20
	// maxViolations bounds what an InvalidError lists.
	maxViolations = 20
)

// Origin tells who made a phrase.
type Origin string

// The origins. An empty one is User.
const (
	User    Origin = "user"
	Learned Origin = "learned"
)

// Phrase is what some words mean in a project; see the package for how they are
// found and what they do.
type Phrase struct {
	// Text is 1 to 12 words, emoji and signs, at most 400 bytes of UTF-8.
	Text string `json:"text"`
	// Weight is added to ln(p(positive)/p(negative)), in [-6, 6]: 1 is a hint, 3
	// is as clear as "great" or "terrible", 6 outweighs nearly everything. It is
	// not 0, unless Neutral is set without Add.
	Weight float64 `json:"weight,omitempty"`
	// Neutral means that the phrase says nothing; Weight is 0. With Add it means
	// that the phrase speaks for neutral: Weight, above 0, is added to the logit of
	// neutral over the mean of the other two.
	Neutral bool `json:"neutral,omitempty"`
	// Add keeps the scorer's own reading of the words.
	Add   bool  `json:"add,omitempty"`
	Scope Scope `json:"scope,omitzero"`
	// Note is for people: at most 500 characters.
	Note string `json:"note,omitempty"`
	// Origin is User unless Tune made the phrase.
	Origin Origin `json:"origin,omitempty"`
	// Seen is how many relabels held a learned phrase, Agreed how many of them were
	// labelled the way that it speaks.
	Seen   int `json:"seen,omitempty"`
	Agreed int `json:"agreed,omitempty"`
}

func (p *Phrase) learned() bool { return p.Origin == Learned }

// replaces says whether the scorer must not see the words.
func (p *Phrase) replaces() bool { return !p.Add }

// Scope limits a phrase. An empty list is no limit. Where phrases of the same
// words are in scope together, the user's goes before the learned one, then the
// one with more kinds of limit, then the first by the order of Spec.
type Scope struct {
	// Sources are compared with Input.Source exactly; at most 20, of 64 bytes.
	Sources []string `json:"sources,omitempty"`
	// Languages are primary subtags such as "en", compared with the language of the
	// result; at most 20. A text whose language is undetermined is in none.
	Languages []string `json:"languages,omitempty"`
}

func (s *Scope) holds(source, language string) bool {
	return (len(s.Sources) == 0 || slices.Contains(s.Sources, source)) &&
		(len(s.Languages) == 0 || slices.Contains(s.Languages, language))
}

func (s *Scope) kinds() int { return min(len(s.Sources), 1) + min(len(s.Languages), 1) }

// Bias moves every text of the project. Both parts are in [-6, 6].
type Bias struct {
	Polarity float64 `json:"polarity,omitempty"` // on ln(p(positive)/p(negative))
	Neutral  float64 `json:"neutral,omitempty"`  // on the logit of neutral
}

// Spec is what an overlay is made of.
type Spec struct {
	Phrases []Phrase `json:"phrases,omitempty"`
	Bias    Bias     `json:"bias,omitzero"`
	// Unlearn are the texts of phrases that Tune must not learn (again), at most
	// MaxPhrases.
	Unlearn []string `json:"unlearn,omitempty"`
	// Parent is the version of the overlay that this one was made from, or "". To
	// undo a change is to use the parent again. It is no part of the version.
	Parent string `json:"parent,omitempty"`
}

// Overlay is immutable and safe for concurrent use. Nil is the overlay that
// changes nothing.
type Overlay struct {
	phrases []Phrase // in canonical order, which is that of preference too
	keys    []string // of the phrases
	bias    shift
	unlearn []string
	parent  string
	version string
	matcher *matcher // nil without phrases
}

// Violation is a rule that a field breaks, and what to do about it.
type Violation struct{ Field, Rule, Remedy string }

// InvalidError lists the first 20 rules that a Spec, or what was given to Tune,
// breaks.
type InvalidError struct{ Violations []Violation }

func (e *InvalidError) Error() string {
	var b strings.Builder
	for i, v := range e.Violations {
		if i > 0 {
			b.WriteString("; ")
		}
		fmt.Fprintf(&b, "%s: %s: %s", v.Field, v.Rule, v.Remedy)
	}
	return b.String()
}

// violations collects them.
type violations []Violation

func (v *violations) add(field, rule, remedy string) {
	if len(*v) < maxViolations {
		*v = append(*v, Violation{field, rule, remedy})
	}
}

func (v violations) err() error {
	if len(v) == 0 {
		return nil
	}
	return &InvalidError{v}
}

// New checks spec and makes an overlay of it. Any error is an *InvalidError. The
// order of the phrases, of the lists of a scope and of Unlearn makes no
// difference; the overlay keeps no reference to spec.
func New(spec Spec) (*Overlay, error) {
	var bad violations
	o := &Overlay{parent: spec.Parent, bias: shift{spec.Bias.Polarity + 0, spec.Bias.Neutral + 0}}
	if len(spec.Phrases) > MaxPhrases {
		bad.add("phrases", fmt.Sprintf("at most %d", MaxPhrases), fmt.Sprintf("remove %d", len(spec.Phrases)-MaxPhrases))
		return nil, bad.err()
	}
	if len(spec.Unlearn) > MaxPhrases {
		bad.add("unlearn", fmt.Sprintf("at most %d", MaxPhrases), fmt.Sprintf("remove %d", len(spec.Unlearn)-MaxPhrases))
		return nil, bad.err()
	}
	checkWeight(&bad, "bias.polarity", o.bias.d)
	checkWeight(&bad, "bias.neutral", o.bias.n)
	if len(spec.Parent) > maxParent || !utf8.ValidString(spec.Parent) {
		bad.add("parent", "a version of at most 100 bytes", "give what Version returned, or nothing")
	}
	compiled := make([]compiledPhrase, len(spec.Phrases))
	for i := range spec.Phrases {
		compiled[i] = compile(&bad, fmt.Sprintf("phrases[%d]", i), i, spec.Phrases[i])
	}
	for i, text := range spec.Unlearn {
		text = strings.TrimSpace(text)
		checkText(&bad, fmt.Sprintf("unlearn[%d]", i), text)
		o.unlearn = append(o.unlearn, text)
	}
	if len(bad) > 0 {
		return nil, bad.err()
	}
	slices.Sort(o.unlearn)
	o.unlearn = slices.Compact(o.unlearn)
	slices.SortFunc(compiled, compareCompiled)
	for i := 1; i < len(compiled); i++ {
		if a, b := &compiled[i-1], &compiled[i]; compareCompiled(*a, *b) == 0 {
			bad.add(fmt.Sprintf("phrases[%d].text", max(a.index, b.index)),
				fmt.Sprintf("the same words in the same scope as phrases[%d]", min(a.index, b.index)), "remove one of them")
		}
	}
	if len(bad) > 0 {
		return nil, bad.err()
	}
	all := make([][]word, len(compiled))
	for i, c := range compiled {
		o.phrases = append(o.phrases, c.phrase)
		o.keys = append(o.keys, c.key)
		all[i] = c.words
	}
	if len(all) > 0 {
		o.matcher = newMatcher(all)
	}
	sum := sha256.Sum256(o.encode(false))
	o.version = hex.EncodeToString(sum[:16])
	return o, nil
}

type compiledPhrase struct {
	phrase Phrase
	words  []word
	key    string // the words; phrases with the same are found in the same places
	index  int    // in the Spec, for errors
}

// compareCompiled puts the preferred phrase first among those of the same words.
func compareCompiled(a, b compiledPhrase) int {
	return cmp.Or(
		strings.Compare(a.key, b.key),
		-strings.Compare(string(a.phrase.Origin), string(b.phrase.Origin)), // user, learned
		cmp.Compare(b.phrase.Scope.kinds(), a.phrase.Scope.kinds()),
		slices.Compare(a.phrase.Scope.Sources, b.phrase.Scope.Sources),
		slices.Compare(a.phrase.Scope.Languages, b.phrase.Scope.Languages),
	)
}

func keyOf(w []word) string {
	forms := make([]string, len(w))
	for i := range w {
		forms[i] = w[i].form
	}
	return strings.Join(forms, " ")
}

func compile(bad *violations, field string, index int, p Phrase) compiledPhrase {
	p.Text = strings.TrimSpace(p.Text)
	p.Weight += 0 // no negative zero
	w := checkText(bad, field+".text", p.Text)
	checkWeight(bad, field+".weight", p.Weight)
	switch {
	case p.Neutral && !p.Add && p.Weight != 0:
		bad.add(field+".weight", "0 for a neutral phrase", "set it to 0, or set neutral to false")
	case p.Neutral && p.Add && p.Weight <= 0:
		bad.add(field+".weight", "above 0 for a neutral phrase that adds", "give a weight, or set add to false")
	case !p.Neutral && p.Weight == 0:
		bad.add(field+".weight", "not 0", "give a weight, or set neutral to true if the phrase says nothing")
	}
	if utf8.RuneCountInString(p.Note) > maxNote || !utf8.ValidString(p.Note) {
		bad.add(field+".note", fmt.Sprintf("at most %d characters of UTF-8", maxNote), "shorten it")
	}
	p.Scope.Sources = list(bad, field+".scope.sources", p.Scope.Sources, func(s string) (string, bool) {
		return s, s != "" && len(s) <= maxSource && utf8.ValidString(s)
	}, "1 to 64 bytes of UTF-8", "give the sources as the events name them")
	p.Scope.Languages = list(bad, field+".scope.languages", p.Scope.Languages, language,
		"a primary language subtag of two or three letters", `leave out the region: "en", not "en-GB"`)
	switch p.Origin {
	case "":
		p.Origin = User
	case User, Learned:
	default:
		bad.add(field+".origin", `"user" or "learned"`, "leave it out for a phrase of a user")
	}
	if p.Seen < 0 || p.Agreed < 0 || p.Agreed > p.Seen || p.Seen > MaxRelabels || p.Origin == User && p.Seen > 0 {
		bad.add(field+".seen", fmt.Sprintf("agreed <= seen <= %d, and 0 for a phrase of a user", MaxRelabels), "set both to 0")
	}
	return compiledPhrase{p, w, keyOf(w), index}
}

func checkText(bad *violations, field, text string) []word {
	if len(text) > maxText || !utf8.ValidString(text) {
		bad.add(field, fmt.Sprintf("at most %d bytes of UTF-8", maxText), "shorten it")
		return nil
	}
	w := phraseWords(text)
	switch {
	case len(w) == 0:
		bad.add(field, "at least one word, emoji or sign", "give the words to look for")
	case len(w) > maxTokens:
		bad.add(field, fmt.Sprintf("at most %d words (%q counts as two)", maxTokens, "don't"), "give the part that carries the meaning")
	}
	return w
}

func checkWeight(bad *violations, field string, w float64) {
	if math.IsNaN(w) || w < -MaxWeight || w > MaxWeight {
		bad.add(field, "in [-6, 6]", "3 is as clear as \"great\", -3 as \"terrible\"")
	}
}

// list is values checked, sorted and without repetition; nil when empty.
func list(bad *violations, field string, values []string, check func(string) (string, bool), rule, remedy string) []string {
	if len(values) > maxScope {
		bad.add(field, fmt.Sprintf("at most %d", maxScope), "leave the list empty to limit nothing")
		return nil
	}
	var out []string
	for i, v := range values {
		v, ok := check(v)
		if !ok {
			bad.add(fmt.Sprintf("%s[%d]", field, i), rule, remedy)
			continue
		}
		out = append(out, v)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func language(tag string) (string, bool) {
	if len(tag) != 2 && len(tag) != 3 {
		return "", false
	}
	tag = strings.ToLower(tag)
	for _, r := range tag {
		if r < 'a' || r > 'z' {
			return "", false
		}
	}
	return tag, true
}

// Version names the content: overlays that give the same bits and read the same
// to people have the same version, 32 hexadecimal digits. That of nil is "".
func (o *Overlay) Version() string {
	if o == nil {
		return ""
	}
	return o.version
}

// Parent is Spec.Parent.
func (o *Overlay) Parent() string {
	if o == nil {
		return ""
	}
	return o.parent
}

// Spec is what o is made of, in canonical order. The caller may change it.
func (o *Overlay) Spec() Spec {
	if o == nil {
		return Spec{}
	}
	s := Spec{
		Phrases: slices.Clone(o.phrases), Bias: Bias{o.bias.d, o.bias.n},
		Unlearn: slices.Clone(o.unlearn), Parent: o.parent,
	}
	for i := range s.Phrases {
		scope := &s.Phrases[i].Scope
		scope.Sources, scope.Languages = slices.Clone(scope.Sources), slices.Clone(scope.Languages)
	}
	return s
}

// format is the version of the JSON form.
const format = 1

type document struct {
	Format int `json:"format"`
	Spec
}

// encode is the canonical JSON form, the same for the same content.
func (o *Overlay) encode(withParent bool) []byte {
	d := document{format, o.Spec()}
	if !withParent {
		d.Parent = ""
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(d); err != nil {
		panic("overlay: " + err.Error()) // New lets no value in that JSON can't hold
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// MarshalJSON returns the canonical form, which Parse reads.
func (o *Overlay) MarshalJSON() ([]byte, error) {
	if o == nil {
		return []byte("null"), nil
	}
	return o.encode(true), nil
}

// Parse reads the JSON form of an overlay, at most 16 MiB. It refuses fields that
// it doesn't know and, with an *InvalidError, whatever New refuses.
func Parse(data []byte) (*Overlay, error) {
	if len(data) > maxJSON {
		return nil, errors.New("overlay: more than 16 MiB of JSON")
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	var d document
	if err := dec.Decode(&d); err != nil {
		return nil, fmt.Errorf("overlay: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("overlay: something follows the JSON value")
	}
	if d.Format != format {
		return nil, fmt.Errorf("overlay: format %d is not known, only %d is", d.Format, format)
	}
	return New(d.Spec)
}
