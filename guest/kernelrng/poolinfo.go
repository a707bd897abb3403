package kernelrng

import "encoding/binary"

// Layout of struct rand_pool_info (linux/random.h): int entropy_count, int
// buf_size, __u32 buf[]. An int has 32 bits on every Linux, so the head has 8
// bytes everywhere, in the machine's byte order.
const (
	offsetCount = 0 // bits to credit
	offsetSize  = 4 // bytes that follow
	offsetData  = 8
)

// poolInfo lays out what RNDADDENTROPY takes. It holds a copy of seed: the
// caller wipes it.
func poolInfo(seed []byte, bits int) []byte {
	info := make([]byte, offsetData+len(seed))
	binary.NativeEndian.PutUint32(info[offsetCount:], uint32(bits))
	binary.NativeEndian.PutUint32(info[offsetSize:], uint32(len(seed)))
	copy(info[offsetData:], seed)
	return info
}
