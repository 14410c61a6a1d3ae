// Package compose writes synthetic English rows that teach a scorer how meaning is
// composed: negation, contrast, comparison, wishes, questions, idioms and the like.
// Natural training sets hold few examples of these, and a word's own polarity
// explains nearly all of those they do hold. Here a word is used about as often
// against its own polarity as with it, so only the construction can explain the
// label.
//
// The sentences are built from frames (frames/*.txt) and words (lexicon/*.txt) that
// were written for this project. NOTATION.txt describes the notation.
package compose

import "sync"

// The classes of a row.
const (
	Negative int8 = iota
	Neutral
	Positive
)

// DefaultRows is the number of rows that the shares of the phenomena were set for.
const DefaultRows = 30000

// Row is one training row.
type Row struct {
	Text   string
	Class  int8    // Negative, Neutral or Positive
	Mixed  bool    // clear praise and clear blame in one text
	Source string  // what the text reads like: "review", "comment", "tweet" or "" for any
	Weight float32 // in (0, 1]: lower where people would agree less on the label
}

// Phenomenon is a kind of construction and its part of the rows.
type Phenomenon struct {
	Name  string
	Share int // relative to the sum of all shares
}

// Phenomena lists what Rows covers, in a fixed order.
func Phenomena() []Phenomenon {
	g := grammarOnce()
	out := make([]Phenomenon, len(g.phenomena))
	for i, p := range g.phenomena {
		out[i] = Phenomenon{p.name, p.share}
	}
	return out
}

// Rows writes n rows with distinct texts. Equal seeds and n give equal rows on every
// machine. It returns fewer rows if n is far beyond DefaultRows and the frames of
// some phenomenon have no further distinct texts.
func Rows(seed uint64, n int) []Row {
	tagged := generate(grammarOnce(), seed, n)
	out := make([]Row, len(tagged))
	for i, t := range tagged {
		out[i] = t.Row
	}
	return out
}

// taggedRow is a row that remembers where it is from.
type taggedRow struct {
	Row
	phenomenon int
	words      []use
}

// use is an opinion word of a row.
type use struct {
	word  string
	class int8 // its own polarity
}

// attempts bounds the tries for one distinct row.
const attempts = 60

func generate(g *grammar, seed uint64, n int) []taggedRow {
	w := newWriter(g, seed)
	total := 0
	for _, p := range g.phenomena {
		total += p.share
	}
	seen := make(map[string]bool, n)
	rows := make([]taggedRow, 0, max(n, 0))
	before := 0
	for i, p := range g.phenomena {
		before += p.share
		end := n * before / total // shares add up to n without a remainder
		var order []int
		for len(rows) < end {
			ok := false
			for range attempts {
				if len(order) == 0 {
					order = w.rng.Perm(len(p.frames)) // every frame equally often
				}
				f := &p.frames[order[0]]
				order = order[1:]
				row := w.write(p, f)
				if seen[row.Text] {
					continue
				}
				seen[row.Text] = true
				row.phenomenon = i
				w.count(&row)
				rows = append(rows, row)
				ok = true
				break
			}
			if !ok {
				break
			}
		}
	}
	w.rng.Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
	return rows
}

var grammarOnce = sync.OnceValue(func() *grammar {
	g, err := load()
	if err != nil {
		panic("compose: the embedded frames are broken: " + err.Error()) // TestLoad keeps this from happening
	}
	return g
})
