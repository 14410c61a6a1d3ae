package model

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/synapse-analytics/synapse/model/internal/deep"
	"github.com/synapse-analytics/synapse/model/internal/modelfile"
)

func TestDefault(t *testing.T) {
	require.Equal(t, "synapse-4", Default().Version())
	require.Same(t, Default(), Default())
	require.LessOrEqual(t, len(embeddedWeights), 32<<20)
}

func TestInfo(t *testing.T) {
	c := Info()
	sum := sha256.Sum256(embeddedWeights)
	require.Equal(t, Default().Version(), c.Version)
	require.Equal(t, hex.EncodeToString(sum[:]), c.SHA256, "the card belongs to other weights: train both together")
	require.Equal(t, len(embeddedWeights), c.Bytes)
	require.Equal(t, []string{"NEGATIVE", "NEUTRAL", "POSITIVE"}, c.Classes)
	require.Equal(t, Default().Languages(), c.Languages)
	require.NotEmpty(t, c.Tables)
}

func TestLoadRefusesDamage(t *testing.T) {
	good := tinyWeights(t)
	_, err := Load(good)
	require.NoError(t, err)
	for n := 0; n < len(good); n += 1 + n/20 {
		_, err := Load(good[:n])
		require.ErrorIs(t, err, modelfile.ErrFormat, "cut to %d bytes", n)
	}
	for i := 0; i < len(good); i += 7 + i/20 {
		bad := bytes.Clone(good)
		bad[i] ^= 0x40
		_, err := Load(bad)
		require.ErrorIs(t, err, modelfile.ErrFormat, "byte %d", i)
	}
	_, err = Load(append(bytes.Clone(good), 0))
	require.ErrorIs(t, err, modelfile.ErrFormat)
}

// tinyWeights are valid weights with next to no words.
func tinyWeights(t testing.TB) []byte {
	t.Helper()
	l := modelfile.Linear{Bits: 8, WordScale: 0.1, CharScale: 0.1, Entries: make([]uint32, 256)}
	for i := range l.Temp {
		l.Temp[i] = 1
	}
	network := &deep.Weights{
		Keys: []uint32{1}, Scales: []float32{1}, Vectors: make([]int8, deep.Dim), CharBits: 1, CharScale: 1,
		Chars: make([]int8, deep.Dim<<1), First: make([]float32, deep.Dim*deep.RowLen),
		Hidden: make([]float32, deep.Pooled*deep.Hidden), Out: make([]float32, deep.Hidden*deep.Outputs),
		Feel: make([]float32, deep.Pooled*deep.Hidden), FeelOut: make([]float32, deep.Hidden*deep.FeelCount),
	}
	network.FitUnits()
	raw, err := modelfile.Encode(&modelfile.Model{
		Version: "tiny", English: l, Others: l, Deep: network, Letters: make([][2]int16, 1),
		Feelings: modelfile.Table{Bits: 8, Rows: make([]int8, modelfile.Emotions<<8)},
		Language: modelfile.Language{
			GateBits: 8, Gate: make([]int8, 256), Bits: 8, Codes: []string{"en", "xx"},
			Supported: []bool{true, false}, Bias: []float64{0, 0}, Rows: make([]int8, 512),
		},
	})
	require.NoError(t, err)
	return raw
}

func FuzzLoad(f *testing.F) {
	good := tinyWeights(f)
	f.Add(good)
	f.Add(good[:100])
	f.Add([]byte("SYNW"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, raw []byte) {
		// Most mutations die at the checksum, so the body is tried as well, with a
		// checksum that fits.
		for _, data := range [][]byte{raw, modelfile.Seal("fuzz", raw)} {
			if s, err := Load(data); err == nil {
				checkResult(t, s.Score(Input{Text: "I can't say that it's bad :) 👍"}))
			}
		}
	})
}
