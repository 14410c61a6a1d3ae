// Package vec holds the few float32 kernels of the deep model. Each has a plain
// Go form and, on amd64 with AVX2, one in assembly. Both give the same bits:
// every element is computed by the same operations in the same order, products
// are rounded before they are added (no fused multiply-add), and sums across
// lanes have a fixed shape.
package vec

import "math"

// Lanes is the width of the fixed-shape sums; lengths must be multiples of it
// where a function says so.
const Lanes = 8

// Add adds src to dst, element by element. len(src) >= len(dst).
func Add(dst, src []float32) {
	if n := len(dst) &^ (Lanes - 1); simd && n > 0 {
		addAsm(&dst[0], &src[:n][0], n)
		dst, src = dst[n:], src[n:]
	}
	addGo(dst, src)
}

// Axpy adds a*src to dst.
func Axpy(dst []float32, a float32, src []float32) {
	if n := len(dst) &^ (Lanes - 1); simd && n > 0 {
		axpyAsm(&dst[0], &src[:n][0], n, a)
		dst, src = dst[n:], src[n:]
	}
	axpyGo(dst, a, src)
}

// Max sets dst to the larger of dst and src, element by element. NaN must not
// occur.
func Max(dst, src []float32) {
	if n := len(dst) &^ (Lanes - 1); simd && n > 0 {
		maxAsm(&dst[0], &src[:n][0], n)
		dst, src = dst[n:], src[n:]
	}
	maxGo(dst, src)
}

// Gate sets h[i] to softsign(pre[i]) * s(pre[n+i]), where n = len(h), s(g) =
// (1+softsign(g))/2 and softsign(x) = x/(1+|x|). len(pre) == 2n.
func Gate(h, pre []float32) {
	n := len(h)
	a, g := pre[:n], pre[n:2*n]
	if m := n &^ (Lanes - 1); simd && m > 0 {
		gateAsm(&h[0], &a[0], &g[0], m)
		h, a, g = h[m:], a[m:], g[m:]
	}
	gateGo(h, a, g)
}

// GateGrad sets dpre to the gradient of Gate at pre, times dh. len(dh) must be a
// multiple of Lanes; dpre and pre are twice as long.
func GateGrad(dpre, pre, dh []float32) {
	n := len(dh)
	if simd {
		_, _ = dpre[2*n-1], pre[2*n-1]
		gateGradAsm(&dpre[0], &pre[0], &dh[0], n)
		return
	}
	gateGradGo(dpre, pre, dh)
}

// Dot is the sum of a[i]*b[i]. len(a) must be a multiple of Lanes.
func Dot(a, b []float32) float32 {
	if simd {
		return dotAsm(&a[0], &b[:len(a)][0], len(a))
	}
	return dotGo(a, b)
}

// MulAdd adds the product of a (m rows of k, lda apart) and b (k rows of n, ldb
// apart) to c (m rows of n, ldc apart). The terms of an element are added in the
// order of k.
func MulAdd(c []float32, ldc int, a []float32, lda int, b []float32, ldb int, m, k, n int) {
	if m == 0 || k == 0 || n == 0 {
		return
	}
	_, _, _ = c[(m-1)*ldc+n-1], a[(m-1)*lda+k-1], b[(k-1)*ldb+n-1]
	j := 0
	if simd {
		for ; j+16 <= n; j += 16 {
			i := 0
			for ; i+4 <= m; i += 4 {
				mul4x16(&c[i*ldc+j], ldc, &a[i*lda], lda, &b[j], ldb, k)
			}
			for ; i < m; i++ {
				mul1x16(&c[i*ldc+j], &a[i*lda], &b[j], ldb, k)
			}
		}
	}
	if j < n {
		for i := range m {
			mulRowGo(c[i*ldc+j:i*ldc+n], a[i*lda:i*lda+k], b[j:], ldb)
		}
	}
}

// Exp is e^x for -80 <= x <= 0 (smaller x give 0), the same on every machine:
// the standard library's has assembly on some, whose last bit differs.
func Exp(x float32) float32 {
	if x < -80 {
		return 0
	}
	const (
		log2e = 1.44269504088896338700e+00
		ln2   = 6.93147180559945286227e-01
	)
	k := math.Floor(float64(float64(x)*log2e) + 0.5)
	r := float64(x) - float64(k*ln2)
	y := 1.0
	for i := 7; i >= 1; i-- { // |r| <= ln2/2: the next term is below 2^-27
		y = float64(float64(y*r)*inverse[i]) + 1
	}
	return float32(y * math.Float64frombits(uint64(int64(k)+1023)<<52))
}

// Exp64 is e^x for x <= 700 to the last bits of a float64 (below -700 it is 0),
// the same on every machine.
func Exp64(x float64) float64 {
	if x < -700 {
		return 0
	}
	const (
		log2e = 1.44269504088896338700e+00
		ln2Hi = 6.93147180369123816490e-01
		ln2Lo = 1.90821492927058770002e-10
	)
	k := math.Floor(float64(x*log2e) + 0.5)
	r := x - float64(k*ln2Hi)
	r -= float64(k * ln2Lo)
	// Taylor to r^12: |r| <= ln2/2, the next term is below 2^-52.
	y := 1.0
	for i := 12; i >= 1; i-- {
		y = float64(float64(y*r)/float64(i)) + 1
	}
	return y * math.Float64frombits(uint64(int64(k)+1023)<<52)
}

var inverse = [...]float64{1: 1, 2: 0.5, 3: 1.0 / 3, 4: 0.25, 5: 0.2, 6: 1.0 / 6, 7: 1.0 / 7}
