package schema

import (
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
)

func TestSteps(t *testing.T) {
	list := func(names ...string) fstest.MapFS {
		m := fstest.MapFS{"doc.txt": {}}
		for _, n := range names {
			m[n] = &fstest.MapFile{}
		}
		return m
	}
	got, err := Steps(list("0010_c.sql", "0002_b.sql", "0001_a.sql"))
	require.NoError(t, err)
	require.Equal(t, []string{"0001_a", "0002_b", "0010_c"}, got)
	for says, bad := range map[string]fstest.MapFS{
		"must begin with its number": list("first.sql"),
		"have one number":            list("0001_a.sql", "1_b.sql"),
		"as 0001_name.sql":           list("0000_a.sql"),
	} {
		_, err := Steps(bad)
		require.ErrorContains(t, err, says)
	}
}
