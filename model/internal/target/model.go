package target

import (
	"math"
	"sync"

	"github.com/synapse-analytics/synapse/model/internal/deep"
	"github.com/synapse-analytics/synapse/model/internal/feature"
	"github.com/synapse-analytics/synapse/model/internal/vec"
)

// Domains are the kinds of source that have weights of their own; the last set of
// hints and temperatures is for none.
const Domains = 3

// Hints are what the sentiment of the whole text, of the target's clause and of
// its nearest words add: per class, two weights for each of them and a bias.
const Hints = 7

// Weights are what training finds.
type Weights struct {
	Opinions Table
	Hints    [Domains + 1][Classes][Hints]float64
	Head     Head
	// Mix weighs the logits of the table and of the head, by domain.
	Mix   [Domains + 1][2]float64
	Terms Table
	// TermBias is added to the logit of a term's first token.
	TermBias float64
}

// Polarity is what the document scorer says about a text, as logits: positive over
// negative, and neutral over the mean of both.
type Polarity struct{ D, N float64 }

// Around is what the document scorer says about a target's surroundings.
type Around struct{ Text, Clause, Near Polarity }

// hintScale brings logits near to one.
const hintScale = 0.25

// Hints are the numbers that the weights of the same name are for.
func (a *Around) Hints() (x [Hints]float64) {
	for i, p := range []Polarity{a.Text, a.Clause, a.Near} {
		x[2*i], x[2*i+1] = float64(p.D*hintScale), float64(p.N*hintScale)
	}
	x[Hints-1] = 1
	return x
}

// level is one of six: which class wins, clearly or not.
func (p *Polarity) level() uint64 {
	half := p.D / 2
	top, class := p.N, uint64(0)
	second := max(half, -half)
	if second > p.N {
		top, class = second, 2
		if half < 0 {
			class = 4
		}
		second = max(p.N, -second)
	}
	if top-second > 1 {
		class++
	}
	return class
}

// Levels appends the features of how the surroundings agree.
func (a *Around) Levels(dst []uint64, domain int) []uint64 {
	t, c, n := a.Text.level(), a.Clause.level(), a.Near.level()
	for _, h := range [...]uint64{1000 + n*8 + c, 2000 + n*8 + t, 3000 + c*8 + t, 4000 + n*64 + c*8 + t} {
		h = feature.Mix(h * 0xd6e8feb86659fd93)
		dst = append(dst, h)
		if domain >= 0 {
			dst = append(dst, feature.Mix(h+uint64(domain+1)*domainSeed))
		}
	}
	return dst
}

// Model is ready to score. It is safe for concurrent use.
type Model struct {
	w   *Weights
	net *deep.Net
}

// New makes a model of w, which must not change afterwards. net is the network that
// w was trained with.
func New(w *Weights, net *deep.Net) *Model { return &Model{w, net} }

type scratch struct {
	block  feature.Block
	frame  Frame
	feats  Features
	levels []uint64
	net    deep.State
	inputs [Inputs]float32
}

var scratches = sync.Pool{New: func() any { return new(scratch) }}

const (
	maxOpinions = 4
	// clear is how much more than the mean of all words a word must say to be an
	// opinion word.
	opinionShare = 0.12
)

// Score gives the probabilities of negative, neutral and positive towards what
// stands at span, and the words that speak about it: at most four, in order, none
// of them the target. source is a kind of source or -1. It is not ok for a span
// without a token.
func (m *Model) Score(text string, span [2]int, source int, around *Around) (p [3]float64, opinions [][2]int, ok bool) {
	sc := scratches.Get().(*scratch)
	defer scratches.Put(sc)
	fillAround(&sc.block, text, span)
	if !sc.frame.Set(&sc.block, span) {
		return p, nil, false
	}
	domain := source
	if domain < 0 || domain >= Domains {
		domain = -1
	}
	sc.feats.Opinion(&sc.block, &sc.frame, domain)
	var sum [Classes]int32
	var byToken [feature.BlockTokens][Classes]int32
	for i, h := range sc.feats.Hashes {
		m.w.Opinions.add(h, &byToken[sc.feats.Owner[i]])
	}
	for i := range sc.block.N {
		for c, v := range byToken[i] {
			sum[c] += v
		}
	}
	sc.levels = around.Levels(sc.levels[:0], domain)
	for _, h := range sc.levels {
		m.w.Opinions.add(h, &sum)
	}
	var out [deep.Outputs]float32
	m.net.Run(&sc.block, &sc.net, &out)
	Pool(&sc.inputs, &sc.block, &sc.frame, &sc.net, around, domain)
	head := m.w.Head.Logits(&sc.inputs)
	if domain < 0 {
		domain = Domains
	}
	hints := around.Hints()
	p = m.w.mix(m.w.logits(&sum, sc.feats.Tokens, domain, &hints), head, domain)
	best := 0
	for c := range p {
		if p[c] > p[best] {
			best = c
		}
	}
	return p, m.opinions(sc, &byToken, best), true
}

// Logits are what features and hints say in a text of so many tokens, before
// they are mixed. domain may be Domains, for none.
func (w *Weights) Logits(hashes, levels []uint64, tokens, domain int, hints *[Hints]float64) [Classes]float64 {
	var sum [Classes]int32
	for _, h := range hashes {
		w.Opinions.add(h, &sum)
	}
	for _, h := range levels {
		w.Opinions.add(h, &sum)
	}
	return w.logits(&sum, tokens, domain, hints)
}

func (w *Weights) logits(sum *[Classes]int32, tokens, domain int, hints *[Hints]float64) (x [Classes]float64) {
	factor := w.Opinions.Scale / math.Sqrt(float64(max(tokens, 1)))
	for c := range x {
		x[c] = float64(float64(sum[c]) * factor)
		for k, v := range w.Hints[domain][c] {
			x[c] += float64(v * hints[k])
		}
	}
	return x
}

func (w *Weights) mix(table [Classes]float64, head [Classes]float32, domain int) (p [3]float64) {
	top := math.Inf(-1)
	for c := range p {
		p[c] = float64(table[c]*w.Mix[domain][0]) + float64(float64(head[c])*w.Mix[domain][1])
		top = max(top, p[c])
	}
	total := 0.0
	for c := range p {
		p[c] = vec.Exp64(p[c] - top)
		total += p[c]
	}
	for c := range p {
		p[c] /= total
	}
	return p
}

// opinions are the words that say most for a polarity: for a neutral target none.
// Other things that the text speaks about are not among them.
func (m *Model) opinions(sc *scratch, byToken *[feature.BlockTokens][Classes]int32, best int) [][2]int {
	if best == 1 {
		return nil
	}
	says := func(i int) int32 { return byToken[i][best] - byToken[i][2-best] }
	total := int32(0)
	for i := range sc.block.N {
		total += max(says(i), 0)
	}
	var chosen [maxOpinions]int
	n := 0
	for i := range sc.block.N {
		t := &sc.block.Tokens[i]
		if i >= sc.frame.From && i < sc.frame.To || t.Kind != feature.Word && t.Kind != feature.Emoji && t.Kind != feature.Emoticon {
			continue
		}
		v := says(i)
		if v <= 0 || float64(v) < float64(opinionShare*float64(total)) || len(sc.block.Runes(i)) < 2 && t.Kind == feature.Word ||
			common[t.Hash] || m.w.label(sc, i, outside) == first {
			continue
		}
		at := n
		for at > 0 && says(chosen[at-1]) < v {
			at--
		}
		if at == maxOpinions {
			continue
		}
		if n < maxOpinions {
			n++
		}
		copy(chosen[at+1:n], chosen[at:n-1])
		chosen[at] = i
	}
	if n == 0 {
		return nil
	}
	var in [feature.BlockTokens]bool
	for _, i := range chosen[:n] {
		in[i] = true
	}
	out := make([][2]int, 0, n)
	for i := range sc.block.N {
		if in[i] {
			out = append(out, [2]int{sc.block.Tokens[i].Start, sc.block.Tokens[i].End})
		}
	}
	return out
}

// common are words that carry no opinion, whatever weight they have.
var common = func() map[uint64]bool {
	m := map[uint64]bool{}
	for _, w := range []string{"the", "a", "an", "and", "or", "but", "of", "to", "in", "on", "at", "for", "with", "is", "was", "are",
		"were", "be", "been", "it", "its", "i", "we", "you", "they", "he", "she", "my", "our", "your", "their", "his", "her", "this",
		"that", "these", "those", "there", "here", "as", "by", "from", "had", "has", "have", "do", "does", "did", "so", "if", "when",
		"while", "which", "who", "what", "also", "'s", "'m", "'re", "'ve", "'ll", "'d", "me", "us", "them", "him", "will", "would", "can",
		"could", "about", "after", "before", "than", "then", "because", "though", "although", "however", "one", "two", "n't"} {
		m[hashOf(w)] = true
	}
	return m
}()

// maxTerms bounds what Find returns.
const maxTerms = 32

// The labels of tokens.
const (
	outside = iota
	first
	inside
)

// Find returns the things that a text speaks about, as byte offsets in order: at
// most 32. It takes time in proportion to the length of the text.
func (m *Model) Find(text string) [][2]int {
	sc := scratches.Get().(*scratch)
	defer scratches.Put(sc)
	var out [][2]int
	for pos := 0; pos < len(text) && len(out) < maxTerms; {
		pos = sc.block.Fill(text, pos)
		before := outside
		for i := range sc.block.N {
			before = m.w.label(sc, i, before)
			t := &sc.block.Tokens[i]
			switch before {
			case first:
				if len(out) == maxTerms {
					return out
				}
				out = append(out, [2]int{t.Start, t.End})
			case inside:
				out[len(out)-1][1] = t.End
			}
		}
	}
	return out
}

func (w *Weights) label(sc *scratch, i, before int) int {
	if k := sc.block.Tokens[i].Kind; k != feature.Word && (k != feature.Sep || before == outside) {
		return outside
	}
	sc.feats.Term(&sc.block, i, before)
	return w.LabelOf(sc.feats.Hashes, before, sc.block.Tokens[i].Kind)
}

// LabelOf decides what a token with these features is of a term: 0 nothing, 1 its
// first, 2 a later one.
func (w *Weights) LabelOf(hashes []uint64, before int, kind feature.Kind) int {
	if kind != feature.Word && (kind != feature.Sep || before == outside) {
		return outside
	}
	var sum [Classes]int32
	for _, h := range hashes {
		w.Terms.add(h, &sum)
	}
	var x [Classes]float64
	for c := range x {
		x[c] = float64(float64(sum[c]) * w.Terms.Scale)
	}
	x[first] += w.TermBias
	best := outside
	if kind == feature.Word && x[first] > x[best] {
		best = first
	}
	if before != outside && x[inside] > x[best] {
		best = inside
	}
	return best
}
