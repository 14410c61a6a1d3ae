package cli

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/synapse-analytics/synapse/model"
)

// scoreExtras are the values of --extras.
var scoreExtras = map[string]model.Extra{
	"emotions": model.Emotions, "evidence": model.Evidences, "sentences": model.Sentences, "aspects": model.Aspects, "none": 0,
}

// scoreOptions is what a score holds, and what a line without hints of its own is
// given.
type scoreOptions struct {
	want   model.Extra
	binary bool
	hints  scoreInput
}

func scoreCommand(g *globals) *cobra.Command {
	var input string
	var explain bool
	var extras []string
	var opts scoreOptions
	c := &cobra.Command{
		Use:   "score [TEXT|-]",
		Short: "Score texts on this machine, without a server",
		Long: "Scores one text, or with --input a file of lines\n" +
			"  {\"id\",\"text\",\"source\",\"language\",\"targets\"}\n" +
			"of which only text is needed, and writes a line each, in order, on all cores. - reads\n" +
			"such lines from standard input. A line that can not be scored is told of on standard\n" +
			"error, with its number; the others are scored, and the exit code is 1.",
		Example: "  synapse score \"Not bad at all\" --explain\n" +
			"  synapse score \"The camera is great, the battery is not\" --target camera --target battery\n" +
			"  synapse score --input reviews.jsonl --source review --output jsonl > scores.jsonl",
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			for _, x := range extras {
				e, ok := scoreExtras[x]
				if !ok {
					return usage(fmt.Sprintf("--extras %q is not known", x), "--extras emotions, evidence, sentences, aspects or none")
				}
				opts.want |= e
			}
			if explain {
				opts.want |= model.Evidences | model.Sentences
			}
			out := cmd.OutOrStdout()
			switch {
			case input != "" && len(args) > 0:
				return usage("--input and TEXT exclude each other", "synapse score --input FILE.jsonl")
			case input == "" && len(args) == 0:
				return usage("nothing to score", "synapse score \"Love it\", or synapse score --input FILE.jsonl")
			case input == "" && args[0] != "-":
				return g.scoreOne(out, args[0], opts)
			}
			hints := opts.hints.withText("x")
			if v := hints.violations(); len(v) > 0 {
				return usage(v[0].Field+" "+v[0].Rule, v[0].Remedy)
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
			s := lineScorer{scorer: model.Default(), opts: opts, format: g.format(out), workers: runtime.GOMAXPROCS(0)}
			return s.run(cmd.Context(), in, out, cmd.ErrOrStderr())
		},
	}
	f := c.Flags()
	f.StringVar(&input, "input", "", "a file with one JSON object a line; - is standard input")
	f.BoolVar(&explain, "explain", false, "add the spans of the text that made the score, and its sentences")
	f.BoolVar(&opts.binary, "binary", false, "choose between negative and positive only")
	f.StringSliceVar(&extras, "extras", []string{"emotions"}, "what to add: emotions, evidence, sentences, aspects (targets found in the text), or none")
	f.StringVar(&opts.hints.source, "source", "", "where the text is from, such as tweet, review or comment; for lines without one")
	f.StringVar(&opts.hints.language, "language", "", "its language, such as en; for lines without one")
	f.StringArrayVar(&opts.hints.targets, "target", nil, "a thing whose own sentiment is wanted; can be given 16 times; for lines without targets")
	return c
}

// analyze scores one text.
func (o *scoreOptions) analyze(s *model.Scorer, in *scoreInput) model.Analysis {
	mi := model.Input{Text: in.text, Source: in.source, Language: in.language}
	for _, t := range in.targets {
		mi.Targets = append(mi.Targets, model.Target{Text: t})
	}
	var a model.Analysis
	if o.want == 0 && len(mi.Targets) == 0 {
		a.Result = s.Score(mi)
	} else {
		a = s.Analyze(mi, o.want)
	}
	if o.binary {
		makeBinary(&a)
	}
	return a
}

// makeBinary leaves neutral out, also of sentences and targets.
func makeBinary(a *model.Analysis) {
	p := a.Binary()
	a.Label, a.Score, a.Probabilities, a.Confidence = p.Label, p.Score, p.Probabilities, p.Probabilities[p.Label]
	for i := range a.Sentences {
		a.Sentences[i].Polarity = (&model.Result{Probabilities: a.Sentences[i].Probabilities}).Binary()
	}
	for i := range a.Targets {
		a.Targets[i].Polarity = (&model.Result{Probabilities: a.Targets[i].Probabilities}).Binary()
	}
}

func (g *globals) scoreOne(out io.Writer, text string, opts scoreOptions) error {
	in := opts.hints.withText(text)
	if v := in.violations(); len(v) > 0 {
		return usage(v[0].Field+" "+v[0].Rule, v[0].Remedy)
	}
	s := model.Default()
	a := opts.analyze(s, &in)
	format := g.format(out)
	if format == "table" {
		printAnalysis(out, text, &a, s.Version())
		return nil
	}
	b := appendScore(nil, "", &a, opts.want, s.Version())
	if format == "json" {
		var pretty bytes.Buffer
		if err := json.Indent(&pretty, b, "", "  "); err != nil {
			return err
		}
		b = pretty.Bytes()
	}
	_, err := out.Write(append(b, '\n'))
	return err
}

// printAnalysis is the view of a score for people.
func printAnalysis(w io.Writer, text string, a *model.Analysis, version string) {
	on := colour(w)
	mixed := ""
	if a.Mixed {
		mixed = "mixed, "
	}
	fmt.Fprintf(w, "%s %s  negative %.2f  neutral %.2f  positive %.2f  (%s%s, %s)\n",
		paint(on, a.Score, a.Label.String()), paint(on, a.Score, signed(a.Score)), a.Probabilities[model.Negative], a.Probabilities[model.Neutral], a.Probabilities[model.Positive],
		mixed, a.Language, version)
	if !a.LanguageSupported {
		fmt.Fprintf(w, "  the language is not supported: the score is a guess\n")
	}
	var felt []string
	for i, p := range a.Emotions {
		if p >= 0.5 {
			felt = append(felt, fmt.Sprintf("%s %.2f", model.EmotionNames()[i], p))
		}
	}
	if len(felt) > 0 {
		fmt.Fprintf(w, "  emotions  %s\n", strings.Join(felt, ", "))
	}
	for _, t := range a.Targets {
		note := ""
		switch {
		case t.Found:
			note = "  (found)"
		case !t.Mentioned:
			note = "  (not mentioned: as the whole text)"
		}
		fmt.Fprintf(w, "  target    %s %s %s%s\n", paint(on, t.Score, signed(t.Score)), t.Label, oneLine(t.Target, 40), note)
	}
	if len(a.Sentences) > 1 {
		for _, s := range a.Sentences {
			fmt.Fprintf(w, "  sentence  %s %s\n", paint(on, s.Score, signed(s.Score)), oneLine(text[s.StartByte:s.EndByte], 100))
		}
	}
	words := slices.Clone(a.Evidence)
	slices.SortStableFunc(words, func(x, y model.Evidence) int { return cmp.Compare(abs(y.Weight), abs(x.Weight)) })
	for _, e := range words[:min(len(words), 12)] {
		fmt.Fprintf(w, "  %s %s\n", signed(e.Weight), oneLine(text[e.StartByte:e.EndByte], 40))
	}
}
