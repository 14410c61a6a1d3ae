package main

import (
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/synapse-analytics/synapse/model"
)

var sample = filepath.Join("..", "..", "internal", "cli", "sample", "reviews.jsonl")

func TestCorpora(t *testing.T) {
	list, err := corpora(sample, "")
	require.NoError(t, err)
	require.Len(t, list, 2)
	again, err := corpora(sample, t.TempDir())
	require.NoError(t, err)
	require.Equal(t, list, again, "workers make their texts themselves: they must be the same ones")
	require.InDelta(t, 100, list[0].bytes, 20)
	require.InDelta(t, 1000, list[1].bytes, 100)
	for _, in := range list[0].inputs {
		require.True(t, utf8.ValidString(in.Text))
		require.NotContains(t, in.Text, "\n", "fastText reads a text per line")
	}
	_, err = corpora(filepath.Join(t.TempDir(), "none"), "")
	require.Error(t, err)
}

func TestTweet(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for range 100 {
		require.NotEmpty(t, tweet([]string{"one word"}, rng))
	}
}

func TestMedian(t *testing.T) {
	l := line{got: []answer{{Nanoseconds: 9}, {Nanoseconds: 1}, {Nanoseconds: 5}}}
	require.InDelta(t, 5, l.median(nanoseconds), 0)
}

// TestWorkloads lets every workload run on every corpus once.
func TestWorkloads(t *testing.T) {
	list, err := corpora(sample, "")
	require.NoError(t, err)
	for _, w := range workloads() {
		for _, c := range list {
			w.do(c.inputs[:10])
		}
	}
}

// Every text is worked on in its turn, in parts that take long texts and short ones
// as long.
func TestSingle(t *testing.T) {
	list, err := corpora(sample, "")
	require.NoError(t, err)
	for i := range list {
		c := &list[i]
		var seen []model.Input
		at, largest := 0, 0
		for len(seen) < len(c.inputs) {
			a := single(c, &at, func(in []model.Input) {
				for start := cpuTime(); cpuTime()-start < time.Millisecond; {
				}
				bytes := 0
				for _, one := range in {
					bytes += len(one.Text)
				}
				largest = max(largest, bytes)
				seen = append(seen, in...)
			})
			require.Positive(t, a.Nanoseconds)
		}
		require.Equal(t, c.inputs, seen[:len(c.inputs)], c.name)
		require.InDelta(t, partBytes, largest, partBytes/4, c.name)
	}
}

func TestFastText(t *testing.T) {
	if testing.Short() {
		t.Skip("writes models of a gigabyte")
	}
	if _, err := exec.LookPath("fasttext"); err != nil {
		t.Skip("SKIPPED, NOT MEASURED: the command fasttext is not installed; make setup installs it")
	}
	dir := t.TempDir()
	f, err := newFastText(dir, sample)
	require.NoError(t, err)
	list, err := corpora(sample, "")
	require.NoError(t, err)
	s := &f.shapes[0]
	load, err := f.load(s)
	require.NoError(t, err)
	a, err := f.measure(s, list[0].inputs, load)
	require.NoError(t, err)
	require.Positive(t, a.Nanoseconds)
	f.remove()
	require.NoFileExists(t, filepath.Join(dir, oneText))
	_, err = os.Stat(dir)
	require.ErrorIs(t, err, os.ErrNotExist)
}
