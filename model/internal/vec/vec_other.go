//go:build !amd64

package vec

const simd = false

func addAsm(dst, src *float32, n int)                                              {}
func axpyAsm(dst, src *float32, n int, a float32)                                  {}
func maxAsm(dst, src *float32, n int)                                              {}
func gateAsm(h, a, b *float32, n int)                                              {}
func gateGradAsm(dpre, pre, dh *float32, n int)                                    {}
func dotAsm(a, b *float32, n int) float32                                          { return 0 }
func mul4x16(c *float32, ldc int, a *float32, lda int, b *float32, ldb int, k int) {}
func mul1x16(c, a, b *float32, ldb, k int)                                         {}
func sumRowsAsm(pre, bias, unit *float32, r0, r1, r2, r3, r4 *uint64, n int)       {}
func dotRowAsm(x *float32, row *uint64, n int) float32                             { return 0 }
func roundAsm(row *uint64, sums *int32, ratio *float32, n int, scale float32)      {}
func addBytesAsm(dst *int16, src *int8, n int)                                     {}
func mulPairsAsm(sums *int32, x, w *int16, pairs, cols int)                        {}
