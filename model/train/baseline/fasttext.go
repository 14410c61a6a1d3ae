package main

import (
	"bufio"
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/synapse-analytics/synapse/model/internal/dataset"
)

// shape is a size of model. The epochs and rates were chosen on the validation
// sets: few for many rows, and as many as the larger shape needs for few.
type shape struct {
	name, about        string
	args               []string
	many, few, present []string // for lessons of many rows, of few, and of emotions
}

var shapes = []shape{
	{
		name: "fasttext-small", about: "fastText 0.9.2, 24 dimensions, words and pairs of words",
		args: []string{"-dim", "24", "-wordNgrams", "2"},
		many: []string{"-epoch", "5", "-lr", "0.1"}, few: []string{"-epoch", "25", "-lr", "0.1"},
		present: []string{"-epoch", "25", "-lr", "0.5", "-loss", "one-vs-all"},
	},
	{
		name: "fasttext-big", about: "fastText 0.9.2, 100 dimensions, one to three words, two to five letters",
		args: []string{"-dim", "100", "-wordNgrams", "3", "-minn", "2", "-maxn", "5"},
		many: []string{"-epoch", "3", "-lr", "0.1"}, few: []string{"-epoch", "10", "-lr", "0.5"},
		present: []string{"-epoch", "10", "-lr", "0.5", "-loss", "one-vs-all"},
	},
}

// lesson is what one model learns, and the tasks that it then answers.
type lesson struct {
	name    string
	kind    dataset.Kind
	classes int
	many    bool // rows
	rows    []row
	answers func(t *dataset.Task) bool
}

// lessons are the models of a column: one for polarity in English, and one each
// for stars, moods, emotions, every multilingual set and every set of targets.
func lessons(r *reader) ([]lesson, error) {
	set := func(names ...string) func(*dataset.Task) bool {
		return func(t *dataset.Task) bool {
			for _, n := range names {
				if t.Set == n {
					return true
				}
			}
			return false
		}
	}
	kind := func(k dataset.Kind) func(*dataset.Task) bool {
		return func(t *dataset.Task) bool { return t.Kind == k }
	}
	english := func(t *dataset.Task) bool {
		return t.Kind == dataset.Binary || t.Kind == dataset.ThreeClass && !strings.HasPrefix(t.Set, "multilingual")
	}
	all := []lesson{
		{name: "english", kind: dataset.ThreeClass, classes: 3, many: true, answers: english},
		{name: "stars", kind: dataset.FiveStars, classes: 5, many: true, answers: kind(dataset.FiveStars)},
		{name: "emotions", kind: dataset.AllEmotion, classes: 28, answers: kind(dataset.AllEmotion)},
		{name: "tweeteval_emotion_train", kind: dataset.FourMoods, classes: 4, answers: kind(dataset.FourMoods)},
		{name: "multilingual_umsab_train", kind: dataset.ThreeClass, classes: 3, answers: set("multilingual_umsab_val")},
		{name: "multilingual_nusax_train", kind: dataset.ThreeClass, classes: 3, answers: set("multilingual_nusax_val")},
		{name: "aspect_mams_train", kind: dataset.OfTarget, classes: 3, answers: set("aspect_mams_val")},
		{name: "aspect_semeval14_restaurants_train", kind: dataset.OfTarget, classes: 3, answers: set("restaurants_heldout")},
		{name: "aspect_semeval14_laptops_train", kind: dataset.OfTarget, classes: 3, answers: set("laptops_heldout")},
		{name: "aspect_twitter_acl14_train", kind: dataset.OfTarget, classes: 3, answers: set("twitter_heldout")},
	}
	for i := range all {
		l := &all[i]
		var err error
		switch l.name {
		case "english":
			l.rows, err = r.polarity()
		case "stars":
			l.rows, err = r.stars()
		case "emotions":
			l.rows, err = r.labelled("goemotions_train", l.kind)
		default:
			l.rows, err = r.labelled(l.name, l.kind)
		}
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

// fastText runs the command of that name; its files live in dir.
type fastText struct {
	command, dir string
}

// run trains one model and lets it answer its tasks.
func (f *fastText) run(l *lesson, s shape, seed int, tasks []dataset.Task) (map[*dataset.Task][]dataset.Figure, error) {
	order := rand.New(rand.NewPCG(uint64(seed), 7)).Perm(len(l.rows))
	var b bytes.Buffer
	for _, i := range order {
		for _, label := range l.rows[i].labels {
			b.WriteString("__label__" + label + " ")
		}
		b.WriteString(strings.Join(words(l.rows[i].text), " ") + "\n")
	}
	input, output := filepath.Join(f.dir, "train.txt"), filepath.Join(f.dir, "model")
	if err := os.WriteFile(input, b.Bytes(), 0o600); err != nil {
		return nil, err
	}
	args := append([]string{"supervised", "-input", input, "-output", output, "-seed", strconv.Itoa(seed), "-thread", "1", "-verbose", "0"}, s.args...)
	switch {
	case l.kind == dataset.AllEmotion:
		args = append(args, s.present...)
	case l.many:
		args = append(args, s.many...)
	default:
		args = append(args, s.few...)
	}
	if _, err := f.call(args...); err != nil {
		return nil, err
	}
	out := map[*dataset.Task][]dataset.Figure{}
	for i := range tasks {
		t := &tasks[i]
		if !l.answers(t) {
			continue
		}
		probs, err := f.predict(output+".bin", t, l.classes)
		if err != nil {
			return nil, err
		}
		out[t] = t.Run(func(*dataset.Task, []dataset.Example) []dataset.Prediction { return probs }, false)
	}
	return out, nil
}

// predict asks for the probabilities of all classes.
func (f *fastText) predict(model string, t *dataset.Task, classes int) ([]dataset.Prediction, error) {
	var b bytes.Buffer
	for i := range t.Examples {
		b.WriteString(strings.Join(words(question(&t.Examples[i], t.Kind)), " ") + "\n")
	}
	input := filepath.Join(f.dir, "ask.txt")
	if err := os.WriteFile(input, b.Bytes(), 0o600); err != nil {
		return nil, err
	}
	raw, err := f.call("predict-prob", model, input, strconv.Itoa(classes))
	if err != nil {
		return nil, err
	}
	var out []dataset.Prediction
	for sc := bufio.NewScanner(bytes.NewReader(raw)); sc.Scan(); {
		p, err := parseAnswer(sc.Text(), classes)
		if err != nil {
			return nil, err
		}
		switch t.Kind {
		case dataset.FiveStars:
			out = append(out, dataset.Prediction{Stars: p})
		case dataset.AllEmotion:
			out = append(out, dataset.Prediction{Emotions: p})
		case dataset.FourMoods:
			out = append(out, dataset.Prediction{Moods: p})
		case dataset.OfTarget:
			out = append(out, dataset.Prediction{Target: p})
		default:
			out = append(out, dataset.Prediction{Polarity: p})
		}
	}
	if len(out) != len(t.Examples) {
		return nil, fmt.Errorf("%s: %d answers to %d texts", t.Set, len(out), len(t.Examples))
	}
	return out, nil
}

// parseAnswer reads "__label__2 0.7 __label__0 0.2 …". A label that is not named
// has probability 0; fastText's rounding may go above 1.
func parseAnswer(line string, classes int) ([]float64, error) {
	p := make([]float64, classes)
	cells := strings.Fields(line)
	if len(cells)%2 != 0 {
		return nil, fmt.Errorf("answer %q", line)
	}
	for i := 0; i < len(cells); i += 2 {
		k, err := strconv.Atoi(strings.TrimPrefix(cells[i], "__label__"))
		if err != nil || k < 0 || k >= classes {
			return nil, fmt.Errorf("answer %q", line)
		}
		if p[k], err = strconv.ParseFloat(cells[i+1], 64); err != nil {
			return nil, err
		}
		p[k] = min(p[k], 1)
	}
	return p, nil
}

func (f *fastText) call(args ...string) ([]byte, error) {
	var errs bytes.Buffer
	c := exec.Command(f.command, args...)
	c.Stderr = &errs
	out, err := c.Output()
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w: %s", f.command, args[0], err, errs.String())
	}
	return out, nil
}
