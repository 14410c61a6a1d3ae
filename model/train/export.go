package main

import (
	"math"

	"github.com/synapse-analytics/synapse/model/internal/deep"
	"github.com/synapse-analytics/synapse/model/internal/vec"
)

// pack turns the trained network into weights: a word's row and its letters
// become one int8 vector, and the emoji head stays behind.
func (n *trainNet) pack(v *vocabulary) *deep.Weights {
	ids := v.byCount()
	w := &deep.Weights{
		Keys: make([]uint32, len(ids)), Scales: make([]float32, len(ids)), Vectors: make([]int8, len(ids)*deep.Dim),
		CharBits: charBits, Chars: make([]int8, len(n.char.v)),
		First: n.first.v, Hidden: make([]float32, deep.Pooled*deep.Hidden), Feel: make([]float32, deep.Pooled*deep.Hidden),
		Out: make([]float32, deep.Hidden*deep.Outputs), FeelOut: make([]float32, deep.Hidden*deep.FeelCount),
	}
	x := make([]float32, deep.Dim)
	for i, id := range ids {
		w.Keys[i] = v.keys[id]
		copy(x, n.word.row(int32(id)))
		grams := v.grams[id]
		for _, g := range grams {
			vec.Axpy(x, 1/float32(len(grams)), n.char.row(g))
		}
		top := float32(1e-6)
		for _, a := range x {
			top = max(top, abs32(a))
		}
		w.Scales[i] = top / 127
		for k, a := range x {
			w.Vectors[i*deep.Dim+k] = int8(math.Round(float64(a / w.Scales[i])))
		}
	}
	// A row of letters counts for a part of a word, so a few outliers may clip.
	var scale float64
	w.Chars, scale = quantiseAll(n.char.v)
	w.CharScale = float32(scale)
	copy(w.Caps[:], n.marks.v[:deep.Dim])
	copy(w.Elong[:], n.marks.v[deep.Dim:])
	copy(w.FirstBias[:], n.firstB.v)
	copy(w.Attention[:], n.att.v)
	for i := range deep.Pooled {
		row := n.hidden.v[i*hiddenUnits : (i+1)*hiddenUnits]
		copy(w.Hidden[i*deep.Hidden:(i+1)*deep.Hidden], row)
		copy(w.Feel[i*deep.Hidden:(i+1)*deep.Hidden], row[deep.Hidden:])
	}
	copy(w.HiddenBias[:], n.hiddenB.v)
	copy(w.FeelBias[:], n.hiddenB.v[deep.Hidden:])
	for i := range deep.Hidden {
		copy(w.Out[i*deep.Outputs:(i+1)*deep.Outputs], n.out.v[i*outputs:])
		copy(w.FeelOut[i*deep.FeelCount:(i+1)*deep.FeelCount], n.out.v[(deep.Hidden+i)*outputs+outFeel:])
	}
	copy(w.OutBias[:], n.outB.v)
	copy(w.FeelOutBias[:], n.outB.v[outFeel:])
	for i := range w.Source {
		row := n.sb.v[i*outputs : (i+1)*outputs]
		copy(w.Source[i][:], row)
		copy(w.FeelSource[i][:], row[outFeel:])
	}
	w.FitUnits()
	return w
}
