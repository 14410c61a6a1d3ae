package vec

import "math"

func addGo(dst, src []float32) {
	src = src[:len(dst)]
	for i, v := range src {
		dst[i] += v
	}
}

func axpyGo(dst []float32, a float32, src []float32) {
	src = src[:len(dst)]
	for i, v := range src {
		dst[i] += float32(a * v)
	}
}

func maxGo(dst, src []float32) {
	src = src[:len(dst)]
	for i, v := range src {
		if v > dst[i] {
			dst[i] = v
		}
	}
}

func gateGo(h, a, g []float32) {
	a, g = a[:len(h)], g[:len(h)]
	for i := range h {
		x, y := a[i], g[i]
		ax, ay := abs(x), abs(y)
		num := float32(x * (float32(1+ay) + y))
		den := float32((1 + ax) * (1 + ay))
		h[i] = float32(float32(num/den) * 0.5)
	}
}

func gateGradGo(dpre, pre, dh []float32) {
	n := len(dh)
	dpre, pre = dpre[:2*n], pre[:2*n]
	for i, d := range dh {
		x, y := pre[i], pre[n+i]
		ix, iy := 1/(1+abs(x)), 1/(1+abs(y))
		d *= 0.5
		dpre[i] = float32(float32(d*(1+float32(y*iy))) * float32(ix*ix))
		dpre[n+i] = float32(float32(d*float32(x*ix)) * float32(iy*iy))
	}
}

// abs has no branch: the signs of activations follow no pattern.
func abs(x float32) float32 {
	return math.Float32frombits(math.Float32bits(x) &^ (1 << 31))
}

func dotGo(a, b []float32) float32 {
	b = b[:len(a)]
	var s [Lanes]float32
	for i := 0; i+Lanes <= len(a); i += Lanes {
		for j := range s {
			s[j] += float32(a[i+j] * b[i+j])
		}
	}
	return fold(&s)
}

// fold adds up the lanes in the order that the assembly does.
func fold(s *[Lanes]float32) float32 {
	return ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]))
}

// mulRowGo adds a times b (len(a) rows, ldb apart) to the row c. Four columns at
// a time, so that their sums stay in registers.
func mulRowGo(c, a, b []float32, ldb int) {
	n, j := len(c), 0
	for ; j+4 <= n; j += 4 {
		c0, c1, c2, c3 := c[j], c[j+1], c[j+2], c[j+3]
		at := j
		for _, x := range a {
			r := b[at : at+4 : at+4]
			c0 += float32(x * r[0])
			c1 += float32(x * r[1])
			c2 += float32(x * r[2])
			c3 += float32(x * r[3])
			at += ldb
		}
		c[j], c[j+1], c[j+2], c[j+3] = c0, c1, c2, c3
	}
	for ; j < n; j++ {
		s, at := c[j], j
		for _, x := range a {
			s += float32(x * b[at])
			at += ldb
		}
		c[j] = s
	}
}
