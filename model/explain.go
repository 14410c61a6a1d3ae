package model

import (
	"unicode/utf8"

	"github.com/synapse-analytics/synapse/model/internal/deep"
)

// Evidence is the contribution of a span of the text to the score.
type Evidence struct {
	StartByte, EndByte   int // UTF-8 byte offsets into Input.Text, half open
	StartUTF16, EndUTF16 int // the same span in UTF-16 code units
	// Weight is the span's part of the logit difference ln(p(positive) /
	// p(negative)): above zero it speaks for positive.
	Weight float64
}

// evidence collects what the tokens of a text add to the logit difference.
type evidence struct {
	parts   []part
	history [2]int // places in parts of the last two tokens that made n-grams
	base    int    // place of the block's first token
	network [deep.MaxTokens]float64
	left    float64 // what the network adds that is no token's, times tokens
}

// part is what one token adds, in units of the table and of the network.
type part struct {
	start, end int
	wide, deep float64
}

func newEvidence(text string) *evidence {
	return &evidence{history: [2]int{-1, -1}, parts: make([]part, 0, len(text)/5+8)}
}

// linear notes what the table says about each token of the block, and adds it to
// the totals. The weight of an n-gram is shared evenly among the tokens that it covers.
func (e *evidence) linear(t *table, known letters, sc *scratch) {
	b, set, total := &sc.block, &sc.set, &sc.total
	e.base = len(e.parts)
	word := int32(0)
	for i := range b.N {
		words := set.Words[word:set.WordEnd[i]]
		word = set.WordEnd[i]
		tok := &b.Tokens[i]
		self := len(e.parts)
		e.parts = append(e.parts, part{start: tok.Start, end: tok.End})
		if len(words) == 0 {
			continue
		}
		d, n := known.of(t, i, set, &sc.net)
		total.charD += d
		total.charN += n
		e.parts[self].wide += float64(float64(d) * t.char)
		for j := range words {
			d, n := t.sum(words[j : j+1])
			total.wordD += d
			total.wordN += n
			if d == 0 {
				continue
			}
			w := float64(float64(d) * t.word)
			// Extract's order: the word, the pair, the triple, the pair with a
			// gap, then what belongs to the word alone.
			gram := j
			if e.history[1] < 0 && j >= 2 {
				gram = 4 // no triple yet at the start of a text
			}
			one, two := -1, -1
			switch gram {
			case 1:
				one = e.history[0]
			case 2:
				one, two = e.history[0], e.history[1]
			case 3:
				two = e.history[1]
			}
			switch {
			case one >= 0 && two >= 0:
				w /= 3
			case one >= 0 || two >= 0:
				w /= 2
			}
			e.parts[self].wide += w
			if one >= 0 {
				e.parts[one].wide += w
			}
			if two >= 0 {
				e.parts[two].wide += w
			}
		}
		e.history[1], e.history[0] = e.history[0], self
	}
}

// deep notes what the network's last run says about each token of the block.
func (e *evidence) deep(net *deep.Net, sc *scratch) {
	n := float64(sc.block.N)
	clear(e.network[:sc.block.N])
	net.Attribute(&sc.net, &e.network)
	rest := float64(sc.out[deep.OutClass+2]) - float64(sc.out[deep.OutClass])
	for i := range sc.block.N {
		e.parts[e.base+i].deep = float64(e.network[i] * n)
		rest -= e.network[i]
	}
	e.left += float64(rest * n)
}

// finish gives the evidence of a text whose logits are l, and the bias.
func (e *evidence) finish(text string, sc *scratch, l *logits, sourceD float64) ([]Evidence, float64) {
	scale := 0.0
	if sc.tokens > 0 {
		scale = l.deep / float64(sc.tokens)
	}
	bias := l.bias + float64(e.left*scale) + float64(sourceD*l.deep)
	units := unitCounter{text: text}
	var out []Evidence
	for i := range e.parts {
		p := &e.parts[i]
		w := float64(p.wide*l.wide) + float64(p.deep*scale)
		if w == 0 {
			continue
		}
		if out == nil {
			out = make([]Evidence, 0, len(e.parts)-i)
		}
		v := Evidence{StartByte: p.start, EndByte: p.end, Weight: w}
		v.StartUTF16 = units.at(p.start)
		v.EndUTF16 = units.at(p.end)
		out = append(out, v)
	}
	return out, bias
}

// unitCounter counts UTF-16 code units up to byte offsets that only grow. Bytes
// that are not UTF-8 count as one unit each, as decoders that replace them do.
type unitCounter struct {
	text       string
	pos, units int
}

func (c *unitCounter) at(to int) int {
	for c.pos < to {
		if c.text[c.pos] < utf8.RuneSelf {
			c.pos++
			c.units++
			continue
		}
		r, size := utf8.DecodeRuneInString(c.text[c.pos:])
		c.pos += size
		c.units++
		if r > 0xffff {
			c.units++
		}
	}
	return c.units
}
