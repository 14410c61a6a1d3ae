package model

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// The marks in MODEL_CARD.md between which training writes the tables.
const (
	TablesBegin = "<!-- tables, written by model/train -->"
	TablesEnd   = "<!-- end of tables -->"
)

// MeanGroup is the group of a row that is the mean over the groups of its set.
const MeanGroup = "mean"

// Table compares scorers on the validation sets.
type Table struct {
	Title   string     `json:"title"`
	Columns []string   `json:"columns"` // names of the scorers
	Rows    []TableRow `json:"rows"`
}

// TableRow is one measure on one set.
type TableRow struct {
	Set     string  `json:"set"`
	Measure string  `json:"measure"`         // such as "macro F1, 3 classes"
	Group   string  `json:"group,omitempty"` // a language, or "mean" over the languages of the set
	Rows    int     `json:"rows"`            // texts that were measured
	Cells   []*Cell `json:"cells"`           // one per column; nil where a scorer has no answer
}

// Cell is a figure, a fraction of 1.
type Cell struct {
	Value float64 `json:"value"` // the mean over the runs
	// Spread is the standard deviation over training runs with several seeds, 0
	// when there was one run.
	Spread float64 `json:"spread,omitempty"`
}

// Cell returns the figure of a scorer in the row of a set, measure and group, or
// nil when there is none.
func (t *Table) Cell(column, set, measure, group string) *Cell {
	for i, c := range t.Columns {
		if c != column {
			continue
		}
		for _, r := range t.Rows {
			if r.Set == set && r.Measure == measure && r.Group == group && i < len(r.Cells) {
				return r.Cells[i]
			}
		}
	}
	return nil
}

// Write prints the table in Markdown, with its columns aligned.
func (t *Table) Write(w io.Writer) error {
	lines := [][]string{append([]string{"set", "measure", "rows"}, t.Columns...), nil}
	for _, r := range t.Rows {
		set := r.Set
		if r.Group != "" {
			set += ", " + r.Group
		}
		line := []string{set, r.Measure, fmt.Sprint(r.Rows)}
		for _, c := range r.Cells {
			switch {
			case c == nil:
				line = append(line, "-")
			case c.Spread > 0:
				line = append(line, fmt.Sprintf("%.3f ± %.3f", c.Value, c.Spread))
			default:
				line = append(line, fmt.Sprintf("%.3f", c.Value))
			}
		}
		lines = append(lines, line)
	}
	width := make([]int, len(lines[0]))
	for _, line := range lines {
		for i := 0; i < len(line) && i < len(width); i++ {
			width[i] = max(width[i], utf8.RuneCountInString(line[i]))
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\n", t.Title)
	for _, line := range lines {
		b.WriteByte('|')
		for i, n := range width {
			switch {
			case line == nil:
				b.WriteString(strings.Repeat("-", n+2))
			case i < len(line):
				fmt.Fprintf(&b, " %s%s ", line[i], strings.Repeat(" ", n-utf8.RuneCountInString(line[i])))
			default:
				b.WriteString(strings.Repeat(" ", n+2))
			}
			b.WriteByte('|')
		}
		b.WriteByte('\n')
	}
	_, err := io.WriteString(w, b.String())
	return err
}
