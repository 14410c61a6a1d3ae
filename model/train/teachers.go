package main

import (
	"slices"

	"github.com/synapse-analytics/synapse/model/internal/vec"
)

// folds is how many teachers there are.
const folds = 2

// teachWeight is the weight of a text without a label of polarity, of the set of
// emoji, that a teacher has labelled.
const teachWeight = 0.3

// foldOf is the teacher that a text was kept from, by its hash: copies go together.
func foldOf(text string) uint32 { return hash(text+"fold") % folds }

// teach gives the natural texts soft labels of polarity beside their own. Each is
// labelled by a network that was trained on the other half of them: one is too sure
// of what it was trained on. (What such labels bring: Furlanello et al., Born-Again
// Neural Networks, 2018.) Left out are long texts, which are seen in windows, and
// those with one of four emotions: with soft labels these were told apart less well.
func teach(items []item, cfg deepConfig, v *vocabulary, pretrained func(int) []float32, say func(string, ...any)) {
	soft := make([]*[3]float32, len(items))
	for fold := range uint32(folds) {
		var rest []item
		var own []int
		for i := range items {
			switch it := &items[i]; {
			case it.made:
			case foldOf(it.text) != fold:
				rest = append(rest, *it)
			case !it.long && it.four == noLabel && len(it.units) > 0:
				own = append(own, i)
			}
		}
		c := cfg
		c.seed, c.epochs = cfg.seed+100+uint64(fold), cfg.teacherEpochs
		n := newTrainNet(c, v, 1<<charBits, pretrained)
		n.fit(rest, say)
		for batch := range slices.Chunk(own, cfg.batch) {
			texts, sources := make([][]unit, len(batch)), make([]int8, len(batch))
			for k, i := range batch {
				texts[k], sources[k] = items[i].units[:min(len(items[i].units), windowTokens)], items[i].source
			}
			n.forward(texts, sources, false)
			for k, i := range batch {
				soft[i] = polarity(n.logits[k*outputs:])
			}
		}
	}
	for i, p := range soft {
		if p == nil {
			continue
		}
		items[i].soft = p
		if items[i].deep {
			items[i].weight = teachWeight
		}
	}
}

// polarity are the probabilities of the three classes.
func polarity(logits []float32) *[3]float32 {
	top := max(logits[0], logits[1], logits[2])
	var p [3]float32
	sum := float32(0)
	for k := range p {
		p[k] = vec.Exp(logits[k] - top)
		sum += p[k]
	}
	for k := range p {
		p[k] /= sum
	}
	return &p
}
