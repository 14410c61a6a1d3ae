package model

import (
	"math"

	"github.com/synapse-analytics/synapse/model/internal/deep"
	"github.com/synapse-analytics/synapse/model/internal/feature"
	"github.com/synapse-analytics/synapse/model/internal/modelfile"
)

// table is one linear model; see modelfile.Linear for the packing of entries.
type table struct {
	entries  []uint32
	shift    uint
	word     float64
	char     float64
	bias     [2]float64
	source   [modelfile.Sources][2]float64
	temp     [modelfile.Temperatures]float64
	tagShift uint
}

func newTable(l *modelfile.Linear) table {
	return table{
		entries: l.Entries, shift: 64 - uint(l.Bits), tagShift: 64 - uint(l.Bits) - 16,
		word: l.WordScale, char: l.CharScale, bias: l.Bias, source: l.Source, temp: l.Temp,
	}
}

// sum adds the weights of the features. Integers, so that no order of addition
// and no fused multiply can change a bit. The tag is compared without a branch:
// about half of the features miss, in no pattern a predictor could learn.
func (t *table) sum(features []uint64) (d, n int64) {
	var d32, n32 int32 // a block has < 2^14 features of at most 2^7 each
	for _, h := range features {
		e := t.entries[h>>t.shift]
		miss := e&0xffff ^ uint32(h>>t.tagShift)&0xffff
		keep := int32(miss-1) >> 31
		d32 += int32(e) >> 24 & keep
		n32 += int32(e<<8) >> 24 & keep
	}
	return int64(d32), int64(n32)
}

// sums are the integer totals of a text.
type sums struct {
	wordD, wordN, charD, charN int64
}

// letters are the sums over the letter n-grams of the words that the network knows.
// There are five times as many n-grams of letters as of words.
type letters [][2]int16

// LetterSums are the letters of words for the weights of l. Training stores them;
// scoring has no use for it.
func LetterSums(l *modelfile.Linear, words []string) [][2]int16 {
	t := newTable(l)
	out := make([][2]int16, len(words))
	for i, w := range words {
		d, n := t.sum(feature.Letters([]rune(w)))
		out[i] = [2]int16{int16(d), int16(n)} // at most 104 n-grams of one byte
	}
	return out
}

// of are the sums for token i of a block: those of its word if there are letters and
// the network, which then ran on the block, knows it.
func (l letters) of(t *table, i int, set *feature.Set, net *deep.State) (d, n int64) {
	if l != nil && set.Plain[i] {
		if word := net.Word(i); word >= 0 {
			return int64(l[word][0]), int64(l[word][1])
		}
	}
	start := int32(0)
	if i > 0 {
		start = set.CharEnd[i-1]
	}
	return t.sum(set.Chars[start:set.CharEnd[i]])
}

// add adds the weights of a block of so many tokens.
func (a *sums) add(t *table, l letters, tokens int, set *feature.Set, net *deep.State) {
	d, n := t.sum(set.Words)
	a.wordD += d
	a.wordN += n
	for i := range tokens {
		d, n = l.of(t, i, set, net)
		a.charD += d
		a.charN += n
	}
}

// linear is what a table says about a text: d = sum of weights*factor + biasD is
// positive over negative, n is neutral.
type linear struct{ d, n, factor, biasD float64 }

// logits turns totals into logits. A text has a token at least.
func (t *table) logits(a *sums, tokens int, source Kind) linear {
	biasD, biasN := t.bias[0], t.bias[1]
	if source >= 0 {
		biasD += t.source[source][0]
		biasN += t.source[source][1]
	}
	// Longer texts say more, but not in proportion: the square root.
	factor := 1 / math.Sqrt(float64(tokens))
	// The explicit conversions keep compilers from fusing multiply and add.
	sumD := float64(float64(a.wordD)*t.word) + float64(float64(a.charD)*t.char)
	sumN := float64(float64(a.wordN)*t.word) + float64(float64(a.charN)*t.char)
	return linear{float64(sumD*factor) + biasD, float64(sumN*factor) + biasN, factor, biasD}
}

// TemperatureClass is the class of length that a text of so many tokens has.
func TemperatureClass(tokens int) int {
	switch {
	case tokens <= 5:
		return 0
	case tokens <= 14:
		return 1
	case tokens <= 30:
		return 2
	case tokens <= 80:
		return 3
	case tokens <= 250:
		return 4
	}
	return 5
}
