package feature

// Classes of ASCII bytes. The order matters: cDigit and above make names.
const (
	cOther = iota
	cSpace
	cDigit
	cLetter
)

var class = func() (t [256]uint8) {
	for c := 0; c <= ' '; c++ {
		t[c] = cSpace
	}
	t[0x7f] = cSpace
	for c := '0'; c <= '9'; c++ {
		t[c] = cDigit
	}
	for c := 'a'; c <= 'z'; c++ {
		t[c], t[c-'a'+'A'] = cLetter, cLetter
	}
	return t
}()

var entities = [...]string{"&amp;", "&lt;", "&gt;", "&quot;", "&nbsp;", "&#39;"}

const zwj = '\u200d'

func emojiModifier(r rune) bool {
	return r == 0xfe0f || r == 0xfe0e || r == 0x20e3 || (r >= 0x1f3fb && r <= 0x1f3ff)
}

// ignorable runes carry no meaning of their own between words.
func ignorable(r rune) bool {
	return r == zwj || (r >= 0x200b && r <= 0x200f) || r == 0xfeff || r == 0xfffd || emojiModifier(r) ||
		(r >= 0x202a && r <= 0x202e) || (r >= 0xe0000 && r <= 0xe007f)
}

// isEmoji is wider than Unicode's property on purpose: every pictograph, dingbat
// and symbol of these blocks reads as one unit.
func isEmoji(r rune) bool {
	switch {
	case r < 0x2190:
		return false
	case r >= 0x1f000 && r <= 0x1faff:
		return !(r >= 0x1f3fb && r <= 0x1f3ff)
	case r >= 0x2600 && r <= 0x27bf, r >= 0x2b00 && r <= 0x2bff, r >= 0x2300 && r <= 0x23ff:
		return true
	}
	return false
}

// quote folds typographic quotes and dashes into their ASCII twins.
func quote(r rune) rune {
	switch r {
	case '“', '”', '„', '«', '»':
		return '"'
	case '‘', '’', '‚', '´':
		return '\''
	case '–', '—', '―', '‐', '‑':
		return '-'
	}
	return r
}

func hasPrefix(s, p string) bool { return len(s) >= len(p) && s[:len(p)] == p }

// lineBreak returns the length of an HTML line break at the start of s, or 0.
func lineBreak(s string) int {
	for _, p := range [...]string{"<br />", "<br/>", "<br>"} {
		if hasPrefix(s, p) {
			return len(p)
		}
	}
	return 0
}

// urlEnd returns where the link at pos ends, or 0 when there is none. The bare
// word "http" stands for a link in texts whose links were cut.
func urlEnd(text string, pos int) int {
	s := text[pos:]
	if s[0]|0x20 != 'h' && s[0]|0x20 != 'w' {
		return 0
	}
	ok := hasPrefix(s, "http://") || hasPrefix(s, "https://") || hasPrefix(s, "www.") ||
		hasPrefix(s, "HTTP://") || hasPrefix(s, "HTTPS://") || hasPrefix(s, "Http://") || hasPrefix(s, "WWW.")
	if !ok && hasPrefix(s, "http") && (len(s) == 4 || class[s[4]] == cSpace) {
		return pos + 4
	}
	if !ok {
		return 0
	}
	end := pos
	for end < len(text) && class[text[end]] != cSpace && text[end] != '<' && text[end] != '"' {
		end++
	}
	return end
}
