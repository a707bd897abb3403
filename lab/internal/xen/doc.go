// Package xen has the lab's machines that run Xen: Build makes a machine's
// images, Boot starts it and gives its Dom0, in which scenarios run commands,
// start guests and run commands in those.
package xen
