// Command baseline measures what the scorer is compared with, on the same
// validation sets and after training on the same rows: the lexicon VADER and
// fastText in two sizes.
//
//	go run ./model/train/baseline -data DIR -out model/weights/baselines.json
//
// It replaces its own columns in the file, keeps others that are there, and
// prints the tables. The figures of fastText are means over seeds, with one
// thread each; it needs the command fasttext (Debian package fasttext), 2 GB of
// memory and some 20 minutes of one core.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"github.com/jonreiter/govader"

	"github.com/synapse-analytics/synapse/model/internal/dataset"
	"github.com/synapse-analytics/synapse/model/train/compare"
)

func main() {
	log.SetFlags(0)
	data := flag.String("data", os.Getenv("SYNAPSE_DATASETS"), "folder with the labelled sets")
	out := flag.String("out", "model/weights/baselines.json", "where the figures go")
	seeds := flag.Int("seeds", 3, "trainings of each fastText model; 0 leaves fastText's columns as they are")
	only := flag.String("only", "", "measure the fastText column of this name only")
	command := flag.String("fasttext", "fasttext", "the command of fastText")
	flag.Parse()
	if _, err := os.Stat(filepath.Join(*data, "sst2_dev.tsv.gz")); err != nil {
		log.Printf("SKIPPED, NOT MEASURED: no labelled sets in %q; name their folder by -data or SYNAPSE_DATASETS", *data)
		return
	}
	if err := run(*data, *out, *command, *only, *seeds); err != nil {
		log.Fatal(err)
	}
}

func run(data, out, command, only string, seeds int) error {
	columns, err := compare.Read(out)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	tasks, err := dataset.Tasks(data)
	if err != nil {
		return err
	}
	columns = replace(columns, compare.NewColumn("vader", "VADER's Go port govader, with its published thresholds; "+
		"towards a target, the sentiment of the whole text", measureVADER(tasks)))
	if seeds > 0 {
		if _, err := exec.LookPath(command); err != nil {
			log.Printf("SKIPPED, NOT MEASURED: fastText (%v); its figures stay as they are", err)
			seeds = 0
		}
	}
	if seeds > 0 {
		measured, err := measureFastText(data, command, only, seeds, tasks)
		if err != nil {
			return err
		}
		for _, c := range measured {
			columns = replace(columns, c)
		}
	}
	if err := compare.Write(out, columns); err != nil {
		return err
	}
	for _, t := range compare.Tables(columns) {
		if err := t.Write(os.Stdout); err != nil {
			return err
		}
		fmt.Println()
	}
	return nil
}

func replace(columns []compare.Column, c compare.Column) []compare.Column {
	if i := slices.IndexFunc(columns, func(o compare.Column) bool { return o.Name == c.Name }); i >= 0 {
		columns[i] = c
		return columns
	}
	return append(columns, c)
}

// measureVADER lets it answer for targets with the sentiment of the whole text.
// It has no probabilities, so there is nothing to calibrate.
func measureVADER(tasks []dataset.Task) []dataset.Figure {
	analyzer := govader.NewSentimentIntensityAnalyzer()
	figures := compare.Run(tasks, dataset.Each(func(e *dataset.Example) dataset.Prediction {
		p := dataset.Lexicon(analyzer.PolarityScores(e.Text).Compound)
		return dataset.Prediction{Polarity: p[:], Target: p[:]}
	}), false)
	return slices.DeleteFunc(figures, func(f dataset.Figure) bool { return f.Metric == dataset.Calibration })
}

func measureFastText(data, command, only string, seeds int, tasks []dataset.Task) ([]compare.Column, error) {
	guard, err := dataset.NewGuard(data)
	if err != nil {
		return nil, err
	}
	list, err := lessons(&reader{data, guard})
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "baseline")
	if err != nil {
		return nil, err
	}
	columns, err := trainFastText(&fastText{command, dir}, list, only, seeds, tasks)
	return columns, errors.Join(err, os.RemoveAll(dir))
}

func trainFastText(f *fastText, list []lesson, only string, seeds int, tasks []dataset.Task) ([]compare.Column, error) {
	var columns []compare.Column
	for _, s := range shapes {
		if only != "" && only != s.name {
			continue
		}
		var runs [][]dataset.Figure
		for seed := range seeds {
			byTask := map[*dataset.Task][]dataset.Figure{}
			for i := range list {
				start := time.Now()
				got, err := f.run(&list[i], s, seed+1, tasks)
				if err != nil {
					return nil, err
				}
				log.Printf("%s, seed %d, %s: %.0f s", s.name, seed+1, list[i].name, time.Since(start).Seconds())
				for t, figures := range got {
					byTask[t] = figures
				}
			}
			var figures []dataset.Figure
			for i := range tasks {
				figures = append(figures, byTask[&tasks[i]]...)
			}
			runs = append(runs, figures)
		}
		columns = append(columns, compare.NewColumn(s.name, s.about, runs...))
	}
	return columns, nil
}
