#include "textflag.h"

// func BareRDRAND(n int)
TEXT ·BareRDRAND(SB), NOSPLIT, $0-8
	MOVQ n+0(FP), CX

loop:
	RDRANDQ DX
	DECQ CX
	JG   loop
	RET

// func BareRDSEED(n int)
TEXT ·BareRDSEED(SB), NOSPLIT, $0-8
	MOVQ n+0(FP), CX

loop:
	RDSEEDQ DX
	DECQ CX
	JG   loop
	RET
