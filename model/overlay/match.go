package overlay

import (
	"cmp"
	"slices"
	"strings"
	"sync"

	"github.com/synapse-analytics/synapse/model/internal/feature"
)

// token is what the matcher sees of a feature.Token.
type token struct {
	hash uint64
	// alt is another hash that the token also answers to, or 0: that of an
	// elongated word with single letters, or that of a hashtag.
	alt        uint64
	start, end int
	stops      bool // ends the reach of a negation
}

// Seeds keep the two kinds of alt apart from plain words.
const (
	elongSeed = 0x8f1bbcdcbfa53e0b
	tagSeed   = 0xc4ceb9fe1a85ec53
)

const (
	fnvOffset = 14695981039346656037
	fnvPrime  = 1099511628211
)

func hashString(h uint64, s string) uint64 {
	for _, r := range s {
		h = (h ^ uint64(r)) * fnvPrime
	}
	return h
}

// squeezed is the hash of w without repeated letters: "siick" and "sick" are one.
func squeezed(w []rune) uint64 {
	h, last := uint64(fnvOffset), rune(-1)
	for _, r := range w {
		if r != last {
			h = (h ^ uint64(r)) * fnvPrime
		}
		last = r
	}
	return h + elongSeed
}

// raw says that the normalised form of a kind tells too little: it is the same
// for all numbers of three digits and for all user names.
func raw(k feature.Kind) bool { return k == feature.Number || k == feature.Mark }

// convert is token i of b. It is not ok for what the matcher passes over: a
// hyphen inside a word.
func convert(text string, b *feature.Block, i int) (t token, ok bool) {
	f := &b.Tokens[i]
	t = token{hash: f.Hash, start: f.Start, end: f.End}
	switch {
	case raw(f.Kind):
		t.hash = hashString(fnvOffset+1, text[f.Start:f.End])
	case f.Kind == feature.Sep:
		if hyphen(text, f.Start, f.End) {
			return t, false
		}
		t.stops = true
	case f.Kind == feature.Punct:
		t.stops = true
	case f.Elong:
		t.alt = squeezed(b.Runes(i))
	case f.Start > 0 && text[f.Start-1] == '#':
		t.alt = f.Hash + tagSeed
	}
	return t, true
}

// hyphen says whether text[start:end] is one that binds two parts of a word.
func hyphen(text string, start, end int) bool {
	switch text[start:end] {
	case "-", "‐", "‑":
		return start > 0 && end < len(text) && text[start-1] > ' ' && text[end] > ' '
	}
	return false
}

// word is a token of a phrase, or of a text that Tune reads.
type word struct {
	token
	form     string // normalised
	kind     feature.Kind
	squeezed uint64
}

// words are all the tokens of text, at most limit.
func words(text string, limit int) []word {
	var b feature.Block
	var out []word
	for pos := 0; pos < len(text); {
		pos = b.Fill(text, pos)
		for i := range b.N {
			t, ok := convert(text, &b, i)
			if !ok {
				continue
			}
			if len(out) == limit {
				return out
			}
			w := word{token: t, form: b.Text(i), kind: b.Tokens[i].Kind, squeezed: squeezed(b.Runes(i))}
			if raw(w.kind) {
				w.form = text[t.start:t.end]
			}
			out = append(out, w)
		}
	}
	return out
}

// phraseWords are the words by which a phrase is found: those of its text
// without the quotes, commas and full stop around them, unless it has no others.
func phraseWords(text string) []word {
	all := words(text, maxTokens+8)
	w := all
	idle := func(w word) bool { return w.kind == feature.Sep || w.kind == feature.Punct && w.form == "." }
	for len(w) > 0 && idle(w[0]) {
		w = w[1:]
	}
	for len(w) > 0 && idle(w[len(w)-1]) {
		w = w[:len(w)-1]
	}
	if len(w) == 0 {
		return all
	}
	return w
}

// matcher finds phrases in a text: a trie over the hashes of tokens.
type matcher struct {
	edges map[edge]int32
	ends  [][]int32 // per node, the phrases that end there, the first to apply first
	// first holds a bit for every hash that starts a phrase. Nearly all tokens of
	// nearly all texts are turned away here.
	first   [1 << 10]uint64
	longest int // words of the longest phrase
}

type edge struct {
	node int32
	hash uint64
}

// newMatcher needs the phrases in the order of preference.
func newMatcher(phrases [][]word) *matcher {
	m := &matcher{edges: map[edge]int32{}, ends: [][]int32{nil}}
	for id, p := range phrases {
		m.longest = max(m.longest, len(p))
		node := int32(0)
		tag := uint64(fnvOffset)
		for _, w := range p {
			next, ok := m.edges[edge{node, w.hash}]
			if !ok {
				next = int32(len(m.ends))
				m.ends = append(m.ends, nil)
				m.link(node, w.hash, next)
			}
			// Two words with one squeezed form: the first phrase keeps it.
			if _, ok := m.edges[edge{node, w.squeezed}]; !ok {
				m.link(node, w.squeezed, next)
			}
			tag = hashString(tag, strings.Trim(w.form, "'"))
			node = next
		}
		if _, ok := m.edges[edge{0, tag + tagSeed}]; !ok {
			m.link(0, tag+tagSeed, node)
		}
		m.ends[node] = append(m.ends[node], int32(id))
	}
	return m
}

func (m *matcher) link(node int32, hash uint64, next int32) {
	m.edges[edge{node, hash}] = next
	if node == 0 {
		bit := feature.Mix(hash) >> 48
		m.first[bit>>6] |= 1 << (bit & 63)
	}
}

func (m *matcher) starts(hash uint64) bool {
	bit := feature.Mix(hash) >> 48
	return m.first[bit>>6]>>(bit&63)&1 != 0
}

func (m *matcher) step(node int32, t *token) (int32, bool) {
	next, ok := m.edges[edge{node, t.hash}]
	if !ok && t.alt != 0 {
		next, ok = m.edges[edge{node, t.alt}]
	}
	return next, ok
}

// hit is a place where the words of a phrase stand.
type hit struct {
	node        int32 // of the trie
	phrase      int32 // set by choose
	first, last int   // numbers of its tokens in the text
	start, end  int   // bytes
	// not is the negation before it, if there is one.
	not struct {
		token      int // its number, -1 for none
		start, end int
	}
}

// scratch is the working memory of one call.
type scratch struct {
	block  feature.Block
	tokens []token
	found  []hit
	chosen []hit
	taken  []uint64
	text   []byte
}

var scratches = sync.Pool{New: func() any { return new(scratch) }}

// release gives the scratch back, unless a huge text has blown it up.
func (sc *scratch) release() {
	const hits = 1 << 12
	if cap(sc.found) <= hits && cap(sc.text) <= 1<<16 {
		scratches.Put(sc)
	}
}

// find sets sc.found to every place where a phrase stands, overlaps included. It
// keeps only a window of the tokens, so that its memory depends on the hits.
func (m *matcher) find(text string, sc *scratch) {
	sc.found = sc.found[:0]
	window := sc.tokens[:0]
	done, next := 0, 0 // tokens that left the window; the first one not tried yet
	for pos := 0; pos < len(text); {
		pos = sc.block.Fill(text, pos)
		for i := range sc.block.N {
			if t, ok := convert(text, &sc.block, i); ok {
				window = append(window, t)
			}
		}
		limit := len(window)
		if pos < len(text) {
			limit -= m.longest - 1
		}
		for ; next < limit; next++ {
			t := &window[next]
			if m.starts(t.hash) || t.alt != 0 && m.starts(t.alt) {
				m.at(window, next, done, sc)
			}
		}
		if drop := next - negationReach; drop > 0 {
			window = window[:copy(window, window[drop:])]
			next -= drop
			done += drop
		}
	}
	sc.tokens = window
}

// at adds the phrases that start at window[i], the done+i-th token of the text.
func (m *matcher) at(window []token, i, done int, sc *scratch) {
	node := int32(0)
	for j := i; j < len(window); j++ {
		next, ok := m.step(node, &window[j])
		if !ok {
			return
		}
		node = next
		if len(m.ends[node]) == 0 {
			continue
		}
		h := hit{node: node, first: done + i, last: done + j, start: window[i].start, end: window[j].end}
		h.not.token = -1
		if k := negation(window, i); k >= 0 {
			h.not.token, h.not.start, h.not.end = done+k, window[k].start, window[k].end
		}
		sc.found = append(sc.found, h)
	}
}

// choose sets sc.chosen to the hits that count, in the order of the text: of two
// that overlap the user's before the learned one, then the longer, then the
// first. applies says which phrases are in scope.
func (o *Overlay) choose(sc *scratch, source, language string) {
	in := sc.found[:0]
	for _, h := range sc.found {
		for _, id := range o.matcher.ends[h.node] {
			if o.phrases[id].Scope.holds(source, language) {
				h.phrase = id
				in = append(in, h)
				break
			}
		}
	}
	sc.found = in
	sc.chosen = sc.chosen[:0]
	if len(in) == 0 {
		return
	}
	slices.SortFunc(in, func(a, b hit) int {
		learned := 0
		if la, lb := o.phrases[a.phrase].learned(), o.phrases[b.phrase].learned(); la != lb {
			learned = -1
			if la {
				learned = 1
			}
		}
		return cmp.Or(learned, cmp.Compare(b.last-b.first, a.last-a.first), cmp.Compare(a.first, b.first))
	})
	end := 0
	for i := range in {
		end = max(end, in[i].last+1)
	}
	words := end>>6 + 1
	sc.taken = slices.Grow(sc.taken[:0], words)[:words]
	clear(sc.taken)
	isTaken := func(i int) bool { return sc.taken[i>>6]>>(i&63)&1 != 0 }
	for _, h := range in {
		free := true
		for i := h.first; i <= h.last; i++ {
			free = free && !isTaken(i)
		}
		if !free {
			continue
		}
		for i := h.first; i <= h.last; i++ {
			sc.taken[i>>6] |= 1 << (i & 63)
		}
		sc.chosen = append(sc.chosen, h)
	}
	for i := range sc.chosen {
		// A "not" that is part of another phrase has been heard already.
		if h := &sc.chosen[i]; h.not.token >= 0 && isTaken(h.not.token) {
			h.not.token = -1
		}
	}
	slices.SortFunc(sc.chosen, func(a, b hit) int { return cmp.Compare(a.first, b.first) })
}

// negationReach is how many tokens before a phrase a negation is looked for.
const negationReach = 3

// negation returns the index of the negation that reaches window[i], or -1. Only
// words that leave the phrase its part of the sentence may stand between: "not
// that sick", but not "I never liked this sick trick".
func negation(window []token, i int) int {
	for k := i - 1; k >= 0 && k >= i-negationReach; k-- {
		switch h := window[k].hash; {
		case window[k].stops:
			return -1
		case slices.Contains(negations, h):
			return k
		case !slices.Contains(passing, h):
			return -1
		}
	}
	return -1
}

// The negations of the languages that have phrases of one word for them, as the
// tokenizer gives them, and the words that may stand behind.
var (
	negations = hashes("n't not no never nor neither without hardly barely " + // English
		"nicht kein keine keinen keiner keinem keines nie " + // German
		"pas jamais aucun aucune " + // French
		"nunca jamás não nem non mai " + // Spanish, Portuguese, Italian
		"tidak bukan nggak gak enggak ora " + // Indonesian, Javanese
		"لا ليس ليست مش") // Arabic
	passing = hashes("a an the so very really that all too quite exactly particularly even much super " +
		"totally truly such any be as " +
		"so sehr wirklich ganz ein eine einen très trop si vraiment un une muy tan realmente una " +
		"muito tão um uma molto così davvero")
)

func hashes(list string) []uint64 {
	var out []uint64
	for w := range strings.FieldsSeq(list) {
		out = append(out, hashString(fnvOffset, w))
	}
	return out
}
