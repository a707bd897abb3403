// Package local carries a vchan between two processes of one machine: the
// same wire as on Xen, over a page that both have mapped and a Unix socket.
//
// The host calls [Listen] and takes guests with [Listener.Accept]; a guest
// calls [Dial]. The host makes a memfd of one page, hands it to the guest when
// that has connected, and is the server of the vchan once the guest has touched
// the page, so that the memory is the guest's to pay for, and sealed it. What
// is said for that is described in message.go. From then on each byte on the
// socket is an event, and the end of the socket is the end of the peer.
//
// For the host everything about a guest is hostile. Nothing that a guest has
// made comes into the host's process: no memory, no descriptor (passed_linux.go
// says what becomes of those that it sends all the same). A guest that does
// not do its part holds up nobody, as the host waits for nothing that a guest
// says before the channel is there. How often a user's processes may connect is
// bounded before anything else is looked at.
package local
