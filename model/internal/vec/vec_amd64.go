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
func gateSumAsm(h, bias, r0, r1, r2, r3, r4 *float32, n int)

//go:noescape
func gateGradAsm(dpre, pre, dh *float32, n int)

//go:noescape
func dotAsm(a, b *float32, n int) float32

//go:noescape
func mul4x16(c *float32, ldc int, a *float32, lda int, b *float32, ldb int, k int)

//go:noescape
func mul1x16(c, a, b *float32, ldb, k int)
