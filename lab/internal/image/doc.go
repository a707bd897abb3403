// Package image makes initramfs archives: New begins one, Image.Pack ends it.
// It also finds what programs need: the shared libraries (Image.Libraries) and
// kernel modules (Modules), by reading the files themselves, so that any
// architecture will do.
package image
