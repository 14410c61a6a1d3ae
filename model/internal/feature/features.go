package feature

// Features are 64-bit hashes in two groups: those of words (n-grams of whole
// tokens) and those of letters (n-grams inside one word). The scorer finds a
// weight by the top bits of a hash and checks the next bits, so nearly all
// hashes that were never trained find nothing instead of a stranger's weight.

// MaxChars bounds the letters of one word that give letter n-grams.
const MaxChars = 24

// Seeds keep the kinds of feature apart. They are part of the weights' format.
const (
	seedWord2 = 0x9e3779b97f4a7c15
	seedWord3 = 0xc2b2ae3d27d4eb4f
	seedSkip  = 0x165667b19e3779f9
	seedNot   = 0x27d4eb2f165667c5
	seedBut   = 0x85ebca77c2b2ae63
	seedPre   = 0x589965cc75374cc3
	seedCaps  = 0xd6e8feb86659fd93
	seedElong = 0xa0761d6478bd642f
)

// Mix spreads a hash over all 64 bits (the finaliser of MurmurHash3, shortened).
func Mix(h uint64) uint64 {
	h ^= h >> 32
	h *= 0xd6e8feb86659fd93
	h ^= h >> 29
	h *= 0x9e3779b97f4a7c15
	return h ^ h>>32
}

// State carries what the n-grams of one token need of the tokens before it. Its
// zero value is the start of a text.
type State struct {
	h1, h2 uint64 // the last token that made n-grams, and the one before
	scope  int    // words left under a negation
	but    bool   // behind a "but" in this sentence
	Tokens int    // tokens that made n-grams so far, without stops
}

// negationScope is how many words a negation reaches, as far as VADER looks back.
// Four and six were measured too and are no better.
const negationScope = 3

var negators = hashes("n't", "not", "no", "never", "nothing", "nobody", "none", "neither", "nor",
	"without", "hardly", "barely", "lacks", "lack", "lacking")

var contrasts = hashes("but", "however", "although", "though")

func hashes(words ...string) (out [16]uint64) {
	for i, w := range words {
		out[i] = hashRunes([]rune(w))
	}
	return out
}

func in(set *[16]uint64, h uint64) bool {
	for _, s := range set {
		if s == h {
			return true
		}
	}
	return false
}

// Set collects the features of a block. Reuse it: its slices keep their room.
type Set struct {
	Words, Chars []uint64
	// WordEnd and CharEnd tell, per token of the block, where its features end.
	WordEnd, CharEnd [BlockTokens]int32
	// Plain says that a token's letter n-grams are Letters of its runes: it is a word
	// that nothing around it marks.
	Plain [BlockTokens]bool
}

// Extract replaces the set by the features of b's tokens and moves st on. Per
// token the order of its word features is: the word, the pair, the triple, the
// pair with a gap, then those of the word alone; Explain relies on it.
func (s *Set) Extract(b *Block, st *State) {
	words, chars := s.Words[:0], s.Chars[:0]
	before := beforeBut(b)
	for i := range b.N {
		t := &b.Tokens[i]
		s.Plain[i] = false
		if t.Kind == Sep {
			st.scope = 0
			s.WordEnd[i], s.CharEnd[i] = int32(len(words)), int32(len(chars))
			continue
		}
		h := t.Hash
		words = append(words, Mix(h))
		words = append(words, Mix(h+st.h1*seedWord2))
		if st.h2 != 0 {
			words = append(words, Mix(h+st.h1*seedWord2+st.h2*seedWord3), Mix(h+st.h2*seedSkip))
		}
		if t.Caps {
			words = append(words, Mix(seedCaps))
		}
		if t.Elong {
			words = append(words, Mix(seedElong))
		}
		if t.Kind == Word {
			seed := uint64(0)
			switch {
			case in(&negators, h):
				st.scope = negationScope
			case in(&contrasts, h):
				st.scope, st.but = 0, true
			case st.scope > 0:
				st.scope--
				words = append(words, Mix(h+seedNot))
				seed = seedNot
			}
			if st.but {
				words = append(words, Mix(h+seedBut))
			}
			if before[i] {
				seed += seedPre
			}
			s.Plain[i] = seed == 0
			chars = appendChars(chars, b.Runes(i), seed)
		} else if t.Kind == Punct {
			st.scope, st.but = 0, false
		}
		st.h2, st.h1 = st.h1, h
		if t.Kind != Punct { // "great!!!" is no longer than "great"
			st.Tokens++
		}
		s.WordEnd[i], s.CharEnd[i] = int32(len(words)), int32(len(chars))
	}
	s.Words, s.Chars = words, chars
}

// beforeBut marks the words that a "but" of the same sentence takes back. It sees
// as far as the block, which only a sentence across two blocks can tell.
func beforeBut(b *Block) (before [BlockTokens]bool) {
	on := false
	for i := b.N - 1; i >= 0; i-- {
		t := &b.Tokens[i]
		if t.Kind == Punct {
			on = false
		}
		before[i] = on
		if t.Kind == Word && t.Hash == contrasts[0] {
			on = true
		}
	}
	return before
}

// Letters are the letter n-grams of a word that nothing around it marks.
func Letters(w []rune) []uint64 { return appendChars(nil, w, 0) }

// charMul scrambles one rune. The n-grams of one start share their work.
const charMul = 0x9fb21c651e98df25

// appendChars gives all runs of 2 to 5 letters of "<word>". The hash of a run
// is extended letter by letter. Under a negation the runs have a seed, so that
// the letters of "great" do not outvote the "not" before it.
func appendChars(dst []uint64, w []rune, seed uint64) []uint64 {
	if len(w) > MaxChars {
		w = w[:MaxChars]
	}
	var buf [MaxChars + 2]uint64
	buf[0] = '<'
	for i, r := range w {
		buf[i+1] = uint64(r)
	}
	buf[len(w)+1] = '>'
	rs := buf[:len(w)+2]
	for i := 0; i+1 < len(rs); i++ {
		end := min(i+5, len(rs))
		h := (rs[i] + 1 + seed) * charMul
		for _, r := range rs[i+1 : end] {
			h = (h ^ h>>29 ^ r) * charMul
			dst = append(dst, h^h>>31)
		}
	}
	return dst
}
