// Package dataset reads the labelled texts that the scorer is trained and
// measured on. The texts are not part of the repository; MODEL_CARD.md names
// them and their terms.
package dataset

import (
	"bufio"
	"compress/gzip"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode"
)

// Row is one line of a set.
type Row struct {
	Label string
	Text  string
	// Extra is the column named by the caller of Read (source, lang, kind …).
	Extra string
}

// Read reads DIR/name.tsv.gz: a header line, then tab-separated rows. The text
// is the column "text", the label the column "label", and extra is a column to
// carry along, or "".
func Read(dir, name, extra string) ([]Row, error) {
	cells, err := Columns(dir, name, "label", "text", extra)
	return toRows(cells), err
}

// Parse reads a set from compressed rows; see Read.
func Parse(r io.Reader, extra string) ([]Row, error) {
	cells, err := parse(r, []string{"label", "text", extra})
	return toRows(cells), err
}

func toRows(cells [][]string) []Row {
	rows := make([]Row, len(cells))
	for i, c := range cells {
		rows[i] = Row{Label: c[0], Text: c[1], Extra: c[2]}
	}
	return rows
}

// Columns reads the named columns of DIR/name.tsv.gz, row by row. A column that
// the file does not have is empty in every row; all files have "text".
func Columns(dir, name string, columns ...string) ([][]string, error) {
	f, err := os.Open(filepath.Join(dir, name+".tsv.gz"))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	rows, err := parse(f, columns)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return rows, nil
}

func parse(r io.Reader, columns []string) ([][]string, error) {
	z, err := gzip.NewReader(r)
	if err != nil {
		return nil, err
	}
	sc := bufio.NewScanner(z)
	sc.Buffer(make([]byte, 1<<20), 16<<20)
	var header []string
	if sc.Scan() {
		header = strings.Split(sc.Text(), "\t")
	}
	if !slices.Contains(header, "text") {
		return nil, errors.New("no column text")
	}
	at := make([]int, len(columns))
	for i, c := range columns {
		at[i] = slices.Index(header, c)
	}
	var rows [][]string
	for sc.Scan() {
		cells := strings.Split(sc.Text(), "\t")
		if len(cells) < len(header) {
			continue
		}
		row := make([]string, len(columns))
		for i, k := range at {
			if k >= 0 {
				row[i] = cells[k]
			}
		}
		rows = append(rows, row)
	}
	return rows, sc.Err()
}

// Key folds a text to its letters and digits, case-folded, without user names
// and links. Two texts with one key are the same text for the purpose of keeping
// training and validation apart.
func Key(text string) string {
	var b strings.Builder
	for _, w := range strings.Fields(text) {
		l := strings.ToLower(w)
		if strings.HasPrefix(l, "@") || strings.HasPrefix(l, "http") || strings.HasPrefix(l, "www.") {
			continue
		}
		for _, r := range l {
			if unicode.IsLetter(r) || unicode.IsDigit(r) {
				b.WriteRune(r)
			}
		}
	}
	return b.String()
}

// HeldOut reports whether a text belongs to the tenth of a training file that is
// kept for validation. It depends on the text's key only.
func HeldOut(text string) bool {
	h := fnv.New32a()
	h.Write([]byte(Key(text)))
	return h.Sum32()%10 == 0
}
