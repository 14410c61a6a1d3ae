// Package sentence cuts a text into sentences as a reader of reviews, tickets
// and chats would: by stops and by lines. What follows a stop (quotes, more
// marks, emoji and emoticons on the same line) stays with the sentence before.
package sentence

import (
	"unicode"
	"unicode/utf8"
)

// MaxBytes bounds one sentence. A longer one is cut at its last white space
// within the bound, or between two characters where it has none.
const MaxBytes = 600

// Span is a sentence as UTF-8 byte offsets, half open.
type Span struct{ Start, End int }

// Split appends the sentences of text to dst, in order. They do not overlap, none
// is empty or longer than MaxBytes, and only white space (unicode.IsSpace) lies
// outside of them. Any bytes are valid. It takes time in proportion to the length
// of text, and allocates only to grow dst.
func Split(dst []Span, text string) []Span {
	start, end := -1, 0 // the sentence so far; -1: none
	var w word
	for pos := 0; pos < len(text); {
		if start >= 0 && pos < w.end && text[pos]|0x20 >= 'a' && text[pos]|0x20 <= 'z' {
			pos++ // most of most texts
			end = pos
			continue
		}
		r, size := utf8.DecodeRuneInString(text[pos:])
		if unicode.IsSpace(r) {
			next, lines := gap(text, pos)
			if start >= 0 && lines > 0 && newSentence(text, end, next, lines) {
				dst = emit(dst, text, start, end)
				start = -1
			}
			pos = next
			continue
		}
		if pos >= w.end {
			w = readWord(text, pos)
		}
		if r == '•' && start >= 0 {
			dst = emit(dst, text, start, end)
			start = -1
		}
		if start < 0 {
			start = pos
		}
		if !isStop(r) {
			pos += size
			end = pos
			continue
		}
		var ends bool
		pos, ends = stop(text, start, w, pos)
		end = pos
		if ends {
			dst = emit(dst, text, start, end)
			start = -1
		}
	}
	if start >= 0 {
		dst = emit(dst, text, start, end)
	}
	return dst
}

// emit appends a sentence, in parts if it is too long.
func emit(dst []Span, text string, start, end int) []Span {
	for end-start > MaxBytes {
		cut := lastSpace(text, start, start+MaxBytes)
		dst = append(dst, Span{start, cut})
		start, _ = gap(text, cut)
	}
	return append(dst, Span{start, end})
}

// lastSpace returns where to cut the sentence at start, limit at the latest.
func lastSpace(text string, start, limit int) int {
	for back := 1; back < utf8.UTFMax && !utf8.RuneStart(text[limit]); back++ {
		limit--
	}
	cut := limit
	for r, _ := utf8.DecodeRuneInString(text[cut:]); !unicode.IsSpace(r); {
		var size int
		r, size = utf8.DecodeLastRuneInString(text[start:cut])
		cut -= size
		if cut <= start {
			return limit
		}
	}
	for {
		r, size := utf8.DecodeLastRuneInString(text[start:cut])
		if !unicode.IsSpace(r) {
			return cut
		}
		cut -= size
	}
}

// gap returns where the white space at pos ends and how many line ends are in it.
func gap(text string, pos int) (next, lines int) {
	for pos < len(text) {
		r, size := utf8.DecodeRuneInString(text[pos:])
		if !unicode.IsSpace(r) {
			break
		}
		if isNewline(r) && !(r == '\r' && pos+1 < len(text) && text[pos+1] == '\n') {
			lines++
		}
		pos += size
	}
	return pos, lines
}

// newSentence says whether line ends alone, without a stop, part the text that
// ends at end from the one that starts at next.
func newSentence(text string, end, next, lines int) bool {
	if next == len(text) || lines > 1 || isBullet(text[next:]) {
		return true
	}
	switch last, _ := utf8.DecodeLastRuneInString(text[:end]); last {
	case '.', '…', ',', ';', ':', '-', '–', '—', '&', '+', '、', '，', '،':
		return false // the line was wrapped
	}
	first, _ := opening(text[next:])
	return unicode.IsUpper(first) || unicode.Is(unicode.Lo, first) || isEmoji(first)
}

// word is a run of bytes without white space.
type word struct {
	start, end int
	// link is a web or mail address, in which only the last mark can be a stop.
	link bool
}

func readWord(text string, pos int) word {
	w := word{start: pos, link: hasPrefix(text[pos:], "www.")}
	for pos < len(text) {
		size := 1
		switch c := text[pos]; {
		case c == ':':
			w.link = w.link || hasPrefix(text[pos:], "://")
		case c == '@':
			w.link = w.link || pos > w.start
		case c <= ' ' || c >= utf8.RuneSelf:
			var r rune
			if r, size = utf8.DecodeRuneInString(text[pos:]); unicode.IsSpace(r) {
				w.end = pos
				return w
			}
		}
		pos += size
	}
	w.end = pos
	return w
}

// stop reads the run of stops at pos, in word w of the sentence that began at
// start. It returns the position behind the run and what belongs to it, and
// whether the sentence ends there.
func stop(text string, start int, w word, pos int) (next int, ends bool) {
	run, kind := readStops(text, pos)
	closed := run
	for closed < len(text) {
		r, size := utf8.DecodeRuneInString(text[closed:])
		if !isCloser(r) {
			break
		}
		closed += size
	}
	if w.link && closed < w.end {
		return run, false
	}
	if after := trailing(text, closed); after > closed || after == len(text) {
		return after, true
	}
	begin, lines := gap(text, closed)
	if begin == len(text) || lines > 1 || (lines == 1 && isBullet(text[begin:])) {
		return closed, true
	}
	first, rest := opening(text[begin:])
	apart, quoted := begin > closed, closed > run
	switch {
	case kind == hard:
		// 「…！」と and “…！”他说 go on behind the quotation.
		next, _ := utf8.DecodeRuneInString(text[closed:])
		return closed, !quoted || !unicode.IsLetter(next)
	case !apart && goesOn(first):
		return closed, false
	case quoted && unicode.IsLower(first):
		return closed, false
	case kind == ellipsis:
		return closed, first == '<' || (unicode.IsUpper(first) && starter(rest) != "I")
	case kind == bang && apart:
		return closed, true
	case kind == bang:
		return closed, !unicode.IsLower(first) && !unicode.IsDigit(first)
	}
	if !apart && (unicode.IsLetter(first) || unicode.IsDigit(first)) && !missingSpace(text, start, pos, rest) {
		return closed, false
	}
	switch classify(text, start, w, pos, rest) {
	case never:
		return closed, false
	case beforeNumber:
		return closed, !unicode.IsDigit(first)
	case beforeUpper:
		return closed, unicode.IsUpper(first)
	case beforeStarter:
		return closed, starter(rest) != ""
	}
	return closed, true
}

// kind is a kind of stops.
type kind uint8

const (
	dot      kind = iota
	ellipsis      // two dots or more: often only a pause
	bang          // with ! or ?
	hard          // of scripts that put no space behind and have no abbreviations
)

func readStops(text string, pos int) (end int, k kind) {
	for start := pos; pos < len(text); {
		r, size := utf8.DecodeRuneInString(text[pos:])
		switch {
		case r == 0xfe0f || r == 0xfe0e: // as in "‼️"
		case !isStop(r):
			return pos, k
		case r == '.':
			if pos > start {
				k = max(k, ellipsis)
			}
		case r == '…':
			k = max(k, ellipsis)
		case r == '!' || r == '?' || r < 0x2100 && r >= '‼':
			k = max(k, bang)
		default:
			k = hard
		}
		pos += size
	}
	return pos, k
}

// trailing returns where the emoji, emoticons and lone stops end that follow on
// the same line; they say how the sentence before was meant.
func trailing(text string, pos int) int {
	end := pos
	for {
		at := end
		for at < len(text) {
			r, size := utf8.DecodeRuneInString(text[at:])
			if !unicode.IsSpace(r) || isNewline(r) {
				break
			}
			at += size
		}
		if at == len(text) {
			return end
		}
		after := emojiEnd(text, at)
		if after == at {
			after = emoticonEnd(text, at)
		}
		if after == at {
			after, _ = readStops(text, at)
			if r, _ := utf8.DecodeRuneInString(text[after:]); after < len(text) && !unicode.IsSpace(r) {
				return end // ".NET", "…and"
			}
		}
		if after == at {
			return end
		}
		end = after
	}
}

// missingSpace says whether a dot with letters on both sides was meant as a stop,
// as in "great phone.Love it": a name such as "node.js" or "2.0" is not written so.
func missingSpace(text string, start, pos int, rest string) bool {
	r, size := utf8.DecodeRuneInString(rest)
	next, _ := utf8.DecodeRuneInString(rest[size:])
	before, width := utf8.DecodeLastRuneInString(text[start:pos])
	second, _ := utf8.DecodeLastRuneInString(text[start : pos-width])
	return unicode.IsUpper(r) && (unicode.IsLower(next) || unicode.IsSpace(next)) &&
		unicode.IsLower(before) && unicode.IsLower(second)
}
