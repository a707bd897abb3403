package xendev

import (
	"encoding/binary"
	"runtime"
)

// The devices (drivers/xen/{evtchn,gntdev,gntalloc}.c).
const (
	EvtchnPath   = "/dev/xen/evtchn"
	GntdevPath   = "/dev/xen/gntdev"
	GntallocPath = "/dev/xen/gntalloc"
)

// PageSize is the size of a Xen page, bytes. Kernels with larger pages cannot
// share single ones through these devices.
const PageSize = 4096

// Sizes of the ioctl arguments, bytes. A __u64 is aligned to 8 on every ABI of
// Linux but that of 386. Go aligns it to 4 on arm: the arguments are
// therefore put together by hand, never as Go structs.
const (
	sizeBindInterdomain = 8  // u32 remote_domain, u32 remote_port
	sizePort            = 4  // one u32: a domain to bind for, or a port
	sizeMapHead         = 16 // u32 count, u32 pad, u64 index; then refs
	sizeMapRef          = 8  // u32 domid, u32 ref
	sizeUnmap           = 16 // u64 index, u32 count, u32 pad
	sizeMaxGrants       = 4  // u32 count
	sizeNotify          = 16 // u64 index, u32 action, u32 event_channel_port
	sizeAllocHead       = 16 // u16 domid, u16 flags, u32 count, u64 index; then gref_ids
	sizeAllocRef        = 4  // u32
	sizeDealloc         = 12 // u64 index, u32 count
)

// Request numbers: _IOC(_IOC_NONE, type, nr, size of the struct). Where a
// struct ends in an array, its size counts one element.
var (
	reqBindInterdomain = ioc('E', 1, sizeBindInterdomain)
	reqBindUnbound     = ioc('E', 2, sizePort)
	reqUnbind          = ioc('E', 3, sizePort)
	reqNotify          = ioc('E', 4, sizePort)

	reqMap         = ioc('G', 0, sizeMapHead+sizeMapRef)
	reqUnmap       = ioc('G', 1, sizeUnmap)
	reqMaxGrants   = ioc('G', 3, sizeMaxGrants)
	reqAlloc       = ioc('G', 5, padded(sizeAllocHead+sizeAllocRef))
	reqDealloc     = ioc('G', 6, padded(sizeDealloc))
	reqMapNotify   = ioc('G', 7, sizeNotify) // gntdev
	reqAllocNotify = reqMapNotify            // gntalloc has the same number
)

// UNMAP_NOTIFY_CLEAR_BYTE, UNMAP_NOTIFY_SEND_EVENT and GNTALLOC_FLAG_WRITABLE.
const (
	notifyClearByte = 1
	notifySendEvent = 2
	allocWritable   = 1
)

// ioc is _IOC of asm-generic/ioctl.h with direction none (0), which amd64,
// arm64 and arm share.
func ioc(kind byte, nr, size uint32) uint32 { return size<<16 | uint32(kind)<<8 | nr }

// padded rounds the size of a struct that holds a __u64 up to its alignment.
func padded(size uint32) uint32 { return paddedTo(size, runtime.GOARCH) }

func paddedTo(size uint32, arch string) uint32 {
	if arch == "386" {
		return (size + 3) &^ 3
	}
	return (size + 7) &^ 7
}

var order = binary.NativeEndian

func encodeBindInterdomain(domid uint16, port uint32) []byte {
	b := make([]byte, sizeBindInterdomain)
	order.PutUint32(b, uint32(domid))
	order.PutUint32(b[4:], port)
	return b
}

func encodePort(v uint32) []byte {
	b := make([]byte, sizePort)
	order.PutUint32(b, v)
	return b
}

func encodeMap(domid uint16, refs []uint32) []byte {
	b := make([]byte, sizeMapHead+len(refs)*sizeMapRef)
	order.PutUint32(b, uint32(len(refs)))
	for i, ref := range refs {
		at := sizeMapHead + i*sizeMapRef
		order.PutUint32(b[at:], uint32(domid))
		order.PutUint32(b[at+4:], ref)
	}
	return b
}

func encodeUnmap(index uint64, count int) []byte {
	b := make([]byte, sizeUnmap)
	order.PutUint64(b, index)
	order.PutUint32(b[8:], uint32(count))
	return b
}

func encodeNotify(index uint64, action, port uint32) []byte {
	b := make([]byte, sizeNotify)
	order.PutUint64(b, index)
	order.PutUint32(b[8:], action)
	order.PutUint32(b[12:], port)
	return b
}

func encodeAlloc(domid uint16, flags uint16, count int) []byte {
	b := make([]byte, padded(uint32(sizeAllocHead+count*sizeAllocRef)))
	order.PutUint16(b, domid)
	order.PutUint16(b[2:], flags)
	order.PutUint32(b[4:], uint32(count))
	return b
}

func encodeDealloc(index uint64, count int) []byte {
	b := make([]byte, padded(sizeDealloc))
	order.PutUint64(b, index)
	order.PutUint32(b[8:], uint32(count))
	return b
}

// index is where both MAP_GRANT_REF and ALLOC_GREF answer with the offset for
// mmap.
func index(arg []byte) uint64 { return order.Uint64(arg[8:]) }

// allocated is what ALLOC_GREF answered: the references.
func allocated(arg []byte, count int) []uint32 {
	refs := make([]uint32, count)
	for i := range refs {
		refs[i] = order.Uint32(arg[sizeAllocHead+i*sizeAllocRef:])
	}
	return refs
}
