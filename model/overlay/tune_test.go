package overlay

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/synapse-analytics/synapse/model"
)

// accuracy is that of o on relabels.
func accuracy(o *Overlay, relabels []Relabel) float64 {
	right := 0
	for _, r := range relabels {
		if o.Score(model.Default(), r.Input).Label == r.Label {
			right++
		}
	}
	return float64(right) / float64(len(relabels))
}

// unseen are texts of the project that are not among known.
func unseen(seed uint64, n int, known []Relabel) []Relabel {
	seen := map[string]bool{}
	for _, r := range known {
		seen[r.Input.Text] = true
	}
	return slices.DeleteFunc(newProject(seed).relabels(n), func(r Relabel) bool { return seen[r.Input.Text] })
}

// TestTuneLearnsACommunity: in a project whose words are turned around, a few
// relabels lift the accuracy on texts that nobody labelled.
func TestTuneLearnsACommunity(t *testing.T) {
	for _, c := range []struct {
		relabels, guard int
		gain            float64
		words           int // of praise, found
	}{
		{30, 0, 0.12, 2},
		{30, 60, 0.12, 2},
		{120, 0, 0.3, 4},
	} {
		p := newProject(1)
		relabels, opts := p.relabels(c.relabels), Options{Guard: p.relabels(c.guard)}
		o, report, err := Tune(model.Default(), nil, relabels, opts)
		require.NoError(t, err)
		texts := unseen(99, 600, relabels)
		before, after := accuracy(nil, texts), accuracy(o, texts)
		t.Logf("%d relabels, %d guard: accuracy on %d unseen texts %.3f -> %.3f (held-out labels: %d -> %d of %d right), %d learned",
			c.relabels, c.guard, len(texts), before, after, report.Before.Right, report.After.Right, report.After.Texts, report.Learned)
		require.Greater(t, after, before+c.gain)

		require.Equal(t, o.Version(), report.Version)
		require.Empty(t, report.Refused)
		require.Greater(t, report.After.Accuracy, report.Without.Accuracy)
		if c.guard == 0 {
			require.Equal(t, 10, report.Folds)
			require.Equal(t, report.Relabels, report.After.Texts)
		} else {
			require.Zero(t, report.Folds)
			require.Equal(t, report.Held, report.After.Texts)
		}

		// What was learned can be read.
		learned := map[string]float64{}
		for _, ph := range o.Spec().Phrases {
			require.Equal(t, Learned, ph.Origin)
			require.True(t, ph.Add)
			require.GreaterOrEqual(t, ph.Seen, 2)
			require.GreaterOrEqual(t, 5*ph.Agreed, 4*ph.Seen)
			require.Equal(t, ph.Weight, math.Round(ph.Weight*1000)/1000)
			if !ph.Neutral {
				learned[ph.Text] = ph.Weight
			}
		}
		require.Len(t, o.Spec().Phrases, report.Learned)
		found := 0
		for w := range strings.SplitSeq(praise, "|") {
			if learned[w] > 0 {
				found++
			}
		}
		require.GreaterOrEqual(t, found, c.words, "%v", learned)
	}
}

func TestTuneIgnoresTheOrder(t *testing.T) {
	relabels := newProject(2).relabels(60)
	user, err := New(Spec{Phrases: []Phrase{{Text: "gnarly", Weight: 3}}})
	require.NoError(t, err)
	first, report, err := Tune(model.Default(), user, relabels, Options{})
	require.NoError(t, err)
	rng := rand.New(rand.NewPCG(3, 3))
	for range 3 {
		rng.Shuffle(len(relabels), func(i, j int) { relabels[i], relabels[j] = relabels[j], relabels[i] })
		o, again, err := Tune(model.Default(), user, relabels, Options{})
		require.NoError(t, err)
		require.Equal(t, first.Version(), o.Version())
		require.Equal(t, report, again)
	}
}

// Labels that have nothing to do with the texts teach nothing. One in many draws
// may pass by luck.
func TestTuneRefusesNoise(t *testing.T) {
	s := model.Default()
	passed := 0
	for seed := range uint64(12) {
		p := newProject(10 + seed)
		relabels := p.relabels(40)
		for i := range relabels {
			relabels[i].Label = s.Score(relabels[i].Input).Label
		}
		p.rng.Shuffle(len(relabels), func(i, j int) { relabels[i].Label, relabels[j].Label = relabels[j].Label, relabels[i].Label })
		opts := Options{}
		if seed%2 == 0 {
			// The guard's labels are those that the scorer gets right.
			opts.Guard = p.relabels(40)
			for i := range opts.Guard {
				opts.Guard[i].Label = s.Score(opts.Guard[i].Input).Label
			}
		}
		o, report, err := Tune(s, nil, relabels, opts)
		if err == nil {
			passed++
			continue
		}
		var refused *RefusedError
		require.ErrorAs(t, err, &refused)
		require.Nil(t, o)
		require.Equal(t, report, refused.Report)
		require.NotEmpty(t, report.Refused)
		require.Contains(t, err.Error(), report.Refused)
		require.Positive(t, report.Before.Texts)
		require.LessOrEqual(t, len(report.Worse), 20)
		for i, c := range report.Worse {
			require.Less(t, c.After.Probabilities[c.Label], c.Before.Probabilities[c.Label])
			if i > 0 && c.Before.Label == c.Label && c.After.Label != c.Label {
				last := report.Worse[i-1]
				require.True(t, last.Before.Label == last.Label && last.After.Label != last.Label, "broken labels come first")
			}
		}
	}
	require.LessOrEqual(t, passed, 1)
}

// A guard that contradicts the relabels wins.
func TestGuardRefusesHarm(t *testing.T) {
	s := model.Default()
	p := newProject(4)
	relabels, guard := p.relabels(60), p.relabels(90)
	good, _, err := Tune(s, nil, relabels, Options{Guard: guard})
	require.NoError(t, err)
	for i := range relabels {
		relabels[i].Label = (relabels[i].Label + 1) % 3
	}
	o, report, err := Tune(s, good, relabels, Options{Guard: guard})
	var refused *RefusedError
	require.ErrorAs(t, err, &refused)
	require.Nil(t, o)
	require.Equal(t, good.Version(), report.Parent)
	require.Less(t, report.After.Accuracy, report.Before.Accuracy)
	require.Positive(t, report.AgainstBefore.Broken)
	require.Negative(t, report.AgainstBefore.Gain)
	require.NotEmpty(t, report.Worse)
}

// Learning more must not make the present overlay worse, even where it still
// helps compared with none.
func TestGuardComparesWithThePresentOverlay(t *testing.T) {
	s := model.Default()
	p := newProject(5)
	many, guard := p.relabels(200), p.relabels(200)
	present, _, err := Tune(s, nil, many, Options{Guard: guard})
	require.NoError(t, err)
	_, report, err := Tune(s, present, many[:20], Options{Guard: guard})
	var refused *RefusedError
	require.ErrorAs(t, err, &refused)
	require.Less(t, report.After.Right, report.Before.Right)
}

func TestTuneKeepsUserPhrases(t *testing.T) {
	s := model.Default()
	relabels := newProject(6).relabels(90)
	base, err := New(Spec{
		Phrases: []Phrase{
			{Text: "Sick", Weight: 4, Note: "praise"},
			{Text: "the garage", Neutral: true},
			{Text: "stale", Weight: 1, Add: true, Origin: Learned, Seen: 3, Agreed: 3},
		},
		Unlearn: []string{"CUTE"},
		Bias:    Bias{Polarity: 0.5},
	})
	require.NoError(t, err)
	o, report, err := Tune(s, base, relabels, Options{})
	require.NoError(t, err)
	require.Equal(t, base.Version(), o.Parent())
	require.Equal(t, base.Version(), report.Parent)
	var user []string
	for _, p := range o.Spec().Phrases {
		if p.Origin == User {
			user = append(user, p.Text)
			continue
		}
		w := words(p.Text, 10)
		require.NotContains(t, []string{"sick", "cute", "stale", "garage"}, w[0].form, "learned %q", p.Text)
		require.NotContains(t, []string{"sick", "stale", "garage"}, w[len(w)-1].form, "learned %q", p.Text)
	}
	require.ElementsMatch(t, []string{"Sick", "the garage"}, user)
	require.Equal(t, []string{"CUTE"}, o.Spec().Unlearn)

	// Learned anew, the same comes out: what base had learned doesn't pile up.
	again, _, err := Tune(s, o, relabels, Options{})
	require.NoError(t, err)
	require.Equal(t, o.Version(), again.Version())
	require.Equal(t, o.Version(), again.Parent())
}

func TestTuneCountsRelabelsOnce(t *testing.T) {
	p := newProject(7)
	relabels := p.relabels(60)
	o, _, err := Tune(model.Default(), nil, relabels, Options{})
	require.NoError(t, err)
	// A repetition, one in other case, and two that contradict each other.
	more := append(slices.Clone(relabels), relabels[0], relabels[1],
		Relabel{model.Input{Text: strings.ToUpper(relabels[1].Input.Text)}, relabels[1].Label},
		Relabel{model.Input{Text: "who knows"}, model.Positive}, Relabel{model.Input{Text: "Who knows"}, model.Negative})
	more[len(more)-3].Input.Text = relabels[1].Input.Text + " "
	guard := append(newProject(8).relabels(60), relabels[:5]...)
	again, report, err := Tune(model.Default(), nil, more, Options{})
	require.NoError(t, err)
	require.Equal(t, o.Version(), again.Version())
	require.Equal(t, 2, report.Conflicting)
	require.Equal(t, len(more)-2-report.Relabels, report.Repeated)
	require.GreaterOrEqual(t, report.Repeated, 3)

	_, report, err = Tune(model.Default(), nil, more, Options{Guard: guard})
	require.NoError(t, err)
	require.LessOrEqual(t, report.Held, 60, "texts that were learned from don't guard")
}

func TestTuneRefusesBadInput(t *testing.T) {
	good := newProject(9).relabels(20)
	with := func(r Relabel) []Relabel { return append(slices.Clone(good), r) }
	same := make([]Relabel, 20)
	for i := range same {
		same[i] = good[i%3]
	}
	for name, c := range map[string]struct {
		relabels, guard []Relabel
		field           string
	}{
		"none":         {nil, nil, "relabels"},
		"few":          {good[:7], nil, "relabels"},
		"too many":     {make([]Relabel, MaxRelabels+1), nil, "relabels"},
		"same text":    {same, nil, "relabels"},
		"label":        {with(Relabel{model.Input{Text: "a"}, 3}), nil, "relabels[20].label"},
		"label below":  {with(Relabel{model.Input{Text: "a"}, -1}), nil, "relabels[20].label"},
		"empty":        {with(Relabel{model.Input{Text: " \n"}, 1}), nil, "relabels[20].text"},
		"long":         {with(Relabel{model.Input{Text: strings.Repeat("a", 1<<16+1)}, 1}), nil, "relabels[20].text"},
		"small guard":  {good, good[:3], "guard"},
		"guard known":  {good, good, "guard"},
		"guard label":  {good, with(Relabel{model.Input{Text: "a"}, 9}), "guard[20].label"},
		"large guard":  {good, make([]Relabel, MaxGuard+1), "guard"},
		"unread texts": {slices.Repeat([]Relabel{{model.Input{Text: "\xff"}, 1}}, 9), nil, "relabels"},
	} {
		t.Run(name, func(t *testing.T) {
			o, _, err := Tune(model.Default(), nil, c.relabels, Options{Guard: c.guard})
			require.Nil(t, o)
			var invalid *InvalidError
			require.ErrorAs(t, err, &invalid)
			require.Equal(t, c.field, invalid.Violations[0].Field)
			require.NotEmpty(t, invalid.Violations[0].Rule)
			require.NotEmpty(t, invalid.Violations[0].Remedy)
		})
	}
}

// The solution is a minimum: no step of any weight, within its bounds, is better.
func TestSolveConverges(t *testing.T) {
	s := model.Default()
	plain, err := New(Spec{})
	require.NoError(t, err)
	examples, _, _ := prepare(s, plain, newProject(11).relabels(90))
	grams := candidates(plain, examples)
	require.NotEmpty(t, grams)
	columns, err := design(plain, grams, examples)
	require.NoError(t, err)
	bias, weights := solve(columns, examples)
	loss := func(bias shift, weights []float64) float64 {
		at := make([]shift, len(examples))
		sum := biasPrior / 2 * (bias.d*bias.d + bias.n*bias.n)
		for i := range at {
			at[i] = examples[i].at.plus(bias)
		}
		for j, c := range columns {
			sum += wordPrior/2*weights[j]*weights[j] + wordCost*weights[j]
			for k, i := range c.examples {
				at[i].d += weights[j] * c.moves[k].d
				at[i].n += weights[j] * c.moves[k].n
			}
		}
		for i, e := range examples {
			sum -= math.Log(softmax(at[i]).Probabilities[e.label])
		}
		return sum
	}
	least := loss(bias, weights)
	for _, by := range []float64{-1e-3, 1e-3} {
		require.GreaterOrEqual(t, loss(shift{bias.d + by, bias.n}, weights), least)
		require.GreaterOrEqual(t, loss(shift{bias.d, bias.n + by}, weights), least)
		for j := range weights {
			other := slices.Clone(weights)
			other[j] = min(max(other[j]+by, 0), maxWord)
			require.GreaterOrEqual(t, loss(bias, other), least, "%q %v", grams[j].text, weights[j])
		}
	}
}

// A word behind a negation speaks for the other side of its label.
func TestCandidatesHearNegation(t *testing.T) {
	plain, err := New(Spec{})
	require.NoError(t, err)
	var relabels []Relabel
	for _, place := range []string{"park", "ramp", "bowl", "plaza"} {
		relabels = append(relabels,
			Relabel{model.Input{Text: "that run at the " + place + " was not gnarly"}, model.Negative},
			Relabel{model.Input{Text: "gnarly " + place}, model.Positive},
			Relabel{model.Input{Text: "I went to the " + place + " on Sunday"}, model.Neutral})
	}
	examples, _, _ := prepare(model.Default(), plain, relabels)
	for _, g := range candidates(plain, examples) {
		if g.text == "gnarly" {
			require.Equal(t, model.Positive, g.class)
			require.Equal(t, 8, g.seen)
			require.Equal(t, 8, g.agreed)
			return
		}
	}
	t.Fatal("not among the candidates")
}
