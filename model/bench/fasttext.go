package main

import (
	"bytes"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/synapse-analytics/synapse/model"
)

// fastText measures the command of that name. Its speed depends on the shape of
// the model and the texts, not on what it learned, so it is trained on the
// repository's sample with labels in turn.
type fastText struct {
	dir    string
	shapes []fastShape
}

type fastShape struct {
	name, model string
	args        []string
	ask         int // bytes of texts to measure with: half a second's work or more
}

// oneText is the file that loading is measured with.
const oneText = "one.txt"

// newFastText trains the models in dir.
func newFastText(dir, samples string) (*fastText, error) {
	if _, err := exec.LookPath("fasttext"); err != nil {
		return nil, err
	}
	texts, err := sampleTexts(samples)
	if err != nil {
		return nil, err
	}
	var b strings.Builder
	for i, t := range texts {
		fmt.Fprintf(&b, "__label__%d %s\n", i%3, strings.ToLower(t))
	}
	input := filepath.Join(dir, "train.txt")
	if err := os.WriteFile(input, []byte(b.String()), 0o600); err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(dir, oneText), []byte("a text\n"), 0o600); err != nil {
		return nil, err
	}
	f := &fastText{dir: dir, shapes: []fastShape{
		{name: "fastText, 24 dimensions, 1-2 words", args: []string{"-dim", "24", "-wordNgrams", "2"}, ask: 6 << 20},
		{name: "fastText, 100 dimensions, 2-5 letters", args: []string{"-dim", "100", "-minn", "2", "-maxn", "5", "-bucket", "2000000"}, ask: 1 << 20},
	}}
	for i := range f.shapes {
		s := &f.shapes[i]
		output := filepath.Join(dir, fmt.Sprint("model", i))
		s.model = output + ".bin"
		args := append([]string{"supervised", "-input", input, "-output", output, "-thread", "1", "-epoch", "1", "-verbose", "0"}, s.args...)
		if out, err := exec.Command("fasttext", args...).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("fasttext: %w: %s", err, out)
		}
	}
	return f, nil
}

// remove deletes the models, which take a gigabyte.
func (f *fastText) remove() {
	if err := os.RemoveAll(f.dir); err != nil {
		log.Print(err)
	}
}

// measure is the time on a core per text of the given ones: that of a file of
// them less that of a file of one text, which is the time of loading.
func (f *fastText) measure(s *fastShape, inputs []model.Input, load time.Duration) (answer, error) {
	var b bytes.Buffer
	texts := 0
	for b.Len() < s.ask {
		b.WriteString(inputs[texts%len(inputs)].Text)
		b.WriteByte('\n')
		texts++
	}
	path := filepath.Join(f.dir, "ask.txt")
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		return answer{}, err
	}
	spent, err := f.predict(s, path)
	return answer{Nanoseconds: float64((spent - load).Nanoseconds()) / float64(texts)}, err
}

// load is the time that it takes to read the model.
func (f *fastText) load(s *fastShape) (time.Duration, error) {
	return f.predict(s, filepath.Join(f.dir, oneText))
}

// predict is the time on a core outside the kernel. There, reading a model of
// 800 MB takes longer than all the texts, and varies by more than they take: the
// difference of two runs could be negative.
func (f *fastText) predict(s *fastShape, path string) (time.Duration, error) {
	c := exec.Command("fasttext", "predict", s.model, path)
	if err := c.Run(); err != nil {
		return 0, fmt.Errorf("fasttext predict: %w", err)
	}
	return c.ProcessState.UserTime(), nil
}
