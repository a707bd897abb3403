// Command vchanbench is our end of the lab's benchmark, in dom0 and in the guest; cpeer is the C library's.
//
//	vchanbench send|recv server|client DOMID PATH BYTES LEFT RIGHT MOST   as cpeer with --plain, LEFT and RIGHT being orders
//	vchanbench time PROGRAM [ARGUMENT ...]                                how long a program runs, from fork to its end
package main
