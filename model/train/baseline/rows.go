package main

import (
	"fmt"
	"hash/fnv"
	"strconv"
	"strings"

	"github.com/synapse-analytics/synapse/model/internal/dataset"
)

// row is a line of a training file.
type row struct {
	labels []string
	text   string
}

// english are the files that the three-class model of English learns from, with
// the weights of the scorer's own training. fastText knows no weights: a row is
// written as many times as its weight says, the fraction by chance.
var english = []struct {
	file   string
	weight [3]float64 // by polarity
}{
	{"sst5_train_phrases", [3]float64{1, 1, 1}}, // times phraseWeight
	{"tweeteval_sentiment_train", [3]float64{1.9, 0.8, 0.95}},
	{"tse_train", [3]float64{1, 1, 1}},
	{"imdb_train", [3]float64{1, 1, 1}},
	{"customer_reviews_cr", [3]float64{1, 1, 1}},
	{"goemotions_train", [3]float64{1.35, 1, 0.8}},
	{"sentiment140_100k_distant", [3]float64{0.25, 0.25, 0.25}},
	{"tweeteval_emotion_train", [3]float64{1, 1, 1}},
}

// reader collects training rows.
type reader struct {
	dir   string
	guard *dataset.Guard
}

// polarity are the rows of English texts by three classes.
func (r *reader) polarity() ([]row, error) {
	var rows []row
	for _, sp := range english {
		all, err := dataset.Read(r.dir, sp.file, "kind")
		if err != nil {
			return nil, err
		}
		for i, x := range all {
			class, ok := dataset.Polarity(x.Label)
			if !ok || !r.guard.Allows(sp.file, x.Text) {
				continue
			}
			weight := sp.weight[class] * phraseWeight(x)
			rows = repeat(rows, row{[]string{strconv.Itoa(class)}, x.Text}, weight, sp.file+strconv.Itoa(i))
		}
	}
	for _, file := range []string{"aspect_semeval14_laptops_train", "aspect_semeval14_restaurants_train"} {
		agreed, err := r.agreed(file)
		if err != nil {
			return nil, err
		}
		rows = append(rows, agreed...)
	}
	return rows, nil
}

// phraseWeight weighs the fragments of parsed sentences down, of which half are
// neutral; rows of other files have no Extra.
func phraseWeight(r dataset.Row) float64 {
	switch {
	case r.Extra == "" || r.Extra == "sentence":
		return 1
	case r.Label == "2" && !strings.Contains(r.Text, " "):
		return 0.1
	}
	return 0.3
}

func repeat(rows []row, r row, weight float64, key string) []row {
	h := fnv.New32a()
	h.Write([]byte(key))
	for n := weight + float64(h.Sum32())/(1<<32); n >= 1; n-- {
		rows = append(rows, r)
	}
	return rows
}

// agreed are the sentences whose targets all have one label.
func (r *reader) agreed(file string) ([]row, error) {
	examples, err := dataset.Examples(r.dir, file, dataset.OfTarget)
	if err != nil {
		return nil, err
	}
	classes := map[string]int{}
	for _, e := range examples {
		classes[e.Text] |= 1 << e.Class
	}
	var rows []row
	for _, e := range examples {
		if classes[e.Text] == 1<<e.Class && r.guard.Allows(file, e.Text) {
			rows = append(rows, row{[]string{strconv.Itoa(e.Class)}, e.Text})
			classes[e.Text] = 0 // once
		}
	}
	return rows, nil
}

// labelled are the rows of one file and kind.
func (r *reader) labelled(file string, kind dataset.Kind) ([]row, error) {
	examples, err := dataset.Examples(r.dir, file, kind)
	if err != nil {
		return nil, err
	}
	var rows []row
	for i := range examples {
		e := &examples[i]
		if !r.guard.Allows(file, e.Text) {
			continue
		}
		x := row{[]string{strconv.Itoa(e.Class)}, question(e, kind)}
		if kind == dataset.AllEmotion {
			x.labels = nil
			for k, present := range e.Present {
				if present {
					x.labels = append(x.labels, strconv.Itoa(k))
				}
			}
		}
		rows = append(rows, x)
	}
	if len(rows) == 0 {
		return nil, fmt.Errorf("%s: no usable rows", file)
	}
	return rows, nil
}

// stars are the phrases of SST with their five classes.
func (r *reader) stars() ([]row, error) {
	all, err := dataset.Read(r.dir, "sst5_train_phrases", "kind")
	if err != nil {
		return nil, err
	}
	var rows []row
	for i, x := range all {
		if r.guard.Allows("sst5_train_phrases", x.Text) {
			rows = repeat(rows, row{[]string{x.Label}, x.Text}, phraseWeight(x), strconv.Itoa(i))
		}
	}
	return rows, nil
}

// near is how many words beside a target are marked as near to it.
const near = 4

// question is the text that a model sees: for a target, the words near to it and
// its own words are marked besides.
func question(e *dataset.Example, kind dataset.Kind) string {
	if kind != dataset.OfTarget {
		return e.Text
	}
	before := words(e.Text[:e.From])
	after := words(e.Text[e.From+len(e.Target):])
	var b strings.Builder
	b.WriteString(e.Text)
	for _, w := range before[max(0, len(before)-near):] {
		b.WriteString(" l_" + w)
	}
	for _, w := range words(e.Target) {
		b.WriteString(" t_" + w)
	}
	for _, w := range after[:min(near, len(after))] {
		b.WriteString(" r_" + w)
	}
	return b.String()
}

// words folds a text as is usual for fastText: lower case, punctuation apart,
// names of users and links all alike.
func words(text string) []string {
	var b strings.Builder
	for w := range strings.FieldsSeq(strings.ToLower(text)) {
		switch {
		case strings.HasPrefix(w, "http") || strings.HasPrefix(w, "www."):
			b.WriteString("<url> ")
			continue
		case strings.HasPrefix(w, "@") && len(w) > 1:
			b.WriteString("<user> ")
			continue
		}
		for _, r := range w {
			if strings.ContainsRune(".,;:!?\"'`()[]{}<>/*…“”‘’-", r) {
				b.WriteByte(' ')
				b.WriteRune(r)
				b.WriteByte(' ')
			} else {
				b.WriteRune(r)
			}
		}
		b.WriteByte(' ')
	}
	return strings.Fields(b.String())
}
