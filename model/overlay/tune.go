package overlay

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/synapse-analytics/synapse/model"
)

// Bounds of what Tune reads.
const (
	MinRelabels = 8
	MaxRelabels = 10000
	MaxGuard    = 10000
	maxInput    = 1 << 16 // bytes of one text, as in an event
)

// Relabel is a text with the label that a person gave it.
type Relabel struct {
	Input model.Input
	Label model.Label
}

// Options are those of Tune.
type Options struct {
	// Guard are labels of the project that nothing is learned from, best of texts
	// drawn at random: 8 to MaxGuard of them, or none. Without them the relabels
	// themselves are held out in turn.
	Guard []Relabel
}

// Figures measure an overlay on labelled texts.
type Figures struct {
	Texts    int
	Right    int
	Accuracy float64 // Right / Texts
	LogLoss  float64 // mean of -ln p(the given label)
}

// Comparison is one overlay against another on the same texts.
type Comparison struct {
	Fixed, Broken int // labels that became right, and wrong
	// Gain is by how much the mean log loss fell, Noise the standard error of that.
	Gain, Noise float64
}

// helps says that the better labels and probabilities are no accident: those that
// changed went the right way by 1.5 standard errors, and Gain is above Noise.
func (c *Comparison) helps() bool {
	return float64(c.Fixed-c.Broken) >= 1.5*math.Sqrt(float64(c.Fixed+c.Broken)) && c.Fixed > c.Broken && c.Gain > c.Noise
}

// hurts says that fewer labels are right, or the probabilities worse beyond noise.
func (c *Comparison) hurts() bool { return c.Broken > c.Fixed || c.Gain < -c.Noise }

// Change is a held-out text with its results before and after.
type Change struct {
	Input         model.Input
	Label         model.Label // the given one
	Before, After model.Result
}

// Report tells what Tune did and what speaks for it.
type Report struct {
	// Relabels is how many were learned from. Repeated texts (the same words, source
	// and language) count once; those with different labels not at all.
	Relabels, Repeated, Conflicting int
	// Held is how many guard labels were used: those of texts that are not among
	// the relabels. 0 means cross-validation.
	Held int
	// Folds of the cross-validation, 0 with a guard.
	Folds int
	// Without is the user's phrases alone, Before the overlay given to Tune, After
	// the new one, all on the guard. In a cross-validation After is made of overlays
	// that were learned without the texts that they score, and Before is Without:
	// the given overlay may have learned from these very texts.
	Without, Before, After Figures
	// AgainstWithout and AgainstBefore compare After with those.
	AgainstWithout, AgainstBefore Comparison
	// Worse are the texts that After scores worse than Before, at most 20: first
	// those whose label became wrong, then by how much the log loss rose.
	Worse []Change
	// Learned is how many phrases the new overlay learned.
	Learned int
	Bias    Bias
	// Parent is the version of the overlay given to Tune, Version that of the new
	// one, whether or not it was refused.
	Parent, Version string
	// Refused says why, or is empty.
	Refused string
}

// RefusedError says that what could be learned doesn't help on held-out labels.
type RefusedError struct{ Report Report }

func (e *RefusedError) Error() string {
	r := &e.Report
	return fmt.Sprintf("overlay: tuning refused: %s (held-out texts: %d; right before %d, after %d; log loss before %.3f, after %.3f)",
		r.Refused, r.Before.Texts, r.Before.Right, r.After.Right, r.Before.LogLoss, r.After.LogLoss)
}

// Tune learns a small correction of s from the labels that people gave, on top of
// the phrases of users in base: a bias, and weights for words and pairs of words,
// which become phrases of origin Learned. What base had learned is replaced, not
// added to, so give all relabels of the project each time. Their order makes no
// difference.
//
// The new overlay is refused, with a *RefusedError, unless on held-out labels it
//
//   - helps, compared with the user's phrases alone: of the labels that change, more
//     become right than wrong by 1.5 standard errors (the root of their number), and
//     the mean log loss falls by more than its standard error; and
//   - doesn't hurt, compared with base (with a guard only): no fewer labels are
//     right, and the mean log loss doesn't rise by more than its standard error.
//
// Mind that people mostly relabel what is wrong. A guard drawn at random is the
// better judge than the relabels.
func Tune(s *model.Scorer, base *Overlay, relabels []Relabel, opts Options) (*Overlay, Report, error) {
	report := Report{Parent: base.Version()}
	var bad violations
	checkRelabels(&bad, "relabels", relabels, MinRelabels, MaxRelabels)
	if len(opts.Guard) > 0 {
		checkRelabels(&bad, "guard", opts.Guard, MinRelabels, MaxGuard)
	}
	if err := bad.err(); err != nil {
		return nil, report, err
	}
	spec := base.Spec()
	spec.Phrases = slices.DeleteFunc(spec.Phrases, func(p Phrase) bool { return p.learned() })
	spec.Bias, spec.Parent = Bias{}, report.Parent
	plain, err := New(spec)
	if err != nil {
		return nil, report, err
	}

	examples, repeated, conflicting := prepare(s, plain, relabels)
	report.Relabels, report.Repeated, report.Conflicting = len(examples), repeated, conflicting
	guard, _, _ := prepare(s, plain, opts.Guard)
	known := map[string]bool{}
	for _, e := range examples {
		known[e.key] = true
	}
	guard = slices.DeleteFunc(guard, func(e *example) bool { return known[e.key] })
	report.Held = len(guard)
	if len(examples) < MinRelabels {
		bad.add("relabels", fmt.Sprintf("at least %d different texts, each with one label", MinRelabels), "label more texts")
	}
	if len(opts.Guard) > 0 && len(guard) < MinRelabels {
		bad.add("guard", fmt.Sprintf("at least %d different texts that are not among the relabels", MinRelabels), "label more texts, or give no guard")
	}
	if err := bad.err(); err != nil {
		return nil, report, err
	}

	tuned, err := learn(plain, examples)
	if err != nil {
		return nil, report, err
	}
	report.Version = tuned.Version()
	report.Bias = Bias{tuned.bias.d, tuned.bias.n}
	report.Learned = len(tuned.phrases) - len(plain.phrases)

	held := guard
	var after []outcome
	if len(guard) > 0 {
		after = outcomes(s, tuned, guard)
	} else {
		held = examples
		if after, report.Folds, err = crossValidate(s, plain, examples); err != nil {
			return nil, report, err
		}
	}
	without := outcomes(s, plain, held)
	before := without
	if report.Folds == 0 {
		before = outcomes(s, base, held)
	}
	report.Without, report.Before, report.After = figures(without), figures(before), figures(after)
	report.AgainstWithout, report.AgainstBefore = compare(without, after), compare(before, after)
	report.Worse = worse(held, before, after)
	switch {
	case !report.AgainstWithout.helps():
		report.Refused = "no gain beyond noise"
	case report.Folds == 0 && report.AgainstBefore.hurts():
		report.Refused = "worse than the present overlay"
	default:
		return tuned, report, nil
	}
	return nil, report, &RefusedError{report}
}

func checkRelabels(bad *violations, field string, relabels []Relabel, least, most int) {
	if n := len(relabels); n < least || n > most {
		bad.add(field, fmt.Sprintf("%d to %d", least, most), fmt.Sprintf("there are %d: give more or fewer", n))
		return
	}
	for i := range relabels {
		r := &relabels[i]
		if r.Label < model.Negative || r.Label > model.Positive {
			bad.add(fmt.Sprintf("%s[%d].label", field, i), "negative, neutral or positive", "give one of the three")
		}
		if len(r.Input.Text) > maxInput || strings.TrimSpace(r.Input.Text) == "" {
			bad.add(fmt.Sprintf("%s[%d].text", field, i), fmt.Sprintf("1 to %d bytes, not only white space", maxInput), "leave the text out")
		}
	}
}

// prepare brings relabels into canonical order, one per text, and reads them.
func prepare(s *model.Scorer, plain *Overlay, relabels []Relabel) (out []*example, repeated, conflicting int) {
	all := make([]*example, len(relabels))
	for i, r := range relabels {
		e := &example{in: r.Input, label: r.Label, words: words(r.Input.Text, wordsRead)}
		e.in.Targets = nil
		e.key = strings.Join([]string{keyOf(e.words), r.Input.Source, r.Input.Language}, "\x00")
		all[i] = e
	}
	slices.SortFunc(all, func(a, b *example) int {
		return cmp.Or(strings.Compare(a.key, b.key), cmp.Compare(a.label, b.label), strings.Compare(a.in.Text, b.in.Text))
	})
	var sc scratch
	for from := 0; from < len(all); {
		to := from + 1
		for to < len(all) && all[to].key == all[from].key {
			to++
		}
		e := all[from]
		if all[to-1].label != e.label {
			conflicting += to - from
		} else {
			repeated += to - from - 1
			r := s.Score(e.in)
			e.own = make([]bool, len(e.words))
			for _, h := range plain.hits(&sc, &e.in, &r) {
				for i := h.first; i <= h.last && i < len(e.own); i++ {
					e.own[i] = true
				}
			}
			e.result = plain.Score(s, e.in)
			e.at = logits(&e.result.Probabilities)
			out = append(out, e)
		}
		from = to
	}
	return out, repeated, conflicting
}

// learn makes an overlay of plain and what it learns from examples.
func learn(plain *Overlay, examples []*example) (*Overlay, error) {
	c, err := fit(plain, examples)
	if err != nil {
		return nil, err
	}
	spec := plain.Spec()
	spec.Bias = c.bias
	spec.Phrases = append(spec.Phrases, c.phrases...)
	return New(spec)
}

// crossValidate scores every example with an overlay that was learned without it.
func crossValidate(s *model.Scorer, plain *Overlay, examples []*example) ([]outcome, int, error) {
	const most = 10
	folds := min(most, len(examples))
	// Dealt out label by label, so that the folds are alike.
	order := make([]int, len(examples))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(examples[a].label, examples[b].label) })
	out := make([]outcome, len(examples))
	for f := range folds {
		held := make([]bool, len(examples))
		for i := f; i < len(order); i += folds {
			held[order[i]] = true
		}
		var rest []*example
		for i, e := range examples {
			if !held[i] {
				rest = append(rest, e)
			}
		}
		o, err := learn(plain, rest)
		if err != nil {
			return nil, 0, errors.Join(fmt.Errorf("overlay: fold %d", f), err)
		}
		for i, e := range examples {
			if held[i] {
				out[i] = outcomes(s, o, []*example{e})[0]
			}
		}
	}
	return out, folds, nil
}

// outcome is how an overlay did on one example.
type outcome struct {
	result model.Result
	right  bool
	loss   float64
}

func outcomes(s *model.Scorer, o *Overlay, examples []*example) []outcome {
	out := make([]outcome, len(examples))
	for i, e := range examples {
		r := o.Score(s, e.in)
		out[i] = outcome{r, r.Label == e.label, -ln(r.Probabilities[e.label])}
	}
	return out
}

func figures(all []outcome) Figures {
	f := Figures{Texts: len(all)}
	for i := range all {
		if all[i].right {
			f.Right++
		}
		f.LogLoss += all[i].loss
	}
	n := float64(len(all))
	f.Accuracy, f.LogLoss = float64(f.Right)/n, f.LogLoss/n
	return f
}

func compare(before, after []outcome) Comparison {
	var c Comparison
	n := float64(len(before))
	for i := range before {
		switch {
		case after[i].right && !before[i].right:
			c.Fixed++
		case before[i].right && !after[i].right:
			c.Broken++
		}
		c.Gain += (before[i].loss - after[i].loss) / n
	}
	squares := 0.0
	for i := range before {
		d := before[i].loss - after[i].loss - c.Gain
		squares += float64(d * d)
	}
	c.Noise = math.Sqrt(squares / (n - 1) / n)
	return c
}

// worse lists the examples that lost.
func worse(held []*example, before, after []outcome) []Change {
	const most = 20
	var which []int
	for i := range held {
		if after[i].loss > before[i].loss {
			which = append(which, i)
		}
	}
	broken := func(i int) int {
		if before[i].right && !after[i].right {
			return 0
		}
		return 1
	}
	slices.SortStableFunc(which, func(a, b int) int {
		return cmp.Or(broken(a)-broken(b), cmp.Compare(after[b].loss-before[b].loss, after[a].loss-before[a].loss))
	})
	var out []Change
	for _, i := range which[:min(len(which), most)] {
		out = append(out, Change{held[i].in, held[i].label, before[i].result, after[i].result})
	}
	return out
}
