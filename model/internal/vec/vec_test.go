package vec

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

func random(rng *rand.Rand, n int) []float32 {
	out := make([]float32, n)
	for i := range out {
		switch rng.IntN(12) {
		case 0:
			out[i] = 0
		case 1:
			out[i] = float32(math.Copysign(0, -1))
		case 2:
			out[i] = float32(rng.NormFloat64() * 1e12)
		case 3:
			out[i] = float32(rng.NormFloat64() * 1e-12)
		default:
			out[i] = float32(rng.NormFloat64())
		}
	}
	return out
}

func same(t *testing.T, want, got []float32) {
	t.Helper()
	for i := range want {
		require.Equal(t, math.Float32bits(want[i]), math.Float32bits(got[i]), "element %d: %g and %g", i, want[i], got[i])
	}
}

// The public functions take the assembly where the machine has it; the plain Go
// forms must give the same bits.
func TestTwins(t *testing.T) {
	if !simd {
		t.Skip("no AVX2 here: there is only one form")
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		n := 1 + rng.IntN(150)
		a, b := random(rng, n), random(rng, n)
		clone := func(x []float32) []float32 { return append([]float32(nil), x...) }

		want, got := clone(a), clone(a)
		addGo(want, b)
		Add(got, b)
		same(t, want, got)

		want, got = clone(a), clone(a)
		axpyGo(want, b[0], b)
		Axpy(got, b[0], b)
		same(t, want, got)

		want, got = clone(a), clone(a)
		maxGo(want, b)
		Max(got, b)
		same(t, want, got)

		pre := random(rng, 2*n)
		gateGo(want, pre[:n], pre[n:])
		Gate(got, pre)
		same(t, want, got)

		if m := n &^ 7; m > 0 {
			wide, narrow := make([]float32, 2*m), make([]float32, 2*m)
			gateGradGo(wide, pre[:2*m], b[:m])
			GateGrad(narrow, pre[:2*m], b[:m])
			same(t, wide, narrow)
			same(t, []float32{dotGo(a[:m], b[:m])}, []float32{Dot(a[:m], b[:m])})
		}

		m, k := 1+rng.IntN(9), 1+rng.IntN(20)
		lda, ldb, ldc := k+rng.IntN(3), n+rng.IntN(3), n+rng.IntN(3)
		am, bm, cm := random(rng, m*lda), random(rng, k*ldb), random(rng, m*ldc)
		want, got = clone(cm), clone(cm)
		for i := range m {
			mulRowGo(want[i*ldc:i*ldc+n], am[i*lda:i*lda+k], bm, ldb)
		}
		MulAdd(got, ldc, am, lda, bm, ldb, m, k, n)
		same(t, want, got)
	}
}

func TestMulAdd(t *testing.T) {
	c := []float32{1, 1, 1, 1}
	MulAdd(c, 2, []float32{1, 2, 3, 4}, 2, []float32{5, 6, 7, 8}, 2, 2, 2, 2)
	require.Equal(t, []float32{20, 23, 44, 51}, c)
}

func TestExp(t *testing.T) {
	for x := float32(0); x > -80; x -= 0.0173 {
		require.InEpsilon(t, math.Exp(float64(x)), float64(Exp(x)), 3e-7)
	}
	require.Zero(t, Exp(-81))
	require.Equal(t, float32(1), Exp(0))
}

func BenchmarkMulAdd(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 2))
	x, w, c := random(rng, 1500*100), random(rng, 100*384), make([]float32, 1500*384)
	for b.Loop() {
		MulAdd(c, 384, x, 100, w, 384, 1500, 100, 384)
	}
	b.ReportMetric(float64(b.N)*1500*100*384/b.Elapsed().Seconds()/1e9, "GMAC/s")
}

func BenchmarkGate(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 2))
	pre, h := random(rng, 128), make([]float32, 64)
	for b.Loop() {
		Gate(h, pre)
	}
}

func TestExp64IsExact(t *testing.T) {
	for x := 60.0; x > -60; x -= 0.0137 {
		require.InEpsilon(t, math.Exp(x), Exp64(x), 1e-14)
	}
	require.Equal(t, 1.0, Exp64(0))
	require.Zero(t, Exp64(-1e9))
	require.Zero(t, Exp64(math.Inf(-1)))
}
