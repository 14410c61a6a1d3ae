package compare

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/synapse-analytics/synapse/model/internal/dataset"
)

func figure(kind dataset.Kind, set string, m dataset.Metric, group string, v float64) dataset.Figure {
	return dataset.Figure{Set: set, Kind: kind, Metric: m, Group: group, Rows: 10, Value: v}
}

func TestTables(t *testing.T) {
	three := func(set string, m dataset.Metric, group string, v float64) dataset.Figure {
		return figure(dataset.ThreeClass, set, m, group, v)
	}
	a := NewColumn("a", "",
		[]dataset.Figure{three("tse_val", dataset.MacroRecall, "", 0.5), three("tse_val", dataset.Calibration, "", 0.1)},
		[]dataset.Figure{three("tse_val", dataset.MacroRecall, "", 0.7), three("tse_val", dataset.Calibration, "", 0.1)})
	require.InDelta(t, 0.6, a.Figures[0].Value, 1e-12)
	require.InDelta(t, 0.1414214, a.Figures[0].Spread, 1e-6, "of the sample")
	b := NewColumn("b", "", []dataset.Figure{
		three("multilingual_umsab_val", dataset.MacroF1, dataset.Mean, 0.3), three("multilingual_umsab_val", dataset.MacroF1, "french", 0.2),
		three("tse_val", dataset.MacroRecall, "", 0.4), figure(dataset.FiveStars, "sst5_dev", dataset.Accuracy, "", 0.8),
	})
	path := filepath.Join(t.TempDir(), "columns.json")
	require.NoError(t, Write(path, []Column{a, b}))
	columns, err := Read(path)
	require.NoError(t, err)
	tables := Tables(columns)
	require.Len(t, tables, 3)
	require.Equal(t, []string{"a", "b"}, tables[0].Columns)
	var sets []string
	for _, r := range tables[0].Rows {
		sets = append(sets, r.Set)
	}
	require.Equal(t, []string{"sst5_dev", "tse_val", "multilingual_umsab_val"}, sets, "in the order of the tasks")
	require.Nil(t, tables[0].Cell("a", "sst5_dev", "accuracy, 5 classes", ""))
	require.InDelta(t, 0.6, tables[0].Cell("a", "tse_val", "macro recall, 3 classes", "").Value, 1e-9)
	require.InDelta(t, 0.2, tables[1].Cell("b", "multilingual_umsab_val", "macro F1, 3 classes", "french").Value, 1e-9)
	require.InDelta(t, 0.1, tables[2].Cell("a", "tse_val", "calibration error, 3 classes", "").Value, 1e-9)
	_, err = Read(filepath.Join(t.TempDir(), "none"))
	require.Error(t, err)
}
