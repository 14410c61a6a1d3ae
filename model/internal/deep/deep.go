// Package deep is the network beside the linear model: a gated convolution over
// five words, pooled by attention and maximum, with a hidden layer for the polarity
// and one for emotions. It sees word order and word similarity, which n-grams do not.
//
// Its first layer is linear in a word's vector, so a word's part of it is a row
// that is computed once and kept ("lookup"): a position then costs five row sums.
// This layer works with whole numbers, see first.go; the others with float32, in an
// order that package vec fixes.
package deep

import (
	"sync/atomic"

	"github.com/synapse-analytics/synapse/model/internal/feature"
	"github.com/synapse-analytics/synapse/model/internal/vec"
)

// The shape of the network. It is part of the weights' format.
const (
	Dim      = 100          // of a word vector
	Channels = 80           // of the convolution
	Gated    = 2 * Channels // values and their gates
	Width    = 5            // words that one position sees
	RowLen   = Width * Gated
	Pooled   = 2 * Channels // attention mean, maximum
	Hidden   = 64
)

// The outputs of Run, as logits.
const (
	OutClass = 0  // negative, neutral, positive
	OutStars = 3  // 1 to 5 stars
	OutMixed = 8  // clearly well and clearly badly
	Outputs  = 16 // padded to whole vectors
)

// The outputs of Feel, as logits. They have a hidden layer of their own, so that
// nobody pays for them who does not ask.
const (
	FeelAll   = 0  // GoEmotions' 28, each on its own
	FeelFour  = 28 // anger, joy, optimism, sadness: one of them (TweetEval)
	FeelCount = 32
)

// Sources is how many kinds of source have a bias of their own.
const Sources = 3

// MaxTokens is how many tokens one call of Run reads: those of a block.
const MaxTokens = feature.BlockTokens

// cached is how many of the commonest words keep their row, 1.6 KB each.
const cached = 24576

// Net is a network that is ready to run. It is safe for concurrent use: the rows
// that it keeps are functions of the weights alone, so it does not matter which
// of two goroutines stores one.
type Net struct {
	w     *Weights
	first first
	index []uint64 // open addressing by a word's key: the key, 1 + id in the lower half
	mask  uint32
	rows  []atomic.Pointer[row]
	caps  row
	elong row
	none  row       // of no word
	back  []float32 // the hidden layer, transposed
}

// New makes a network of w, which must not change afterwards.
func New(w *Weights) *Net {
	size := 1024
	for size < 2*len(w.Keys) {
		size *= 2
	}
	n := &Net{w: w, first: newFirst(w), index: make([]uint64, size), mask: uint32(size - 1)}
	for id, key := range w.Keys {
		at := key & n.mask
		for n.index[at] != 0 {
			at = (at + 1) & n.mask
		}
		n.index[at] = uint64(key)<<32 | uint64(id+1)
	}
	n.rows = make([]atomic.Pointer[row], min(cached, len(w.Keys)))
	n.back = make([]float32, Hidden*Pooled)
	for i, v := range w.Hidden {
		n.back[i%Hidden*Pooled+i/Hidden] = v
	}
	n.first.mark(&n.caps, &w.Caps)
	n.first.mark(&n.elong, &w.Elong)
	vec.ClearRow(n.none[:])
	return n
}

// Key is the part of a token's hash that names a word.
func Key(hash uint64) uint32 { return uint32(feature.Mix(hash) >> 32) }

// find returns the id of a word, or -1.
func (n *Net) find(hash uint64) int {
	key := Key(hash)
	for at := key & n.mask; ; at = (at + 1) & n.mask {
		entry := n.index[at]
		if entry == 0 {
			return -1
		}
		if uint32(entry>>32) == key {
			return int(uint32(entry)) - 1
		}
	}
}

// State is the working memory of one text; its zero value is ready. After Run it
// holds what Attribute needs.
type State struct {
	rows   [MaxTokens]*row
	own    [MaxTokens]row
	ids    [MaxTokens]int32
	h      [MaxTokens][Channels]float32
	att    [MaxTokens]float32
	pooled [Pooled]float32
	hidden [Hidden]float32
	n      int
}

// row finds or makes the row of token i.
func (n *Net) row(b *feature.Block, i int, s *State) *row {
	t := &b.Tokens[i]
	id := n.find(t.Hash)
	s.ids[i] = int32(id)
	var r *row
	switch {
	case id >= 0 && id < len(n.rows):
		if r = n.rows[id].Load(); r == nil {
			r = new(row)
			n.first.word(r, id)
			n.rows[id].Store(r)
		}
	case id >= 0:
		r = &s.own[i]
		n.first.word(r, id)
	default:
		r = &s.own[i]
		n.first.unknown(r, b.Runes(i))
	}
	if !t.Caps && !t.Elong {
		return r
	}
	own := &s.own[i]
	if own != r {
		*own = *r
	}
	if t.Caps {
		vec.AddRow(own[:], n.caps[:])
	}
	if t.Elong {
		vec.AddRow(own[:], n.elong[:])
	}
	return own
}

// MaxGrams bounds the letter n-grams of one word.
const MaxGrams = 3 * (feature.MaxChars + 2)

// Grams appends the hashes of all runs of 3 to 5 letters of "<word>", at least
// one. A word has its first feature.MaxChars letters.
func Grams(dst []uint32, w []rune) []uint32 {
	if len(w) > feature.MaxChars {
		w = w[:feature.MaxChars]
	}
	var buf [feature.MaxChars + 2]uint64
	buf[0] = '<'
	for i, r := range w {
		buf[i+1] = uint64(r)
	}
	buf[len(w)+1] = '>'
	rs := buf[:len(w)+2]
	const mul = 0x9fb21c651e98df25
	for i := 0; i+2 < len(rs); i++ {
		h := (rs[i] + 1) * mul
		h = (h ^ h>>29 ^ rs[i+1]) * mul
		for _, r := range rs[i+2 : min(i+5, len(rs))] {
			h = (h ^ h>>29 ^ r) * mul
			dst = append(dst, uint32(h>>32))
		}
	}
	if len(dst) == 0 { // an empty word; tokens have a rune at least
		dst = append(dst, 0)
	}
	return dst
}

// part is what the word k of position i adds: k = Width/2 is the word there.
func (n *Net) part(s *State, i, k int) []uint64 {
	if t := i + k - Width/2; t >= 0 && t < s.n {
		return s.rows[t].part(k)
	}
	return n.none.part(k)
}

// before sets pre to what the gates of position i get.
func (n *Net) before(s *State, i int, pre *[Gated]float32) {
	vec.SumRows(pre[:], n.w.FirstBias[:], n.w.Units[:],
		n.part(s, i, 0), n.part(s, i, 1), n.part(s, i, 2), n.part(s, i, 3), n.part(s, i, 4))
}

// Run computes the logits of all heads for the tokens of b, without a source's
// bias. It reports whether there was a token.
func (n *Net) Run(b *feature.Block, s *State, out *[Outputs]float32) bool {
	w := n.w
	s.n = b.N
	if b.N == 0 {
		return false
	}
	for i := range b.N {
		s.rows[i] = n.row(b, i, s)
	}
	mean, top := s.pooled[:Channels], s.pooled[Channels:]
	best := float32(-1e30)
	var pre [Gated]float32
	for i := range b.N {
		h := &s.h[i]
		n.before(s, i, &pre)
		vec.Gate(h[:], pre[:])
		if i == 0 {
			copy(top, h[:])
		} else {
			vec.Max(top, h[:])
		}
		s.att[i] = vec.Dot(w.Attention[:], h[:])
		best = max(best, s.att[i])
	}
	sum := float32(0)
	for i := range b.N {
		s.att[i] = vec.Exp(s.att[i] - best)
		sum += s.att[i]
	}
	clear(mean)
	for i := range b.N {
		s.att[i] /= sum
		vec.Axpy(mean, s.att[i], s.h[i][:])
	}
	s.hidden = w.HiddenBias
	vec.MulAdd(s.hidden[:], Hidden, s.pooled[:], Pooled, w.Hidden, Hidden, 1, Pooled, Hidden)
	for i, v := range s.hidden {
		if v < 0 {
			s.hidden[i] = 0
		}
	}
	*out = w.OutBias
	vec.MulAdd(out[:], Outputs, s.hidden[:], Hidden, w.Out, Outputs, 1, Hidden, Outputs)
	return true
}

// Feel computes the logits of the emotions for the text of the last Run, without a
// source's bias.
func (n *Net) Feel(s *State, out *[FeelCount]float32) {
	w := n.w
	hidden := w.FeelBias
	vec.MulAdd(hidden[:], Hidden, s.pooled[:], Pooled, w.Feel, Hidden, 1, Pooled, Hidden)
	for i, v := range hidden {
		if v < 0 {
			hidden[i] = 0
		}
	}
	*out = w.FeelOutBias
	vec.MulAdd(out[:], FeelCount, hidden[:], Hidden, w.FeelOut, FeelCount, 1, Hidden, FeelCount)
}

// At is the state of the convolution at token i of the last Run.
func (s *State) At(i int) []float32 { return s.h[i][:] }

// Word is the number of the word that token i of the last Run is, by Weights.Keys, or
// -1 if the network does not know it.
func (s *State) Word(i int) int { return int(s.ids[i]) }

// SourceBias is what the kind of source adds to the logits of Run.
func (n *Net) SourceBias(source int) *[Outputs]float32 { return &n.w.Source[source] }

// FeelBias is what the kind of source adds to the logits of Feel.
func (n *Net) FeelBias(source int) *[FeelCount]float32 { return &n.w.FeelSource[source] }

// Attribute shares the logit difference positive minus negative of the last Run
// among its tokens: it adds token i's part to parts[i].
//
// With the hidden units that are off, the attention and the places of the maxima
// as they are, the difference is linear in the states h, and what a position adds
// is its term of that sum. It is shared among the position's words by gradient
// times input, and what that leaves over in proportion to the size of each share
// (as epsilon-LRP does, Bach et al., 2015). What the biases add is no token's.
func (n *Net) Attribute(s *State, parts *[MaxTokens]float64) {
	w := n.w
	var back [Hidden]float32 // what a unit of a hidden value that is on adds
	for i, v := range s.hidden {
		if v > 0 {
			back[i] = w.Out[i*Outputs+OutClass+2] - w.Out[i*Outputs+OutClass]
		}
	}
	var grad [Pooled]float32
	vec.MulAdd(grad[:], Pooled, back[:], Hidden, n.back, Pooled, 1, Hidden, Pooled)
	// The channels whose maximum is at a position, as lists.
	var first [MaxTokens]int8
	var next [Channels]int8
	for j := range next {
		i := 0
		for s.h[i][j] != s.pooled[Channels+j] {
			i++
		}
		next[j], first[i] = first[i], int8(j+1)
	}
	var dh [Channels]float32
	var pre, dpre [Gated]float32
	for i := range s.n {
		clear(dh[:])
		vec.Axpy(dh[:], s.att[i], grad[:Channels])
		for j := first[i]; j > 0; j = next[j-1] {
			dh[j-1] += grad[Channels+int(j)-1]
		}
		total := vec.Dot(dh[:], s.h[i][:])
		n.before(s, i, &pre)
		vec.GateGrad(dpre[:], pre[:], dh[:])
		for j, u := range w.Units {
			dpre[j] *= u
		}
		var share [Width]float32
		left, size := total, float32(0)
		for k := range share {
			share[k] = vec.DotRow(dpre[:], n.part(s, i, k))
			left -= share[k]
			size += max(share[k], -share[k])
		}
		if size == 0 {
			parts[i] += float64(total)
			continue
		}
		for k, v := range share {
			if v != 0 {
				parts[i+k-Width/2] += float64(v + float32(left*float32(max(v, -v)/size)))
			}
		}
	}
}
