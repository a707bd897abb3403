// Package local carries a vchan between two processes of one machine: the
// same wire as on Xen, over a memfd and two eventfds.
//
// The host calls [Listen] and takes guests with [Listener.Accept]; a guest
// calls [Offer]. As on Xen it is the guest who makes the memory and the events
// and offers them, and who is the server of the vchan; the host maps them and
// is the client. They travel as file descriptors (SCM_RIGHTS) over a Unix
// socket, which then stays open as a tether: when it hangs up, the peer is
// dead. What is said over that socket is described in message.go.
//
// For the host everything a guest brings is hostile. It is checked before it
// is mapped, a refusal tells the guest why, and what a guest does later with
// its copies of the descriptors ends its own channel at most.
package local
