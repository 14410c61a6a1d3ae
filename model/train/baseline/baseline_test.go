package main

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/synapse-analytics/synapse/model/internal/dataset"
)

func TestWords(t *testing.T) {
	require.Equal(t, "<user> can ' t wait ! <url> 😍", strings.Join(words("@You Can't wait! http://t.co/x 😍"), " "))
	require.Equal(t, []string{"@"}, words("@"))
}

func TestQuestion(t *testing.T) {
	e := &dataset.Example{Text: "The pizza here is good, the staff is rude.", Target: "staff", From: 28}
	require.Equal(t, e.Text+" l_is l_good l_, l_the t_staff r_is r_rude r_.", question(e, dataset.OfTarget))
	require.Equal(t, e.Text, question(e, dataset.ThreeClass))
}

func TestRepeat(t *testing.T) {
	for weight, want := range map[float64]int{0.25: 250, 1: 1000, 1.9: 1900} {
		var rows []row
		for i := range 1000 {
			rows = repeat(rows, row{}, weight, fmt.Sprint("file", i))
		}
		require.InDelta(t, want, len(rows), 50, weight)
	}
}

func TestPhraseWeight(t *testing.T) {
	for want, r := range map[float64]dataset.Row{
		1: {Extra: "sentence", Label: "2"}, 0.1: {Extra: "phrase", Label: "2", Text: "the"}, 0.3: {Extra: "phrase", Label: "3", Text: "good"},
	} {
		require.InDelta(t, want, phraseWeight(r), 0)
	}
	require.InDelta(t, 1, phraseWeight(dataset.Row{Label: "neutral"}), 0, "rows of other files count whole")
}

func TestParseAnswer(t *testing.T) {
	p, err := parseAnswer("__label__2 1.00001 __label__0 0.2", 3)
	require.NoError(t, err)
	require.Equal(t, []float64{0.2, 0, 1}, p)
	for _, line := range []string{"__label__3 0.1", "__label__0", "x 1", "__label__0 x", "__label__-1 1"} {
		_, err := parseAnswer(line, 3)
		require.Error(t, err, line)
	}
}

func TestAgreed(t *testing.T) {
	dir := t.TempDir()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, err := z.Write([]byte("label\taspect\ttext\ttemplate\npositive\ta\ta and b\t$T$ and b\nnegative\tb\ta and b\ta and $T$\n" +
		"neutral\tc\tc and d\t$T$ and d\nneutral\td\tc and d\tc and $T$\n"))
	require.NoError(t, err)
	require.NoError(t, z.Close())
	require.NoError(t, os.WriteFile(filepath.Join(dir, "x.tsv.gz"), b.Bytes(), 0o600))
	rows, err := (&reader{dir, &dataset.Guard{}}).agreed("x")
	require.NoError(t, err)
	require.Equal(t, []row{{[]string{"1"}, "c and d"}}, rows)
}

// TestFastText trains a tiny model with the real command.
func TestFastText(t *testing.T) {
	command, err := exec.LookPath("fasttext")
	if err != nil {
		t.Skip("SKIPPED, NOT MEASURED: the command fasttext is not installed; make setup installs it")
	}
	l := &lesson{kind: dataset.OfTarget, classes: 3, answers: func(t *dataset.Task) bool { return t.Kind == dataset.OfTarget }}
	for range 100 {
		l.rows = append(l.rows, row{[]string{"0"}, "awful"}, row{[]string{"2"}, "wonderful"}, row{[]string{"1"}, "monday"})
	}
	tasks := []dataset.Task{
		{Set: "x", Kind: dataset.OfTarget, Metrics: []dataset.Metric{dataset.Accuracy},
			Examples: []dataset.Example{{Text: "wonderful", Class: 2}, {Text: "awful", Class: 0}, {Text: "monday", Class: 1}}},
		{Set: "y", Kind: dataset.FiveStars, Metrics: []dataset.Metric{dataset.Accuracy}, Examples: []dataset.Example{{Text: "a"}}},
	}
	s := shape{args: []string{"-dim", "16", "-bucket", "100"}, few: []string{"-epoch", "50", "-lr", "0.2"}}
	got, err := (&fastText{command, t.TempDir()}).run(l, s, 1, tasks)
	require.NoError(t, err)
	require.Len(t, got, 1)
	require.InDelta(t, 1, got[&tasks[0]][0].Value, 1e-9)
	l.rows = nil
	_, err = (&fastText{command, t.TempDir()}).run(l, s, 1, tasks)
	require.Error(t, err)
}
