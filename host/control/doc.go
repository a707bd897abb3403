// Package control is xentropyd's control API: HTTP and JSON over a Unix socket.
//
// A daemon calls [Listen], a tool calls [Dial]. The paths:
//
//	GET  /v1/status      Status: the daemon, its entropy, its guests, the domains of a Xen host
//	GET  /v1/sources     Sources: every noise source, those that are not here included
//	GET  /v1/guests      []host.GuestStatus
//	POST /v1/generation  Generation: begins a new one, as after a clone or a restore; ?guest=ID for one guest alone
//	GET  /metrics        Prometheus's text format
//
// Whoever may write to the socket may connect. What one may do then goes by the
// user and the groups that the kernel names: GET takes the right to look, POST
// that to change; see [Rights]. Nothing secret passes through it.
package control
