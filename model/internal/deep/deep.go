// Package deep is the network beside the linear model: a gated convolution over
// three words, pooled by attention and maximum, with a hidden layer for the polarity
// and one for emotions. It sees word order and word similarity, which n-grams do not.
//
// Its first layer is linear in a word's vector, so a word's part of it is a row
// that is computed once and kept ("lookup"): a position then costs three row
// sums. All arithmetic is float32 in an order that package vec fixes.
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

// cached is how many of the commonest words keep their row, 3.8 KB each.
const cached = 12288

// Net is a network that is ready to run. It is safe for concurrent use: the rows
// that it keeps are functions of the weights alone, so it does not matter which
// of two goroutines stores one.
type Net struct {
	w     *Weights
	index []uint32 // open addressing: 1 + id of a word, by its key
	mask  uint32
	rows  []atomic.Pointer[[RowLen]float32]
	caps  [RowLen]float32
	elong [RowLen]float32
	back  []float32 // the hidden layer, transposed
}

// New makes a network of w, which must not change afterwards.
func New(w *Weights) *Net {
	size := 1024
	for size < 2*len(w.Keys) {
		size *= 2
	}
	n := &Net{w: w, index: make([]uint32, size), mask: uint32(size - 1)}
	for id, key := range w.Keys {
		at := key & n.mask
		for n.index[at] != 0 {
			at = (at + 1) & n.mask
		}
		n.index[at] = uint32(id) + 1
	}
	n.rows = make([]atomic.Pointer[[RowLen]float32], min(cached, len(w.Keys)))
	n.back = make([]float32, Hidden*Pooled)
	for i, v := range w.Hidden {
		n.back[i%Hidden*Pooled+i/Hidden] = v
	}
	n.project(&n.caps, w.Caps[:])
	n.project(&n.elong, w.Elong[:])
	return n
}

// Key is the part of a token's hash that names a word.
func Key(hash uint64) uint32 { return uint32(feature.Mix(hash) >> 32) }

// find returns the id of a word, or -1.
func (n *Net) find(hash uint64) int {
	key := Key(hash)
	for at := key & n.mask; ; at = (at + 1) & n.mask {
		id := n.index[at]
		if id == 0 {
			return -1
		}
		if n.w.Keys[id-1] == key {
			return int(id - 1)
		}
	}
}

func (n *Net) project(row *[RowLen]float32, x []float32) {
	clear(row[:])
	vec.MulAdd(row[:], RowLen, x, Dim, n.w.First, RowLen, 1, Dim, RowLen)
}

// State is the working memory of one text; its zero value is ready. After Run it
// holds what Attribute needs.
type State struct {
	rows   [MaxTokens]*[RowLen]float32
	own    [MaxTokens][RowLen]float32
	h      [MaxTokens][Channels]float32
	att    [MaxTokens]float32
	pooled [Pooled]float32
	hidden [Hidden]float32
	n      int
}

// row finds or makes the row of token i.
func (n *Net) row(b *feature.Block, i int, s *State) *[RowLen]float32 {
	t := &b.Tokens[i]
	id := n.find(t.Hash)
	var row *[RowLen]float32
	switch {
	case id >= 0 && id < len(n.rows):
		if row = n.rows[id].Load(); row == nil {
			row = new([RowLen]float32)
			n.word(row, id)
			n.rows[id].Store(row)
		}
	case id >= 0:
		row = &s.own[i]
		n.word(row, id)
	default:
		row = &s.own[i]
		n.unknown(row, b.Runes(i))
	}
	if !t.Caps && !t.Elong {
		return row
	}
	own := &s.own[i]
	if own != row {
		*own = *row
	}
	if t.Caps {
		vec.Add(own[:], n.caps[:])
	}
	if t.Elong {
		vec.Add(own[:], n.elong[:])
	}
	return own
}

func (n *Net) word(row *[RowLen]float32, id int) {
	var x [Dim]float32
	scale := n.w.Scales[id]
	for i, v := range n.w.Vectors[id*Dim : (id+1)*Dim] {
		x[i] = float32(scale * float32(v))
	}
	n.project(row, x[:])
}

// unknown makes a row of the word's letters alone.
func (n *Net) unknown(row *[RowLen]float32, runes []rune) {
	var buf [MaxGrams]uint32
	grams := Grams(buf[:0], runes)
	var sum [Dim]int32
	mask := uint32(1)<<n.w.CharBits - 1
	for _, g := range grams {
		at := int(g&mask) * Dim
		for i, v := range n.w.Chars[at : at+Dim] {
			sum[i] += int32(v)
		}
	}
	var x [Dim]float32
	scale := n.w.CharScale / float32(len(grams))
	for i, v := range sum {
		x[i] = float32(scale * float32(v))
	}
	n.project(row, x[:])
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

var nothing [Gated]float32

// part is what the word k of position i adds: k = Width/2 is the word there.
func (s *State) part(i, k int) []float32 {
	if t := i + k - Width/2; t >= 0 && t < s.n {
		return s.rows[t][k*Gated : (k+1)*Gated]
	}
	return nothing[:]
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
	for i := range b.N {
		h := &s.h[i]
		vec.GateSum(h[:], w.FirstBias[:], s.part(i, 0), s.part(i, 1), s.part(i, 2), s.part(i, 3), s.part(i, 4))
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
		pre = w.FirstBias
		for k := range Width {
			vec.Add(pre[:], s.part(i, k))
		}
		vec.GateGrad(dpre[:], pre[:], dh[:])
		var share [Width]float32
		left, size := total, float32(0)
		for k := range share {
			share[k] = vec.Dot(dpre[:], s.part(i, k))
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
