package model

import (
	"math"
	"sync"

	"github.com/synapse-analytics/synapse/model/internal/feature"
	"github.com/synapse-analytics/synapse/model/internal/modelfile"
)

// Label is the polarity of a text.
type Label int8

// The labels; they index Result.Probabilities.
const (
	Negative Label = iota
	Neutral
	Positive
)

// String returns NEGATIVE, NEUTRAL or POSITIVE, the names used on the wire.
func (l Label) String() string {
	switch l {
	case Negative:
		return "NEGATIVE"
	case Neutral:
		return "NEUTRAL"
	case Positive:
		return "POSITIVE"
	}
	return "UNKNOWN"
}

// Input is a text to score.
type Input struct {
	// Text may be any bytes and any length; 64 KiB takes one to two ms. Bytes that
	// are not UTF-8 are passed over.
	Text string
	// Source is a hint at where the text is from: "tweet", "review" or "comment"
	// (or one of their synonyms, see SourceKind). It moves the prior of the
	// classes. Empty and unknown sources score without it.
	Source string
	// Language is a hint, a BCP 47 tag such as "en" or "pt-BR". It weighs in when
	// the text itself leaves doubt, and does not overrule a clear text.
	Language string
}

// Result is the answer for one text.
type Result struct {
	Label Label
	// Score is p(positive) - p(negative), in [-1, 1].
	Score float64
	// Probabilities are indexed by Label and sum to 1.
	Probabilities [3]float64
	// Confidence is the probability of Label.
	Confidence float64
	// Language is a BCP 47 tag, or "und" when the text does not tell.
	Language string
	// LanguageSupported says whether sentiment was trained and measured in
	// Language. When it is false the probabilities are drawn towards even.
	LanguageSupported bool
}

// Scorer scores texts. It is immutable and safe for concurrent use.
type Scorer struct {
	version   string
	english   table
	others    table
	language  identifier
	languages []string
}

func newScorer(m *modelfile.Model) *Scorer {
	s := &Scorer{
		version:  m.Version,
		english:  newTable(&m.English),
		others:   newTable(&m.Others),
		language: newIdentifier(&m.Language),
	}
	s.languages = s.language.supportedCodes()
	return s
}

// Version names the weights, such as "synapse-wide-1". Two scorers of one
// version give the same bits for the same input.
func (s *Scorer) Version() string { return s.version }

// Languages returns the supported languages as sorted BCP 47 tags. The caller
// may change the slice.
func (s *Scorer) Languages() []string { return append([]string(nil), s.languages...) }

// table is one linear model; see modelfile.Linear for the packing of entries.
type table struct {
	entries  []uint32
	shift    uint
	word     float64
	char     float64
	bias     [2]float64
	source   [modelfile.Sources][2]float64
	temp     [modelfile.Temperatures]float64
	tagShift uint
}

func newTable(l *modelfile.Linear) table {
	return table{
		entries: l.Entries, shift: 64 - uint(l.Bits), tagShift: 64 - uint(l.Bits) - 16,
		word: l.WordScale, char: l.CharScale, bias: l.Bias, source: l.Source, temp: l.Temp,
	}
}

// sum adds the weights of the features. Integers, so that no order of addition
// and no fused multiply can change a bit. The tag is compared without a branch:
// about half of the features miss, in no pattern a predictor could learn.
func (t *table) sum(features []uint64) (d, n int64) {
	var d32, n32 int32 // a block has < 2^14 features of at most 2^7 each
	for _, h := range features {
		e := t.entries[h>>t.shift]
		miss := e&0xffff ^ uint32(h>>t.tagShift)&0xffff
		keep := int32(miss-1) >> 31
		d32 += int32(e) >> 24 & keep
		n32 += int32(e<<8) >> 24 & keep
	}
	return int64(d32), int64(n32)
}

// scratch is the working memory of one call.
type scratch struct {
	block feature.Block
	set   feature.Set
	state feature.State
}

var scratches = sync.Pool{New: func() any { return new(scratch) }}

// sums are the integer totals of a text, from which everything follows.
type sums struct {
	wordD, wordN, charD, charN int64
}

func (a *sums) add(t *table, set *feature.Set) {
	d, n := t.sum(set.Words)
	a.wordD += d
	a.wordN += n
	d, n = t.sum(set.Chars)
	a.charD += d
	a.charN += n
}

// Score scores one text. It allocates nothing in steady state and takes time in
// proportion to the length of the text.
func (s *Scorer) Score(in Input) Result {
	sc := scratches.Get().(*scratch)
	r := s.score(&in, sc)
	scratches.Put(sc)
	return r
}

// ScoreBatch scores in[i] into out[i], for as many as the shorter slice holds.
func (s *Scorer) ScoreBatch(in []Input, out []Result) {
	sc := scratches.Get().(*scratch)
	for i := range min(len(in), len(out)) {
		out[i] = s.score(&in[i], sc)
	}
	scratches.Put(sc)
}

func (s *Scorer) score(in *Input, sc *scratch) Result {
	var total sums
	var lang verdict
	t := &s.english
	sc.state = feature.State{}
	for pos, first := 0, true; pos < len(in.Text); first = false {
		pos = sc.block.Fill(in.Text, pos)
		sc.set.Extract(&sc.block, &sc.state)
		if first {
			lang = s.language.identify(in.Language, &sc.block, sc.set.Chars)
			t = s.tableFor(lang)
		}
		total.add(t, &sc.set)
	}
	d, n, _, _ := t.logits(&total, sc.state.Tokens, SourceKind(in.Source), lang)
	return result(d, n, s.language.tag(in.Language, lang), lang.supported)
}

func (s *Scorer) tableFor(v verdict) *table {
	if v.english {
		return &s.english
	}
	return &s.others
}

// Kind is a kind of source with a prior of its own.
type Kind int8

// The kinds of source.
const (
	UnknownSource Kind = iota - 1
	Tweet
	Review
	Comment
)

// SourceKind maps the name of a source to its kind. Names are compared exactly,
// in lower case; any other name is UnknownSource.
func SourceKind(source string) Kind {
	switch source {
	case "tweet", "tweets", "twitter", "x", "social", "mastodon", "bluesky":
		return Tweet
	case "review", "reviews", "product", "app_store", "play_store", "survey", "imdb":
		return Review
	case "comment", "comments", "reddit", "forum", "youtube", "chat", "news":
		return Comment
	}
	return UnknownSource
}

// unsupportedShrink draws logits together when the language is not one that
// was trained: a direction may be right (emoji, loan words), a confidence is not.
const unsupportedShrink = 0.35

// emptyNeutral is the neutral logit of a text without a token: about 0.9.
const emptyNeutral = 2.8903717578961645

// logits turns totals into the logit difference positive minus negative and the
// neutral logit. factor and bias rebuild d from the word and char sums:
// d = (wordD*word + charD*char)*factor + bias.
func (t *table) logits(a *sums, tokens int, source Kind, lang verdict) (d, n, factor, bias float64) {
	if tokens == 0 {
		return 0, emptyNeutral, 0, 0
	}
	temp := t.temp[TemperatureClass(tokens)]
	scale := 1.0
	if !lang.supported && lang.letters {
		scale = unsupportedShrink
	}
	scale /= temp
	biasD, biasN := t.bias[0], t.bias[1]
	if source >= 0 {
		biasD += t.source[source][0]
		biasN += t.source[source][1]
	}
	// Longer texts say more, but not in proportion: the square root.
	factor = scale / math.Sqrt(float64(tokens))
	bias = float64(biasD * scale)
	// The explicit conversions keep compilers from fusing multiply and add.
	sumD := float64(float64(a.wordD)*t.word) + float64(float64(a.charD)*t.char)
	sumN := float64(float64(a.wordN)*t.word) + float64(float64(a.charN)*t.char)
	d = float64(sumD*factor) + bias
	n = float64(sumN*factor) + float64(biasN*scale)
	return d, n, factor, bias
}

// TemperatureClass is the class of length that a text of so many tokens has.
func TemperatureClass(tokens int) int {
	switch {
	case tokens <= 5:
		return 0
	case tokens <= 14:
		return 1
	case tokens <= 30:
		return 2
	case tokens <= 80:
		return 3
	case tokens <= 250:
		return 4
	}
	return 5
}

// result is the softmax of (-d/2, n, d/2).
func result(d, n float64, language string, supported bool) Result {
	half := d / 2
	top := max(half, -half, n)
	p := [3]float64{exp(-half - top), exp(n - top), exp(half - top)}
	sum := p[0] + p[1] + p[2]
	r := Result{Language: language, LanguageSupported: supported}
	for i := range p {
		p[i] /= sum
		if p[i] > p[r.Label] {
			r.Label = Label(i)
		}
	}
	r.Probabilities = p
	r.Confidence = p[r.Label]
	r.Score = p[Positive] - p[Negative]
	return r
}

// exp is e^x for x <= 0. The standard library's has assembly on some machines,
// whose last bit differs; this one is the same everywhere.
func exp(x float64) float64 {
	if x < -700 {
		return 0
	}
	const (
		log2e = 1.44269504088896338700e+00
		ln2Hi = 6.93147180369123816490e-01
		ln2Lo = 1.90821492927058770002e-10
	)
	k := math.Floor(float64(x*log2e) + 0.5)
	r := x - float64(k*ln2Hi)
	r -= float64(k * ln2Lo)
	// Taylor to r^12: |r| <= ln2/2, the next term is below 2^-52.
	y := 1.0
	for i := 12; i >= 1; i-- {
		y = float64(float64(y*r)/float64(i)) + 1
	}
	return y * math.Float64frombits(uint64(int64(k)+1023)<<52)
}
