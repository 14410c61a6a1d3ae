package feature

import (
	"unicode"
	"unicode/utf8"
)

// word reads letters, digits, marks and inner apostrophes, lower-cases them,
// shortens letters that stand three times or more (see shorten), and splits clitics
// off ("can't" -> can n't, "it's" -> it 's, "dont" -> do n't).
func (b *Block) word(text string, pos int) int {
	off := b.nr
	end, letters, upper, same := pos, 0, 0, 0
	var last rune
	elong := uint64(0)      // the runes that stood three times or more, as written
	apostrophe := int32(-1) // index in runes of the last apostrophe
	apostropheAt := 0       // and its byte offset
	for end < len(text) && b.nr-off < MaxWordRunes {
		var r rune
		size := 1
		if c := text[end]; c < utf8.RuneSelf {
			r = rune(c)
			switch class[c] {
			case cLetter:
				letters++
				if c <= 'Z' {
					upper++
					r += 'a' - 'A'
				}
			case cDigit:
			default:
				if !joins(text, end, 1) {
					goto done
				}
				if c == '\'' || c == '`' {
					r = '\''
					apostrophe, apostropheAt = b.nr, end
				}
			}
		} else {
			r, size = utf8.DecodeRuneInString(text[end:])
			switch {
			case r == '’' || r == 'ʼ':
				if !joins(text, end, size) {
					goto done
				}
				r = '\''
				apostrophe, apostropheAt = b.nr, end
			case unicode.IsLetter(r):
				letters++
				lower := unicode.ToLower(r)
				if lower != r {
					upper++
				}
				r = lower
			case unicode.IsMark(r) && !emojiModifier(r), unicode.IsDigit(r):
			default:
				goto done
			}
		}
		end += size
		if r == last && !unicode.IsDigit(r) {
			same++
			if same >= 2 {
				elong |= 1 << (b.nr - off - 1)
				continue
			}
		} else {
			same = 0
		}
		last = r
		b.put(r)
	}
done:
	if end == pos { // a mark or sign that cannot start a word
		_, size := utf8.DecodeRuneInString(text[pos:])
		return pos + size
	}
	caps := letters >= 2 && upper == letters
	if elong != 0 {
		b.shorten(off, elong)
	}
	b.split(text, pos, end, off, apostrophe, apostropheAt, caps, elong != 0)
	return end
}

// shorten leaves one of the letters that a writer drew out, or two where English
// has them: "baaad" is bad and "gooood" is good. seconds has a bit for the second
// of each pair that is left of such a run in the word at off.
func (b *Block) shorten(off int32, seconds uint64) {
	w := b.runes[off:b.nr]
	var buf [MaxWordRunes + 4]rune
	keep := uint64(0)
	for rest := seconds; rest != 0; rest &= rest - 1 {
		one := rest & -rest
		if _, ok := doubled[hashRunes(without(buf[:0], w, seconds&^one))]; ok {
			keep = one
			break
		}
	}
	if _, ok := doubled[hashRunes(w)]; ok {
		keep = seconds
	}
	short := without(buf[:0], w, seconds&^keep)
	b.nr = off + int32(copy(w, short))
}

// without appends the runes of w whose bit is not in drop.
func without(dst, w []rune, drop uint64) []rune {
	for i, r := range w {
		if drop>>i&1 == 0 {
			dst = append(dst, r)
		}
	}
	return dst
}

// joins reports whether the sign of n bytes at i binds a word: an apostrophe or
// underscore with a letter behind it, not at the very start unless it opens a
// clitic (handled by the caller).
func joins(text string, i, n int) bool {
	switch text[i] {
	case '\'', '`', '_':
	default:
		if n == 1 {
			return false
		}
	}
	if i+n >= len(text) {
		return false
	}
	c := text[i+n]
	return c < utf8.RuneSelf && class[c] == cLetter || c >= 0xc3
}

// split cuts the word in runes[off:] into stem and clitic where there is one.
// The clitic's evidence must point at its own bytes, hence the byte offsets.
func (b *Block) split(text string, start, end int, off, apo int32, apoAt int, caps, elong bool) {
	w := b.runes[off:b.nr]
	n := int32(len(w))
	mark := func(t *Token) {
		t.Caps, t.Elong = caps, elong
	}
	if apo > off && !elong {
		a := apo - off
		if equal(w, "n't") { // texts split beforehand
			mark(b.emit(Word, start, end, off))
			return
		}
		if a == n-2 && w[n-1] == 't' && a >= 2 && w[a-1] == 'n' { // n't
			stem, at := a-1, apoAt-1
			if equal(w[:a], "can") { // "can't" keeps its n
				stem, at = a, apoAt
			}
			b.two(off, stem, start, at, end, "n't", mark)
			return
		}
		if n-a <= 3 { // 's 'm 'd 're 've 'll
			b.two(off, a, start, apoAt, end, string3(w[a:]), mark)
			return
		}
	}
	if apo < 0 && !elong && end-start == int(n) {
		// The forms without an apostrophe, and "cannot".
		if equal(w, "cannot") {
			b.two(off, 3, start, start+3, end, "not", mark)
			return
		}
		if n >= 4 && n <= 7 && w[n-1] == 't' && w[n-2] == 'n' && bareNegation(w) {
			stem := n - 2
			if equal(w, "cant") {
				stem = 3
			}
			b.two(off, stem, start, start+int(stem), end, "n't", mark)
			return
		}
	}
	// Texts split beforehand write "ca n't".
	if equal(w, "ca") && hasPrefix(text[end:], " n't") {
		b.put('n')
	}
	mark(b.emit(Word, start, end, off))
}

// two emits runes[off:off+stem] and then the clitic.
func (b *Block) two(off, stem int32, start, at, end int, clitic string, mark func(*Token)) {
	b.nr = off + stem
	mark(b.emit(Word, start, at, off))
	off = b.nr
	for _, r := range clitic {
		b.put(r)
	}
	mark(b.emit(Word, at, end, off))
}

// string3 names a clitic without allocating.
func string3(w []rune) string {
	for _, c := range clitics {
		if equal(w, c) {
			return c
		}
	}
	return "'"
}

var clitics = [...]string{"'s", "'m", "'d", "'t", "'re", "'ve", "'ll", "'em", "'er"}

var bareNegations = [...]string{
	"dont", "doesnt", "didnt", "isnt", "wasnt", "arent", "werent", "cant", "couldnt",
	"wouldnt", "havent", "hasnt", "hadnt", "aint", "wont", "mustnt",
}

func bareNegation(w []rune) bool {
	for _, s := range bareNegations {
		if equal(w, s) {
			return true
		}
	}
	return false
}

// equal reports whether w is the ASCII string s.
func equal(w []rune, s string) bool {
	if len(w) != len(s) {
		return false
	}
	for i, r := range w {
		if r != rune(s[i]) {
			return false
		}
	}
	return true
}
