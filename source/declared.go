package source

// What the sources of this package declare: at most half of what was measured,
// and less for the reason given. Measured on the one machine so far, a virtual
// machine on AMD EPYC family 25 model 17, as the lowest of four estimates over
// 1,000,000 bytes, the lowest of three runs:
//
//	XENTROPYD_ESTIMATE=1000000 go test -run TestEstimate -v ./source
//
//	source    measured, bits per byte   declared        per sample
//	rdrand    7.33                      1.00 per byte    8 of 64 bits
//	rdseed    7.33                      3.00 per byte   24 of 64 bits
//	jitter    2.63                      0.50 per byte   0.5 of 8 bits
//	kernel    7.31                      2.00 per byte   16 of 64 bits, no credit
//	hwrng     7.35 (virtio_rng)         2.00 per byte    2 of 8 bits, in package hwrng
//	tpm       none on that machine      2.00 per byte    2 of 8 bits, in package tpm
//
// RDRAND is the output of a DRBG, about whose seed no statistic says anything:
// an eighth. The jitter of other machines, and of this one when nobody else
// runs on it, may be far less: a fifth. The kernel's is there for the cutoffs
// alone, as is that of arrivals, which cannot be measured in general.
var (
	rdrandInfo = Info{
		ID: IDRDRAND, Name: NameRDRAND, SampleBytes: 8, MinEntropy: 8, Credited: true,
		Description: "RDRAND instruction of the CPU (a DRBG seeded by its noise source)",
	}
	rdseedInfo = Info{
		ID: IDRDSEED, Name: NameRDSEED, SampleBytes: 8, MinEntropy: 24, Credited: true,
		Description: "RDSEED instruction of the CPU (its conditioned noise source)",
	}
	jitterInfo = Info{
		ID: IDJitter, Name: NameJitter, SampleBytes: 1, MinEntropy: 0.5, Credited: true,
		Description: "timing jitter of CPU and memory",
	}
	kernelInfo = Info{
		ID: IDKernel, Name: NameKernel, SampleBytes: 8, MinEntropy: 16,
		Description: "random number generator of the operating system (never credited)",
	}
	arrivalsInfo = Info{
		ID: IDArrivals, Name: NameArrivals, SampleBytes: 8, MinEntropy: 0.5,
		Description: "arrival times of this process's own events (never credited: a peer chooses when to send)",
	}
)
