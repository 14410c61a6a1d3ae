package queue

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCounts(t *testing.T) {
	for _, c := range []struct {
		text string
		want []HourCount
	}{
		{"", nil},
		{"default@0=1", []HourCount{{"default", 0, 1}}},
		{"a@495000=4294967295,b-1@495001=2", []HourCount{{"a", 495000, 4294967295}, {"b-1", 495001, 2}}},
	} {
		got, err := ParseCounts(c.text)
		require.NoError(t, err)
		require.Equal(t, c.want, got)
		require.Equal(t, c.text, FormatCounts(got))
	}
}

func TestCountsRefused(t *testing.T) {
	for _, text := range []string{
		",", "a", "a@1", "a@=1", "a@1=", "a@1=0", "a@01=1", "a@1=01", "a@-1=1", "a@+1=1", "a@1=+1", "@1=1", "A@1=1", "a-@1=1",
		"1@1=1", "a b@1=1", "a@1=1,", ",a@1=1", "a@1=1;b@1=1", "a@1=4294967296", "a@99999999999999999999=1", "a@9223372036854775807=1",
		strings.Repeat("a", 64) + "@1=1", "a@1 =1", "é@1=1", "a@1=1\n", strings.Repeat("a@1=1,", maxCounts) + "a@1=1",
	} {
		got, err := ParseCounts(text)
		require.ErrorIs(t, err, errCounts, "%.40q", text)
		require.Nil(t, got)
	}
}

func FuzzParseCounts(f *testing.F) {
	for _, s := range []string{"", "default@495000=12", "a@1=1,b@2=2", "a@1=0", "a@@1==1", ",,", "a@1=1,"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		counts, err := ParseCounts(s)
		if err != nil {
			require.Nil(t, counts)
			return
		}
		require.Equal(t, s, FormatCounts(counts))
		for _, c := range counts {
			require.NotEmpty(t, c.Project)
			require.GreaterOrEqual(t, c.Hour, int64(0))
			require.Positive(t, c.Count)
		}
	})
}

func BenchmarkParseCounts(b *testing.B) {
	s := FormatCounts([]HourCount{{"default", 495000, 100}, {"other-project", 495001, 40}})
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseCounts(s); err != nil {
			b.Fatal(err)
		}
	}
}
