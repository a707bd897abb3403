package ring

import (
	"sync/atomic"
	"unsafe"
)

// Layout of the shared page, struct vchan_interface of xen/io/libxenvchan.h.
// All fields are little-endian; offsets and sizes are bytes.
const (
	// PageSize is the size of the shared page, and of each granted page.
	PageSize = 4096

	offLeftCons  = 0  // u32
	offLeftProd  = 4  // u32
	offRightCons = 8  // u32
	offRightProd = 12 // u32
	offOrders    = 16 // u16 left_order, u16 right_order
	offState     = 20 // u8 cli_live, srv_live, cli_notify, srv_notify
	offGrants    = 24 // u32[], those of the left ring first

	// In-page rings have a fixed place each.
	smallOrder  = 10
	smallOffset = 1024
	largeOrder  = 11
	largeOffset = 2048

	pageOrder = 12 // the smallest order with pages of its own
	maxOrder  = 20
)

// Bit positions inside the 32-bit word at offState.
const (
	shiftCliLive   = 0
	shiftSrvLive   = 8
	shiftCliNotify = 16
	shiftSrvNotify = 24
)

// VCHAN_NOTIFY_WRITE and VCHAN_NOTIFY_READ: tell me when you have written,
// tell me when you have read.
const (
	notifyWrite = 1
	notifyRead  = 2
)

// header lies over the first 24 bytes of the page. The four bytes at offState
// are one aligned word, so that And and Or serve for the byte-wise atomics
// that the C library uses.
type header struct {
	leftCons, leftProd   atomic.Uint32
	rightCons, rightProd atomic.Uint32
	orders               atomic.Uint32
	state                atomic.Uint32
}

// The overlay must be exactly the header of the page.
var (
	_ [offGrants - unsafe.Sizeof(header{})]struct{}
	_ [unsafe.Sizeof(header{}) - offGrants]struct{}
	_ [offState - unsafe.Offsetof(header{}.state)]struct{}
	_ [unsafe.Offsetof(header{}.state) - offState]struct{}
)

// littleEndian is found out once: the page is shared as it lies in memory.
var littleEndian = func() bool {
	one := uint16(1)
	return *(*byte)(unsafe.Pointer(&one)) == 1
}()

// overlay checks the page itself and gives its header.
func overlay(page []byte) (*header, error) {
	if !littleEndian {
		return nil, ErrByteOrder
	}
	if len(page) != PageSize {
		return nil, layoutError("the shared page has %d bytes, must have %d", len(page), PageSize)
	}
	p := unsafe.Pointer(unsafe.SliceData(page))
	if uintptr(p)%4 != 0 {
		return nil, layoutError("the shared page is not aligned to 4 bytes")
	}
	return (*header)(p), nil
}
