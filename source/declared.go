package source

// What the sources of this package declare. Measured values are of the machine
// in the table below, the weakest that was measured; a declaration is at most
// half of what was measured, and the reason for going lower stands beside it.
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
