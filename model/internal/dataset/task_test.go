package dataset

import (
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// figures maps metric/group to the value.
func figures(list []Figure) map[string]float64 {
	m := map[string]float64{}
	for _, f := range list {
		m[string(f.Metric)+"/"+f.Group] = f.Value
	}
	return m
}

// sure answers with certainty what the text's digit says.
func sure(e *Example) Prediction {
	p := []float64{0, 0, 0, 0, 0}
	p[e.Text[0]-'0'] = 1
	return Prediction{Polarity: p[:3], Stars: p, Target: p[:3]}
}

// The figures in these tests were worked out by hand.
func TestRun(t *testing.T) {
	task := Task{Kind: ThreeClass, Metrics: []Metric{MacroRecall, MacroF1, Accuracy, Calibration}, Examples: []Example{
		{Text: "0", Class: 0, Group: "a"}, {Text: "1", Class: 0, Group: "a"},
		{Text: "1", Class: 1, Group: "b"}, {Text: "2", Class: 2, Group: "b"},
	}}
	got := figures(task.Run(Each(sure), true))
	require.InDelta(t, 0.5, got["macro_recall/a"], 1e-12)
	require.InDelta(t, 1, got["macro_recall/b"], 1e-12)
	require.InDelta(t, 0.75, got["macro_recall/mean"], 1e-12)
	require.InDelta(t, 2.0/3, got["macro_f1/a"], 1e-12)
	require.InDelta(t, 0.25, got["calibration_error/"], 1e-12)
	for i := range task.Examples {
		task.Examples[i].Group = ""
	}
	got = figures(task.Run(Each(sure), true))
	require.InDelta(t, (0.5+1+1)/3, got["macro_recall/"], 1e-12)
	require.InDelta(t, (2.0/3+2.0/3+1)/3, got["macro_f1/"], 1e-12)
	require.InDelta(t, 0.75, got["accuracy/"], 1e-12)
}

func TestRunBinary(t *testing.T) {
	task := Task{Kind: Binary, Metrics: []Metric{Accuracy, Calibration}, Examples: []Example{{Class: Negative}}}
	got := figures(task.Run(Each(func(*Example) Prediction {
		return Prediction{Polarity: []float64{0.2, 0.75, 0.05}}
	}), true))
	require.InDelta(t, 1, got["accuracy/"], 1e-12, "neutral does not count")
	require.InDelta(t, 0.2, got["calibration_error/"], 1e-12, "0.8 of what is left")
}

func TestRunStars(t *testing.T) {
	task := Task{Kind: FiveStars, Metrics: []Metric{Accuracy}, Examples: []Example{{Text: "4", Class: 4}, {Text: "3", Class: 4}}}
	require.InDelta(t, 0.5, figures(task.Run(Each(sure), true))["accuracy/"], 1e-12)
}

func TestRunEmotions(t *testing.T) {
	present := func(names ...string) (p []bool) {
		for _, n := range Emotions {
			p = append(p, len(names) > 0 && (n == names[0] || n == names[len(names)-1]))
		}
		return p
	}
	task := Task{Kind: AllEmotion, Metrics: []Metric{MacroF1}, Examples: []Example{
		{Present: present("anger")}, {Present: present("anger", "joy")}, {Present: present("joy")},
	}}
	predict := Each(func(*Example) Prediction {
		p := make([]float64, len(Emotions))
		p[2], p[17], p[0] = 0.5, 0.49, 1 // anger reaches the bar, joy does not, admiration is wrong
		return Prediction{Emotions: p}
	})
	got := figures(task.Run(predict, true))
	require.InDelta(t, (2*2.0/(2+3)+0)/2, got["macro_f1/"], 1e-12, "over anger and joy, the ones that occur")

	moods := Task{Kind: FourMoods, Metrics: []Metric{Accuracy, Calibration}, Examples: []Example{{Class: 0}, {Class: 1}}}
	got = figures(moods.Run(predict, true))
	require.InDelta(t, 0.5, got["accuracy/"], 1e-12)
	require.InDelta(t, 0.5/0.99-0.5, got["calibration_error/"], 1e-12)
}

func TestRunWithout(t *testing.T) {
	task := Task{Kind: OfTarget, Metrics: []Metric{Accuracy}, Examples: []Example{{Source: "tweet"}}}
	require.Nil(t, task.Run(Each(func(*Example) Prediction { return Prediction{Polarity: []float64{1, 0, 0}} }), true))
	for _, hint := range []bool{true, false} {
		task.Run(Each(func(e *Example) Prediction {
			require.Equal(t, hint, e.Source != "")
			return Prediction{}
		}), hint)
	}
	require.Equal(t, "tweet", task.Examples[0].Source, "the task stays as it was")
}

func TestPlace(t *testing.T) {
	for _, c := range []struct {
		text, target, from, template string
		want                         int
	}{
		{"the food, the food", "food", "14", "", 14},
		{"the food, the food", "food", "3", "", 4},
		{"café: food", "food", "6", "", 7},
		{"the food", "", "", "the $T$", 4},
		{"the food", "wine", "4", "", -1},
		{"the food", "food", "x", "", -1},
	} {
		require.Equal(t, c.want, place(c.text, c.target, c.from, c.template), c.text)
	}
}

// write makes a set of DIR.
func write(t *testing.T, dir, name, rows string) {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, err := z.Write([]byte(rows))
	require.NoError(t, err)
	require.NoError(t, z.Close())
	require.NoError(t, os.WriteFile(filepath.Join(dir, name+".tsv.gz"), b.Bytes(), 0o600))
}

func TestGuard(t *testing.T) {
	dir := t.TempDir()
	heldOut, kept := "", ""
	for i := range 100 {
		text := string(rune('a'+i%26)) + " review of the phone " + string(rune('a'+i/26))
		if HeldOut(text) {
			heldOut = text
		} else {
			kept = text
		}
	}
	for _, sp := range taskSpecs {
		rows := "label\ttext\npositive\t" + sp.name() + " is the text\nneutral\tthanks\n"
		if sp.heldOut {
			rows = "label\ttext\npositive\t" + heldOut + "\npositive\t" + kept + "\n"
		}
		write(t, dir, sp.name(), rows)
	}
	g, err := NewGuard(dir)
	require.NoError(t, err)
	require.False(t, g.Allows("tse_train", "@x SST2_dev is the text!"))
	require.False(t, g.Allows("customer_reviews_cr", heldOut))
	require.False(t, g.Allows("tse_train", heldOut), "another file must not give it back")
	require.True(t, g.Allows("customer_reviews_cr", kept))
	require.True(t, g.Allows("tse_train", "thanks"))
	_, err = NewGuard(t.TempDir())
	require.Error(t, err)
}

func TestExamples(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "x", "label\temotions\taspect\tfrom\ttext\n"+
		"positive\tjoy,love\tfood\t4\tthe food\nambiguous\tneutral\tfood\t4\tthe food\nmixed\t\twine\t4\tthe food\nneutral\t\tthe  food\t0\tthe food\n")
	for kind, want := range map[Kind]int{ThreeClass: 2, AllEmotion: 2, OfTarget: 2, FiveStars: 0, FourMoods: 0} {
		got, err := Examples(dir, "x", kind)
		require.NoError(t, err)
		require.Len(t, got, want, kind)
		if kind == AllEmotion {
			require.True(t, got[0].Present[17] && got[0].Present[18] && !got[0].Present[27])
		}
	}
}
