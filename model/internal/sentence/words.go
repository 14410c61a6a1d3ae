package sentence

import (
	"unicode"
	"unicode/utf8"
)

// class says when the dot behind a word ends a sentence.
type class uint8

const (
	always        class = iota
	never               // "Mr."
	beforeNumber        // not before a number: "No. 5"
	beforeUpper         // only before an upper-case letter: "etc."
	beforeStarter       // only before a word that likes to start sentences: "U.S."
)

// longestAbbreviation bounds how far classify looks back, in bytes.
const longestAbbreviation = 8

var abbreviations = func() map[string]class {
	m := map[string]class{}
	for c, words := range map[class][]string{
		never: {
			"mr", "mrs", "ms", "mx", "prof", "vs", "cf", "viz", "e.g", "eg", "i.e", "ie", "a.k.a", "bzw", "z.b", "d.h",
			"sra", "mme",
		},
		beforeNumber: {
			"no", "nos", "nr", "vol", "fig", "figs", "p", "pp", "ch", "sec", "art", "ver", "v", "eq", "para", "tel", "ext",
			"jan", "feb", "mar", "apr", "jun", "jul", "aug", "sep", "sept", "oct", "nov", "dec",
		},
		beforeUpper: {
			"etc", "inc", "ltd", "co", "corp", "llc", "bros", "jr", "sr", "dept", "est", "approx", "appt", "incl", "excl",
			"misc", "min", "hr", "hrs", "lb", "lbs", "oz", "ave", "blvd", "rd", "a.m", "p.m", "ca", "usw", "al",
		},
		beforeStarter: {"dr", "st", "mt", "ft", "gen", "sen", "capt", "lt", "col", "sgt", "rev", "gov"},
	} {
		for _, w := range words {
			m[w] = c
		}
	}
	return m
}()

// starters are words that, with a capital, more often start a sentence than name
// something.
var starters = func() map[string]bool {
	m := map[string]bool{}
	for _, w := range []string{
		"A", "After", "All", "Also", "An", "And", "As", "At", "Bad", "Before", "But", "Everything", "For", "Good", "Great",
		"He", "Her", "His", "How", "However", "I", "If", "In", "It", "Its", "Just", "My", "Never", "No", "Not", "Nothing",
		"Now", "On", "Once", "Only", "Or", "Our", "Please", "She", "So", "Still", "Thank", "Thanks", "That", "The",
		"Their", "Then", "There", "These", "They", "This", "Those", "To", "Very", "We", "Well", "What", "When", "Where",
		"Who", "Why", "With", "Yes", "You", "Your",
	} {
		m[w] = true
	}
	return m
}()

// classify tells the class of the word in front of the dot at pos. The text goes
// on with rest.
func classify(text string, start int, w word, pos int, rest string) class {
	from := pos
	letters, dots := 0, 0
	for from > w.start && pos-from <= longestAbbreviation {
		c := text[from-1]
		if c == '.' {
			dots++
		} else if c|0x20 >= 'a' && c|0x20 <= 'z' {
			letters++
		} else {
			break
		}
		from--
	}
	if pos-start <= 2 && isNumber(text[start:pos]) {
		return never // the number of a list: "1. Fast"
	}
	if letters == 0 || pos-from > longestAbbreviation {
		return always
	}
	if before, _ := utf8.DecodeLastRuneInString(text[w.start:from]); from > w.start && (unicode.IsLetter(before) || unicode.IsDigit(before)) {
		return always // "1st."
	}
	var low [longestAbbreviation]byte
	for i := range pos - from {
		low[i] = text[from+i]
		if low[i] != '.' {
			low[i] |= 0x20
		}
	}
	if c, ok := abbreviations[string(low[:pos-from])]; ok {
		return c
	}
	if dots > 0 {
		if letters == dots+1 {
			return beforeStarter // "U.S."
		}
		return always
	}
	// An initial follows a name, precedes another or starts the sentence.
	if letters == 1 && from == w.start && text[from] != 'I' && text[from] <= 'Z' {
		another := len(rest) > 1 && rest[0] >= 'A' && rest[0] <= 'Z' && rest[1] == '.'
		if another || from == start || unicode.IsUpper(firstOfWordBefore(text, start, from)) {
			return beforeStarter
		}
	}
	return always
}

func isNumber(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

// firstOfWordBefore returns the first character of the word that ends one space
// before pos, or 0 when there is none or it is very long.
func firstOfWordBefore(text string, start, pos int) rune {
	const far = 32
	var first rune
	for at := pos - 1; at > start && pos-at < far; {
		r, size := utf8.DecodeLastRuneInString(text[start:at])
		if unicode.IsSpace(r) {
			return first
		}
		first = r
		at -= size
		if at == start {
			return first
		}
	}
	return 0
}

// opening passes over quotes, brackets and the like at the start of s and returns
// the first character behind them, and s from there on.
func opening(s string) (rune, string) {
	for range 4 {
		r, size := utf8.DecodeRuneInString(s)
		switch r {
		case '"', '\'', '“', '”', '„', '‘', '’', '«', '»', '(', '[', '{', '¿', '¡', '*', '_', '「', '『', '（', '《':
			s = s[size:]
		default:
			return r, s
		}
	}
	r, _ := utf8.DecodeRuneInString(s)
	return r, s
}

// starter returns the word at the start of s if it is one of the starters.
func starter(s string) string {
	const longest = 10
	n := 0
	for n < len(s) && n <= longest && s[n]|0x20 >= 'a' && s[n]|0x20 <= 'z' {
		n++
	}
	if starters[s[:n]] {
		return s[:n]
	}
	return ""
}

// isBullet says whether s starts with the sign or number of a list entry.
func isBullet(s string) bool {
	r, size := utf8.DecodeRuneInString(s)
	switch r {
	case '•':
		return true
	case '-', '*', '+', '–', '—', '·', '‣', '▪', '►', '▸', '○', '●', '■':
		return spaceAt(s, size)
	}
	n := 0
	if s[0] == '(' {
		n = 1
	}
	from := n
	for n < len(s) && n-from < 2 && s[n] >= '0' && s[n] <= '9' {
		n++
	}
	mark := n > from
	if !mark && n < len(s) && s[n] >= 'a' && s[n] <= 'z' {
		n++
		return n < len(s) && s[n] == ')' && spaceAt(s, n+1)
	}
	return mark && n < len(s) && (s[n] == ')' || (s[n] == '.' && from == 0)) && spaceAt(s, n+1)
}

func spaceAt(s string, i int) bool {
	return i < len(s) && (s[i] == ' ' || s[i] == '\t')
}

func hasPrefix(s, p string) bool { return len(s) >= len(p) && s[:len(p)] == p }

func isNewline(r rune) bool {
	return r == '\n' || r == '\r' || r == 0x85 || r == 0x2028 || r == 0x2029
}

func isStop(r rune) bool {
	switch r {
	case '.', '!', '?', '…', '‼', '⁇', '⁈', '⁉',
		'。', '！', '？', '｡', // CJK
		'؟', '۔', // Arabic, Urdu
		'।', '॥': // Devanagari
		return true
	}
	return false
}

// isCloser holds for what closes a quotation or bracket when it follows a stop.
// Typographic quotes close in one language and open in another.
func isCloser(r rune) bool {
	switch r {
	case '"', '\'', ')', ']', '}', '“', '”', '‘', '’', '»', '«', '›', '*', '_', '`',
		'」', '』', '）', '】', '》', '〉', '〕':
		return true
	}
	return false
}

// goesOn holds for marks that, close behind a stop, show that it ended nothing:
// "etc., and", "!=".
func goesOn(r rune) bool {
	switch r {
	case ',', ';', ':', '-', '–', '—', '/', '%', '&', '=', '+':
		return true
	}
	return false
}

func isEmoji(r rune) bool {
	return (r >= 0x1f000 && r <= 0x1faff) || (r >= 0x2600 && r <= 0x27bf) || (r >= 0x2b00 && r <= 0x2bff) ||
		(r >= 0x2300 && r <= 0x23ff)
}

// emojiEnd returns where the emoji at pos end, with their modifiers and joined
// partners, or pos when there are none.
func emojiEnd(text string, pos int) int {
	for start := pos; pos < len(text); {
		r, size := utf8.DecodeRuneInString(text[pos:])
		switch {
		case isEmoji(r):
		case pos > start && (r == 0x200d || r == 0xfe0f || r == 0xfe0e || r == 0x20e3 || (r >= 0xe0020 && r <= 0xe007f)):
		default:
			return pos
		}
		pos += size
	}
	return pos
}

// emoticonEnd returns where the emoticon at pos ends if it is a word of its own,
// else pos.
func emoticonEnd(text string, pos int) int {
	const longest = 6
	end := pos
	for end < len(text) && end-pos <= longest && text[end] > ' ' && text[end] < utf8.RuneSelf {
		end++
	}
	for end > pos && isStop(rune(text[end-1])) {
		end-- // ":)!"
	}
	s := text[pos:end]
	switch s {
	case "<3", "</3", "<33", "<333", "^_^", "^^", "-_-", ">_<", "xD", "XD", "xd", "D:", "D':", "\\o/", "T_T", "o_O", "O_o":
		return end
	}
	if len(s) < 2 || len(s) > longest {
		return pos
	}
	if s[0] == '>' {
		s = s[1:] // ">:("
	}
	if eyes(s[0]) && onlyOf(s[1:], "-^'o", ")(]}[{DPpOo3/\\|*>c") {
		return end
	}
	if eyes(s[len(s)-1]) && len(s) <= 3 && onlyOf(s[:len(s)-1], "", ")(-]['") {
		return end
	}
	return pos
}

func eyes(c byte) bool { return c == ':' || c == ';' || c == '=' }

// onlyOf says whether s is at most two of first and then one or more of last.
func onlyOf(s, first, last string) bool {
	for range 2 {
		if len(s) > 1 && contains(first, s[0]) {
			s = s[1:]
		}
	}
	for i := range len(s) {
		if !contains(last, s[i]) {
			return false
		}
	}
	return len(s) > 0
}

func contains(set string, c byte) bool {
	for i := range len(set) {
		if set[i] == c {
			return true
		}
	}
	return false
}
