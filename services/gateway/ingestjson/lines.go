package ingestjson

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

// Lines splits NDJSON into blocks of lines, with bounded memory.
type Lines struct {
	r       *bufio.Reader
	maxLine int
	line    int
	err     error
}

// Line is one line that is not blank.
type Line struct {
	// Number of the line in the input, from 1; blank lines count.
	Number int
	// Text of the line without its end; empty if TooLong.
	Text string
	// TooLong says that the line was longer than the bound and was skipped.
	TooLong bool
}

// NewLines returns a splitter of r. maxLine bounds a line in bytes.
func NewLines(r io.Reader, maxLine int) *Lines {
	return &Lines{r: bufio.NewReaderSize(r, 64<<10), maxLine: maxLine}
}

// Block reads up to maxLines lines that are not blank, and stops after the line
// that reaches maxBytes. Blank lines are skipped. It returns io.EOF after the
// last block, or the error of the reader; the lines read before come first, so
// with an error there are no lines. A last line without its end counts as a line
// only if the input ends there well.
func (l *Lines) Block(maxLines, maxBytes int) ([]Line, error) {
	if l.err != nil {
		return nil, l.err
	}
	var (
		buf  []byte
		out  []Line
		ends []int
	)
	for len(out) < maxLines && len(buf) < maxBytes {
		from := len(buf)
		var tooLong bool
		buf, tooLong, l.err = l.next(buf)
		if l.err != nil && !errors.Is(l.err, io.EOF) {
			// What came of a broken line is not to be read as a whole one.
			buf = buf[:from]
			break
		}
		if blank := !tooLong && len(bytes.TrimSpace(buf[from:])) == 0; blank {
			buf = buf[:from]
		} else {
			out = append(out, Line{Number: l.line, TooLong: tooLong})
			ends = append(ends, len(buf))
		}
		if l.err != nil {
			break
		}
	}
	if len(out) == 0 && l.err != nil {
		return nil, l.err
	}
	// One string for the block: its lines share it.
	text, from := string(buf), 0
	for i, end := range ends {
		out[i].Text = text[from:end]
		from = end
	}
	return out, nil
}

// Skip reads the rest of the input and returns how many lines it holds that are
// not blank; the error is that of the reader, nil at the end.
func (l *Lines) Skip() (int, error) {
	n := 0
	for l.err == nil {
		var (
			buf     []byte
			tooLong bool
		)
		buf, tooLong, l.err = l.next(buf)
		if l.err != nil && !errors.Is(l.err, io.EOF) {
			break
		}
		if tooLong || len(bytes.TrimSpace(buf)) > 0 {
			n++
		}
	}
	if errors.Is(l.err, io.EOF) {
		return n, nil
	}
	return n, l.err
}

// LineNumber is the number of the last line that was begun.
func (l *Lines) LineNumber() int { return l.line }

// next appends the next line to buf; of a line that is too long it appends
// nothing.
func (l *Lines) next(buf []byte) ([]byte, bool, error) {
	from := len(buf)
	l.line++
	tooLong := false
	for {
		part, err := l.r.ReadSlice('\n')
		if !tooLong {
			buf = append(buf, part...)
			if len(buf)-from > l.maxLine {
				tooLong = true
				buf = buf[:from]
			}
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		return buf, tooLong, err
	}
}
