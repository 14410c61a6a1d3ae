package model_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/synapse-analytics/synapse/model"
	"github.com/synapse-analytics/synapse/model/internal/dataset"
	"github.com/synapse-analytics/synapse/model/train/compare"
)

// datasets is the folder of the labelled sets, which the repository does not
// have: $SYNAPSE_DATASETS, or shared/data/sentiment beside the checkout.
func datasets(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("SYNAPSE_DATASETS")
	if dir == "" {
		dir = filepath.Join("..", "..", "shared", "data", "sentiment")
	}
	if _, err := os.Stat(filepath.Join(dir, "sst2_dev.tsv.gz")); err != nil {
		t.Skipf("SKIPPED, NOT MEASURED: no labelled sets in %s; set SYNAPSE_DATASETS to their folder to compare with VADER and fastText", dir)
	}
	return dir
}

// calibrated is the largest calibration error of a document's probabilities, on
// sets that are large enough to tell.
const (
	calibrated     = 0.05
	calibratedFrom = 800
)

// noise is what a figure may fall short by: on a few hundred rows its standard
// error is two points and more, and the aspect sets are small to train on as well.
func noise(f *dataset.Figure) float64 {
	switch {
	case f.Kind == dataset.OfTarget:
		return 0.02
	case f.Rows < 400:
		return 0.025
	case f.Rows < calibratedFrom:
		return 0.015
	}
	return 0
}

// TestBeatsBaselines holds the model to do at least as well as VADER and fastText
// in every task, with the source named and without, and better than VADER in
// every language.
func TestBeatsBaselines(t *testing.T) {
	tasks, err := dataset.Tasks(datasets(t))
	require.NoError(t, err)
	columns, err := compare.Read(filepath.Join("weights", "baselines.json"))
	require.NoError(t, err)
	for i := range tasks {
		task := &tasks[i]
		t.Run(task.Set+"/"+string(task.Kind), func(t *testing.T) {
			for _, hint := range []bool{true, false} {
				figures := task.Run(compare.Scorer(model.Default()), hint)
				require.NotEmpty(t, figures, "the scorer does not answer")
				for k := range figures {
					f := &figures[k]
					what := compare.Measure(f) + " " + f.Group
					t.Logf("%s: %.3f, source named: %v", what, f.Value, hint)
					if f.Metric == dataset.Calibration {
						if f.Rows >= calibratedFrom && (f.Kind == dataset.Binary || f.Kind == dataset.ThreeClass) {
							require.LessOrEqual(t, f.Value, calibrated, what)
						}
						continue
					}
					for c := range columns {
						other, ok := columns[c].Find(f)
						switch {
						case !ok, strings.HasPrefix(columns[c].Name, "linear"):
							// The wide half alone is there to compare with.
						case columns[c].Name == "vader":
							require.Greater(t, f.Value+noise(f), other.Value, "%s of %s", what, columns[c].Name)
						case f.Group == "" || f.Group == dataset.Mean:
							// A single language has a few hundred texts: noise.
							require.GreaterOrEqual(t, f.Value+noise(f), other.Value, "%s of %s", what, columns[c].Name)
						}
					}
				}
			}
		})
	}
}
