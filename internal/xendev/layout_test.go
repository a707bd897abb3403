package xendev

import (
	"encoding/hex"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

// The numbers as a C program prints them that includes linux's xen/evtchn.h,
// xen/gntdev.h and xen/gntalloc.h (amd64; arm64 and arm lay these structs out
// alike, 386 two of them not).
func TestNumbers(t *testing.T) {
	alloc, dealloc := uint32(0x184705), uint32(0x104706)
	if runtime.GOARCH == "386" {
		alloc, dealloc = 0x144705, 0xc4706
	}
	for name, c := range map[string][2]uint32{
		"IOCTL_EVTCHN_BIND_INTERDOMAIN":   {reqBindInterdomain, 0x84501},
		"IOCTL_EVTCHN_BIND_UNBOUND_PORT":  {reqBindUnbound, 0x44502},
		"IOCTL_EVTCHN_UNBIND":             {reqUnbind, 0x44503},
		"IOCTL_EVTCHN_NOTIFY":             {reqNotify, 0x44504},
		"IOCTL_GNTDEV_MAP_GRANT_REF":      {reqMap, 0x184700},
		"IOCTL_GNTDEV_UNMAP_GRANT_REF":    {reqUnmap, 0x104701},
		"IOCTL_GNTDEV_SET_MAX_GRANTS":     {reqMaxGrants, 0x44703},
		"IOCTL_GNTDEV_SET_UNMAP_NOTIFY":   {reqMapNotify, 0x104707},
		"IOCTL_GNTALLOC_ALLOC_GREF":       {reqAlloc, alloc},
		"IOCTL_GNTALLOC_DEALLOC_GREF":     {reqDealloc, dealloc},
		"IOCTL_GNTALLOC_SET_UNMAP_NOTIFY": {reqAllocNotify, 0x104707},
	} {
		require.Equalf(t, c[1], c[0], "%s is %#x", name, c[0])
	}
}

// On arm Go aligns a uint64 to 4 and C to 8; on 386 both align it to 4.
func TestSizes(t *testing.T) {
	for arch, want := range map[string][2]uint32{
		"amd64": {24, 16}, "arm64": {24, 16},
		"arm": {24, 16}, "386": {20, 12},
	} {
		require.Equal(t, want, [2]uint32{paddedTo(sizeAllocHead+sizeAllocRef, arch), paddedTo(sizeDealloc, arch)}, arch)
	}
}

// Byte for byte, little-endian.
func TestBytes(t *testing.T) {
	if order.Uint16([]byte{1, 0}) != 1 {
		t.Skip("big-endian machine")
	}
	end := "" // of structs that hold a __u64
	if runtime.GOARCH != "386" {
		end = " 00000000"
	}
	for name, c := range map[string]struct {
		got  []byte
		want string
	}{
		"bind interdomain": {encodeBindInterdomain(0x1234, 0x56789abc), "34120000 bc9a7856"},
		"port":             {encodePort(0x01020304), "04030201"},
		"map": {
			encodeMap(7, []uint32{8, 0xfffffffe}),
			"02000000 00000000 0000000000000000 07000000 08000000 07000000 feffffff",
		},
		"unmap":   {encodeUnmap(0x123456789000, 3), "0090785634120000 03000000 00000000"},
		"notify":  {encodeNotify(0x5015, 3, 9), "1550000000000000 03000000 09000000"},
		"alloc 1": {encodeAlloc(0x0102, 1, 1), "0201 0100 01000000 0000000000000000 00000000" + end},
		"alloc 3": {
			encodeAlloc(7, 1, 3),
			"0700 0100 03000000 0000000000000000 00000000 00000000 00000000" + end,
		},
		"dealloc": {encodeDealloc(0x2000, 2), "0020000000000000 02000000" + end},
	} {
		want := []byte{}
		for _, r := range c.want {
			if r != ' ' {
				want = append(want, byte(r))
			}
		}
		require.Equal(t, string(want), hex.EncodeToString(c.got), name)
	}
}
