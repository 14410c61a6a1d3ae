package target

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// ErrFormat is returned (wrapped) for bytes that are no weights.
var ErrFormat = errors.New("not a valid section of targets")

const (
	minBits, maxBits = 8, 19
	limit            = 1e4 // a number beyond it is damage
)

// Append appends the bytes of w to dst, all little-endian.
func (w *Weights) Append(dst []byte) []byte {
	dst = append(dst, w.Opinions.Bits, w.Terms.Bits)
	for _, p := range w.numbers() {
		dst = binary.LittleEndian.AppendUint64(dst, math.Float64bits(*p))
	}
	for _, s := range w.Head.floats() {
		for _, v := range s {
			dst = binary.LittleEndian.AppendUint32(dst, math.Float32bits(v))
		}
	}
	for _, t := range []*Table{&w.Opinions, &w.Terms} {
		for _, e := range t.Entries {
			dst = binary.LittleEndian.AppendUint32(dst, e)
		}
	}
	return dst
}

// numbers are all float64 fields in the order of the file.
func (w *Weights) numbers() []*float64 {
	out := []*float64{&w.Opinions.Scale, &w.Terms.Scale, &w.TermBias}
	for d := range w.Hints {
		for c := range w.Hints[d] {
			for k := range w.Hints[d][c] {
				out = append(out, &w.Hints[d][c][k])
			}
		}
		out = append(out, &w.Mix[d][0], &w.Mix[d][1])
	}
	return out
}

func (h *Head) floats() [][]float32 {
	out := [][]float32{h.Hidden, h.HiddenBias[:], h.OutBias[:]}
	for c := range h.Out {
		out = append(out, h.Out[c][:])
	}
	return out
}

// Read reads what Append wrote. It returns an error that wraps ErrFormat for
// other bytes, and never panics.
func Read(b []byte) (*Weights, error) {
	if len(b) < 2 {
		return nil, fmt.Errorf("%w: too short", ErrFormat)
	}
	w := &Weights{Opinions: Table{Bits: b[0]}, Terms: Table{Bits: b[1]}}
	tables := []*Table{&w.Opinions, &w.Terms}
	numbers := w.numbers()
	w.Head.Hidden = make([]float32, Inputs*HeadUnits)
	want := 2 + 8*len(numbers)
	for _, s := range w.Head.floats() {
		want += 4 * len(s)
	}
	for _, t := range tables {
		if t.Bits < minBits || t.Bits > maxBits {
			return nil, fmt.Errorf("%w: a table of 2^%d entries", ErrFormat, t.Bits)
		}
		want += 4 << t.Bits
	}
	if len(b) != want {
		return nil, fmt.Errorf("%w: %d bytes, want %d", ErrFormat, len(b), want)
	}
	b = b[2:]
	for _, p := range numbers {
		*p = math.Float64frombits(binary.LittleEndian.Uint64(b))
		if !(*p >= -limit && *p <= limit) { // also NaN
			return nil, fmt.Errorf("%w: number %g", ErrFormat, *p)
		}
		b = b[8:]
	}
	for _, s := range w.Head.floats() {
		for i := range s {
			v := math.Float32frombits(binary.LittleEndian.Uint32(b))
			if !(v >= -limit && v <= limit) {
				return nil, fmt.Errorf("%w: weight %g", ErrFormat, v)
			}
			s[i] = v
			b = b[4:]
		}
	}
	for _, t := range tables {
		t.Entries = make([]uint32, 1<<t.Bits)
		for i := range t.Entries {
			t.Entries[i] = binary.LittleEndian.Uint32(b[4*i:])
		}
		b = b[4<<t.Bits:]
	}
	return w, nil
}
