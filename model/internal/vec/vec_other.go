//go:build !amd64

package vec

const simd = false

func addAsm(dst, src *float32, n int)                                              {}
func axpyAsm(dst, src *float32, n int, a float32)                                  {}
func maxAsm(dst, src *float32, n int)                                              {}
func gateAsm(h, a, b *float32, n int)                                              {}
func gateSumAsm(h, bias, r0, r1, r2, r3, r4 *float32, n int)                       {}
func gateGradAsm(dpre, pre, dh *float32, n int)                                    {}
func dotAsm(a, b *float32, n int) float32                                          { return 0 }
func mul4x16(c *float32, ldc int, a *float32, lda int, b *float32, ldb int, k int) {}
func mul1x16(c, a, b *float32, ldb, k int)                                         {}
