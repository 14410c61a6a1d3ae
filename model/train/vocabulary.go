package main

import (
	"sort"

	"github.com/synapse-analytics/synapse/model/internal/deep"
	"github.com/synapse-analytics/synapse/model/internal/feature"
)

const (
	// minCount is how often a word must occur in training to have a row of its
	// own, unless it has a pretrained vector.
	minCount = 3
	// charBits is the size of the table of letter n-grams.
	charBits = 16
	// commonWords are the pretrained vectors that are kept for words which
	// training never saw, commonest first.
	commonWords = 60000
)

// vocabulary maps the words of the training texts to ids while they are read.
type vocabulary struct {
	id     map[uint32]int // by deep.Key
	keys   []uint32
	texts  []string
	counts []int
	grams  [][]int32 // rows of the letter table, by word
	has    []bool    // the word has a row of its own
}

func newVocabulary() *vocabulary { return &vocabulary{id: map[uint32]int{}} }

func (v *vocabulary) add(b *feature.Block, i int) int {
	key := deep.Key(b.Tokens[i].Hash)
	id, ok := v.id[key]
	if !ok {
		id = len(v.keys)
		v.id[key] = id
		v.keys = append(v.keys, key)
		v.texts = append(v.texts, b.Text(i))
		v.counts = append(v.counts, 0)
		var gs []int32
		for _, g := range deep.Grams(nil, b.Runes(i)) {
			gs = append(gs, int32(g&(1<<charBits-1)))
		}
		v.grams = append(v.grams, gs)
	}
	return id
}

// units reads a text into units and counts its words.
func (v *vocabulary) units(text string) []unit {
	var b feature.Block
	var out []unit
	for pos := 0; pos < len(text); {
		pos = b.Fill(text, pos)
		for i := range b.N {
			id := v.add(&b, i)
			v.counts[id]++
			u := unit(id << 2)
			if b.Tokens[i].Caps {
				u |= 1
			}
			if b.Tokens[i].Elong {
				u |= 2
			}
			out = append(out, u)
		}
	}
	return out
}

// contains reports whether a word was read.
func (v *vocabulary) contains(word string) bool {
	var b feature.Block
	b.Fill(word, 0)
	if b.N != 1 {
		return false
	}
	id, ok := v.id[deep.Key(b.Tokens[0].Hash)]
	return ok && v.texts[id] == word
}

// settle adds the commonest words with a vector and decides which words get a row
// of their own.
func (v *vocabulary) settle(vectors map[string][]float32, order []string) {
	var b feature.Block
	for _, w := range order[:min(len(order), commonWords)] {
		if b.Fill(w, 0); b.N == 1 && b.Text(0) == w {
			v.add(&b, 0)
		}
	}
	v.has = make([]bool, len(v.keys))
	for id, text := range v.texts {
		v.has[id] = v.counts[id] >= minCount || vectors[text] != nil
	}
}

// known are the words with a row, in the order of their rows.
func (v *vocabulary) known() []string {
	var texts []string
	for _, id := range v.byCount() {
		texts = append(texts, v.texts[id])
	}
	return texts
}

// byCount are the ids of the words with a row, commonest first.
func (v *vocabulary) byCount() []int {
	var ids []int
	for id, has := range v.has {
		if has {
			ids = append(ids, id)
		}
	}
	sort.SliceStable(ids, func(a, b int) bool { return v.counts[ids[a]] > v.counts[ids[b]] })
	return ids
}
