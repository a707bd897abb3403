//go:build !386

package xendevtest

const (
	allocGref   = 0x184705
	deallocGref = 0x104706
)
