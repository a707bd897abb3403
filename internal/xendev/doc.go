// Package xendev is /dev/xen/evtchn, /dev/xen/gntdev and /dev/xen/gntalloc as
// Go types: OpenGntalloc and its Alloc share pages with another domain,
// OpenGntdev and its Map map what another domain shares, and OpenEvtchn gives
// the event channels that go with them. It knows nothing of what is in the
// pages.
//
// Numbers and layouts are those of include/uapi/xen/{evtchn,gntdev,gntalloc}.h
// of Linux; what the drivers do beyond them is from drivers/xen/ of the same.
//
// All calls go through a [System]; nil stands for this machine. The package
// xendevtest has one with several domains in one process, for tests.
package xendev
