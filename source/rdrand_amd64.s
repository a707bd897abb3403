#include "textflag.h"

// RDRAND and RDSEED set the carry flag when the register holds data and clear
// it, with the register zero, when not: Intel SDM volume 2B; AMD64 APM volume 3.

// func rdrandFill(dst []uint64) int
TEXT ·rdrandFill(SB), NOSPLIT, $0-32
	MOVQ dst_base+0(FP), DI
	MOVQ dst_len+8(FP), CX
	XORQ AX, AX

word:
	CMPQ AX, CX
	JGE  done
	RDRANDQ DX
	JCC  again

store:
	MOVQ DX, (DI)(AX*8)
	INCQ AX
	JMP  word

again:
	MOVQ $9, BX

retry:
	RDRANDQ DX
	JCS  store
	DECQ BX
	JNZ  retry

done:
	XORQ DX, DX
	MOVQ AX, ret+24(FP)
	RET

// func rdseedFill(dst []uint64) int
TEXT ·rdseedFill(SB), NOSPLIT, $0-32
	MOVQ dst_base+0(FP), DI
	MOVQ dst_len+8(FP), CX
	XORQ AX, AX

word:
	CMPQ AX, CX
	JGE  done
	RDSEEDQ DX
	JCC  again

store:
	MOVQ DX, (DI)(AX*8)
	INCQ AX
	JMP  word

again:
	MOVQ $9, BX

retry:
	PAUSE
	RDSEEDQ DX
	JCS  store
	DECQ BX
	JNZ  retry

done:
	XORQ DX, DX
	MOVQ AX, ret+24(FP)
	RET
