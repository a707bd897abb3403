// Package console is the back end of a Xen PV console used as a channel
// (xen-pv-channel(7)): [Plug] puts one into a domain, running or not yet, and
// once the guest's driver has taken it up [Device.Connect] gives the [Link] on
// which [Link.Open] makes connections.
//
// The guest needs nothing of ours: Linux's hvc_xen shows the console as
// /dev/hvcN. The channel's name in xenstore, [Name], says which N. What it
// carries is the host's affair: a guest speaks protocol 1 or 2 first, so there
// is no connection before it has written something.
//
// The nodes are those that libxl writes for a channel, with a back end type of
// our own: xenconsoled looks after console 0 alone, QEMU after those of type
// ioemu in backend/console, and Linux in the back end's domain has no driver
// for ours.
//
//	front end  /local/domain/<guest>/device/console/<N>
//	back end   /local/domain/<own>/backend/entropy/<guest>/<N>
//
// The states are those of xen/io/xenbus.h:
//
//	back    2 InitWait                     4 Connected                  5 Closing   6 Closed, nodes removed
//	front   1 Initialising  3 Initialised              4 Connected                6 Closed
//
// Everything in the front end's nodes and in the page is hostile; the domain's
// number comes from the path alone.
package console
