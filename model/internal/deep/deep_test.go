package deep

import (
	"math"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/synapse-analytics/synapse/model/internal/feature"
	"github.com/synapse-analytics/synapse/model/internal/vec"
)

// random weights that know a few words.
func random(seed uint64, words ...string) *Weights {
	rng := rand.New(rand.NewPCG(seed, 1))
	w := &Weights{CharBits: 4, CharScale: 0.01}
	var b feature.Block
	for _, word := range words {
		b.Fill(word, 0)
		w.Keys = append(w.Keys, Key(b.Tokens[0].Hash))
		w.Scales = append(w.Scales, 0.01)
	}
	bytes := func(n int) []int8 {
		out := make([]int8, n)
		for i := range out {
			out[i] = int8(rng.IntN(255) - 127)
		}
		return out
	}
	floats := func(n int, scale float64) []float32 {
		out := make([]float32, n)
		for i := range out {
			out[i] = float32(rng.NormFloat64() * scale)
		}
		return out
	}
	w.Vectors, w.Chars = bytes(Dim*len(words)), bytes(Dim<<w.CharBits)
	w.First, w.Hidden, w.Out = floats(Dim*RowLen, 0.1), floats(Pooled*Hidden, 0.2), floats(Hidden*Outputs, 0.2)
	w.Feel, w.FeelOut = floats(Pooled*Hidden, 0.2), floats(Hidden*FeelCount, 0.2)
	copy(w.FeelBias[:], floats(Hidden, 0.3))
	copy(w.FeelOutBias[:], floats(FeelCount, 0.3))
	copy(w.Caps[:], floats(Dim, 0.3))
	copy(w.Elong[:], floats(Dim, 0.3))
	copy(w.FirstBias[:], floats(Gated, 0.3))
	copy(w.Attention[:], floats(Channels, 0.3))
	copy(w.HiddenBias[:], floats(Hidden, 0.3))
	copy(w.OutBias[:], floats(Outputs, 0.3))
	for i := range w.Source {
		copy(w.Source[i][:], floats(Outputs, 0.3))
		copy(w.FeelSource[i][:], floats(FeelCount, 0.3))
	}
	w.FitUnits()
	return w
}

const text = "The battery is GREAT but sooooo unknowable, not a good day 👍 :("

func TestRoundTrip(t *testing.T) {
	w := random(1, "the", "good", "battery")
	raw := w.Append(nil)
	got, err := Read(raw)
	require.NoError(t, err)
	require.Equal(t, w, got)
	for _, n := range []int{0, 1, 4, 5, 100, len(raw) - 1} {
		_, err := Read(raw[:n])
		require.ErrorIs(t, err, ErrFormat)
	}
	w.HiddenBias[3] = float32(math.NaN())
	_, err = Read(w.Append(nil))
	require.ErrorIs(t, err, ErrFormat)
}

func FuzzRead(f *testing.F) {
	f.Add(random(1, "the").Append(nil)[:2000])
	f.Add([]byte{1, 0, 0, 0, 1})
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, raw []byte) {
		w, err := Read(raw)
		if err != nil {
			require.ErrorIs(t, err, ErrFormat)
			return
		}
		var b feature.Block
		b.Fill(text, 0)
		var s State
		var out [Outputs]float32
		var feel [FeelCount]float32
		n := New(w)
		n.Run(&b, &s, &out)
		n.Feel(&s, &feel)
	})
}

// Without biases in the hidden layer and behind it, the words' parts make up the
// whole difference.
func TestAttributeIsComplete(t *testing.T) {
	for seed := range uint64(20) {
		w := random(seed, "the", "good", "battery", "not")
		w.HiddenBias, w.OutBias = [Hidden]float32{}, [Outputs]float32{}
		n := New(w)
		var b feature.Block
		var s State
		var out [Outputs]float32
		var parts [MaxTokens]float64
		for _, part := range []string{text, "good", "?", "not good"} {
			b.Fill(part, 0)
			require.True(t, n.Run(&b, &s, &out))
			clear(parts[:])
			n.Attribute(&s, &parts)
			sum := 0.0
			for _, v := range parts {
				sum += v
			}
			require.InDelta(t, float64(out[OutClass+2])-float64(out[OutClass]), sum, 1e-4, part)
		}
	}
}

// Which goroutine fills the cache of rows, and whether a word's row comes from
// it, makes no difference.
func TestSameBitsWithAndWithoutCache(t *testing.T) {
	w := random(2, "the", "good", "battery", "day")
	run := func(n *Net) [Outputs]float32 {
		var b feature.Block
		var s State
		var out [Outputs]float32
		b.Fill(text, 0)
		n.Run(&b, &s, &out)
		return out
	}
	want := run(New(w))
	n := New(w)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				if run(n) != want {
					t.Error("other bits")
					return
				}
			}
		})
	}
	wg.Wait()
	var s State
	var out [Outputs]float32
	require.False(t, n.Run(new(feature.Block), &s, &out), "no token, no answer")
}

// The rows of whole numbers are those of the weights, as near as their steps allow.
func TestRowsAreNear(t *testing.T) {
	w := random(3, "the", "good", "battery", "day")
	n := New(w)
	var b feature.Block
	b.Fill("good unknowable BATTERY daaay", 0)
	var s State
	var out [Outputs]float32
	require.True(t, n.Run(&b, &s, &out))
	words := []int{1, -1, 2, 3}
	for token, word := range words {
		require.Equal(t, word, s.Word(token))
	}

	var x [4][Dim]float64
	grams := Grams(nil, b.Runes(1))
	for i := range Dim {
		for token, word := range words {
			if word >= 0 {
				x[token][i] = float64(w.Scales[word]) * float64(w.Vectors[word*Dim+i])
			}
		}
		for _, g := range grams {
			x[1][i] += float64(w.CharScale) / float64(len(grams)) * float64(w.Chars[int(g)%(1<<w.CharBits)*Dim+i])
		}
		x[2][i] += float64(w.Caps[i])
		x[3][i] += float64(w.Elong[i])
	}
	for token := range x {
		for j := range RowLen {
			want := 0.0
			for i := range Dim {
				want += x[token][i] * float64(w.First[i*RowLen+j])
			}
			number := int(s.rows[token][j/4]>>(16*(j%4))&0xffff) - vec.Zero
			limit := float64(w.Units[j%Gated]) * vec.Zero // as far as a row goes
			want = min(max(want, -limit), limit)
			require.InDelta(t, want, float64(number)*float64(w.Units[j%Gated]), 0.004, "token %d, channel %d", token, j)
		}
	}
}
