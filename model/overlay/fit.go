package overlay

import (
	"cmp"
	"math"
	"slices"
	"strings"

	"github.com/synapse-analytics/synapse/model"
	"github.com/synapse-analytics/synapse/model/internal/feature"
)

// The correction is a softmax regression on top of the logits without it: two
// biases, and per word or pair of words a weight that is only allowed to speak for
// the class that its texts were labelled with. Ridge (a normal prior around 0)
// keeps all small, a threshold keeps out what one or two texts would explain by
// accident.
const (
	biasPrior = 3.0 // 1/variance
	wordPrior = 0.3 // 1/variance
	wordCost  = 1.0 // log likelihood that a word must bring per unit of weight
	maxWord   = 3.0 // weight of a learned phrase
	minWord   = 0.05
	sweeps    = 500
	settled   = 1e-7 // largest change of a sweep at which it ends early

	wordsRead  = 1000 // of one text
	maxLearned = 300
)

// example is a relabel made ready.
type example struct {
	in    model.Input
	label model.Label
	key   string
	words []word
	// Without the correction:
	result model.Result
	at     shift
	own    []bool // per word: part of a user's phrase
}

// gram is a word, or two in a row, that may be learned.
type gram struct {
	text   string
	class  model.Label
	seen   int
	agreed int
	pull   float64 // how far the texts' errors pull it from 0
	parts  [2]string
}

// correction is what fit learns.
type correction struct {
	bias    Bias
	phrases []Phrase
}

// fit learns from examples, whose order must be canonical.
func fit(plain *Overlay, examples []*example) (correction, error) {
	grams := candidates(plain, examples)
	for {
		columns, err := design(plain, grams, examples)
		if err != nil {
			return correction{}, err
		}
		bias, weights := solve(columns, examples)
		// Without the words that turned out useless shorter phrases come to the
		// fore, hence the next round. Each has fewer words.
		kept := grams[:0:0]
		for j := range grams {
			if weights[j] >= minWord {
				kept = append(kept, grams[j])
			}
		}
		if len(kept) < len(grams) {
			grams = kept
			continue
		}
		c := correction{bias: Bias{round(bias.d), round(bias.n)}}
		for j, g := range grams {
			c.phrases = append(c.phrases, g.phrase(round(weights[j])))
		}
		return c, nil
	}
}

// round keeps three decimals, for people and so that the version doesn't hang on
// the last bits of a solution.
func round(x float64) float64 { return math.Round(x*1000) / 1000 }

func (g *gram) phrase(weight float64) Phrase {
	p := Phrase{Text: g.text, Weight: weight, Add: true, Origin: Learned, Seen: g.seen, Agreed: g.agreed}
	switch g.class {
	case model.Negative:
		p.Weight = -weight
	case model.Neutral:
		p.Neutral = true
	}
	return p
}

func opposite(l model.Label) model.Label { return model.Positive - l }

// candidates are the words and pairs that at least four fifths of their texts
// agree on, more than the labels in general do.
func candidates(plain *Overlay, examples []*example) []gram {
	type count struct {
		by    [3]int
		pull  [3]float64
		parts [2]string
	}
	counts := map[string]*count{}
	total := [3]int{}
	for _, e := range examples {
		total[e.label]++
		p := softmax(e.at).Probabilities
		inText := map[string]bool{}
		add := func(i, n int) {
			text := keyOf(e.words[i : i+n])
			if inText[text] {
				return
			}
			inText[text] = true
			c := counts[text]
			if c == nil {
				c = &count{}
				if n == 2 {
					c.parts = [2]string{e.words[i].form, e.words[i+1].form}
				}
				counts[text] = c
			}
			// "not sick" labelled negative says that "sick" is good.
			label, miss := e.label, 1-p[e.label]
			if negationOf(e.words, i) {
				label = opposite(label)
				miss *= -negated
			}
			c.by[label]++
			c.pull[label] += miss
		}
		usable := func(i int) bool { return i < len(e.words) && !e.own[i] && speaks(e.words[i].kind) }
		for i := range e.words {
			if !usable(i) {
				continue
			}
			alone := !common[e.words[i].hash]
			if alone {
				add(i, 1)
			}
			if usable(i+1) && (alone || !common[e.words[i+1].hash]) && !slices.Contains(negations, e.words[i].hash) {
				add(i, 2)
			}
		}
	}
	barred := map[string]bool{}
	for _, text := range plain.unlearn {
		barred[keyOf(phraseWords(text))] = true
	}
	for _, key := range plain.keys {
		barred[key] = true
	}
	n := float64(len(examples))
	least := 2 + len(examples)/100
	good := map[string]*gram{}
	var texts []string
	for text, c := range counts {
		seen := c.by[0] + c.by[1] + c.by[2]
		if seen < least || barred[text] || keyOf(phraseWords(text)) != text {
			continue
		}
		class := model.Negative
		for l := range c.by {
			if c.by[l] > c.by[class] {
				class = model.Label(l)
			}
		}
		agreed := c.by[class]
		share := float64(total[class]) / n
		expected := float64(float64(seen) * share)
		if 5*agreed < 4*seen || float64(agreed)-expected < math.Sqrt(expected*(1-share)) {
			continue
		}
		good[text] = &gram{text: text, class: class, seen: seen, agreed: agreed, pull: c.pull[class], parts: c.parts}
		texts = append(texts, text)
	}
	slices.Sort(texts)
	// A pair must say more than its words: it goes where one of them says the same
	// in more texts, and where one says it in the same texts only the pair stays.
	dropped := map[string]bool{}
	for _, text := range texts {
		g := good[text]
		for _, part := range g.parts {
			if one := good[part]; part != "" && one != nil && one.class == g.class && one.seen > g.seen {
				dropped[text] = true
			}
		}
	}
	for _, text := range texts {
		g := good[text]
		for _, part := range g.parts {
			if one := good[part]; part != "" && !dropped[text] && one != nil && one.class == g.class && one.seen == g.seen {
				dropped[part] = true
			}
		}
	}
	var out []gram
	for _, text := range texts {
		if g := good[text]; !dropped[text] && g.pull > wordCost {
			out = append(out, *g)
		}
	}
	slices.SortFunc(out, func(a, b gram) int {
		return cmp.Or(cmp.Compare(b.pull, a.pull), strings.Compare(a.text, b.text))
	})
	return out[:min(len(out), maxLearned, MaxPhrases-len(plain.phrases))]
}

func speaks(k feature.Kind) bool {
	return k == feature.Word || k == feature.Emoji || k == feature.Emoticon
}

func negationOf(w []word, i int) bool {
	window := make([]token, 0, negationReach+1)
	for k := max(0, i-negationReach); k <= i; k++ {
		window = append(window, w[k].token)
	}
	return negation(window, len(window)-1) >= 0
}

// column is what one unit of a weight adds to the logits of which examples.
type column struct {
	examples []int32
	moves    []shift
	bound    float64 // of the second derivative
}

func (c *column) add(i int, by shift) {
	if n := len(c.examples); n > 0 && c.examples[n-1] == int32(i) {
		c.moves[n-1] = c.moves[n-1].plus(by)
		return
	}
	c.examples = append(c.examples, int32(i))
	c.moves = append(c.moves, by)
}

// design gives the columns of the grams: where the matcher would find them beside
// the user's phrases.
func design(plain *Overlay, grams []gram, examples []*example) ([]column, error) {
	columns := make([]column, len(grams))
	spec := plain.Spec()
	of := map[string]int{}
	for j, g := range grams {
		of[g.text] = j
		spec.Phrases = append(spec.Phrases, g.phrase(1))
	}
	o, err := New(spec)
	if err != nil {
		return nil, err
	}
	var sc scratch
	for i, e := range examples {
		for _, h := range o.hits(&sc, &e.in, &e.result) {
			if p := &o.phrases[h.phrase]; p.learned() {
				d, n := o.weight(&h)
				columns[of[p.Text]].add(i, shift{d, n})
			}
		}
	}
	return columns, nil
}

// solve finds the biases and the weights, one at a time in turn. The steps use a
// bound of the curvature, so each lowers the loss and none can run away.
func solve(columns []column, examples []*example) (shift, []float64) {
	at := make([]shift, len(examples))
	for i, e := range examples {
		at[i] = e.at
	}
	var biases [2]column
	for i := range examples {
		biases[0].add(i, shift{d: 1})
		biases[1].add(i, shift{n: 1})
	}
	bound := func(c *column) {
		for _, m := range c.moves {
			// The variance of (-d/2, n, d/2) under any probabilities.
			half := m.d / 2
			span := max(half, -half, m.n) - min(half, -half, m.n)
			c.bound += float64(span * span / 4)
		}
	}
	bound(&biases[0])
	bound(&biases[1])
	for j := range columns {
		bound(&columns[j])
	}
	var bias [2]float64
	weights := make([]float64, len(columns))
	step := func(c *column, w *float64, prior, cost, low, high float64) float64 {
		slope := float64(prior**w) + cost
		for k, i := range c.examples {
			g := gradient(at[i], examples[i].label)
			slope += float64(g.d*c.moves[k].d) + float64(g.n*c.moves[k].n)
		}
		next := min(max(*w-slope/(c.bound+prior), low), high)
		by := next - *w
		*w = next
		if by != 0 {
			for k, i := range c.examples {
				at[i].d += float64(by * c.moves[k].d)
				at[i].n += float64(by * c.moves[k].n)
			}
		}
		return math.Abs(by)
	}
	for range sweeps {
		most := 0.0
		for j := range biases {
			most = max(most, step(&biases[j], &bias[j], biasPrior, 0, -maxWord, maxWord))
		}
		for j := range columns {
			most = max(most, step(&columns[j], &weights[j], wordPrior, wordCost, 0, maxWord))
		}
		if most < settled {
			break
		}
	}
	return shift{bias[0], bias[1]}, weights
}

// gradient is that of the log loss.
func gradient(at shift, label model.Label) shift {
	p := softmax(at).Probabilities
	p[label]--
	return shift{d: (p[model.Positive] - p[model.Negative]) / 2, n: p[model.Neutral]}
}
