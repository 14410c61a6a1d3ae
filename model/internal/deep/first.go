package deep

import (
	"math"

	"github.com/synapse-analytics/synapse/model/internal/vec"
)

// The first layer works with whole numbers: its weights have 12 bits, a row's
// numbers 13, in units of their channel (Weights.Units). That is a quarter of the
// work of float32 and half the memory, and as exact in any order.

// row is what a word, or a mark on it, adds to the channels of the positions that
// see it: by place in the window, channel by channel; see vec.Zero.
type row [RowLen / 4]uint64

// part is for the positions that see the word at place k.
func (r *row) part(k int) []uint64 { return r[k*Gated/4 : (k+1)*Gated/4] }

// most bounds a weight, so that no sum exceeds 31 bits: a vector has Dim numbers,
// each of them the sum of at most MaxGrams bytes.
const most = 2047

const _ = uint32(math.MaxInt32 - Dim*MaxGrams*128*most) // fails to compile if it could

// first is the first layer.
type first struct {
	w     *Weights
	m     *vec.Matrix
	ratio [RowLen]float32 // of a weight's unit to the channel's, in the order of a row
}

func newFirst(w *Weights) first {
	f := first{w: w}
	var unit [Gated]float32 // of the weights of a channel
	for i, v := range w.First {
		unit[i%Gated] = max(unit[i%Gated], v/most, -v/most)
	}
	whole := make([]int16, len(w.First))
	for i, v := range w.First {
		if u := unit[i%Gated]; u > 0 {
			whole[i] = int16(math.RoundToEven(float64(v / u)))
		}
	}
	f.m = vec.NewMatrix(whole, Dim, RowLen)
	for i := range f.ratio {
		f.ratio[i] = unit[i%Gated] / w.Units[i%Gated]
	}
	return f
}

// project makes the row of a vector in units of scale.
func (f *first) project(r *row, x *[Dim]int16, scale float32) {
	var sums [RowLen]int32
	f.m.Mul(sums[:], x[:])
	vec.Round(r[:], sums[:], f.ratio[:], scale)
}

// word makes the row of a known word.
func (f *first) word(r *row, id int) {
	var x [Dim]int16
	vec.AddBytes(x[:], f.w.Vectors[id*Dim:])
	f.project(r, &x, f.w.Scales[id])
}

// unknown makes a row of the word's letters alone.
func (f *first) unknown(r *row, runes []rune) {
	var buf [MaxGrams]uint32
	grams := Grams(buf[:0], runes)
	var x [Dim]int16
	mask := uint32(1)<<f.w.CharBits - 1
	for _, g := range grams {
		vec.AddBytes(x[:], f.w.Chars[int(g&mask)*Dim:])
	}
	f.project(r, &x, f.w.CharScale/float32(len(grams)))
}

// mark makes the row of what a token's looks add.
func (f *first) mark(r *row, v *[Dim]float32) {
	const steps = 1 << 12
	top := float32(1e-6)
	for _, a := range v {
		top = max(top, a, -a)
	}
	var x [Dim]int16
	for i, a := range v {
		x[i] = int16(math.RoundToEven(float64(float32(a/top) * steps)))
	}
	f.project(r, &x, top/steps)
}

// minUnit is the least unit of a channel, so that no ratio of units overflows.
const minUnit = 1e-6

// FitUnits sets w.Units: what 1 stands for in a row is for every channel the least
// with which no known word's row and no mark's exceeds what a row can hold.
func (w *Weights) FitUnits() {
	var top [Gated]float32
	var x [Dim]float32
	var sums [RowLen]float32
	see := func() {
		clear(sums[:])
		vec.MulAdd(sums[:], RowLen, x[:], Dim, w.First, RowLen, 1, Dim, RowLen)
		for i, v := range sums {
			top[i%Gated] = max(top[i%Gated], v, -v)
		}
	}
	for id := range w.Keys {
		for i, v := range w.Vectors[id*Dim : (id+1)*Dim] {
			x[i] = float32(w.Scales[id] * float32(v))
		}
		see()
	}
	for _, mark := range []*[Dim]float32{&w.Caps, &w.Elong} {
		x = *mark
		see()
	}
	for j, v := range top {
		w.Units[j] = max(v/vec.Zero, minUnit)
	}
}
