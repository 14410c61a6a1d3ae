// Package record packs what a stored event shows but is never searched by, in the
// same form for every engine.
package record

import (
	"encoding/binary"
	"errors"

	"github.com/synapse-analytics/synapse/services/query"
)

// extraVersion is the first byte of the form below. A new form gets a new
// number; old rows stay readable. Version 1 ended before the stars.
const extraVersion = 2

const (
	extraSupported = 1 << iota
	extraTraced
	extraStars
	extraTargetScores
	extraHint
)

var errExtra = errors.New("the extra column of an event can not be read")

// AppendExtra packs what of an event is shown but never searched: version,
// flags, negative and positive probability (e6), times as differences to
// accepted_us, message numbers, targets, for a sampled event its trace (16 bytes)
// and span (8 bytes), then as the flags say: four stars (the fifth is the rest),
// the scores of the targets, the hint of the language. Numbers are varints.
func AppendExtra(b []byte, e *query.Event) []byte {
	flags := byte(0)
	if e.LanguageSupported {
		flags |= extraSupported
	}
	traced := len(e.TraceID) == 16 && len(e.SpanID) == 8
	if traced {
		flags |= extraTraced
	}
	if e.StarsE4 != [5]int32{} {
		flags |= extraStars
	}
	if len(e.TargetScores) > 0 {
		flags |= extraTargetScores
	}
	if e.LanguageHint != "" {
		flags |= extraHint
	}
	b = append(b, extraVersion, flags)
	b = binary.AppendVarint(b, int64(e.NegativeE6))
	b = binary.AppendVarint(b, int64(e.PositiveE6))
	b = binary.AppendVarint(b, e.QueuedUS-e.AcceptedUS)
	b = binary.AppendVarint(b, e.ScoredUS-e.AcceptedUS)
	b = binary.AppendVarint(b, e.StoredUS-e.AcceptedUS)
	b = binary.AppendUvarint(b, e.EventsSequence)
	b = binary.AppendUvarint(b, e.ScoredSequence)
	b = binary.AppendUvarint(b, uint64(len(e.Targets)))
	for _, t := range e.Targets {
		b = binary.AppendUvarint(b, uint64(len(t)))
		b = append(b, t...)
	}
	if traced {
		b = append(b, e.TraceID...)
		b = append(b, e.SpanID...)
	}
	if flags&extraStars != 0 {
		for _, n := range e.StarsE4[:4] {
			b = binary.AppendUvarint(b, uint64(n))
		}
	}
	if flags&extraTargetScores != 0 {
		b = binary.AppendUvarint(b, uint64(len(e.TargetScores)))
		for _, t := range e.TargetScores {
			b = append(b, byte(t.Label))
			b = binary.AppendUvarint(b, uint64(t.NegativeE4))
			b = binary.AppendUvarint(b, uint64(t.PositiveE4))
			b = binary.AppendUvarint(b, uint64(t.Start))
			b = binary.AppendUvarint(b, uint64(t.End-t.Start))
		}
	}
	if flags&extraHint != 0 {
		b = binary.AppendUvarint(b, uint64(len(e.LanguageHint)))
		b = append(b, e.LanguageHint...)
	}
	return b
}

// ReadExtra fills an event, whose AcceptedUS is set, from the packed form.
func ReadExtra(b []byte, e *query.Event) error {
	r := extraReader{b: b}
	version := r.byte()
	if version < 1 || version > extraVersion {
		return errExtra
	}
	flags := r.byte()
	if version == 1 {
		flags &= extraSupported | extraTraced
	}
	e.LanguageSupported = flags&extraSupported != 0
	e.NegativeE6 = int32(r.varint())
	e.PositiveE6 = int32(r.varint())
	e.QueuedUS = e.AcceptedUS + r.varint()
	e.ScoredUS = e.AcceptedUS + r.varint()
	e.StoredUS = e.AcceptedUS + r.varint()
	e.EventsSequence = r.uvarint()
	e.ScoredSequence = r.uvarint()
	n := r.uvarint()
	if n > uint64(len(r.b)) { // each target takes at least its length byte
		return errExtra
	}
	for range n {
		e.Targets = append(e.Targets, string(r.bytes(r.uvarint())))
	}
	if flags&extraTraced != 0 {
		e.TraceID = append([]byte(nil), r.bytes(16)...)
		e.SpanID = append([]byte(nil), r.bytes(8)...)
	}
	if flags&extraStars != 0 {
		rest := int64(10_000)
		for i := range e.StarsE4[:4] {
			n := r.uvarint()
			if rest -= int64(min(n, 10_001)); rest < 0 {
				return errExtra
			}
			e.StarsE4[i] = int32(n)
		}
		e.StarsE4[4] = int32(rest)
	}
	if flags&extraTargetScores != 0 {
		n := r.uvarint()
		if n > uint64(len(r.b)) { // each takes at least 5 bytes
			return errExtra
		}
		for range n {
			t := query.TargetScore{Label: query.Label(r.byte()), NegativeE4: r.number(), PositiveE4: r.number(), Start: r.number()}
			t.End = t.Start + r.number()
			e.TargetScores = append(e.TargetScores, t)
		}
	}
	if flags&extraHint != 0 {
		e.LanguageHint = string(r.bytes(r.uvarint()))
	}
	if r.bad || len(r.b) != 0 {
		return errExtra
	}
	return nil
}

// extraReader reads; after the first fault it gives zeros.
type extraReader struct {
	b   []byte
	bad bool
}

func (r *extraReader) fail() {
	r.bad, r.b = true, nil
}

func (r *extraReader) byte() byte {
	if len(r.b) == 0 {
		r.fail()
		return 0
	}
	c := r.b[0]
	r.b = r.b[1:]
	return c
}

func (r *extraReader) varint() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *extraReader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.b = r.b[n:]
	return v
}

// number reads a number below 2^24.
func (r *extraReader) number() int32 {
	v := r.uvarint()
	if v >= 1<<24 {
		r.fail()
		return 0
	}
	return int32(v)
}

func (r *extraReader) bytes(n uint64) []byte {
	if n > uint64(len(r.b)) {
		r.fail()
		return nil
	}
	v := r.b[:n]
	r.b = r.b[n:]
	return v
}
