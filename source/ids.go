package source

// Numbers of the sources. They go into Fortuna's event encoding and into no
// file, yet they stay: a number is never used again for another source.
const (
	IDRDRAND   uint8 = 1
	IDRDSEED   uint8 = 2
	IDJitter   uint8 = 3
	IDKernel   uint8 = 4
	IDArrivals uint8 = 5
	IDHWRNG    uint8 = 6
	IDTPM      uint8 = 7
	IDRNDR     uint8 = 8 // 8 to 15: counters and instructions of ARM

	// The second hardware generator and further ones. Each source has a number
	// of its own: Fortuna gives the events of a number to its pools in turn,
	// and two that shared one would share the pools out among them.
	IDHWRNGMore uint8 = 16
	IDHWRNGLast uint8 = 30

	// IDFirstFree and above are the consumer's own: a seed file, a host.
	IDFirstFree uint8 = 128
)

// Names of the sources.
const (
	NameRDRAND   = "rdrand"
	NameRDSEED   = "rdseed"
	NameJitter   = "jitter"
	NameKernel   = "kernel"
	NameArrivals = "arrivals"
	NameHWRNG    = "hwrng"
	NameTPM      = "tpm"
)
