package target

import (
	"github.com/synapse-analytics/synapse/model/internal/deep"
	"github.com/synapse-analytics/synapse/model/internal/feature"
	"github.com/synapse-analytics/synapse/model/internal/vec"
)

// The shape of the head; part of the weights' format.
const (
	pools  = 6
	extras = 16 // hints and the domain, padded
	// Inputs are the network's states pooled around the target, and extras.
	Inputs = pools*deep.Channels + extras
	// HeadUnits are the hidden units of the head: those of several trainings with
	// different seeds side by side.
	HeadUnits = 96
	domainAt  = pools*deep.Channels + Hints - 1
)

// Head is a small network on the states of the document's network around the
// target.
type Head struct {
	Hidden     []float32 // Inputs rows of HeadUnits
	HiddenBias [HeadUnits]float32
	Out        [Classes][HeadUnits]float32
	OutBias    [Classes]float32
}

// decay is how much less a word counts for each word that it is farther away.
const decay = 0.75

// Pool fills x with the inputs of the head: the means over the target, over its
// clause, over what is left and right of it, and over all words by distance, the
// maxima of the clause, the hints, and the domain (-1 for none).
func Pool(x *[Inputs]float32, b *feature.Block, f *Frame, s *deep.State, around *Around, domain int) {
	clear(x[:])
	part := func(k int) []float32 { return x[k*deep.Channels : (k+1)*deep.Channels] }
	var count [pools]float32
	add := func(k int, h []float32, w float32) {
		vec.Axpy(part(k), w, h)
		count[k] += w
	}
	var far [feature.BlockTokens]float32
	w := float32(1)
	for i := range far {
		far[i] = w
		w *= decay
	}
	top := part(5)
	for i := range b.N {
		h := s.At(i)
		if f.Distance[i] == onTarget {
			add(0, h, 1)
			continue
		}
		d := f.From - i
		if d > 0 {
			add(2, h, 1)
		} else {
			d = i - f.To + 1
			add(3, h, 1)
		}
		add(4, h, far[min(max(d, 0), len(far)-1)])
		if f.sameClause(i) {
			if count[1] == 0 {
				copy(top, h)
			} else {
				vec.Max(top, h)
			}
			add(1, h, 1)
		}
	}
	for k, n := range count {
		if n > 0 {
			for i, v := range part(k) {
				part(k)[i] = v / n
			}
		}
	}
	hints := around.Hints()
	for k, v := range hints[:Hints-1] {
		x[pools*deep.Channels+k] = float32(v)
	}
	if domain >= 0 {
		x[domainAt+domain] = 1
	}
}

// Look fills x with the inputs of the head for a target in a text; see Pool.
func Look(x *[Inputs]float32, text string, span [2]int, around *Around, domain int, net *deep.Net, s *deep.State) bool {
	var b feature.Block
	var f Frame
	var out [deep.Outputs]float32
	fillAround(&b, text, span)
	if !f.Set(&b, span) || !net.Run(&b, s, &out) {
		return false
	}
	Pool(x, &b, &f, s, around, domain)
	return true
}

// Forget clears the hints of a head's inputs, Stray its domain: in training only.
func Forget(x []float32) { clear(x[pools*deep.Channels : domainAt]) }

// Stray clears the domain.
func Stray(x []float32) { clear(x[domainAt:]) }

// Logits are the head's, per class.
func (w *Head) Logits(x *[Inputs]float32) (out [Classes]float32) {
	hidden := w.HiddenBias
	vec.MulAdd(hidden[:], HeadUnits, x[:], Inputs, w.Hidden, HeadUnits, 1, Inputs, HeadUnits)
	for i, v := range hidden {
		hidden[i] = max(v, 0)
	}
	for c := range out {
		out[c] = vec.Dot(w.Out[c][:], hidden[:]) + w.OutBias[c]
	}
	return out
}
