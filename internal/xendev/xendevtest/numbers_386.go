package xendevtest

// On 386 a __u64 is aligned to 4, and these structs have no padding at their
// ends.
const (
	allocGref   = 0x144705
	deallocGref = 0xc4706
)
