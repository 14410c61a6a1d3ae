package cli

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"sync"

	"github.com/spf13/cobra"
	"github.com/synapse-analytics/synapse/model"
)

// maxLine bounds one line of input: a text of 65,536 bytes, escaped, and the rest.
const maxLine = 1 << 20

func scoreCommand(g *globals) *cobra.Command {
	var input string
	var opts scoreOptions
	c := &cobra.Command{
		Use:   "score [TEXT|-]",
		Short: "Score texts on this machine, without a server",
		Long: "Scores one text, or with --input a file of lines {\"id\",\"text\",\"source\",\"language\"},\n" +
			"and writes a line each, in order. - reads such lines from standard input.",
		Example: "  synapse score \"Not bad at all\"\n  synapse score --input reviews.jsonl --output jsonl > scores.jsonl",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			out := cmd.OutOrStdout()
			switch {
			case input != "" && len(args) > 0:
				return usage("--input and TEXT exclude each other", "synapse score --input FILE.jsonl")
			case input == "" && len(args) == 0:
				return usage("nothing to score", "synapse score \"Love it\", or synapse score --input FILE.jsonl")
			case input == "" && args[0] != "-":
				return g.scoreOne(out, args[0], opts)
			}
			in := cmd.InOrStdin()
			if input != "" && input != "-" {
				f, err := os.Open(input)
				if err != nil {
					return hint(err, "--input with the path of a file, or - for standard input")
				}
				defer f.Close()
				in = f
			}
			return scoreLines(cmd.Context(), in, out, model.Default(), opts, runtime.GOMAXPROCS(0))
		},
	}
	f := c.Flags()
	f.StringVar(&input, "input", "", "a file with one JSON object a line; - is standard input")
	f.BoolVar(&opts.explain, "explain", false, "add which spans of the text made the score")
	f.BoolVar(&opts.binary, "binary", false, "choose between negative and positive only")
	return c
}

type scoreOptions struct{ explain, binary bool }

type scoreInput struct {
	ID       string   `json:"id"`
	Text     *string  `json:"text"`
	Source   string   `json:"source"`
	Language string   `json:"language"`
	Targets  []string `json:"targets"`
}

type scoreProbabilities struct {
	Negative float64 `json:"negative"`
	Neutral  float64 `json:"neutral"`
	Positive float64 `json:"positive"`
}

type scoreEvidence struct {
	StartByte  int     `json:"startByte"`
	EndByte    int     `json:"endByte"`
	StartUTF16 int     `json:"startUtf16"`
	EndUTF16   int     `json:"endUtf16"`
	Weight     float64 `json:"weight"`
}

type scoreOutput struct {
	ID                string             `json:"id"`
	Label             string             `json:"label"`
	Score             float64            `json:"score"`
	Probabilities     scoreProbabilities `json:"probabilities"`
	Language          string             `json:"language"`
	LanguageSupported bool               `json:"languageSupported"`
	Evidence          []scoreEvidence    `json:"evidence,omitempty"`
	ModelVersion      string             `json:"modelVersion"`
}

func scoreText(s *model.Scorer, in scoreInput, opts scoreOptions) scoreOutput {
	mi := model.Input{Text: *in.Text, Source: in.Source, Language: in.Language}
	var r model.Result
	out := scoreOutput{ID: in.ID, ModelVersion: s.Version()}
	if opts.explain {
		var ev []model.Evidence
		r, ev = s.Explain(mi)
		for _, e := range ev {
			out.Evidence = append(out.Evidence, scoreEvidence(e))
		}
	} else {
		r = s.Score(mi)
	}
	if opts.binary {
		r = binary(r)
	}
	out.Label, out.Score = r.Label.String(), r.Score
	out.Probabilities = scoreProbabilities{r.Probabilities[model.Negative], r.Probabilities[model.Neutral], r.Probabilities[model.Positive]}
	out.Language, out.LanguageSupported = r.Language, r.LanguageSupported
	return out
}

// binary leaves neutral out and scales the rest to a sum of 1.
func binary(r model.Result) model.Result {
	neg, pos := r.Probabilities[model.Negative], r.Probabilities[model.Positive]
	if sum := neg + pos; sum > 0 {
		neg, pos = neg/sum, pos/sum
	} else {
		neg, pos = 0.5, 0.5
	}
	r.Probabilities = [3]float64{}
	r.Probabilities[model.Negative], r.Probabilities[model.Positive] = neg, pos
	r.Label, r.Score, r.Confidence = model.Positive, pos-neg, max(neg, pos)
	if neg > pos {
		r.Label = model.Negative
	}
	return r
}

func (g *globals) scoreOne(out io.Writer, text string, opts scoreOptions) error {
	if len(text) > 65536 || text == "" {
		return usage("text must be 1 to 65,536 bytes", "a shorter text, or --input for many")
	}
	r := scoreText(model.Default(), scoreInput{Text: &text}, opts)
	switch g.format(out) {
	case "json":
		enc := json.NewEncoder(out)
		enc.SetIndent("", "  ")
		return enc.Encode(r)
	case "jsonl":
		return json.NewEncoder(out).Encode(r)
	}
	on := colour(out)
	fmt.Fprintf(out, "%s %s  negative %.2f  neutral %.2f  positive %.2f  (%s, %s)\n",
		paint(on, r.Score, r.Label), paint(on, r.Score, signed(r.Score)), r.Probabilities.Negative, r.Probabilities.Neutral, r.Probabilities.Positive, r.Language, r.ModelVersion)
	for _, e := range r.Evidence {
		fmt.Fprintf(out, "  %s %s\n", signed(e.Weight), oneLine(text[e.StartByte:e.EndByte], 40))
	}
	return nil
}

// chunk is a run of lines that one worker scores.
type chunk struct {
	first int
	lines [][]byte
	out   bytes.Buffer
	err   error
	done  chan struct{}
}

// linesPerChunk bounds a chunk by lines, bytesPerChunk by size.
const (
	linesPerChunk = 512
	bytesPerChunk = 1 << 20
)

// scoreLines scores lines in parallel and writes them in order, with at most
// two chunks a worker in memory.
func scoreLines(ctx context.Context, in io.Reader, out io.Writer, s *model.Scorer, opts scoreOptions, workers int) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	work := make(chan *chunk)
	ordered := make(chan *chunk, 2*workers)
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for c := range work {
				c.score(s, opts)
				close(c.done)
			}
		})
	}
	var readErr error
	wg.Go(func() {
		defer close(work)
		defer close(ordered)
		readErr = readChunks(ctx, in, work, ordered)
	})
	w := bufio.NewWriterSize(out, 1<<16)
	var writeErr error
	for c := range ordered {
		<-c.done
		if writeErr == nil {
			_, writeErr = w.Write(c.out.Bytes())
		}
		if writeErr == nil && c.err != nil {
			writeErr = c.err
		}
		if writeErr != nil {
			cancel()
		}
	}
	wg.Wait()
	return errors.Join(writeErr, w.Flush(), readErr)
}

func readChunks(ctx context.Context, in io.Reader, work, ordered chan<- *chunk) error {
	sc := bufio.NewScanner(in)
	sc.Buffer(make([]byte, 1<<16), maxLine)
	line, size := 0, 0
	c := &chunk{first: 1, done: make(chan struct{})}
	flush := func() bool {
		if len(c.lines) == 0 {
			return true
		}
		// work first: an ordered chunk always has a worker that will finish it
		select {
		case work <- c:
		case <-ctx.Done():
			return false
		}
		ordered <- c
		c = &chunk{first: line + 1, done: make(chan struct{})}
		size = 0
		return true
	}
	for sc.Scan() {
		line++
		c.lines = append(c.lines, bytes.Clone(sc.Bytes()))
		if size += len(sc.Bytes()); len(c.lines) == linesPerChunk || size >= bytesPerChunk {
			if !flush() {
				return nil
			}
		}
	}
	flush()
	if errors.Is(sc.Err(), bufio.ErrTooLong) {
		return hint(fmt.Errorf("line %d is longer than %d bytes", line+1, maxLine), "a text has at most 65,536 bytes")
	}
	return sc.Err()
}

func (c *chunk) score(s *model.Scorer, opts scoreOptions) {
	enc := json.NewEncoder(&c.out)
	enc.SetEscapeHTML(false)
	for i, line := range c.lines {
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		var in scoreInput
		err := json.Unmarshal(line, &in)
		switch {
		case err != nil:
			c.err = hint(fmt.Errorf("line %d is not a JSON object with a text: %s", c.first+i, strings.TrimPrefix(err.Error(), "json: ")),
				`lines such as {"id":"1","text":"Love it"}`)
		case in.Text == nil:
			c.err = hint(fmt.Errorf("line %d has no text", c.first+i), `lines such as {"id":"1","text":"Love it"}`)
		default:
			if err := enc.Encode(scoreText(s, in, opts)); err != nil {
				c.err = err
			}
		}
		if c.err != nil {
			return
		}
	}
}
