// Package target tells the sentiment towards one thing that a text speaks about,
// and finds the things that it speaks about. Words count by where they stand: how
// far from the target, on which side, and with how many breaks such as "but" in
// between.
package target

import "github.com/synapse-analytics/synapse/model/internal/feature"

// The places that a word can have towards a target. Both are part of the
// features that weights are looked up by.
const (
	// Distances: 1 to 6 words one by one and four wider bands to each side, the
	// target itself, and the place of every word when the target is the whole text.
	Distances     = 22
	onTarget      = 10
	wholeDistance = 21
	// Places: how many strong and weak breaks lie between, up to two of each, to
	// each side; the target itself; the whole text.
	Places     = 20
	inTarget   = 18
	wholePlace = 19
)

// before is how many bytes of text before a target are looked at.
const before = 160

// Frame says where the words of a block stand towards a target.
type Frame struct {
	From, To int // the target's tokens; the whole block when there is no target
	Distance [feature.BlockTokens]uint8
	Place    [feature.BlockTokens]uint8
}

// fillAround reads the window of text around a span into b: up to 160 bytes
// before it and what else the block holds.
func fillAround(b *feature.Block, text string, span [2]int) {
	start := 0
	if span[0] > before {
		start = span[0] - before
		for start < span[0] && text[start] != ' ' {
			start++
		}
	}
	b.Fill(text, start)
}

// Set places the tokens of b around the span. It returns false when no token of
// b touches the span. A span of no bytes stands for the whole text.
func (f *Frame) Set(b *feature.Block, span [2]int) bool {
	if span[0] == span[1] {
		f.From, f.To = 0, b.N
		for i := range b.N {
			f.Distance[i], f.Place[i] = wholeDistance, wholePlace
		}
		return b.N > 0
	}
	f.From, f.To = -1, -1
	for i := range b.N {
		if t := &b.Tokens[i]; t.Start < span[1] && t.End > span[0] {
			if f.From < 0 {
				f.From = i
			}
			f.To = i + 1
		}
	}
	if f.From < 0 {
		return false
	}
	for i := f.From; i < f.To; i++ {
		f.Distance[i], f.Place[i] = onTarget, inTarget
	}
	var gap [3]uint8
	for i := f.To; i < b.N; i++ {
		count(&gap, breakOf(&b.Tokens[i]))
		f.Distance[i] = onTarget + band(i-f.To+1)
		f.Place[i] = gap[strong]*3 + gap[weak]
	}
	gap = [3]uint8{}
	for i := f.From - 1; i >= 0; i-- {
		count(&gap, breakOf(&b.Tokens[i]))
		f.Distance[i] = onTarget - band(f.From-i)
		f.Place[i] = 9 + gap[strong]*3 + gap[weak]
	}
	return true
}

// sameClause says that no strong break lies between token i and the target.
func (f *Frame) sameClause(i int) bool {
	p := f.Place[i]
	return p < 3 || p >= 9 && p < 12 || p >= inTarget
}

func count(gap *[3]uint8, b uint8) { gap[b] = min(gap[b]+1, 2) }

// band numbers distances from 1 on.
func band(d int) uint8 {
	switch {
	case d <= 6:
		return uint8(d)
	case d <= 8:
		return 7
	case d <= 11:
		return 8
	case d <= 16:
		return 9
	}
	return 10
}

// Breaks between what is said of one thing and of the next.
const (
	none = iota
	weak
	strong
)

func breakOf(t *feature.Token) uint8 {
	switch t.Kind {
	case feature.Punct:
		return strong
	case feature.Sep:
		return breaks[t.Hash]
	case feature.Word:
		return breaks[t.Hash]
	}
	return none
}

var breaks = func() map[uint64]uint8 {
	m := map[uint64]uint8{}
	for _, w := range []string{"but", "however", "although", "though", "while", "whereas", "except", "yet", ";", ":", "(", ")", "-"} {
		m[hashOf(w)] = strong
	}
	for _, w := range []string{",", "and", "or"} {
		m[hashOf(w)] = weak
	}
	return m
}()

// hashOf is the hash of a word's token.
func hashOf(word string) uint64 {
	var b feature.Block
	b.Fill(word, 0)
	return b.Tokens[0].Hash
}

// near is how many tokens to each side of a target are its nearest.
const near = 5

// Surroundings returns the bytes of the clause that holds the span, up to the next
// strong break on either side, and of the span and its nearest words. A span that
// is not in the text has all of it around, one without a token only itself.
func Surroundings(text string, span [2]int) (clause, nearest [2]int) {
	if span[0] < 0 || span[1] > len(text) || span[0] >= span[1] {
		all := [2]int{0, len(text)}
		return all, all
	}
	sc := scratches.Get().(*scratch)
	defer scratches.Put(sc)
	b, f := &sc.block, &sc.frame
	fillAround(b, text, span)
	if !f.Set(b, span) {
		return span, span
	}
	from, to := f.From, f.To
	for from > 0 && breakOf(&b.Tokens[from-1]) != strong {
		from--
	}
	for to < b.N && breakOf(&b.Tokens[to]) != strong {
		to++
	}
	clause = [2]int{b.Tokens[from].Start, b.Tokens[to-1].End}
	return clause, [2]int{b.Tokens[max(f.From-near, 0)].Start, b.Tokens[min(f.To+near, b.N)-1].End}
}
