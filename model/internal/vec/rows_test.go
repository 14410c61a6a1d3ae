package vec

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

func randomRow(rng *rand.Rand, n int) []uint64 {
	row := make([]uint64, n/4)
	for i := range n {
		v := rng.IntN(2*Zero + 1)
		switch rng.IntN(10) {
		case 0:
			v = 0
		case 1:
			v = 2 * Zero
		}
		row[i/4] |= uint64(v) << (16 * (i % 4))
	}
	return row
}

func number(row []uint64, i int) int { return int(row[i/4]>>(16*(i%4))&0xffff) - Zero }

func randomInt16(rng *rand.Rand, n, most int) []int16 {
	out := make([]int16, n)
	for i := range out {
		out[i] = int16(rng.IntN(2*most+1) - most)
	}
	return out
}

func TestRows(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 2))
	for range 100 {
		n := 16 * (1 + rng.IntN(12))
		var r [5][]uint64
		for i := range r {
			r[i] = randomRow(rng, n)
		}
		bias, unit, pre, plain := random(rng, n), random(rng, n), make([]float32, n), make([]float32, n)
		SumRows(pre, bias, unit, r[0], r[1], r[2], r[3], r[4])
		sumRowsGo(plain, bias, unit, r[0], r[1], r[2], r[3], r[4])
		same(t, plain, pre)
		for i := range n {
			sum := 0
			for _, row := range r {
				sum += number(row, i)
			}
			require.Equal(t, float32(float32(sum)*unit[i])+bias[i], pre[i])
		}
		same(t, []float32{dotRowGo(bias, r[0])}, []float32{DotRow(bias, r[0])})
		numbers := make([]float32, n)
		for i := range n {
			numbers[i] = float32(number(r[0], i))
		}
		same(t, []float32{dotGo(numbers, bias)}, []float32{DotRow(bias, r[0])})

		sum := append([]uint64(nil), r[0]...)
		AddRow(sum, r[1])
		for i := range n {
			require.Equal(t, min(max(number(r[0], i)+number(r[1], i), -Zero), Zero), number(sum, i))
		}
		ClearRow(sum)
		for i := range n {
			require.Zero(t, number(sum, i))
		}
	}
}

func TestRound(t *testing.T) {
	rng := rand.New(rand.NewPCG(8, 2))
	for range 100 {
		n := 16 * (1 + rng.IntN(12))
		sums, ratio, scale := make([]int32, n), make([]float32, n), float32(rng.Float64()*2)
		for i := range sums {
			sums[i] = int32(rng.Uint32()) >> rng.IntN(32)
			ratio[i] = float32(rng.NormFloat64() / 10)
			if rng.IntN(3) == 0 { // halves: ties
				sums[i], ratio[i] = int32(rng.IntN(2001)-1000), 0.5/scale
			}
		}
		row, plain := make([]uint64, n/4), make([]uint64, n/4)
		Round(row, sums, ratio, scale)
		roundGo(plain, sums, ratio, scale)
		require.Equal(t, plain, row)
		for i := range sums {
			x := float64(float32(float32(float32(sums[i])*ratio[i]) * scale))
			require.Equal(t, int(min(max(math.RoundToEven(x), -Zero), Zero)), number(row, i), x)
		}
	}
}

func TestMatrix(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 2))
	for range 50 {
		rows, cols := 2*(1+rng.IntN(60)), 32*(1+rng.IntN(5))
		w, x := randomInt16(rng, rows*cols, 2047), randomInt16(rng, rows, 8000)
		got, plain := make([]int32, cols), make([]int32, cols)
		NewMatrix(w, rows, cols).Mul(got, x)
		mulHalvesGo(plain, x, halves(w, rows, cols))
		require.Equal(t, plain, got)
		for c := range cols {
			sum := int32(0)
			for r := range rows {
				sum += int32(x[r]) * int32(w[r*cols+c])
			}
			require.Equal(t, sum, got[c])
		}
	}
}

func TestAddBytes(t *testing.T) {
	rng := rand.New(rand.NewPCG(10, 2))
	for n := range 120 {
		dst, src := randomInt16(rng, n, 9000), make([]int8, n+3)
		for i := range src {
			src[i] = int8(rng.IntN(256) - 128)
		}
		want := append([]int16{}, dst...)
		addBytesGo(want, src)
		AddBytes(dst, src)
		require.Equal(t, want, dst)
	}
}

func BenchmarkRow(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 2))
	m := NewMatrix(randomInt16(rng, 100*800, 2047), 100, 800)
	x, sums, ratio, row := randomInt16(rng, 100, 127), make([]int32, 800), random(rng, 800), make([]uint64, 200)
	for b.Loop() {
		m.Mul(sums, x)
		Round(row, sums, ratio, 1e-3)
	}
}

func BenchmarkSumRows(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 2))
	row, bias, pre := randomRow(rng, 160), random(rng, 160), make([]float32, 160)
	for b.Loop() {
		SumRows(pre, bias, bias, row, row, row, row, row)
	}
}
