package model

import (
	"fmt"
	"math"
	"sync"

	"github.com/synapse-analytics/synapse/model/internal/deep"
	"github.com/synapse-analytics/synapse/model/internal/feature"
	"github.com/synapse-analytics/synapse/model/internal/modelfile"
	"github.com/synapse-analytics/synapse/model/internal/target"
	"github.com/synapse-analytics/synapse/model/internal/vec"
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
	// Targets are things whose own sentiment is asked for; only Analyze reads them.
	Targets []Target
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
	// Mixed says that the text speaks clearly well and clearly badly.
	Mixed bool
	// Stars are the probabilities of 1 to 5 stars, as a reviewer would give; they
	// sum to 1.
	Stars [5]float64
}

// Binary is the choice between negative and positive alone.
func (r *Result) Binary() Polarity {
	neg, pos := r.Probabilities[Negative], r.Probabilities[Positive]
	p := Polarity{Label: Positive}
	if pos < neg {
		p.Label = Negative
	}
	if sum := neg + pos; sum > 0 {
		neg, pos = neg/sum, pos/sum
	} else {
		neg, pos = 0.5, 0.5
	}
	p.Probabilities[Negative], p.Probabilities[Positive] = neg, pos
	p.Score = pos - neg
	return p
}

// Scorer scores texts. It is immutable and safe for concurrent use.
type Scorer struct {
	version   string
	english   table
	network   *deep.Net
	letters   letters
	blend     [modelfile.Sources + 1][modelfile.Temperatures]modelfile.Blend
	heads     modelfile.Heads
	feelings  feelings
	others    table
	language  identifier
	languages []string
	targets   *target.Model // nil: what is said near a target counts
}

func newScorer(m *modelfile.Model) (*Scorer, error) {
	s := &Scorer{
		version:  m.Version,
		english:  newTable(&m.English),
		network:  deep.New(m.Deep),
		letters:  m.Letters,
		blend:    m.Blend,
		heads:    m.Heads,
		feelings: newFeelings(&m.Feelings),
		others:   newTable(&m.Others),
		language: newIdentifier(&m.Language),
	}
	s.languages = s.language.supportedCodes()
	if len(m.Targets) > 0 {
		w, err := target.Read(m.Targets)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", modelfile.ErrFormat, err)
		}
		s.targets = target.New(w, s.network)
	}
	return s, nil
}

// Version names the weights, such as "synapse-4". Two scorers of one version give
// the same bits for the same input.
func (s *Scorer) Version() string { return s.version }

// Languages returns the supported languages as sorted BCP 47 tags. The caller
// may change the slice.
func (s *Scorer) Languages() []string { return append([]string(nil), s.languages...) }

// scratch is the working memory of one call, and after read what it found.
type scratch struct {
	block feature.Block
	set   feature.Set
	state feature.State
	net   deep.State
	out   [deep.Outputs]float32

	tokens int // of all blocks, those too that make no n-grams
	total  sums
	lang   verdict
	logits [deep.Outputs]float64 // of the network: the mean over all tokens
	feel   [deep.FeelCount]float64
	mood   feelingSums
}

var scratches = sync.Pool{New: func() any { return new(scratch) }}

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
	s.read(in, sc, nil, 0, nil)
	p := s.polarity(sc, SourceKind(in.Source))
	return s.result(in, sc, &p)
}

// read goes through a text once. With a verdict it does not ask for the language,
// with evidence it notes what each token adds, and with Emotions in want it sums
// them up.
func (s *Scorer) read(in *Input, sc *scratch, known *verdict, want Extra, ev *evidence) {
	sc.state, sc.total, sc.lang, sc.tokens = feature.State{}, sums{}, verdict{}, 0
	clear(sc.logits[:])
	clear(sc.feel[:])
	sc.mood = feelingSums{}
	t := &s.english
	for pos, first := 0, true; pos < len(in.Text); first = false {
		pos = sc.block.Fill(in.Text, pos)
		sc.set.Extract(&sc.block, &sc.state)
		if first {
			if known != nil {
				sc.lang = *known
			} else {
				sc.lang = s.language.identify(in.Language, &sc.block, sc.set.Chars)
			}
			if !sc.lang.english {
				t = &s.others
			}
		}
		run := sc.lang.english && s.network.Run(&sc.block, &sc.net, &sc.out)
		var known letters
		if run {
			known = s.letters
		}
		if ev == nil {
			sc.total.add(t, known, sc.block.N, &sc.set, &sc.net)
		} else {
			ev.linear(t, known, sc)
		}
		if run {
			n := float64(sc.block.N)
			for i, v := range sc.out {
				sc.logits[i] += float64(float64(v) * n)
			}
			if ev != nil {
				ev.deep(s.network, sc)
			}
			if want&Emotions != 0 {
				var feel [deep.FeelCount]float32
				s.network.Feel(&sc.net, &feel)
				for i, v := range feel {
					sc.feel[i] += float64(float64(v) * n)
				}
				sc.mood.add(&s.feelings, sc.set.Words)
			}
		}
		sc.tokens += sc.block.N
	}
	if sc.tokens > 0 {
		for i := range sc.logits {
			sc.logits[i] /= float64(sc.tokens)
		}
		for i := range sc.feel {
			sc.feel[i] /= float64(sc.tokens)
		}
	}
}

// logits are the two numbers that a polarity comes of, and how they came about:
// d = wide*(weights of the table) + deep*(parts of the network) + bias.
type logits struct {
	d, n             float64
	wide, deep, bias float64
}

// unsupportedShrink draws logits together when the language is not one that
// was trained: a direction may be right (emoji, loan words), a confidence is not.
const unsupportedShrink = 0.35

// emptyNeutral is the neutral logit of a text without a token: about 0.9.
const emptyNeutral = 2.8903717578961645

func (s *Scorer) polarity(sc *scratch, source Kind) logits {
	if sc.state.Tokens == 0 {
		return logits{n: emptyNeutral}
	}
	class := TemperatureClass(sc.state.Tokens)
	scale := 1.0
	if !sc.lang.supported && sc.lang.letters {
		scale = unsupportedShrink
	}
	if !sc.lang.english {
		l := s.others.logits(&sc.total, sc.state.Tokens, source)
		scale /= s.others.temp[class]
		return logits{d: float64(l.d * scale), n: float64(l.n * scale),
			wide: float64(l.factor * scale), bias: float64(l.biasD * scale)}
	}
	l := s.english.logits(&sc.total, sc.state.Tokens, source)
	d, n := s.deepLogits(sc, source)
	b := s.blend[sourceIndex(source)][class]
	wide, deep := float64(b.Wide*scale), float64(b.Deep*scale)
	return logits{
		d: float64(l.d*wide) + float64(d*deep), n: float64(l.n*wide) + float64(n*deep),
		wide: float64(l.factor * wide), deep: deep, bias: float64(l.biasD * wide),
	}
}

// deepLogits are positive over negative, and neutral over the mean of both.
func (s *Scorer) deepLogits(sc *scratch, source Kind) (d, n float64) {
	neg, neu, pos := sc.logits[deep.OutClass], sc.logits[deep.OutClass+1], sc.logits[deep.OutClass+2]
	if source >= 0 {
		b := s.network.SourceBias(int(source))
		neg += float64(b[deep.OutClass])
		neu += float64(b[deep.OutClass+1])
		pos += float64(b[deep.OutClass+2])
	}
	return pos - neg, neu - (neg+pos)/2
}

// Parts are what the two halves of the English model say about a text before they
// are weighed. Training fits on them how they are weighed; scoring has no use for
// them.
type Parts struct {
	Tokens       int
	WideD, WideN float64 // positive over negative, neutral
	DeepD, DeepN float64
	// Logits of the network with the source's bias, and those of the words' table.
	Network  [deep.Outputs]float64
	Feel     [deep.FeelCount]float64
	Feelings [modelfile.Emotions]float64
}

// Parts scores in as English.
func (s *Scorer) Parts(in Input) Parts {
	sc := scratches.Get().(*scratch)
	defer scratches.Put(sc)
	s.read(&in, sc, &verdict{code: "en", supported: true, english: true, letters: true}, Emotions, nil)
	p := Parts{Tokens: sc.state.Tokens}
	if p.Tokens == 0 {
		return p
	}
	source := SourceKind(in.Source)
	l := s.english.logits(&sc.total, p.Tokens, source)
	p.WideD, p.WideN = l.d, l.n
	p.DeepD, p.DeepN = s.deepLogits(sc, source)
	p.Network = s.networkLogits(sc, source)
	p.Feel = s.feelLogits(sc, source)
	p.Feelings = s.feelings.logits(&sc.mood, p.Tokens)
	return p
}

func (s *Scorer) networkLogits(sc *scratch, source Kind) [deep.Outputs]float64 {
	out := sc.logits
	if source >= 0 {
		for i, v := range s.network.SourceBias(int(source)) {
			out[i] += float64(v)
		}
	}
	return out
}

func (s *Scorer) feelLogits(sc *scratch, source Kind) [deep.FeelCount]float64 {
	out := sc.feel
	if source >= 0 {
		for i, v := range s.network.FeelBias(int(source)) {
			out[i] += float64(v)
		}
	}
	return out
}

// sourceIndex is a kind's place in tables that have one for no source too.
func sourceIndex(source Kind) int {
	if source < 0 {
		return modelfile.Sources
	}
	return int(source)
}

// result finishes a text that read has gone through.
func (s *Scorer) result(in *Input, sc *scratch, l *logits) Result {
	p := softmax3(l)
	r := Result{
		Label: p.Label, Score: p.Score, Probabilities: p.Probabilities, Confidence: p.Probabilities[p.Label],
		Language: s.language.tag(in.Language, sc.lang), LanguageSupported: sc.lang.supported,
	}
	if sc.lang.english && sc.tokens > 0 {
		net := s.networkLogits(sc, SourceKind(in.Source))
		r.Mixed = net[deep.OutMixed] >= s.heads.Mixed
		r.Stars = stars(l, s.heads.StarsPolarity, s.heads.StarsOwn, net[deep.OutStars:])
		return r
	}
	r.Stars = stars(l, 1, 0, nil)
	return r
}

// stars are the probabilities of 1 to 5 stars. What the polarity says about them
// is symmetric: its difference in steps of a half, and neutral for the middle.
func stars(l *logits, polarity, own float64, network []float64) [5]float64 {
	var out [5]float64
	top := math.Inf(-1)
	for i := range out {
		x := float64(l.d * (float64(i-2) / 2))
		if i == 2 {
			x = l.n
		}
		x = float64(x * polarity)
		if own != 0 {
			x += float64(network[i] * own)
		}
		out[i] = x
		top = max(top, x)
	}
	sum := 0.0
	for i, x := range out {
		out[i] = vec.Exp64(x - top)
		sum += out[i]
	}
	for i := range out {
		out[i] /= sum
	}
	return out
}

// softmax3 is the softmax of (-d/2, n, d/2).
func softmax3(l *logits) Polarity {
	half := l.d / 2
	top := max(half, -half, l.n)
	p := Polarity{Probabilities: [3]float64{vec.Exp64(-half - top), vec.Exp64(l.n - top), vec.Exp64(half - top)}}
	sum := p.Probabilities[0] + p.Probabilities[1] + p.Probabilities[2]
	for i := range p.Probabilities {
		p.Probabilities[i] /= sum
		if p.Probabilities[i] > p.Probabilities[p.Label] {
			p.Label = Label(i)
		}
	}
	p.Score = p.Probabilities[Positive] - p.Probabilities[Negative]
	return p
}

// logistic is 1/(1+e^-x).
func logistic(x float64) float64 {
	e := vec.Exp64(-max(x, -x))
	if x < 0 {
		return e / (1 + e)
	}
	return 1 / (1 + e)
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
