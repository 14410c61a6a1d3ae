// Package compare puts the figures of several scorers on the validation sets
// side by side.
package compare

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"slices"

	"github.com/synapse-analytics/synapse/model"
	"github.com/synapse-analytics/synapse/model/internal/dataset"
)

// Column holds the figures of one scorer.
type Column struct {
	Name    string   `json:"name"`
	About   string   `json:"about"` // how it was made
	Runs    int      `json:"runs"`  // trainings with different seeds that the figures are the mean of
	Figures []Figure `json:"figures"`
}

// Figure is a mean over runs.
type Figure struct {
	dataset.Figure
	Spread float64 `json:"spread,omitempty"` // standard deviation over the runs
}

// Run measures a predictor in all tasks, see dataset.Task.Run.
func Run(tasks []dataset.Task, predict dataset.Predictor, hint bool) []dataset.Figure {
	var all []dataset.Figure
	for i := range tasks {
		all = append(all, tasks[i].Run(predict, hint)...)
	}
	return all
}

// NewColumn averages runs, which have the same figures in the same order.
func NewColumn(name, about string, runs ...[]dataset.Figure) Column {
	c := Column{Name: name, About: about, Runs: len(runs)}
	for i := range runs[0] {
		f := Figure{Figure: runs[0][i]}
		n := float64(len(runs))
		f.Value = 0
		for _, r := range runs {
			f.Value += r[i].Value / n
		}
		if n > 1 {
			for _, r := range runs {
				f.Spread += (r[i].Value - f.Value) * (r[i].Value - f.Value)
			}
			f.Spread = math.Sqrt(f.Spread / (n - 1))
		}
		c.Figures = append(c.Figures, f)
	}
	return c
}

// Find returns the figure of the same set, kind, metric and group.
func (c *Column) Find(f *dataset.Figure) (Figure, bool) {
	for _, g := range c.Figures {
		if g.Set == f.Set && g.Kind == f.Kind && g.Metric == f.Metric && g.Group == f.Group {
			return g, true
		}
	}
	return Figure{}, false
}

// Read reads columns that Write wrote.
func Read(path string) ([]Column, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var columns []Column
	if err := json.Unmarshal(raw, &columns); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return columns, nil
}

// Write writes columns to a file. Figures are rounded to six digits.
func Write(path string, columns []Column) error {
	for i := range columns {
		for k := range columns[i].Figures {
			f := &columns[i].Figures[k]
			f.Value, f.Spread = round(f.Value), round(f.Spread)
		}
	}
	raw, err := json.MarshalIndent(columns, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(raw, '\n'), 0o644)
}

func round(x float64) float64 { return math.Round(x*1e6) / 1e6 }

// Tables are the figures of the columns by set, by language, and the
// calibration errors.
func Tables(columns []Column) []model.Table {
	tables := []model.Table{{Title: "Quality, higher is better"}, {Title: "Quality by language, higher is better"},
		{Title: "Calibration error over ten bins, lower is better"}}
	for _, c := range columns {
		for i := range tables {
			tables[i].Columns = append(tables[i].Columns, c.Name)
		}
	}
	for _, f := range rows(columns) {
		row := model.TableRow{Set: f.Set, Measure: Measure(&f), Group: f.Group, Rows: f.Rows}
		for k := range columns {
			var cell *model.Cell
			if g, ok := columns[k].Find(&f); ok {
				cell = &model.Cell{Value: round(g.Value), Spread: round(g.Spread)}
			}
			row.Cells = append(row.Cells, cell)
		}
		t := &tables[0]
		switch {
		case f.Metric == dataset.Calibration:
			t = &tables[2]
		case f.Group != "" && f.Group != dataset.Mean:
			t = &tables[1]
		}
		t.Rows = append(t.Rows, row)
	}
	return tables
}

// rows are the figures that any column has, in the order of the tasks.
func rows(columns []Column) []dataset.Figure {
	var all []dataset.Figure
	seen := map[dataset.Figure]bool{}
	for _, c := range columns {
		for _, f := range c.Figures {
			key := f.Figure
			key.Value, key.Rows = 0, 0
			if !seen[key] {
				seen[key] = true
				all = append(all, f.Figure)
			}
		}
	}
	slices.SortStableFunc(all, func(a, b dataset.Figure) int {
		return cmp.Or(cmp.Compare(a.Order(), b.Order()), cmp.Compare(a.Group, b.Group))
	})
	return all
}

// Measure says in words what a figure is.
func Measure(f *dataset.Figure) string {
	metric := map[dataset.Metric]string{
		dataset.Accuracy: "accuracy", dataset.MacroRecall: "macro recall", dataset.MacroF1: "macro F1",
		dataset.Calibration: "calibration error",
	}[f.Metric]
	kind := map[dataset.Kind]string{
		dataset.Binary: "2 classes", dataset.ThreeClass: "3 classes", dataset.FiveStars: "5 classes",
		dataset.FourMoods: "4 emotions", dataset.AllEmotion: "28 emotions", dataset.OfTarget: "targets",
	}[f.Kind]
	return metric + ", " + kind
}
