package cli

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/synapse-analytics/synapse/internal/errs"
	"github.com/synapse-analytics/synapse/model"
)

const (
	// blockBytes is how much of the input is read at a time: some hundred lines,
	// which is work for one core for some milliseconds.
	blockBytes = 128 << 10
	// maxLine bounds a line: a text of 65,536 bytes, all of it escaped, and the rest.
	maxLine = 1 << 20
	// maxKeptOutput bounds what a block keeps of the output of the one before.
	maxKeptOutput = 4 << 20
)

// lineScorer scores lines: one goroutine reads whole lines in blocks, workers
// score a block each, and the caller's goroutine writes them in order. Two blocks
// a worker and two more go around, which bounds the memory.
type lineScorer struct {
	scorer  *model.Scorer
	opts    scoreOptions
	format  string
	workers int

	free    chan *block
	work    chan *block
	ordered chan *block
}

// block is a run of whole lines on its way.
type block struct {
	first   int    // number of the first line
	data    []byte // the lines
	tooLong bool   // instead of lines: one that is longer than maxLine
	out     []byte // the scores
	faults  []byte // what is told of the lines that are not scored
	scored  int
	refused int
	done    chan struct{}
}

// run scores the lines of in, in order. It goes on after a line that can not be
// scored, which is told of on errOut, and returns an error at the end.
func (s *lineScorer) run(ctx context.Context, in io.Reader, out, errOut io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	blocks := 2*s.workers + 2
	s.free, s.work, s.ordered = make(chan *block, blocks), make(chan *block, blocks), make(chan *block, blocks)
	for range blocks {
		s.free <- &block{done: make(chan struct{}, 1)}
	}
	readErr := make(chan error, 1)
	go func() { // it may hang in a read, so nothing waits for it but its channels
		err := s.read(ctx, in)
		readErr <- err
		close(s.work)
		close(s.ordered)
	}()
	var workers sync.WaitGroup
	for range s.workers {
		workers.Go(func() {
			for {
				select {
				case b, ok := <-s.work:
					if !ok {
						return
					}
					s.score(b)
					b.done <- struct{}{}
				case <-ctx.Done():
					return
				}
			}
		})
	}
	scored, refused, err := s.write(ctx, out, errOut)
	cancel()
	workers.Wait()
	switch {
	case err != nil:
		return err
	case refused > 0:
		err = hint(fmt.Errorf("%s of %s lines could not be scored", thin(float64(refused)), thin(float64(scored+refused))), "correct the lines named above")
	}
	return errors.Join(<-readErr, err)
}

// read sends the lines of in to the workers in blocks. A block goes on its way
// with what one read brought, so that lines which come slowly are not held back.
func (s *lineScorer) read(ctx context.Context, in io.Reader) error {
	line := 1
	var rest []byte // of a line that has not ended
	skipping := false
	for {
		var b *block
		select {
		case b = <-s.free:
		case <-ctx.Done():
			return nil
		}
		b.first, b.tooLong = line, false
		b.data = append(b.data[:0], rest...)
		rest = rest[:0]
		var err error
		end := -1
		for end < 0 && err == nil && len(b.data) <= maxLine {
			start := len(b.data)
			if cap(b.data)-start < blockBytes/2 {
				b.data = append(b.data, make([]byte, blockBytes)...)[:start]
			}
			var n int
			n, err = in.Read(b.data[start:cap(b.data)])
			b.data = b.data[:start+n]
			if end = bytes.LastIndexByte(b.data[start:], '\n'); end >= 0 {
				end += start + 1
			}
		}
		if skipping { // the end of a line that is too long
			if i := bytes.IndexByte(b.data, '\n'); i >= 0 {
				b.data, end, skipping = b.data[i+1:], end-i-1, false
				line++
				b.first = line
			} else {
				b.data = b.data[:0]
			}
		}
		if err != io.EOF { // at the end, the last line needs no line break
			end = max(end, 0)
			if b.tooLong = end == 0 && len(b.data) > maxLine; b.tooLong {
				skipping = true
			} else {
				rest = append(rest, b.data[end:]...)
			}
			b.data = b.data[:end]
		}
		line += bytes.Count(b.data, []byte{'\n'})
		// As many blocks as the channels have room for: neither send blocks.
		s.work <- b
		s.ordered <- b
		if err != nil {
			if err == io.EOF {
				err = nil
			}
			return err
		}
	}
}

// score scores the lines of a block.
func (s *lineScorer) score(b *block) {
	b.scored, b.refused, b.faults = 0, 0, b.faults[:0]
	if b.out = b.out[:0]; cap(b.out) > maxKeptOutput {
		b.out = nil
	}
	tooLong := errs.Violation{Field: "line", Rule: fmt.Sprintf("must have at most %d bytes", maxLine), Remedy: "a text has at most 65,536 bytes: split it"}
	if b.tooLong {
		b.refuse(b.first, tooLong)
		return
	}
	rest := string(b.data) // of which all strings are parts
	var in scoreInput
	for number := b.first; rest != ""; number++ {
		var line string
		line, rest, _ = strings.Cut(rest, "\n")
		if number == 1 {
			line = strings.TrimPrefix(line, "\ufeff") // as some editors begin a file
		}
		if strings.TrimSpace(line) == "" {
			continue
		}
		if len(line) > maxLine {
			b.refuse(number, tooLong)
			continue
		}
		in = scoreInput{targets: in.targets[:0]}
		bad := in.read(line)
		if len(bad) == 0 {
			in.fill(&s.opts.hints)
			bad = in.violations()
		}
		if len(bad) > 0 {
			b.refuse(number, bad[0])
			continue
		}
		a := s.opts.analyze(s.scorer, &in)
		b.scored++
		switch s.format {
		case "table":
			b.out = fmt.Appendf(b.out, "%-8s %s  %s  %s  %s\n", a.Label, signed(a.Score), a.Language, oneLine(in.id, 36), oneLine(in.text, 80))
		case "json":
			b.out = append(b.out, ",\n"...)
			b.out = appendScore(b.out, in.id, &a, s.opts.want, s.scorer.Version())
		default:
			b.out = appendScore(b.out, in.id, &a, s.opts.want, s.scorer.Version())
			b.out = append(b.out, '\n')
		}
	}
}

// fill takes the hints for what the line does not say.
func (in *scoreInput) fill(hints *scoreInput) {
	if in.source == "" {
		in.source = hints.source
	}
	if in.language == "" {
		in.language = hints.language
	}
	if len(in.targets) == 0 {
		in.targets = append(in.targets, hints.targets...)
	}
}

// refuse notes why a line is not scored.
func (b *block) refuse(line int, v errs.Violation) {
	b.refused++
	b.faults = fmt.Appendf(b.faults, "line %d: %s %s; %s\n", line, v.Field, oneLine(v.Rule, 200), v.Remedy)
}

// write writes what the workers made, in the order of the lines, and gives the
// blocks back.
func (s *lineScorer) write(ctx context.Context, out, errOut io.Writer) (scored, refused int, err error) {
	w := bufio.NewWriterSize(out, blockBytes)
	if s.format == "json" {
		if _, err := w.WriteString("["); err != nil {
			return 0, 0, err
		}
	}
	for {
		var b *block
		var ok bool
		select {
		case b, ok = <-s.ordered:
		case <-ctx.Done():
			return scored, refused, errors.Join(w.Flush(), context.Cause(ctx))
		}
		if !ok {
			break
		}
		select {
		case <-b.done:
		case <-ctx.Done():
			return scored, refused, errors.Join(w.Flush(), context.Cause(ctx))
		}
		text := b.out
		if s.format == "json" && scored == 0 && len(text) > 0 {
			text = text[1:] // the comma before the first
		}
		if _, err := w.Write(text); err != nil {
			return scored, refused, err
		}
		scored += b.scored
		refused += b.refused
		if len(s.ordered) == 0 || len(b.faults) > 0 {
			if err := w.Flush(); err != nil {
				return scored, refused, err
			}
		}
		if len(b.faults) > 0 {
			if _, err := errOut.Write(b.faults); err != nil {
				return scored, refused, err
			}
		}
		s.free <- b
	}
	if s.format == "json" {
		if _, err := w.WriteString("\n]\n"); err != nil {
			return scored, refused, err
		}
	}
	return scored, refused, w.Flush()
}
