#include "textflag.h"

// RDRAND and RDSEED set the carry flag when the register holds data and clear
// it, with the register zero, when not: Intel SDM volume 2B; AMD64 APM volume 3.
//
// FILL is the body of a func(dst []byte) int around one of them. It puts four
// words a turn, because the loop's own work shows beside RDRAND's 18 ns; a word
// that fails is tried again below, one word a turn, where its index is exact.
// DI dst, CX words that fit, AX words put, BX tries left.
#define FILL(INSTRUCTION) \
	MOVQ dst_base+0(FP), DI    \
	MOVQ dst_len+8(FP), CX     \
	SHRQ $3, CX                \
	XORQ AX, AX                \
	SUBQ $4, CX                \
	JL   rest                  \
four:                          \
	INSTRUCTION R8             \
	JCC  rest                  \
	MOVQ R8, (DI)(AX*8)        \
	INSTRUCTION R8             \
	JCC  failed1               \
	MOVQ R8, 8(DI)(AX*8)       \
	INSTRUCTION R8             \
	JCC  failed2               \
	MOVQ R8, 16(DI)(AX*8)      \
	INSTRUCTION R8             \
	JCC  failed3               \
	MOVQ R8, 24(DI)(AX*8)      \
	ADDQ $4, AX                \
	CMPQ AX, CX                \
	JLE  four                  \
	JMP  rest                  \
failed3:                       \
	INCQ AX                    \
failed2:                       \
	INCQ AX                    \
failed1:                       \
	INCQ AX                    \
rest:                          \
	ADDQ $4, CX                \
word:                          \
	CMPQ AX, CX                \
	JGE  done                  \
	MOVQ $10, BX               \ // instructionTries
try:                           \
	INSTRUCTION R8             \
	JCS  store                 \
	PAUSE                      \
	DECQ BX                    \
	JNZ  try                   \
	JMP  done                  \
store:                         \
	MOVQ R8, (DI)(AX*8)        \
	INCQ AX                    \
	JMP  word                  \
done:                          \
	XORQ R8, R8                \
	MOVQ AX, ret+24(FP)        \
	RET

// func rdrandFill(dst []byte) int
TEXT ·rdrandFill(SB), NOSPLIT, $0-32
	FILL(RDRANDQ)

// func rdseedFill(dst []byte) int
TEXT ·rdseedFill(SB), NOSPLIT, $0-32
	FILL(RDSEEDQ)
