package vec

import "math"

// A row is a list of whole numbers of 16 bits, four to a uint64 with the first in
// the lowest bits. Zero is stored as Zero and no number is further from it, so that
// five rows can be summed without a carry from one number to the next. All of their
// arithmetic is exact.

// Zero is what stands for 0 in a row.
const Zero = 6553

const (
	terms = 5 // rows of a sum: terms * 2 * Zero < 1<<16
	four  = 1<<48 | 1<<32 | 1<<16 | 1
)

// ClearRow sets all numbers of row to 0.
func ClearRow(row []uint64) {
	for i := range row {
		row[i] = four * Zero
	}
}

// AddRow adds src to row. A sum that a row cannot hold becomes the nearest that it
// can. len(src) >= len(row).
func AddRow(row, src []uint64) {
	const high = four << 15
	src = src[:len(row)]
	for i, v := range src {
		s := row[i] + v // below 1<<15 each, as all that follows
		over := (s | high) - four*Zero
		over &= (over & high) >> 15 * 0x7fff // max(s-Zero, 0)
		fits := (four*2*Zero | high) - over
		keep := (fits & high) >> 15 * 0xffff
		row[i] = over&keep | four*2*Zero&^keep // min(…, 2*Zero)
	}
}

// SumRows sets pre[i] to bias[i] + unit[i] times the sum of five rows' numbers.
// len(pre) is a multiple of 16.
func SumRows(pre, bias, unit []float32, r0, r1, r2, r3, r4 []uint64) {
	n := len(pre)
	bias, unit = bias[:n], unit[:n]
	m := n / 4
	r0, r1, r2, r3, r4 = r0[:m], r1[:m], r2[:m], r3[:m], r4[:m]
	if simd {
		sumRowsAsm(&pre[0], &bias[0], &unit[0], &r0[0], &r1[0], &r2[0], &r3[0], &r4[0], n)
		return
	}
	sumRowsGo(pre, bias, unit, r0, r1, r2, r3, r4)
}

func sumRowsGo(pre, bias, unit []float32, r0, r1, r2, r3, r4 []uint64) {
	for i := range r0 {
		s := r0[i] + r1[i] + r2[i] + r3[i] + r4[i]
		p, b, u := pre[4*i:4*i+4:4*i+4], bias[4*i:4*i+4:4*i+4], unit[4*i:4*i+4:4*i+4]
		p[0] = float32(float32(int32(s&0xffff)-terms*Zero)*u[0]) + b[0]
		p[1] = float32(float32(int32(s>>16&0xffff)-terms*Zero)*u[1]) + b[1]
		p[2] = float32(float32(int32(s>>32&0xffff)-terms*Zero)*u[2]) + b[2]
		p[3] = float32(float32(int32(s>>48)-terms*Zero)*u[3]) + b[3]
	}
}

// DotRow is the sum of g[i] times a row's numbers. len(g) is a multiple of Lanes.
func DotRow(g []float32, row []uint64) float32 {
	row = row[:len(g)/4]
	if simd {
		return dotRowAsm(&g[0], &row[0], len(g))
	}
	return dotRowGo(g, row)
}

func dotRowGo(g []float32, row []uint64) float32 {
	var s [Lanes]float32
	for i := 0; i+Lanes <= len(g); i += Lanes {
		for j := range s {
			v := int32(row[(i+j)/4]>>(16*(j%4))&0xffff) - Zero
			s[j] += float32(float32(v) * g[i+j])
		}
	}
	return fold(&s)
}

// Round sets row to the nearest whole numbers of sums[i] * ratio[i] * scale, ties
// to the even one, and where a row cannot hold it, to the nearest that it can. The
// lengths of sums and ratio are equal multiples of 16. No product may overflow.
func Round(row []uint64, sums []int32, ratio []float32, scale float32) {
	ratio, row = ratio[:len(sums)], row[:len(sums)/4]
	if simd {
		roundAsm(&row[0], &sums[0], &ratio[0], len(sums), scale)
		return
	}
	roundGo(row, sums, ratio, scale)
}

func roundGo(row []uint64, sums []int32, ratio []float32, scale float32) {
	for i := range row {
		var v uint64
		for j := range 4 {
			x := float32(float32(float32(sums[4*i+j])*ratio[4*i+j]) * scale)
			x = min(max(x, -Zero), Zero)
			// Adding 1.5 * 2^23 leaves no bits behind the point.
			const point = 3 << 22
			v |= uint64(math.Float32bits(x+point)-math.Float32bits(point)+Zero) << (16 * j)
		}
		row[i] = v
	}
}

// AddBytes adds src to dst, whose sums must fit. len(src) >= len(dst).
func AddBytes(dst []int16, src []int8) {
	if n := len(dst) &^ 15; simd && n > 0 {
		addBytesAsm(&dst[0], &src[:n][0], n)
		dst, src = dst[n:], src[n:]
	}
	addBytesGo(dst, src)
}

func addBytesGo(dst []int16, src []int8) {
	src = src[:len(dst)]
	for i, v := range src {
		dst[i] += int16(v)
	}
}

// Matrix multiplies vectors of whole numbers.
type Matrix struct {
	rows, cols int
	pairs      []int16     // for the assembly
	halves     [][4]uint64 // for plain Go
}

const (
	pairCols = 32 // columns that the assembly works on at once
	halfCols = 8
)

// NewMatrix makes a matrix of w, rows of cols numbers. Rows must be even, cols a
// multiple of 32.
func NewMatrix(w []int16, rows, cols int) *Matrix {
	m := &Matrix{rows: rows, cols: cols}
	if simd {
		m.pairs = pairs(w, rows, cols)
	} else {
		m.halves = halves(w, rows, cols)
	}
	return m
}

// Mul sets sums to x times the matrix. For every column, the sum of |x[i]| times
// its largest |weight| must be below 1<<31.
func (m *Matrix) Mul(sums []int32, x []int16) {
	_, _ = sums[m.cols-1], x[m.rows-1]
	if m.pairs != nil {
		mulPairsAsm(&sums[0], &x[0], &m.pairs[0], m.rows/2, m.cols)
		return
	}
	mulHalvesGo(sums[:m.cols], x[:m.rows], m.halves)
}

// pairs puts the numbers of two rows side by side, block of columns by block.
func pairs(w []int16, rows, cols int) []int16 {
	out := make([]int16, 0, rows*cols)
	for block := 0; block < cols; block += pairCols {
		for r := 0; r < rows; r += 2 {
			for c := block; c < block+pairCols; c++ {
				out = append(out, w[r*cols+c], w[(r+1)*cols+c])
			}
		}
	}
	return out
}

// halves puts the numbers of two columns into one, so that one multiplication does
// for both: what the lower half borrows from the upper one is given back at the end.
func halves(w []int16, rows, cols int) [][4]uint64 {
	out := make([][4]uint64, 0, rows*cols/halfCols)
	for block := 0; block < cols; block += halfCols {
		for r := range rows {
			var p [4]uint64
			for i := range p {
				at := r*cols + block + 2*i
				p[i] = uint64(w[at]) + uint64(w[at+1])<<32
			}
			out = append(out, p)
		}
	}
	return out
}

func mulHalvesGo(sums []int32, x []int16, w [][4]uint64) {
	for c := 0; c < len(sums); c += halfCols {
		s := mulBlock(x, w[c/halfCols*len(x):][:len(x)])
		for i, v := range s {
			low := int32(uint32(v))
			sums[c+2*i], sums[c+2*i+1] = low, int32(uint32((v-uint64(low))>>32))
		}
	}
}

// mulBlock is a function of its own so that the sums stay in registers.
//
//go:noinline
func mulBlock(x []int16, w [][4]uint64) [4]uint64 {
	w = w[:len(x)]
	var s0, s1, s2, s3 uint64
	for i, v := range x {
		y, p := uint64(v), &w[i]
		s0 += y * p[0]
		s1 += y * p[1]
		s2 += y * p[2]
		s3 += y * p[3]
	}
	return [4]uint64{s0, s1, s2, s3}
}
