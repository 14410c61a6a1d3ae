// Package modelfile reads and writes the weights of the scorer.
//
// Layout, all little-endian: the magic "SYNW", a format number (uint16), the
// model's version (one length byte, then ASCII), the SHA-256 of version and body,
// the length of the body (uint32), the body: the fields of Model in the order of
// Encode. Arrays of int8 are preceded by their length.
package modelfile

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/synapse-analytics/synapse/model/internal/deep"
)

// Format is the layout this package reads and writes.
const Format = 3

const magic = "SYNW"

// Bounds that Decode holds a file to, so that no file makes the scorer read out
// of range or allocate beyond reason.
const (
	minBits, maxBits = 8, 22
	maxVersion       = 64
	maxSection       = 8 << 20 // bytes of the targets
)

// MaxClasses is how many languages the identifier can tell apart at most.
const MaxClasses = 128

// Sources is how many kinds of source have a bias of their own.
const Sources = 3

// Temperatures is how many classes of length have a temperature of their own.
const Temperatures = 6

// ErrFormat is returned (wrapped) for bytes that are not weights of this format.
var ErrFormat = errors.New("not a valid weights file")

// Linear is one table of sentiment weights. An entry packs a 16-bit tag (bits
// 0-15), and two int8: the weight towards neutral (16-23) and the weight of
// positive over negative (24-31).
type Linear struct {
	Bits      uint8 // len(Entries) == 1<<Bits
	WordScale float64
	CharScale float64
	Bias      [2]float64          // positive over negative, neutral
	Source    [Sources][2]float64 // added to Bias when the source is named
	Temp      [Temperatures]float64
	Entries   []uint32
}

// Language is the language identifier: a gate (English or not) and a table of
// rows, one weight per class and bucket.
type Language struct {
	GateBits  uint8
	GateScale float64
	GateBias  float64
	Gate      []int8
	Bits      uint8
	Scale     float64
	Codes     []string // one per class
	Supported []bool   // classes whose sentiment was trained
	Bias      []float64
	Rows      []int8 // len == len(Codes)<<Bits, bucket by bucket
}

// Blend says how much the two halves of the English model count in their sum.
type Blend struct{ Wide, Deep float64 }

// The emotions: GoEmotions' 28, and how many of them TweetEval tells apart.
const (
	Emotions = 28
	Moods    = 4
)

// Emotion turns the logits of one emotion into its probability: the logistic
// function of Own times the network's logit, Table times the table's, and Bias.
type Emotion struct{ Own, Table, Bias float64 }

// Heads say how the answers beside the polarity come of the network's logits.
type Heads struct {
	// Stars are the softmax of Own times the network's logits plus Polarity times
	// what the polarity says about each count.
	StarsOwn, StarsPolarity float64
	// Mixed is the logit from which a text counts as mixed.
	Mixed    float64
	Emotions [Emotions]Emotion
	// Moods weighs the network's choice among TweetEval's four emotions by the
	// kind of source; the last is for no source.
	Moods [Sources + 1]float64
}

// Table holds the weights of words and pairs of words for every emotion. Bucket
// by bucket; a word has one byte per emotion.
type Table struct {
	Bits  uint8
	Scale float64
	Rows  []int8 // Emotions << Bits
}

// Model is all that a weights file holds.
type Model struct {
	Version string
	English Linear
	Deep    *deep.Weights
	// Letters are, for each of the network's words, what its letter n-grams add up to
	// in English.Entries: positive over negative, then neutral.
	Letters [][2]int16
	// Blend is by kind of source, the last for no source, and by class of length.
	Blend    [Sources + 1][Temperatures]Blend
	Heads    Heads
	Feelings Table
	Others   Linear
	Language Language
	Targets  []byte // see package target; empty without
}

// Encode gives the bytes of m.
func Encode(m *Model) ([]byte, error) {
	if len(m.Version) == 0 || len(m.Version) > maxVersion {
		return nil, fmt.Errorf("version of %d bytes, want 1 to %d", len(m.Version), maxVersion)
	}
	if len(m.Letters) != len(m.Deep.Keys) {
		return nil, fmt.Errorf("letters of %d words, want %d", len(m.Letters), len(m.Deep.Keys))
	}
	var b writer
	b.linear(&m.English)
	b.section(m.Deep.Append(nil))
	for _, l := range m.Letters {
		b.buf = binary.LittleEndian.AppendUint16(b.buf, uint16(l[0]))
		b.buf = binary.LittleEndian.AppendUint16(b.buf, uint16(l[1]))
	}
	for i := range m.Blend {
		for _, w := range m.Blend[i] {
			b.f64(w.Wide, w.Deep)
		}
	}
	b.f64(m.Heads.StarsOwn, m.Heads.StarsPolarity, m.Heads.Mixed)
	for _, e := range m.Heads.Emotions {
		b.f64(e.Own, e.Table, e.Bias)
	}
	b.f64(m.Heads.Moods[:]...)
	b.u8(m.Feelings.Bits)
	b.f64(m.Feelings.Scale)
	b.int8s(m.Feelings.Rows)
	b.linear(&m.Others)
	l := &m.Language
	b.u8(l.GateBits)
	b.f64(l.GateScale, l.GateBias)
	b.int8s(l.Gate)
	b.u8(l.Bits)
	b.f64(l.Scale)
	b.u8(uint8(len(l.Codes)))
	for i, c := range l.Codes {
		b.str(c)
		b.u8(boolByte(l.Supported[i]))
		b.f64(l.Bias[i])
	}
	b.int8s(l.Rows)
	b.section(m.Targets)
	return Seal(m.Version, b.buf), nil
}

func checksum(version string, body []byte) [sha256.Size]byte {
	h := sha256.New()
	h.Write([]byte(version))
	h.Write(body)
	return [sha256.Size]byte(h.Sum(nil))
}

// Seal puts the header before a body. It is exported so that fuzzing can reach
// the reader of the body, which the checksum guards.
func Seal(version string, body []byte) []byte {
	sum := checksum(version, body)
	head := writer{buf: []byte(magic)}
	head.buf = binary.LittleEndian.AppendUint16(head.buf, Format)
	head.str(version)
	head.buf = append(head.buf, sum[:]...)
	head.buf = binary.LittleEndian.AppendUint32(head.buf, uint32(len(body)))
	return append(head.buf, body...)
}

// Decode reads and checks a weights file. It returns an error that wraps
// ErrFormat for any bytes that are not one, and never panics.
func Decode(data []byte) (m *Model, err error) {
	r := reader{buf: data}
	if string(r.take(len(magic))) != magic {
		return nil, fmt.Errorf("%w: wrong magic", ErrFormat)
	}
	f := r.take(2)
	if r.failed || binary.LittleEndian.Uint16(f) != Format {
		return nil, fmt.Errorf("%w: format is not %d", ErrFormat, Format)
	}
	m = &Model{Version: r.str()}
	want := r.take(sha256.Size)
	n := r.u32()
	body := r.take(int(n))
	if r.failed || len(r.buf) != 0 || m.Version == "" {
		return nil, fmt.Errorf("%w: wrong length", ErrFormat)
	}
	if checksum(m.Version, body) != [sha256.Size]byte(want) {
		return nil, fmt.Errorf("%w: checksum differs", ErrFormat)
	}
	r = reader{buf: body}
	r.linear(&m.English)
	if m.Deep, err = deep.Read(r.section()); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	m.Letters = r.letters(len(m.Deep.Keys))
	for i := range m.Blend {
		for k := range m.Blend[i] {
			m.Blend[i][k] = Blend{r.f64(), r.f64()}
		}
	}
	r.heads(&m.Heads)
	m.Feelings.Bits = r.bits()
	m.Feelings.Scale = r.f64()
	m.Feelings.Rows = r.int8s(Emotions << m.Feelings.Bits)
	r.linear(&m.Others)
	r.language(&m.Language)
	m.Targets = r.section()
	if r.failed || len(r.buf) != 0 || len(m.Targets) > maxSection {
		return nil, fmt.Errorf("%w: body is damaged", ErrFormat)
	}
	return m, nil
}

func boolByte(b bool) uint8 {
	if b {
		return 1
	}
	return 0
}

type writer struct{ buf []byte }

func (w *writer) u8(v uint8) { w.buf = append(w.buf, v) }

func (w *writer) f64(vs ...float64) {
	for _, v := range vs {
		w.buf = binary.LittleEndian.AppendUint64(w.buf, math.Float64bits(v))
	}
}

func (w *writer) str(s string) { w.buf = append(append(w.buf, uint8(len(s))), s...) }

func (w *writer) int8s(vs []int8) {
	w.buf = binary.LittleEndian.AppendUint32(w.buf, uint32(len(vs)))
	for _, v := range vs {
		w.buf = append(w.buf, uint8(v))
	}
}

func (w *writer) section(b []byte) {
	w.buf = binary.LittleEndian.AppendUint32(w.buf, uint32(len(b)))
	w.buf = append(w.buf, b...)
}

func (w *writer) linear(l *Linear) {
	w.u8(l.Bits)
	w.f64(l.WordScale, l.CharScale)
	w.f64(l.Bias[:]...)
	for _, s := range l.Source {
		w.f64(s[:]...)
	}
	w.f64(l.Temp[:]...)
	for _, e := range l.Entries {
		w.buf = binary.LittleEndian.AppendUint32(w.buf, e)
	}
}

// reader fails once and for all: after a short read every take gives zeros.
type reader struct {
	buf    []byte
	failed bool
}

func (r *reader) take(n int) []byte {
	if r.failed || n < 0 || n > len(r.buf) {
		r.failed = true
		return nil
	}
	out := r.buf[:n]
	r.buf = r.buf[n:]
	return out
}

func (r *reader) u8() uint8 {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) u32() uint32 {
	if b := r.take(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

// f64 reads a number and holds it to a sane range: a scale or bias that could
// make a score infinite is damage.
func (r *reader) f64() float64 {
	b := r.take(8)
	if b == nil {
		return 0
	}
	v := math.Float64frombits(binary.LittleEndian.Uint64(b))
	if math.IsNaN(v) || v > 1e6 || v < -1e6 {
		r.failed = true
		return 0
	}
	return v
}

func (r *reader) str() string { return string(r.take(int(r.u8()))) }

func (r *reader) bits() uint8 {
	b := r.u8()
	if b < minBits || b > maxBits {
		r.failed = true
		return minBits
	}
	return b
}

func (r *reader) int8s(want int) []int8 {
	if n := r.u32(); int64(n) != int64(want) {
		r.failed = true
	}
	raw := r.take(want)
	out := make([]int8, len(raw))
	for i, b := range raw {
		out[i] = int8(b)
	}
	return out
}

func (r *reader) letters(words int) [][2]int16 {
	raw := r.take(4 * words)
	out := make([][2]int16, len(raw)/4)
	for i := range out {
		out[i] = [2]int16{int16(binary.LittleEndian.Uint16(raw[4*i:])), int16(binary.LittleEndian.Uint16(raw[4*i+2:]))}
	}
	return out
}

func (r *reader) section() []byte { return r.take(int(r.u32())) }

func (r *reader) heads(h *Heads) {
	h.StarsOwn, h.StarsPolarity, h.Mixed = r.f64(), r.f64(), r.f64()
	for i := range h.Emotions {
		h.Emotions[i] = Emotion{r.f64(), r.f64(), r.f64()}
	}
	for i := range h.Moods {
		h.Moods[i] = r.f64()
	}
}

func (r *reader) linear(l *Linear) {
	l.Bits = r.bits()
	l.WordScale, l.CharScale = r.f64(), r.f64()
	l.Bias = [2]float64{r.f64(), r.f64()}
	for i := range l.Source {
		l.Source[i] = [2]float64{r.f64(), r.f64()}
	}
	for i := range l.Temp {
		l.Temp[i] = r.f64()
		if l.Temp[i] < 0.01 {
			r.failed = true
		}
	}
	raw := r.take(4 << l.Bits)
	if r.failed {
		return
	}
	l.Entries = make([]uint32, 1<<l.Bits)
	for i := range l.Entries {
		l.Entries[i] = binary.LittleEndian.Uint32(raw[4*i:])
	}
}

func (r *reader) language(l *Language) {
	l.GateBits = r.bits()
	l.GateScale, l.GateBias = r.f64(), r.f64()
	l.Gate = r.int8s(1 << l.GateBits)
	l.Bits = r.bits()
	l.Scale = r.f64()
	n := int(r.u8())
	if n == 0 || n > MaxClasses {
		r.failed = true
		return
	}
	for range n {
		l.Codes = append(l.Codes, r.str())
		l.Supported = append(l.Supported, r.u8() == 1)
		l.Bias = append(l.Bias, r.f64())
	}
	if r.failed {
		return
	}
	l.Rows = r.int8s(n << l.Bits)
}
