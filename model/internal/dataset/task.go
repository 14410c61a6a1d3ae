package dataset

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Kind is what a scorer is asked for.
type Kind string

// The kinds; see Prediction for what answers them.
const (
	Binary     Kind = "binary"   // negative against positive
	ThreeClass Kind = "three"    // negative, neutral, positive
	FiveStars  Kind = "stars"    // one to five stars
	FourMoods  Kind = "moods"    // the strongest of Moods
	AllEmotion Kind = "emotions" // every one of Emotions, present or not
	OfTarget   Kind = "target"   // negative, neutral, positive towards a target
)

// Mean is the group of a figure that is the mean over the groups of its set.
const Mean = "mean"

const (
	bar      = 0.5 // from which probability an emotion counts as present
	bins     = 10  // of confidence, for the calibration error
	shortKey = 8   // shorter keys are phrases such as "thanks", not copies of a text
	maxShift = 64  // how many bytes the offset of a target may be off
)

// Calibration is the expected calibration error over ten bins of confidence; it
// is measured in every task.
const Calibration Metric = "calibration_error"

// Emotions are the names of GoEmotions, in the order of Prediction.Emotions.
var Emotions = []string{
	"admiration", "amusement", "anger", "annoyance", "approval", "caring", "confusion", "curiosity", "desire",
	"disappointment", "disapproval", "disgust", "embarrassment", "excitement", "fear", "gratitude", "grief", "joy",
	"love", "nervousness", "optimism", "pride", "realization", "relief", "remorse", "sadness", "surprise", "neutral",
}

// Moods are the names of TweetEval's emotions, in the order of Prediction.Moods.
var Moods = []string{"anger", "joy", "optimism", "sadness"}

// Prediction is what a scorer says about one example, as probabilities. A part
// that it can not tell is nil.
type Prediction struct {
	Polarity []float64 // negative, neutral, positive
	Stars    []float64 // one to five
	Emotions []float64 // each for itself; see Emotions
	Moods    []float64 // see Moods; when nil, those four of Emotions decide
	Target   []float64 // as Polarity, towards Example.Target
}

// Predictor answers the examples of a task. It gives one prediction per example.
type Predictor func(t *Task, examples []Example) []Prediction

// Each makes a Predictor of a function of one example.
func Each(f func(*Example) Prediction) Predictor {
	return func(_ *Task, examples []Example) []Prediction {
		out := make([]Prediction, len(examples))
		for i := range examples {
			out[i] = f(&examples[i])
		}
		return out
	}
}

// Task is a set of examples with a question and the metrics of the answers.
type Task struct {
	Set      string
	Kind     Kind
	Metrics  []Metric // the first is the one to compare by
	Examples []Example
}

// Figure is the outcome of one metric. Group is a language, "mean" for the mean
// over all languages of the set, or empty.
type Figure struct {
	Set    string  `json:"set"`
	Kind   Kind    `json:"kind"`
	Metric Metric  `json:"metric"`
	Group  string  `json:"group,omitempty"`
	Rows   int     `json:"rows"`
	Value  float64 `json:"value"`
}

// Order sorts figures as Tasks gives them.
func (f *Figure) Order() int {
	for i, sp := range taskSpecs {
		if sp.set == f.Set && sp.kind == f.Kind {
			return i*8 + slices.Index(append(slices.Clone(sp.metrics), Calibration), f.Metric)
		}
	}
	return len(taskSpecs) * 8
}

// taskSpec says how a file becomes a task.
type taskSpec struct {
	set, file, source string
	kind              Kind
	metrics           []Metric
	heldOut           bool // the tenth of a training file
}

var taskSpecs = []taskSpec{
	{set: "sst2_dev", source: "review", kind: Binary, metrics: []Metric{Accuracy}},
	{set: "sst5_dev", source: "review", kind: FiveStars, metrics: []Metric{Accuracy}},
	{set: "sst5_dev", source: "review", kind: ThreeClass, metrics: []Metric{Accuracy}},
	{set: "imdb_heldout", file: "imdb_train", source: "review", kind: Binary, metrics: []Metric{Accuracy}, heldOut: true},
	{set: "cr_heldout", file: "customer_reviews_cr", source: "review", kind: Binary, metrics: []Metric{Accuracy}, heldOut: true},
	{set: "tweeteval_sentiment_val", source: "tweet", kind: ThreeClass, metrics: []Metric{MacroRecall}},
	{set: "tse_val", source: "tweet", kind: ThreeClass, metrics: []Metric{MacroRecall, Accuracy}},
	{set: "goemotions_val", source: "comment", kind: ThreeClass, metrics: []Metric{MacroF1, MacroRecall}},
	{set: "goemotions_val", source: "comment", kind: AllEmotion, metrics: []Metric{MacroF1}},
	{set: "tweeteval_emotion_val", source: "tweet", kind: FourMoods, metrics: []Metric{MacroF1}},
	{set: "multilingual_umsab_val", source: "tweet", kind: ThreeClass, metrics: []Metric{MacroF1}},
	{set: "multilingual_nusax_val", source: "review", kind: ThreeClass, metrics: []Metric{MacroF1}},
	{set: "aspect_mams_val", source: "review", kind: OfTarget, metrics: []Metric{Accuracy, MacroF1}},
	{set: "restaurants_heldout", file: "aspect_semeval14_restaurants_train", source: "review", kind: OfTarget, metrics: []Metric{Accuracy, MacroF1}, heldOut: true},
	{set: "laptops_heldout", file: "aspect_semeval14_laptops_train", source: "review", kind: OfTarget, metrics: []Metric{Accuracy, MacroF1}, heldOut: true},
	{set: "twitter_heldout", file: "aspect_twitter_acl14_train", source: "tweet", kind: OfTarget, metrics: []Metric{Accuracy, MacroF1}, heldOut: true},
}

func (sp *taskSpec) name() string {
	if sp.file != "" {
		return sp.file
	}
	return sp.set
}

// Tasks loads all that a scorer is measured on: the validation files, and the
// tenths that are held out of training files.
func Tasks(dir string) ([]Task, error) {
	var tasks []Task
	for _, sp := range taskSpecs {
		t := Task{Set: sp.set, Kind: sp.kind, Metrics: append(slices.Clone(sp.metrics), Calibration)}
		examples, err := Examples(dir, sp.name(), sp.kind)
		if err != nil {
			return nil, err
		}
		for _, e := range examples {
			if sp.heldOut && !HeldOut(e.Text) {
				continue
			}
			e.Source = sp.source
			t.Examples = append(t.Examples, e)
		}
		if len(t.Examples) == 0 {
			return nil, fmt.Errorf("%s: no usable rows", sp.name())
		}
		tasks = append(tasks, t)
	}
	return tasks, nil
}

// Examples reads the rows of a file that have a label of the kind.
func Examples(dir, file string, kind Kind) ([]Example, error) {
	rows, err := Columns(dir, file, "label", "text", "lang", "emotions", "aspect", "from", "template")
	if err != nil {
		return nil, err
	}
	var out []Example
	for _, r := range rows {
		e := Example{Text: r[1], Group: r[2]}
		ok := false
		switch kind {
		case FiveStars:
			e.Class, err = strconv.Atoi(r[0])
			ok = err == nil && e.Class >= 0 && e.Class < 5
		case FourMoods:
			e.Class = slices.Index(Moods, r[0])
			ok = e.Class >= 0
		case AllEmotion:
			e.Present = make([]bool, len(Emotions))
			for name := range strings.SplitSeq(r[3], ",") {
				if k := slices.Index(Emotions, name); k >= 0 {
					e.Present[k], ok = true, true
				}
			}
		default:
			e.Class, ok = Polarity(r[0])
		}
		if kind == OfTarget && ok {
			if e.Target = r[4]; !strings.Contains(e.Text, e.Target) {
				e.Target = strings.Join(strings.Fields(e.Target), " ")
			}
			e.From = place(e.Text, e.Target, r[5], r[6])
			ok = e.From >= 0
		}
		if ok {
			out = append(out, e)
		}
	}
	return out, nil
}

// place finds the byte offset of a target: where the template has its mark, or
// the mention next to the given offset, which counts characters.
func place(text, target, from, template string) int {
	if template != "" {
		return strings.Index(template, "$T$")
	}
	want, err := strconv.Atoi(from)
	if err != nil {
		return -1
	}
	runes := 0
	at := len(text)
	for i := range text {
		if runes == want {
			at = i
			break
		}
		runes++
	}
	best := -1
	for i := 0; i+len(target) <= len(text); i++ {
		if strings.HasPrefix(text[i:], target) && (best < 0 || distance(i, at) < distance(best, at)) {
			best = i
		}
	}
	if best >= 0 && distance(best, at) > maxShift {
		return -1
	}
	return best
}

func distance(a, b int) int { return max(a-b, b-a) }

// Run measures a predictor. Without hint, no example names its source. A
// predictor that can not do the task gets no figures.
func (t *Task) Run(predict Predictor, hint bool) []Figure {
	examples := t.Examples
	if !hint {
		examples = slices.Clone(examples)
		for i := range examples {
			examples[i].Source = ""
		}
	}
	all := newTally(t.Kind)
	groups := map[string]*tally{}
	for i, p := range predict(t, examples) {
		probs := t.Kind.answer(&p)
		if probs == nil {
			return nil
		}
		e := &examples[i]
		all.add(e, probs)
		if e.Group != "" {
			if groups[e.Group] == nil {
				groups[e.Group] = newTally(t.Kind)
			}
			groups[e.Group].add(e, probs)
		}
	}
	var figures []Figure
	for _, m := range t.Metrics {
		f := Figure{Set: t.Set, Kind: t.Kind, Metric: m, Rows: len(examples), Value: all.value(m)}
		if m == Calibration || len(groups) == 0 {
			figures = append(figures, f)
			continue
		}
		f.Group, f.Value = Mean, 0
		at := len(figures)
		figures = append(figures, f)
		for _, name := range slices.Sorted(maps.Keys(groups)) {
			g := groups[name]
			v := g.value(m)
			figures[at].Value += v / float64(len(groups))
			figures = append(figures, Figure{Set: t.Set, Kind: t.Kind, Metric: m, Group: name, Rows: g.n, Value: v})
		}
	}
	return figures
}

// answer picks the probabilities that a kind is judged by.
func (k Kind) answer(p *Prediction) []float64 {
	switch k {
	case FiveStars:
		return p.Stars
	case AllEmotion:
		return p.Emotions
	case OfTarget:
		return p.Target
	case FourMoods:
		if p.Moods != nil || p.Emotions == nil {
			return p.Moods
		}
		moods := make([]float64, len(Moods))
		for i, name := range Moods {
			moods[i] = p.Emotions[slices.Index(Emotions, name)]
		}
		return normalise(moods)
	case Binary:
		if p.Polarity == nil {
			return nil
		}
		return normalise([]float64{p.Polarity[Negative], 0, p.Polarity[Positive]})
	}
	return p.Polarity
}

// normalise makes p sum to 1, in place.
func normalise(p []float64) []float64 {
	sum := 0.0
	for _, x := range p {
		sum += x
	}
	for i := range p {
		if sum > 0 {
			p[i] /= sum
		}
	}
	return p
}

// tally counts outcomes per class.
type tally struct {
	multi              bool
	n, hits            int
	tp, truth, claimed []int
	bin                [bins]struct{ n, hit, conf float64 }
}

func newTally(k Kind) *tally {
	n := map[Kind]int{FiveStars: 5, FourMoods: len(Moods), AllEmotion: len(Emotions)}[k]
	if n == 0 {
		n = 3
	}
	return &tally{multi: k == AllEmotion, tp: make([]int, n), truth: make([]int, n), claimed: make([]int, n)}
}

func (c *tally) add(e *Example, p []float64) {
	c.n++
	if c.multi {
		hit := true
		for k, present := range e.Present {
			c.count(k, present, p[k] >= bar)
			c.calibrate(p[k], present)
			hit = hit && present == (p[k] >= bar)
		}
		if hit {
			c.hits++
		}
		return
	}
	best := 0
	for k := range p {
		if p[k] > p[best] {
			best = k
		}
	}
	for k := range p {
		c.count(k, k == e.Class, k == best)
	}
	c.calibrate(p[best], best == e.Class)
	if best == e.Class {
		c.hits++
	}
}

func (c *tally) count(k int, present, claimed bool) {
	if present {
		c.truth[k]++
	}
	if claimed {
		c.claimed[k]++
	}
	if present && claimed {
		c.tp[k]++
	}
}

func (c *tally) calibrate(p float64, hit bool) {
	b := &c.bin[min(int(p*bins), bins-1)]
	b.n++
	b.conf += p
	if hit {
		b.hit++
	}
}

func (c *tally) value(m Metric) float64 {
	switch m {
	case MacroRecall:
		return c.macro(func(tp, truth, _ float64) float64 { return ratio(tp, truth) })
	case MacroF1:
		return c.macro(func(tp, truth, claimed float64) float64 { return ratio(2*tp, truth+claimed) })
	case Calibration:
		sum, n := 0.0, 0.0
		for _, b := range c.bin {
			sum += math.Abs(b.hit - b.conf)
			n += b.n
		}
		return ratio(sum, n)
	}
	return ratio(float64(c.hits), float64(c.n))
}

// macro averages f over the classes that occur.
func (c *tally) macro(f func(tp, truth, claimed float64) float64) float64 {
	sum, n := 0.0, 0.0
	for k, truth := range c.truth {
		if truth > 0 {
			sum += f(float64(c.tp[k]), float64(truth), float64(c.claimed[k]))
			n++
		}
	}
	return ratio(sum, n)
}

// Guard keeps validation texts out of training.
type Guard struct{ banned map[string]bool }

// NewGuard reads the texts that must not be trained on: those of the validation
// files, and the held-out tenths.
func NewGuard(dir string) (*Guard, error) {
	g := &Guard{banned: map[string]bool{}}
	add := func(file string, heldOut bool) error {
		rows, err := Columns(dir, file, "text")
		for _, r := range rows {
			if k := Key(r[0]); len(k) >= shortKey && (!heldOut || HeldOut(r[0])) {
				g.banned[k] = true
			}
		}
		return err
	}
	for _, sp := range taskSpecs {
		if err := add(sp.name(), sp.heldOut); err != nil {
			return nil, err
		}
	}
	return g, nil
}

// Allows reports whether a row of a training file may be trained on.
func (g *Guard) Allows(file, text string) bool {
	if g.banned[Key(text)] {
		return false
	}
	for _, sp := range taskSpecs {
		if sp.heldOut && sp.file == file {
			return !HeldOut(text)
		}
	}
	return true
}
