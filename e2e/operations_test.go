package e2e

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestOperationsRows: each test that the table of faults in docs/operations.md names is
// there, and no name can be taken for another test of the same name.
func TestOperationsRows(t *testing.T) {
	root, folders, sources := "..", map[string][]string{}, strings.Builder{}
	declared := regexp.MustCompile(`(?m)^func (Test\w+)\(t \*testing\.T\)`)
	require.NoError(t, filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "node_modules" || strings.HasPrefix(d.Name(), ".") && path != root):
			return fs.SkipDir
		case !strings.HasSuffix(path, ".go"):
			return nil
		}
		text, err := os.ReadFile(path)
		sources.Write(text)
		for _, m := range declared.FindAllStringSubmatch(string(text), -1) {
			folders[m[1]] = append(folders[m[1]], filepath.ToSlash(filepath.Dir(path)))
		}
		return err
	}))

	text, err := os.ReadFile(filepath.Join(root, "docs", "operations.md"))
	require.NoError(t, err)
	_, table, found := strings.Cut(string(text), "| fault | what happens | test |\n|---|---|---|\n")
	require.True(t, found)
	table, _, _ = strings.Cut(table, "\n\n")
	named := regexp.MustCompile("`(Test\\w+)(?:/(\\w+))?`(?: \\(([\\w/]+)\\))?")
	rows := strings.Split(table, "\n")
	require.Greater(t, len(rows), 50)
	for _, row := range rows {
		cells := strings.Split(row, "|")
		require.Len(t, cells, 5, row)
		tests := named.FindAllStringSubmatch(cells[3], -1)
		require.Equal(t, strings.Count(cells[3], "`"), 2*len(tests), row)
		require.NotEmpty(t, tests, row)
		for _, m := range tests {
			in := slices.DeleteFunc(slices.Clone(folders[m[1]]), func(f string) bool { return !strings.HasSuffix(f, "/"+m[3]) && m[3] != "" })
			require.Len(t, in, 1, "%s must be one test; name its folder if there are several: %s", m[0], row)
			require.Contains(t, sources.String(), `"`+m[2]+`"`, "%s: no such part", m[0])
		}
	}
}
