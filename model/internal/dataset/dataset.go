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
	f, err := os.Open(filepath.Join(dir, name+".tsv.gz"))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	rows, err := Parse(f, extra)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return rows, nil
}

// Parse reads a set from compressed rows; see Read.
func Parse(r io.Reader, extra string) ([]Row, error) {
	z, err := gzip.NewReader(r)
	if err != nil {
		return nil, err
	}
	sc := bufio.NewScanner(z)
	sc.Buffer(make([]byte, 1<<20), 16<<20)
	label, text, ext := -1, -1, -1
	if sc.Scan() {
		for i, h := range strings.Split(sc.Text(), "\t") {
			switch h {
			case "label":
				label = i
			case "text":
				text = i
			case extra:
				ext = i
			}
		}
	}
	if text < 0 {
		return nil, errors.New("no column text")
	}
	var rows []Row
	for sc.Scan() {
		cols := strings.Split(sc.Text(), "\t")
		if len(cols) <= text {
			continue
		}
		r := Row{Text: cols[text]}
		if label >= 0 {
			r.Label = cols[label]
		}
		if ext >= 0 {
			r.Extra = cols[ext]
		}
		rows = append(rows, r)
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
