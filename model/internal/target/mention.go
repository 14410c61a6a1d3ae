package target

import (
	"unicode"
	"unicode/utf8"
)

// Mention finds where a name stands first in a text, whatever its case, and not
// as a part of another word; a plural s behind it is no other word. It takes time
// in proportion to the length of the text times that of the name at worst, and
// allocates nothing.
func Mention(text, name string) (span [2]int, ok bool) {
	if name == "" {
		return span, false
	}
	first, _ := utf8.DecodeRuneInString(name)
	last, _ := utf8.DecodeLastRuneInString(name)
	inWord := false // the character before is one of a word
	for at := 0; at < len(text); {
		r, size := utf8.DecodeRuneInString(text[at:])
		if !inWord || !isWord(first) {
			if end := match(text, at, name); end >= 0 {
				if end, ok = wordEnd(text, end, isWord(last)); ok {
					return [2]int{at, end}, true
				}
			}
		}
		inWord = isWord(r)
		at += size
	}
	return span, false
}

// match returns where name ends in text if it stands at byte at, or -1.
func match(text string, at int, name string) int {
	for i := 0; i < len(name); {
		if at == len(text) {
			return -1
		}
		a, sizeA := utf8.DecodeRuneInString(text[at:])
		b, sizeB := utf8.DecodeRuneInString(name[i:])
		broken := a == utf8.RuneError || b == utf8.RuneError
		if broken && text[at:at+sizeA] != name[i:i+sizeB] || a != b && unicode.ToLower(a) != unicode.ToLower(b) {
			return -1
		}
		at += sizeA
		i += sizeB
	}
	return at
}

// wordEnd moves end behind a plural s, and reports whether a word ends there. What
// does not end in a letter or digit may end anywhere between two characters.
func wordEnd(text string, end int, word bool) (int, bool) {
	r, size := utf8.DecodeRuneInString(text[end:])
	if unicode.IsMark(r) {
		return end, false
	}
	if !word || !isWord(r) {
		return end, true
	}
	if r == 's' || r == 'S' {
		if next, _ := utf8.DecodeRuneInString(text[end+size:]); !isWord(next) && !unicode.IsMark(next) {
			return end + size, true
		}
	}
	return end, false
}

func isWord(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) || r == '_' }
