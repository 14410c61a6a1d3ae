package ingestjson

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Kind tells what is wrong with a document.
type Kind int

// The kinds.
const (
	// Syntax: the document is not JSON, or ends too early.
	Syntax Kind = iota
	// Field: a field is unknown, given twice, of another type or not UTF-8.
	Field
	// Limit: the document is well formed but holds more than the decoder takes
	// into memory.
	Limit
)

// Error says where and why a document was refused.
type Error struct {
	// Kind of the fault.
	Kind Kind
	// Path of the field as the document spells it, for example
	// "events[3].userId"; empty for the document itself.
	Path string
	// Rule that is broken, in words, for example "is not a known field".
	Rule string
	// Remedy says what to do.
	Remedy string
	// Offset of the first byte that is wrong, from 0.
	Offset int
}

// Error implements error.
func (e *Error) Error() string {
	if e.Path == "" {
		return fmt.Sprintf("%s (byte %d)", e.Rule, e.Offset)
	}
	return fmt.Sprintf("%s %s (byte %d)", e.Path, e.Rule, e.Offset)
}

// in returns the error with its path put under a parent.
func (e *Error) in(parent string) *Error {
	switch {
	case e.Path == "":
		e.Path = parent
	case e.Path[0] == '[':
		e.Path = parent + e.Path
	default:
		e.Path = parent + "." + e.Path
	}
	return e
}

// Position turns an offset into a line and a column in characters, both from 1.
func Position(doc string, offset int) (line, column int) {
	offset = max(0, min(offset, len(doc)))
	head := doc[:offset]
	line = strings.Count(head, "\n") + 1
	if i := strings.LastIndexByte(head, '\n'); i >= 0 {
		head = head[i+1:]
	}
	return line, utf8.RuneCountInString(head) + 1
}
