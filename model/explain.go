package model

import (
	"unicode/utf8"

	"github.com/synapse-analytics/synapse/model/internal/feature"
)

// Evidence is the contribution of a span of the text to the score.
type Evidence struct {
	StartByte, EndByte   int // UTF-8 byte offsets into Input.Text, half open
	StartUTF16, EndUTF16 int // the same span in UTF-16 code units
	// Weight is the span's part of the logit difference ln(p(positive) /
	// p(negative)): above zero it speaks for positive.
	Weight float64
}

// Explanation is a result with its reasons. The weights of Evidence and Bias add
// up to LogitDifference (within 1e-6), which is ln(p(positive)/p(negative)).
type Explanation struct {
	Result          Result
	Evidence        []Evidence // in the order of the text, one per token that says anything
	Bias            float64    // what the source and the prior add
	LogitDifference float64
}

// Explain scores in and tells which spans of the text moved the score. The
// contribution of a group of words is shared evenly among them. The spans are in
// order and do not overlap.
func (s *Scorer) Explain(in Input) (Result, []Evidence) {
	e := s.ExplainFull(in)
	return e.Result, e.Evidence
}

// ExplainFull is Explain with the bias, without which the weights do not add up.
func (s *Scorer) ExplainFull(in Input) Explanation {
	sc := scratches.Get().(*scratch)
	defer scratches.Put(sc)

	var total sums
	var lang verdict
	t := &s.english
	sc.state = feature.State{}
	var parts []Evidence // Weight still without the factor of the text's length
	var history [2]int   // indices in parts of the last two tokens that made n-grams
	history[0], history[1] = -1, -1
	for pos, first := 0, true; pos < len(in.Text); first = false {
		pos = sc.block.Fill(in.Text, pos)
		sc.set.Extract(&sc.block, &sc.state)
		if first {
			lang = s.language.identify(in.Language, &sc.block, sc.set.Chars)
			t = s.tableFor(lang)
		}
		total.add(t, &sc.set)
		parts = t.attribute(&sc.block, &sc.set, parts, &history)
	}
	d, n, factor, bias := t.logits(&total, sc.state.Tokens, SourceKind(in.Source), lang)
	out := Explanation{
		Result:          result(d, n, s.language.tag(in.Language, lang), lang.supported),
		Bias:            bias,
		LogitDifference: d,
	}
	for _, p := range parts {
		if p.Weight != 0 {
			p.Weight *= factor
			out.Evidence = append(out.Evidence, p)
		}
	}
	addUTF16(in.Text, out.Evidence)
	return out
}

// attribute appends one part per token of the block that made features, and
// shares the weight of its n-grams among the tokens that they cover.
func (t *table) attribute(b *feature.Block, set *feature.Set, parts []Evidence, history *[2]int) []Evidence {
	word, char := int32(0), int32(0)
	for i := range b.N {
		words := set.Words[word:set.WordEnd[i]]
		chars := set.Chars[char:set.CharEnd[i]]
		word, char = set.WordEnd[i], set.CharEnd[i]
		if len(words) == 0 {
			continue
		}
		tok := &b.Tokens[i]
		parts = append(parts, Evidence{StartByte: tok.Start, EndByte: tok.End})
		self := len(parts) - 1
		d, _ := t.sum(chars)
		parts[self].Weight += float64(d) * t.char
		for j := range words {
			d, _ := t.sum(words[j : j+1])
			if d == 0 {
				continue
			}
			w := float64(d) * t.word
			// Extract's order: the word, the pair, the triple, the pair with a
			// gap, then what belongs to the word alone.
			covered := [3]int{self, -1, -1}
			gram := j
			if history[1] < 0 && j >= 2 {
				gram = 4 // no triple yet at the start of a text
			}
			switch gram {
			case 1:
				covered[1] = history[0]
			case 2:
				covered[1], covered[2] = history[0], history[1]
			case 3:
				covered[2] = history[1]
			}
			n := 0.0
			for _, k := range covered {
				if k >= 0 {
					n++
				}
			}
			for _, k := range covered {
				if k >= 0 {
					parts[k].Weight += w / n
				}
			}
		}
		history[1], history[0] = history[0], self
	}
	return parts
}

// addUTF16 fills the UTF-16 offsets in one pass. Bytes that are not UTF-8 count
// as one unit each, as decoders that replace them do.
func addUTF16(text string, ev []Evidence) {
	at, units := 0, 0
	advance := func(to int) int {
		for at < to {
			r, size := utf8.DecodeRuneInString(text[at:])
			at += size
			units++
			if r > 0xffff {
				units++
			}
		}
		return units
	}
	for i := range ev {
		ev[i].StartUTF16 = advance(ev[i].StartByte)
		ev[i].EndUTF16 = advance(ev[i].EndByte)
	}
}
