// Package image makes initramfs archives: New begins one, Image.Write ends it. It also finds what programs need: the shared
// libraries (Libraries) and kernel modules (Modules), by reading the files themselves, so that any architecture will do.
package image
