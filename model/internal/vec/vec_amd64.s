#include "textflag.h"

// FOLD sums the lanes of Y0 into the first of X0, as fold does: 0+4 1+5 2+6 3+7, then
// the first two of these plus the last two, then those two.
#define FOLD \
	VEXTRACTF128 $1, Y0, X1; \
	VADDPS    X1, X0, X0;    \
	VPERMILPD $1, X0, X1;    \
	VADDPS    X1, X0, X0;    \
	VMOVSHDUP X0, X1;        \
	VADDSS    X1, X0, X0

// n is a multiple of 8 and above 0 in all of these.

// func addAsm(dst, src *float32, n int)
TEXT ·addAsm(SB), NOSPLIT, $0-24
	MOVQ dst+0(FP), DI
	MOVQ src+8(FP), SI
	MOVQ n+16(FP), CX
	CMPQ CX, $32
	JL   add8
add32:
	VMOVUPS (DI), Y0
	VMOVUPS 32(DI), Y1
	VMOVUPS 64(DI), Y2
	VMOVUPS 96(DI), Y3
	VADDPS  (SI), Y0, Y0
	VADDPS  32(SI), Y1, Y1
	VADDPS  64(SI), Y2, Y2
	VADDPS  96(SI), Y3, Y3
	VMOVUPS Y0, (DI)
	VMOVUPS Y1, 32(DI)
	VMOVUPS Y2, 64(DI)
	VMOVUPS Y3, 96(DI)
	ADDQ $128, DI
	ADDQ $128, SI
	SUBQ $32, CX
	CMPQ CX, $32
	JGE  add32
add8:
	TESTQ CX, CX
	JZ    adddone
	VMOVUPS (DI), Y0
	VADDPS  (SI), Y0, Y0
	VMOVUPS Y0, (DI)
	ADDQ $32, DI
	ADDQ $32, SI
	SUBQ $8, CX
	JMP  add8
adddone:
	VZEROUPPER
	RET

// func axpyAsm(dst, src *float32, n int, a float32)
TEXT ·axpyAsm(SB), NOSPLIT, $0-28
	MOVQ dst+0(FP), DI
	MOVQ src+8(FP), SI
	MOVQ n+16(FP), CX
	VBROADCASTSS a+24(FP), Y4
axpy8:
	VMULPS  (SI), Y4, Y0
	VADDPS  (DI), Y0, Y0
	VMOVUPS Y0, (DI)
	ADDQ $32, DI
	ADDQ $32, SI
	SUBQ $8, CX
	JNZ  axpy8
	VZEROUPPER
	RET

// func maxAsm(dst, src *float32, n int)
TEXT ·maxAsm(SB), NOSPLIT, $0-24
	MOVQ dst+0(FP), DI
	MOVQ src+8(FP), SI
	MOVQ n+16(FP), CX
max8:
	// The second source wins on a tie (of +0 and -0), as in plain Go: v > dst
	// is false there and dst stays.
	VMOVUPS (SI), Y1
	VMAXPS  (DI), Y1, Y0
	VMOVUPS Y0, (DI)
	ADDQ $32, DI
	ADDQ $32, SI
	SUBQ $8, CX
	JNZ  max8
	VZEROUPPER
	RET

// func gateAsm(h, a, b *float32, n int)
TEXT ·gateAsm(SB), NOSPLIT, $0-32
	MOVQ h+0(FP), DI
	MOVQ a+8(FP), SI
	MOVQ b+16(FP), DX
	MOVQ n+24(FP), CX
	MOVL $0x7fffffff, AX
	VMOVD AX, X10
	VPBROADCASTD X10, Y10
	MOVL $0x3f800000, AX
	VMOVD AX, X11
	VPBROADCASTD X11, Y11
	MOVL $0x3f000000, AX
	VMOVD AX, X12
	VPBROADCASTD X12, Y12
gate8:
	VMOVUPS (SI), Y0          // x
	VMOVUPS (DX), Y1          // y
	VANDPS  Y10, Y0, Y2       // |x|
	VANDPS  Y10, Y1, Y3       // |y|
	VADDPS  Y2, Y11, Y2       // 1+|x|
	VADDPS  Y3, Y11, Y3       // 1+|y|
	VADDPS  Y1, Y3, Y4
	VMULPS  Y4, Y0, Y4
	VMULPS  Y3, Y2, Y2
	VDIVPS  Y2, Y4, Y4        // Y4/Y2
	VMULPS  Y12, Y4, Y4
	VMOVUPS Y4, (DI)
	ADDQ $32, DI
	ADDQ $32, SI
	ADDQ $32, DX
	SUBQ $8, CX
	JNZ  gate8
	VZEROUPPER
	RET

// func gateGradAsm(dpre, pre, dh *float32, n int)
TEXT ·gateGradAsm(SB), NOSPLIT, $0-32
	MOVQ dpre+0(FP), DI
	MOVQ pre+8(FP), SI
	MOVQ dh+16(FP), R8
	MOVQ n+24(FP), CX
	LEAQ (CX*4), DX
	MOVL $0x7fffffff, AX
	VMOVD AX, X10
	VPBROADCASTD X10, Y10
	MOVL $0x3f800000, AX
	VMOVD AX, X11
	VPBROADCASTD X11, Y11
	MOVL $0x3f000000, AX
	VMOVD AX, X12
	VPBROADCASTD X12, Y12
	XORQ BX, BX
gategrad8:
	LEAQ (BX)(DX*1), AX
	VMOVUPS (SI)(BX*1), Y0    // x
	VMOVUPS (SI)(AX*1), Y1    // y
	VMOVUPS (R8)(BX*1), Y5
	VMULPS  Y12, Y5, Y5       // d/2
	VANDPS  Y10, Y0, Y2
	VANDPS  Y10, Y1, Y3
	VADDPS  Y2, Y11, Y2
	VADDPS  Y3, Y11, Y3
	VDIVPS  Y2, Y11, Y2       // ix
	VDIVPS  Y3, Y11, Y3       // iy
	VMULPS  Y3, Y1, Y4        // y*iy
	VADDPS  Y4, Y11, Y4
	VMULPS  Y4, Y5, Y4
	VMULPS  Y2, Y2, Y6
	VMULPS  Y6, Y4, Y4
	VMOVUPS Y4, (DI)(BX*1)
	VMULPS  Y2, Y0, Y4        // x*ix
	VMULPS  Y4, Y5, Y4
	VMULPS  Y3, Y3, Y6
	VMULPS  Y6, Y4, Y4
	VMOVUPS Y4, (DI)(AX*1)
	ADDQ $32, BX
	SUBQ $8, CX
	JNZ  gategrad8
	VZEROUPPER
	RET

// func dotAsm(a, b *float32, n int) float32
TEXT ·dotAsm(SB), NOSPLIT, $0-28
	MOVQ a+0(FP), DI
	MOVQ b+8(FP), SI
	MOVQ n+16(FP), CX
	VXORPS Y0, Y0, Y0
dot8:
	VMOVUPS (DI), Y1
	VMULPS  (SI), Y1, Y1
	VADDPS  Y1, Y0, Y0
	ADDQ $32, DI
	ADDQ $32, SI
	SUBQ $8, CX
	JNZ  dot8
	FOLD
	VMOVSS  X0, ret+24(FP)
	VZEROUPPER
	RET

// func mul4x16(c *float32, ldc int, a *float32, lda int, b *float32, ldb int, k int)
TEXT ·mul4x16(SB), NOSPLIT, $0-56
	MOVQ c+0(FP), DI
	MOVQ ldc+8(FP), R8
	MOVQ a+16(FP), SI
	MOVQ lda+24(FP), R9
	MOVQ b+32(FP), BX
	MOVQ ldb+40(FP), R10
	MOVQ k+48(FP), CX
	SHLQ $2, R8
	SHLQ $2, R9
	SHLQ $2, R10
	LEAQ (DI)(R8*1), R11
	LEAQ (R11)(R8*1), R12
	LEAQ (R12)(R8*1), R13
	LEAQ (SI)(R9*1), AX
	LEAQ (AX)(R9*1), DX
	LEAQ (DX)(R9*1), R9
	VMOVUPS (DI), Y0
	VMOVUPS 32(DI), Y1
	VMOVUPS (R11), Y2
	VMOVUPS 32(R11), Y3
	VMOVUPS (R12), Y4
	VMOVUPS 32(R12), Y5
	VMOVUPS (R13), Y6
	VMOVUPS 32(R13), Y7
mul4:
	VMOVUPS (BX), Y8
	VMOVUPS 32(BX), Y9
	VBROADCASTSS (SI), Y10
	VBROADCASTSS (AX), Y11
	VMULPS Y8, Y10, Y12
	VMULPS Y9, Y10, Y13
	VMULPS Y8, Y11, Y14
	VMULPS Y9, Y11, Y15
	VADDPS Y12, Y0, Y0
	VADDPS Y13, Y1, Y1
	VADDPS Y14, Y2, Y2
	VADDPS Y15, Y3, Y3
	VBROADCASTSS (DX), Y10
	VBROADCASTSS (R9), Y11
	VMULPS Y8, Y10, Y12
	VMULPS Y9, Y10, Y13
	VMULPS Y8, Y11, Y14
	VMULPS Y9, Y11, Y15
	VADDPS Y12, Y4, Y4
	VADDPS Y13, Y5, Y5
	VADDPS Y14, Y6, Y6
	VADDPS Y15, Y7, Y7
	ADDQ R10, BX
	ADDQ $4, SI
	ADDQ $4, AX
	ADDQ $4, DX
	ADDQ $4, R9
	DECQ CX
	JNZ  mul4
	VMOVUPS Y0, (DI)
	VMOVUPS Y1, 32(DI)
	VMOVUPS Y2, (R11)
	VMOVUPS Y3, 32(R11)
	VMOVUPS Y4, (R12)
	VMOVUPS Y5, 32(R12)
	VMOVUPS Y6, (R13)
	VMOVUPS Y7, 32(R13)
	VZEROUPPER
	RET

// func mul1x16(c, a, b *float32, ldb, k int)
TEXT ·mul1x16(SB), NOSPLIT, $0-40
	MOVQ c+0(FP), DI
	MOVQ a+8(FP), SI
	MOVQ b+16(FP), BX
	MOVQ ldb+24(FP), R10
	MOVQ k+32(FP), CX
	SHLQ $2, R10
	VMOVUPS (DI), Y0
	VMOVUPS 32(DI), Y1
mul1:
	VBROADCASTSS (SI), Y10
	VMULPS (BX), Y10, Y12
	VMULPS 32(BX), Y10, Y13
	VADDPS Y12, Y0, Y0
	VADDPS Y13, Y1, Y1
	ADDQ R10, BX
	ADDQ $4, SI
	DECQ CX
	JNZ  mul1
	VMOVUPS Y0, (DI)
	VMOVUPS Y1, 32(DI)
	VZEROUPPER
	RET

// func sumRowsAsm(pre, bias, unit *float32, r0, r1, r2, r3, r4 *uint64, n int)
// n is a multiple of 16.
TEXT ·sumRowsAsm(SB), NOSPLIT, $0-72
	MOVQ pre+0(FP), DI
	MOVQ bias+8(FP), SI
	MOVQ unit+16(FP), DX
	MOVQ r0+24(FP), R8
	MOVQ r1+32(FP), R9
	MOVQ r2+40(FP), R10
	MOVQ r3+48(FP), R11
	MOVQ r4+56(FP), R12
	MOVQ n+64(FP), CX
	MOVL $32765, AX           // terms * Zero
	VMOVD AX, X10
	VPBROADCASTW X10, Y10
	XORQ BX, BX
sumrows16:
	VMOVDQU (R8)(BX*1), Y0
	VPADDW  (R9)(BX*1), Y0, Y0
	VPADDW  (R10)(BX*1), Y0, Y0
	VPADDW  (R11)(BX*1), Y0, Y0
	VPADDW  (R12)(BX*1), Y0, Y0
	VPSUBW  Y10, Y0, Y0
	VEXTRACTI128 $1, Y0, X1
	VPMOVSXWD X0, Y0
	VPMOVSXWD X1, Y1
	VCVTDQ2PS Y0, Y0
	VCVTDQ2PS Y1, Y1
	VMULPS  (DX)(BX*2), Y0, Y0
	VMULPS  32(DX)(BX*2), Y1, Y1
	VADDPS  (SI)(BX*2), Y0, Y0
	VADDPS  32(SI)(BX*2), Y1, Y1
	VMOVUPS Y0, (DI)(BX*2)
	VMOVUPS Y1, 32(DI)(BX*2)
	ADDQ $32, BX
	SUBQ $16, CX
	JNZ  sumrows16
	VZEROUPPER
	RET

// func dotRowAsm(x *float32, row *uint64, n int) float32
TEXT ·dotRowAsm(SB), NOSPLIT, $0-28
	MOVQ x+0(FP), DI
	MOVQ row+8(FP), SI
	MOVQ n+16(FP), CX
	MOVL $6553, AX            // Zero
	VMOVD AX, X10
	VPBROADCASTD X10, Y10
	VXORPS Y0, Y0, Y0
dotrow8:
	VPMOVZXWD (SI), Y1
	VPSUBD  Y10, Y1, Y1
	VCVTDQ2PS Y1, Y1
	VMULPS  (DI), Y1, Y1
	VADDPS  Y1, Y0, Y0
	ADDQ $32, DI
	ADDQ $16, SI
	SUBQ $8, CX
	JNZ  dotrow8
	FOLD
	VMOVSS  X0, ret+24(FP)
	VZEROUPPER
	RET

// func roundAsm(row *uint64, sums *int32, ratio *float32, n int, scale float32)
// n is a multiple of 16.
TEXT ·roundAsm(SB), NOSPLIT, $0-36
	MOVQ row+0(FP), DI
	MOVQ sums+8(FP), SI
	MOVQ ratio+16(FP), DX
	MOVQ n+24(FP), CX
	VBROADCASTSS scale+32(FP), Y9
	MOVL $6553, AX            // Zero
	VMOVD AX, X10
	VPBROADCASTD X10, Y10
	VCVTDQ2PS Y10, Y11        // and as a float
	VPXOR   Y12, Y12, Y12
	VSUBPS  Y11, Y12, Y12     // and its negative
round16:
	VCVTDQ2PS (SI), Y0
	VCVTDQ2PS 32(SI), Y1
	VMULPS  (DX), Y0, Y0
	VMULPS  32(DX), Y1, Y1
	VMULPS  Y9, Y0, Y0
	VMULPS  Y9, Y1, Y1
	VMAXPS  Y12, Y0, Y0
	VMAXPS  Y12, Y1, Y1
	VMINPS  Y11, Y0, Y0
	VMINPS  Y11, Y1, Y1
	VCVTPS2DQ Y0, Y0
	VCVTPS2DQ Y1, Y1
	VPADDD  Y10, Y0, Y0
	VPADDD  Y10, Y1, Y1
	VPACKUSDW Y1, Y0, Y0      // within the 128-bit halves
	VPERMQ  $0xd8, Y0, Y0
	VMOVDQU Y0, (DI)
	ADDQ $32, DI
	ADDQ $64, SI
	ADDQ $64, DX
	SUBQ $16, CX
	JNZ  round16
	VZEROUPPER
	RET

// func addBytesAsm(dst *int16, src *int8, n int)
// n is a multiple of 16.
TEXT ·addBytesAsm(SB), NOSPLIT, $0-24
	MOVQ dst+0(FP), DI
	MOVQ src+8(FP), SI
	MOVQ n+16(FP), CX
addbytes16:
	VPMOVSXBW (SI), Y0
	VPADDW  (DI), Y0, Y0
	VMOVDQU Y0, (DI)
	ADDQ $32, DI
	ADDQ $16, SI
	SUBQ $16, CX
	JNZ  addbytes16
	VZEROUPPER
	RET

// func mulPairsAsm(sums *int32, x, w *int16, pairs, cols int)
// cols is a multiple of 32; see pairs for the order of w.
TEXT ·mulPairsAsm(SB), NOSPLIT, $0-40
	MOVQ sums+0(FP), DI
	MOVQ x+8(FP), SI
	MOVQ w+16(FP), BX
	MOVQ pairs+24(FP), R8
	MOVQ cols+32(FP), R9
mulblock:
	MOVQ SI, DX
	MOVQ R8, CX
	VPXOR Y0, Y0, Y0
	VPXOR Y1, Y1, Y1
	VPXOR Y2, Y2, Y2
	VPXOR Y3, Y3, Y3
mulpair:
	VPBROADCASTD (DX), Y8
	VPMADDWD (BX), Y8, Y4
	VPMADDWD 32(BX), Y8, Y5
	VPMADDWD 64(BX), Y8, Y6
	VPMADDWD 96(BX), Y8, Y7
	VPADDD  Y4, Y0, Y0
	VPADDD  Y5, Y1, Y1
	VPADDD  Y6, Y2, Y2
	VPADDD  Y7, Y3, Y3
	ADDQ $4, DX
	ADDQ $128, BX
	DECQ CX
	JNZ  mulpair
	VMOVDQU Y0, (DI)
	VMOVDQU Y1, 32(DI)
	VMOVDQU Y2, 64(DI)
	VMOVDQU Y3, 96(DI)
	ADDQ $128, DI
	SUBQ $32, R9
	JNZ  mulblock
	VZEROUPPER
	RET
