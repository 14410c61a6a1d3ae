package deep

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// Weights are what training finds. Words come in the order of their frequency.
type Weights struct {
	Keys     []uint32  // of the words, see Key
	Scales   []float32 // of their vectors
	Vectors  []int8    // Dim each
	CharBits uint8
	// CharScale is what 1 stands for in Chars, vectors of hashed letter n-grams.
	CharScale   float32
	Chars       []int8 // Dim << CharBits
	Caps, Elong [Dim]float32
	First       []float32 // Dim rows of RowLen
	FirstBias   [Gated]float32
	// Units are what 1 stands for in a row's numbers, by channel. See FitUnits.
	Units       [Gated]float32
	Attention   [Channels]float32
	Hidden      []float32 // Pooled rows of Hidden
	HiddenBias  [Hidden]float32
	Out         []float32 // Hidden rows of Outputs
	OutBias     [Outputs]float32
	Source      [Sources][Outputs]float32
	Feel        []float32 // Pooled rows of Hidden
	FeelBias    [Hidden]float32
	FeelOut     []float32 // Hidden rows of FeelCount
	FeelOutBias [FeelCount]float32
	FeelSource  [Sources][FeelCount]float32
}

// ErrFormat is returned (wrapped) for bytes that are no weights.
var ErrFormat = errors.New("not a valid deep section")

const (
	maxWords    = 1 << 18
	maxCharBits = 17
	limit       = 1e4 // a weight beyond it is damage
)

// Append appends the bytes of w to dst, all little-endian.
func (w *Weights) Append(dst []byte) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(w.Keys)))
	dst = append(dst, w.CharBits)
	for _, k := range w.Keys {
		dst = binary.LittleEndian.AppendUint32(dst, k)
	}
	for _, s := range w.floats() {
		for _, v := range s {
			dst = binary.LittleEndian.AppendUint32(dst, math.Float32bits(v))
		}
	}
	for _, s := range [][]int8{w.Vectors, w.Chars} {
		for _, v := range s {
			dst = append(dst, uint8(v))
		}
	}
	return dst
}

// floats are all float32 fields in the order of the file.
func (w *Weights) floats() [][]float32 {
	out := [][]float32{
		w.Scales, {w.CharScale}, w.Caps[:], w.Elong[:], w.First, w.FirstBias[:], w.Units[:], w.Attention[:],
		w.Hidden, w.HiddenBias[:], w.Out, w.OutBias[:], w.Feel, w.FeelBias[:], w.FeelOut, w.FeelOutBias[:],
	}
	for i := range w.Source {
		out = append(out, w.Source[i][:], w.FeelSource[i][:])
	}
	return out
}

// Read reads what Append wrote. It returns an error that wraps ErrFormat for
// other bytes, and never panics.
func Read(b []byte) (*Weights, error) {
	if len(b) < 5 {
		return nil, fmt.Errorf("%w: too short", ErrFormat)
	}
	words, bits := int(binary.LittleEndian.Uint32(b)), b[4]
	b = b[5:]
	if words == 0 || words > maxWords || bits == 0 || bits > maxCharBits {
		return nil, fmt.Errorf("%w: %d words, 2^%d letter rows", ErrFormat, words, bits)
	}
	w := &Weights{
		CharBits: bits, Keys: make([]uint32, words), Scales: make([]float32, words),
		First: make([]float32, Dim*RowLen), Hidden: make([]float32, Pooled*Hidden), Out: make([]float32, Hidden*Outputs),
		Feel: make([]float32, Pooled*Hidden), FeelOut: make([]float32, Hidden*FeelCount),
	}
	floats := w.floats()
	chars := Dim << bits
	want := 4*words + Dim*words + chars
	for _, s := range floats {
		want += 4 * len(s)
	}
	if len(b) != want {
		return nil, fmt.Errorf("%w: %d bytes, want %d", ErrFormat, len(b), want)
	}
	for i := range w.Keys {
		w.Keys[i] = binary.LittleEndian.Uint32(b[4*i:])
	}
	b = b[4*words:]
	for i, s := range floats {
		for j := range s {
			v := math.Float32frombits(binary.LittleEndian.Uint32(b))
			if !(v >= -limit && v <= limit) { // also NaN
				return nil, fmt.Errorf("%w: weight %g", ErrFormat, v)
			}
			s[j] = v
			b = b[4:]
		}
		if i == 1 { // the only field that floats returns a copy of
			w.CharScale = s[0]
		}
	}
	for _, u := range w.Units {
		if u < minUnit {
			return nil, fmt.Errorf("%w: unit %g", ErrFormat, u)
		}
	}
	w.Vectors, w.Chars = int8s(b[:Dim*words]), int8s(b[Dim*words:])
	return w, nil
}

func int8s(b []byte) []int8 {
	out := make([]int8, len(b))
	for i, v := range b {
		out[i] = int8(v)
	}
	return out
}
