package vec

import (
	"os"

	"golang.org/x/sys/cpu"
)

// simd says whether the assembly runs. SYNAPSE_SIMD=off takes the plain Go
// kernels, to compare their speed; results do not depend on it.
var simd = cpu.X86.HasAVX2 && os.Getenv("SYNAPSE_SIMD") != "off"

//go:noescape
func addAsm(dst, src *float32, n int)

//go:noescape
func axpyAsm(dst, src *float32, n int, a float32)

//go:noescape
func maxAsm(dst, src *float32, n int)

//go:noescape
func gateAsm(h, a, b *float32, n int)

//go:noescape
func gateGradAsm(dpre, pre, dh *float32, n int)

//go:noescape
func dotAsm(a, b *float32, n int) float32

//go:noescape
func mul4x16(c *float32, ldc int, a *float32, lda int, b *float32, ldb int, k int)

//go:noescape
func mul1x16(c, a, b *float32, ldb, k int)

//go:noescape
func sumRowsAsm(pre, bias, unit *float32, r0, r1, r2, r3, r4 *uint64, n int)

//go:noescape
func dotRowAsm(x *float32, row *uint64, n int) float32

//go:noescape
func roundAsm(row *uint64, sums *int32, ratio *float32, n int, scale float32)

//go:noescape
func addBytesAsm(dst *int16, src *int8, n int)

//go:noescape
func mulPairsAsm(sums *int32, x, w *int16, pairs, cols int)
