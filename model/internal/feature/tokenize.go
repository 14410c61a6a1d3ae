// Package feature turns text into tokens and tokens into hashed features. The
// trainer and the scorer share it, so a weight is always looked up under the
// very hash it was learned for. Any change here that moves a hash needs new
// weights; the golden tests exist to make such a change visible.
package feature

import (
	"unicode"
	"unicode/utf8"
)

// Kind says what a token is.
type Kind uint8

// The kinds of token. Only the first six make n-grams; Sep is skipped by the
// n-grams but still ends the scope of a negation.
const (
	Word Kind = iota
	Number
	Emoji
	Emoticon
	Punct // a run of ! ? or two and more dots, or a single full stop
	Mark  // <url> or <user>
	Sep   // any other punctuation or symbol
)

// MaxWordRunes bounds one token. A longer run of letters is split, so that the
// work per byte stays constant whatever the text is.
const MaxWordRunes = 48

// BlockTokens is how many tokens a Block holds.
const BlockTokens = 64

// Token is one unit of a text.
type Token struct {
	Hash       uint64 // of the normalised form
	Start, End int    // UTF-8 byte offsets into the text
	off, n     int32  // its normalised runes in Block.runes
	Kind       Kind
	Caps       bool // two letters or more, all upper case
	Elong      bool // some letter stood three times or more in a row
}

// Block is scratch space for up to BlockTokens tokens. Its zero value is ready.
type Block struct {
	N      int
	Tokens [BlockTokens]Token
	runes  [BlockTokens * (MaxWordRunes + 4)]rune
	nr     int32
}

// Text returns the normalised form of token i, for tests and tools.
func (b *Block) Text(i int) string {
	t := &b.Tokens[i]
	return string(b.runes[t.off : t.off+t.n])
}

// Runes returns the normalised runes of token i. The slice is valid until the
// next Fill.
func (b *Block) Runes(i int) []rune {
	t := &b.Tokens[i]
	return b.runes[t.off : t.off+t.n]
}

// Fill tokenizes text from byte pos on until the block is full or the text
// ends, and returns the position to go on from. It accepts any bytes.
func (b *Block) Fill(text string, pos int) int {
	b.N, b.nr = 0, 0
	// A single word can give two tokens ("can't" -> can n't), hence the -1.
	for pos < len(text) && b.N < BlockTokens-1 {
		pos = b.next(text, pos)
	}
	return pos
}

const (
	fnvOffset = 14695981039346656037
	fnvPrime  = 1099511628211
)

func hashRunes(rs []rune) uint64 {
	h := uint64(fnvOffset)
	for _, r := range rs {
		h = (h ^ uint64(r)) * fnvPrime
	}
	return h
}

// emit closes the token whose runes were written from off on.
func (b *Block) emit(kind Kind, start, end int, off int32) *Token {
	t := &b.Tokens[b.N]
	b.N++
	*t = Token{Hash: hashRunes(b.runes[off:b.nr]), Start: start, End: end, off: off, n: b.nr - off, Kind: kind}
	return t
}

func (b *Block) put(r rune) {
	b.runes[b.nr] = r
	b.nr++
}

func (b *Block) emitString(kind Kind, start, end int, s string) {
	off := b.nr
	for _, r := range s {
		b.put(r)
	}
	b.emit(kind, start, end, off)
}

// next reads one unit at pos (which may be nothing but a space) and returns the
// position behind it. It always moves on by at least one byte.
func (b *Block) next(text string, pos int) int {
	c := text[pos]
	if c < utf8.RuneSelf {
		switch class[c] {
		case cSpace:
			return pos + 1
		case cLetter:
			if end := urlEnd(text, pos); end > 0 {
				b.emitString(Mark, pos, end, "<url>")
				return end
			}
			return b.word(text, pos)
		case cDigit:
			return b.number(text, pos)
		}
		if end, norm := emoticon(text, pos); end > 0 {
			b.emitString(Emoticon, pos, end, norm)
			return end
		}
		return b.symbol(text, pos)
	}
	r, size := utf8.DecodeRuneInString(text[pos:])
	switch {
	case isEmoji(r):
		return b.emoji(text, pos)
	case unicode.IsLetter(r) || unicode.IsMark(r):
		return b.word(text, pos)
	case unicode.IsDigit(r):
		return b.number(text, pos)
	case unicode.IsSpace(r) || ignorable(r) || (r == utf8.RuneError && size == 1):
		return pos + size
	case r == '…':
		b.emitString(Punct, pos, pos+size, "...")
		return pos + size
	}
	off := b.nr
	b.put(quote(r))
	end := pos + size
	b.emit(Sep, pos, end, off)
	return end
}

// symbol reads ASCII punctuation.
func (b *Block) symbol(text string, pos int) int {
	c := text[pos]
	switch c {
	case '@':
		end := pos + 1
		for end < len(text) && (class[text[end]] >= cDigit || text[end] == '_') {
			end++
		}
		if end > pos+1 {
			b.emitString(Mark, pos, end, "<user>")
			return end
		}
	case '#':
		// The word of a hashtag counts as a word; the sign says nothing.
		if pos+1 < len(text) && (class[text[pos+1]] >= cDigit || text[pos+1] >= utf8.RuneSelf) {
			return pos + 1
		}
	case '<':
		if n := lineBreak(text[pos:]); n > 0 {
			return pos + n
		}
	case '&':
		for _, e := range entities {
			if hasPrefix(text[pos:], e) {
				return pos + len(e)
			}
		}
	case '!', '?', '.':
		return b.run(text, pos)
	case '\'':
		// A clitic that stands alone, as in texts split beforehand: "it 's".
		if pos+1 < len(text) && class[text[pos+1]] == cLetter {
			return b.word(text, pos)
		}
	}
	end := pos + 1
	for end < len(text) && text[end] == c {
		end++
	}
	off := b.nr
	b.put(rune(c))
	b.emit(Sep, pos, end, off)
	return end
}

// run reads a run of ! ? and dots: "!", "!!" (two or more), "?!" (mixed), "...".
func (b *Block) run(text string, pos int) int {
	end, bangs, asks := pos, 0, 0
	for end < len(text) {
		switch text[end] {
		case '!':
			bangs++
		case '?':
			asks++
		case '.':
		default:
			goto done
		}
		end++
	}
done:
	norm := "."
	switch {
	case bangs > 0 && asks > 0:
		norm = "?!"
	case bangs > 1:
		norm = "!!"
	case bangs == 1:
		norm = "!"
	case asks > 1:
		norm = "??"
	case asks == 1:
		norm = "?"
	case end-pos > 1:
		norm = "..."
	}
	b.emitString(Punct, pos, end, norm)
	return end
}

// number keeps one and two digits as they are (ratings: "10/10") and turns
// longer ones into <num>. Digits with letters behind them are a word ("2nd").
func (b *Block) number(text string, pos int) int {
	end, digits := pos, 0
	for end < len(text) {
		r, size := utf8.DecodeRuneInString(text[end:])
		if unicode.IsDigit(r) {
			digits++
		} else if (r == '.' || r == ',' || r == ':') && end+1 < len(text) && class[text[end+1]] == cDigit {
			digits += 3 // a price or a time is never kept as it is
		} else if unicode.IsLetter(r) && digits < 3 {
			return b.word(text, pos)
		} else {
			break
		}
		end += size
	}
	off := b.nr
	if digits <= 2 {
		for _, r := range text[pos:end] {
			b.put(r)
		}
		b.emit(Number, pos, end, off)
		return end
	}
	b.emitString(Number, pos, end, "<num>")
	return end
}

// emoji reads one emoji. Skin tones and presentation selectors do not change
// what is felt, so they are swallowed; so are the partners of a joined one.
func (b *Block) emoji(text string, pos int) int {
	r, size := utf8.DecodeRuneInString(text[pos:])
	off := b.nr
	b.put(r)
	end := pos + size
	for end < len(text) {
		r, size := utf8.DecodeRuneInString(text[end:])
		if r == zwj && end+size < len(text) {
			next, n := utf8.DecodeRuneInString(text[end+size:])
			if isEmoji(next) {
				end += size + n
				continue
			}
		}
		if !emojiModifier(r) {
			break
		}
		end += size
	}
	b.emit(Emoji, pos, end, off)
	return end
}
