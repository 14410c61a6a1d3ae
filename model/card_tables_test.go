package model

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTable(t *testing.T) {
	table := Table{Title: "Figures", Columns: []string{"a", "b"}, Rows: []TableRow{
		{Set: "x", Measure: "accuracy", Rows: 10, Cells: []*Cell{{Value: 0.5}, nil}},
		{Set: "x", Measure: "macro F1", Group: "fr", Rows: 9, Cells: []*Cell{nil, {Value: 0.25, Spread: 0.0123}}},
		{Set: "short", Measure: "accuracy", Rows: 1},
	}}
	var b strings.Builder
	require.NoError(t, table.Write(&b))
	require.Equal(t, `Figures

| set   | measure  | rows | a     | b             |
|-------|----------|------|-------|---------------|
| x     | accuracy | 10   | 0.500 | -             |
| x, fr | macro F1 | 9    | -     | 0.250 ± 0.012 |
| short | accuracy | 1    |       |               |
`, b.String())
	require.InDelta(t, 0.25, table.Cell("b", "x", "macro F1", "fr").Value, 0)
	require.Nil(t, table.Cell("b", "x", "accuracy", ""))
	require.Nil(t, table.Cell("a", "short", "accuracy", ""))
	require.Nil(t, table.Cell("c", "x", "accuracy", ""))
}

// The model card tells of the weights that are shipped.
func TestModelCard(t *testing.T) {
	raw, err := os.ReadFile("MODEL_CARD.md")
	require.NoError(t, err)
	require.Contains(t, string(raw), "# Model card: "+Info().Version+"\n")
	_, rest, ok := strings.Cut(string(raw), TablesBegin)
	require.True(t, ok)
	got, _, ok := strings.Cut(rest, TablesEnd)
	require.True(t, ok)
	var want strings.Builder
	for _, table := range Info().Tables {
		require.NoError(t, table.Write(&want))
		want.WriteByte('\n')
	}
	require.Equal(t, want.String(), strings.TrimLeft(got, "\n"), "make model writes both")
}
