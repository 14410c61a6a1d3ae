package dataset

import "fmt"

// Classes of polarity, equal to the model's labels.
const (
	Negative = iota
	Neutral
	Positive
)

// Metric says how a set is judged.
type Metric string

// The metrics: see Evaluate.
const (
	BinaryAccuracy Metric = "binary_accuracy" // p(positive) against p(negative)
	Accuracy       Metric = "accuracy"
	MacroRecall    Metric = "macro_recall"
	MacroF1        Metric = "macro_f1"
)

// Example is a text with its label.
type Example struct {
	Text   string
	Source string // the hint to give
	Group  string // a language, for the sets that have several
	Class  int    // polarity, stars - 1, or mood
	// Target is what the polarity is towards, at byte From of Text.
	Target  string
	From    int
	Present []bool // emotions
}

// Set is a validation set.
type Set struct {
	Name     string
	Metric   Metric
	Examples []Example
}

// Polarity maps the label words of the sets to a class.
func Polarity(label string) (int, bool) {
	switch label {
	case "negative", "0", "1", "anger", "sadness":
		return Negative, true
	case "neutral", "2":
		return Neutral, true
	case "positive", "3", "4", "joy", "optimism":
		return Positive, true
	}
	return 0, false
}

// ValidationNames are the files whose texts must never be trained on.
var ValidationNames = []string{
	"sst2_dev", "sst5_dev", "tweeteval_sentiment_val", "tse_val", "goemotions_val",
	"tweeteval_emotion_val", "aspect_mams_val", "multilingual_umsab_val", "multilingual_nusax_val",
}

// Validation loads all validation sets from dir.
func Validation(dir string) ([]Set, error) {
	specs := []struct {
		file, source, extra string
		metric              Metric
	}{
		{"sst2_dev", "review", "", BinaryAccuracy},
		{"sst5_dev", "review", "", Accuracy},
		{"tweeteval_sentiment_val", "tweet", "", MacroRecall},
		{"tse_val", "tweet", "", MacroRecall},
		{"goemotions_val", "comment", "", MacroRecall},
		{"tweeteval_emotion_val", "tweet", "", BinaryAccuracy},
		{"aspect_mams_val", "review", "", Accuracy},
		{"multilingual_umsab_val", "tweet", "lang", MacroF1},
		{"multilingual_nusax_val", "review", "lang", MacroF1},
		{"imdb_train", "review", "", BinaryAccuracy},
	}
	var sets []Set
	for _, sp := range specs {
		rows, err := Read(dir, sp.file, sp.extra)
		if err != nil {
			return nil, err
		}
		set := Set{Name: sp.file, Metric: sp.metric}
		if sp.file == "imdb_train" {
			set.Name = "imdb_heldout"
		}
		for _, r := range rows {
			c, ok := Polarity(r.Label)
			if !ok || (sp.file == "imdb_train" && !HeldOut(r.Text)) {
				continue
			}
			set.Examples = append(set.Examples, Example{Text: r.Text, Source: sp.source, Group: r.Extra, Class: c})
		}
		if len(set.Examples) == 0 {
			return nil, fmt.Errorf("%s: no usable rows", sp.file)
		}
		sets = append(sets, set)
	}
	return sets, nil
}

// Measure is the outcome of one set.
type Measure struct {
	Set         string             `json:"set"`
	Metric      Metric             `json:"metric"`
	Rows        int                `json:"rows"`
	Value       float64            `json:"value"`
	Accuracy    float64            `json:"accuracy"`
	MacroF1     float64            `json:"macroF1"`
	Calibration float64            `json:"calibrationError"` // expected calibration error, ten bins
	Groups      map[string]float64 `json:"groups,omitempty"` // the metric per language
}

// Evaluate measures predict, which gives the probabilities of one example.
func Evaluate(set *Set, predict func(Example) [3]float64) Measure {
	all := counts{}
	groups := map[string]*counts{}
	for _, e := range set.Examples {
		p := predict(e)
		if set.Metric == BinaryAccuracy {
			p[Neutral] = 0
			if s := p[Negative] + p[Positive]; s > 0 {
				p[Negative], p[Positive] = p[Negative]/s, p[Positive]/s
			}
		}
		all.add(e.Class, p)
		if e.Group != "" {
			g := groups[e.Group]
			if g == nil {
				g = &counts{}
				groups[e.Group] = g
			}
			g.add(e.Class, p)
		}
	}
	m := Measure{Set: set.Name, Metric: set.Metric, Rows: len(set.Examples), Accuracy: all.accuracy(),
		MacroF1: all.macroF1(), Calibration: all.ece(), Value: all.value(set.Metric)}
	if len(groups) > 0 {
		m.Groups = map[string]float64{}
		for name, g := range groups {
			m.Groups[name] = g.value(set.Metric)
		}
	}
	return m
}

type counts struct {
	hit [3][3]int // [truth][prediction]
	n   int
	bin [10]struct{ n, hit, conf float64 }
}

func (c *counts) add(truth int, p [3]float64) {
	best := 0
	for i := range p {
		if p[i] > p[best] {
			best = i
		}
	}
	c.hit[truth][best]++
	c.n++
	b := &c.bin[min(int(p[best]*10), 9)]
	b.n++
	b.conf += p[best]
	if best == truth {
		b.hit++
	}
}

func (c *counts) value(m Metric) float64 {
	switch m {
	case MacroRecall:
		return c.macro(func(tp, truth, pred float64) float64 { return ratio(tp, truth) })
	case MacroF1:
		return c.macroF1()
	}
	return c.accuracy()
}

func (c *counts) accuracy() float64 {
	return ratio(float64(c.hit[0][0]+c.hit[1][1]+c.hit[2][2]), float64(c.n))
}

func (c *counts) macroF1() float64 {
	return c.macro(func(tp, truth, pred float64) float64 { return ratio(2*tp, truth+pred) })
}

// macro averages f over the classes that occur.
func (c *counts) macro(f func(tp, truth, pred float64) float64) float64 {
	sum, n := 0.0, 0.0
	for k := range 3 {
		truth, pred := 0, 0
		for j := range 3 {
			truth += c.hit[k][j]
			pred += c.hit[j][k]
		}
		if truth == 0 {
			continue
		}
		sum += f(float64(c.hit[k][k]), float64(truth), float64(pred))
		n++
	}
	return ratio(sum, n)
}

func (c *counts) ece() float64 {
	sum := 0.0
	for _, b := range c.bin {
		if b.n > 0 {
			sum += abs(b.hit-b.conf) / float64(c.n)
		}
	}
	return sum
}

func ratio(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}

func abs(x float64) float64 {
	if x < 0 {
		return -x
	}
	return x
}

// Lexicon turns VADER's compound score into probabilities by its own published
// thresholds (0.05), with the sign deciding where only two classes count.
func Lexicon(compound float64) [3]float64 {
	p := [3]float64{0.2, 0.2, 0.2}
	switch {
	case compound >= 0.05:
		p[Positive] = 0.6
	case compound <= -0.05:
		p[Negative] = 0.6
	default:
		p[Neutral] = 0.6
		p[Positive] += compound / 10
		p[Negative] -= compound / 10
	}
	return p
}
