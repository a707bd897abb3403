package snapshot

import (
	"sync/atomic"
	"unsafe"
)

// The page of a VMClock, little-endian (struct vmclock_abi of
// include/uapi/linux/vmclock-abi.h), offsets in bytes.
const (
	vmClockDevice = "/dev/vmclock0"

	vmClockMagic = 0x4b4c4356 // "VCLK"

	offMagic      = 0   // u32
	offSize       = 4   // u32, of the page
	offDisruption = 16  // u64 disruption_marker
	offFlags      = 24  // u64
	offGeneration = 104 // u64 vm_generation_counter

	flagGeneration = 1 << 8 // VMCLOCK_FLAG_VM_GEN_COUNTER_PRESENT

	vmClockPage = 4096
)

// vmClock is a mapped VMClock. Its seq_count is not needed: the words are
// compared one by one, none is computed with, and one that changes while they
// are read counts once more.
type vmClock struct {
	page []byte

	disruption, generation atomic.Uint64 // last seen
	flagged                atomic.Bool
}

// words is what a VMClock shows at one moment.
type words struct {
	disruption, generation uint64
	hasGeneration          bool
}

// newVMClock takes a mapped page, nil if it is none. The magic number also says
// that the machine is little-endian.
func newVMClock(page []byte) *vmClock {
	if len(page) < vmClockPage || load32(page, offMagic) != vmClockMagic || load32(page, offSize) < offFlags+8 {
		return nil
	}
	c := &vmClock{page: page}
	c.note()
	return c
}

func (c *vmClock) now() (w words) {
	w.disruption = load64(c.page, offDisruption)
	if load64(c.page, offFlags)&flagGeneration != 0 && load32(c.page, offSize) >= offGeneration+8 {
		w.hasGeneration, w.generation = true, load64(c.page, offGeneration)
	}
	return w
}

func (c *vmClock) moved() bool {
	return c.now() != words{c.disruption.Load(), c.generation.Load(), c.flagged.Load()}
}

func (c *vmClock) note() {
	w := c.now()
	c.disruption.Store(w.disruption)
	c.generation.Store(w.generation)
	c.flagged.Store(w.hasGeneration)
}

// load32 and load64 read what the hypervisor may write meanwhile, in one piece.
// The page is aligned, and so are the offsets.
func load32(page []byte, at int) uint32 {
	return atomic.LoadUint32((*uint32)(unsafe.Pointer(&page[at])))
}

func load64(page []byte, at int) uint64 {
	return atomic.LoadUint64((*uint64)(unsafe.Pointer(&page[at])))
}
