package ingestjson

import (
	"math/bits"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// parser walks over a document once. Its methods return nil or the first fault.
type parser struct {
	s string
	i int
	// buf collects strings with escapes; reused between strings.
	buf []byte
}

func (*parser) fail(kind Kind, at int, rule, remedy string) *Error {
	return &Error{Kind: kind, Rule: rule, Remedy: remedy, Offset: at}
}

func (p *parser) syntax(rule string) *Error {
	if p.i >= len(p.s) {
		return p.fail(Syntax, len(p.s), "ends too early", "send the whole document")
	}
	return p.fail(Syntax, p.i, rule, "send one well-formed JSON document")
}

// ws skips white space and returns the next byte without consuming it, 0 at the
// end; a NUL byte in the document is never valid there, so 0 is not ambiguous.
func (p *parser) ws() byte {
	s, i := p.s, p.i
	for i < len(s) {
		switch c := s[i]; c {
		case ' ', '\t', '\n', '\r':
			i++
		default:
			p.i = i
			return c
		}
	}
	p.i = i
	return 0
}

// null consumes the literal null if it is next. What follows a literal is
// checked by whoever reads on: only white space, a comma or a closing bracket
// may.
func (p *parser) null() bool {
	if strings.HasPrefix(p.s[p.i:], "null") {
		p.i += 4
		return true
	}
	return false
}

const (
	lows  = 0x0101010101010101
	highs = 0x8080808080808080
)

// plain returns how many of the bytes from i on are printable ASCII other than
// the quote and the backslash. It looks at eight bytes a step: the lowest set
// bit of each of the four masks is exact, so that of their union is too.
func plain(s string, i int) int {
	start := i
	for i+8 <= len(s) {
		b := s[i : i+8]
		x := uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16 | uint64(b[3])<<24 |
			uint64(b[4])<<32 | uint64(b[5])<<40 | uint64(b[6])<<48 | uint64(b[7])<<56
		q := x ^ (lows * '"')
		e := x ^ (lows * '\\')
		m := (x | ((x - lows*0x20) &^ x) | ((q - lows) &^ q) | ((e - lows) &^ e)) & highs
		if m != 0 {
			return i - start + bits.TrailingZeros64(m)>>3
		}
		i += 8
	}
	for i < len(s) && s[i] >= 0x20 && s[i] < utf8.RuneSelf && s[i] != '"' && s[i] != '\\' {
		i++
	}
	return i - start
}

// str reads a string; p.i is at its opening quote. Without escapes the result
// is a part of the document.
func (p *parser) str() (string, *Error) {
	s := p.s
	start := p.i + 1
	i := start
	for {
		i += plain(s, i)
		if i >= len(s) {
			return "", p.end()
		}
		switch c := s[i]; {
		case c == '"':
			p.i = i + 1
			return s[start:i], nil
		case c == '\\':
			return p.escaped(start, i)
		case c < 0x20:
			return "", p.control(i)
		default:
			r, n := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && n == 1 {
				return "", p.notUTF8(i)
			}
			i += n
		}
	}
}

func (p *parser) end() *Error {
	p.i = len(p.s)
	return p.syntax("")
}

func (p *parser) control(at int) *Error {
	return p.fail(Syntax, at, "has the control character "+strconv.QuoteRuneToASCII(rune(p.s[at]))+" in a string",
		`write control characters as escapes such as \n or \u0009`)
}

func (p *parser) notUTF8(at int) *Error {
	return p.fail(Field, at, "is not valid UTF-8", "send text as UTF-8")
}

// escaped reads on in a string from its first backslash.
func (p *parser) escaped(start, i int) (string, *Error) {
	s := p.s
	buf := append(p.buf[:0], s[start:i]...)
	defer func() { p.buf = buf[:0] }()
	for {
		n := plain(s, i)
		buf = append(buf, s[i:i+n]...)
		i += n
		if i >= len(s) {
			return "", p.end()
		}
		switch c := s[i]; {
		case c == '"':
			p.i = i + 1
			return string(buf), nil
		case c == '\\':
			r, n, err := p.escape(i)
			if err != nil {
				return "", err
			}
			buf = utf8.AppendRune(buf, r)
			i += n
		case c < 0x20:
			return "", p.control(i)
		default:
			r, n := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && n == 1 {
				return "", p.notUTF8(i)
			}
			buf = append(buf, s[i:i+n]...)
			i += n
		}
	}
}

// escape reads the escape at i: the character and the length of the escape. Half
// a surrogate pair is an error.
func (p *parser) escape(i int) (rune, int, *Error) {
	s := p.s[i:]
	if len(s) < 2 {
		return 0, 0, p.end()
	}
	switch s[1] {
	case '"', '\\', '/':
		return rune(s[1]), 2, nil
	case 'b':
		return '\b', 2, nil
	case 'f':
		return '\f', 2, nil
	case 'n':
		return '\n', 2, nil
	case 'r':
		return '\r', 2, nil
	case 't':
		return '\t', 2, nil
	case 'u':
		if len(s) < 6 {
			return 0, 0, p.end()
		}
		r, ok := hex4(s[2:6])
		if ok && !utf16.IsSurrogate(r) {
			return r, 6, nil
		}
		if ok && len(s) < 12 {
			return 0, 0, p.end()
		}
		if ok && s[6] == '\\' && s[7] == 'u' {
			if low, ok := hex4(s[8:12]); ok {
				if r = utf16.DecodeRune(r, low); r != utf8.RuneError {
					return r, 12, nil
				}
			}
		}
	}
	return 0, 0, p.fail(Syntax, i, "has an invalid escape in a string", "escape as JSON does, surrogates in pairs")
}

func hex4(s string) (rune, bool) {
	var r rune
	for i := range 4 {
		c := s[i]
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}
