package target

import "github.com/synapse-analytics/synapse/model/internal/feature"

// Classes is how many weights a feature has: negative, neutral and positive in
// the table of opinions; outside, first and inside of a term in that of terms.
const Classes = 3

// Table holds the weights of hashed features. An entry packs a tag of 8 bits, by
// which strangers are told apart, and three int8.
type Table struct {
	Bits    uint8
	Scale   float64
	Entries []uint32 // 1 << Bits
}

// Slot is where a feature's weights are, and the tag that they must have.
func (t *Table) Slot(h uint64) (slot int, tag uint32) {
	shift := 64 - uint(t.Bits)
	return int(h >> shift), uint32(h>>(shift-8)) & 0xff
}

// Pack makes an entry.
func Pack(tag uint32, w [Classes]int8) uint32 {
	return tag | uint32(uint8(w[0]))<<8 | uint32(uint8(w[1]))<<16 | uint32(uint8(w[2]))<<24
}

// add adds the weights of a feature to sum.
func (t *Table) add(h uint64, sum *[Classes]int32) {
	slot, tag := t.Slot(h)
	e := t.Entries[slot]
	keep := int32((e&0xff^tag)-1) >> 31 // all ones if the tag is right
	sum[0] += int32(int8(e>>8)) & keep
	sum[1] += int32(int8(e>>16)) & keep
	sum[2] += int32(int8(e>>24)) & keep
}

// Features collects the hashed features of a target's surroundings. Reuse it.
type Features struct {
	Hashes []uint64
	Owner  []uint8 // token that a feature is of
	Tokens int     // that have features
}

// The kinds of feature; part of the weights' format.
const (
	seedBag = iota + 1
	seedDistance
	seedPlace
	seedPair
	seedSkip
	seedNear
)

const domainSeed = 0x51ed270b0a1f39c1

// reach coarsens a distance: where exactly a word stands says little.
var reach = [Distances]uint64{0, 1, 2, 3, 3, 4, 4, 5, 5, 6, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 13, 14}

// Around replaces the features by those of the words around the span, see Opinion.
// It reports whether the span has a token.
func (s *Features) Around(text string, span [2]int, domain int) bool {
	var b feature.Block
	var f Frame
	fillAround(&b, text, span)
	if !f.Set(&b, span) {
		return false
	}
	s.Opinion(&b, &f, domain)
	return true
}

// Opinion replaces the features by those of the tokens of b around f's target.
// Every feature is there once for all domains, and with domain >= 0 once for that.
func (s *Features) Opinion(b *feature.Block, f *Frame, domain int) {
	s.Hashes, s.Owner, s.Tokens = s.Hashes[:0], s.Owner[:0], 0
	var last, before uint64
	negated := 0
	for i := range b.N {
		t := &b.Tokens[i]
		if t.Kind == feature.Sep || t.Kind == feature.Mark {
			if breakOf(t) == strong {
				negated = 0
			}
			continue
		}
		h := t.Hash
		if i >= f.From && i < f.To && f.Distance[i] == onTarget {
			h = targetWord // which thing it is must not decide
		}
		not := uint64(0)
		if negated > 0 {
			not = 1
			negated--
		}
		if negators[t.Hash] {
			negated = 4
		}
		place, distance := uint64(f.Place[i]), reach[f.Distance[i]]
		side := uint64(1)
		if i >= f.To {
			side = 2
		}
		clause := uint64(0)
		if f.sameClause(i) {
			clause = 1
		}
		s.put(i, domain, h, seedBag<<8|not)
		s.put(i, domain, h, seedDistance<<8|distance<<1|not)
		s.put(i, domain, h, seedPlace<<8|place<<1|not)
		s.put(i, domain, h, seedNear<<8|clause<<1|not)
		if last != 0 {
			s.put(i, domain, h+last*0x9e3779b97f4a7c15, seedPair<<8|side<<1|clause)
		}
		if before != 0 {
			s.put(i, domain, h+before*0x165667b19e3779f9, seedSkip<<8|clause)
		}
		before, last = last, h
		s.Tokens++
	}
}

const targetWord = 0x6c62272e07bb0142

func (s *Features) put(owner, domain int, h, kind uint64) {
	h = feature.Mix(h + kind*0xd6e8feb86659fd93)
	s.Hashes, s.Owner = append(s.Hashes, h), append(s.Owner, uint8(owner))
	if domain >= 0 {
		s.Hashes, s.Owner = append(s.Hashes, feature.Mix(h+uint64(domain+1)*domainSeed)), append(s.Owner, uint8(owner))
	}
}

var negators = func() map[uint64]bool {
	m := map[uint64]bool{}
	for _, w := range []string{"n't", "not", "no", "never", "nothing", "nobody", "none", "neither", "nor", "without", "hardly", "barely"} {
		m[hashOf(w)] = true
	}
	return m
}()

// Term replaces the features by those that tell whether token i of b is part of a
// term, given whether the token before is.
func (s *Features) Term(b *feature.Block, i int, before int) {
	s.Hashes = s.Hashes[:0]
	at := func(k int) uint64 {
		if k < 0 || k >= b.N {
			return edge
		}
		return b.Tokens[k].Hash
	}
	w := at(i)
	put := func(kind, h uint64) { s.Hashes = append(s.Hashes, feature.Mix(h+kind*0xd6e8feb86659fd93)) }
	put(101, w)
	put(102, at(i-1))
	put(103, at(i+1))
	put(104, at(i-2))
	put(105, at(i+2))
	put(106, at(i-1)*0x9e3779b97f4a7c15+w)
	put(107, at(i+1)*0x9e3779b97f4a7c15+w)
	put(108, at(i-1)*0x9e3779b97f4a7c15+at(i+1))
	put(109, uint64(before))
	put(110, w+uint64(before)*0x9e3779b97f4a7c15)
	put(111, at(i-1)*0x9e3779b97f4a7c15+at(i-2))
	put(112, at(i+1)*0x9e3779b97f4a7c15+at(i+2))
	rs := b.Runes(i)
	for n := 2; n <= 4 && n <= len(rs); n++ {
		h := uint64(n)
		for _, r := range rs[len(rs)-n:] {
			h = (h ^ uint64(r)) * 0x100000001b3
		}
		put(113, h)
	}
	if b.Tokens[i].Caps {
		put(114, uint64(before))
	}
}

const edge = 0x27d4eb2f165667c5
