// Command init is the first process in the lab's dom0 and guests: it mounts what there is to mount, loads kernel modules, in dom0 starts
// Xen's daemons, and then runs what the lab outside asks for (see lab/internal/agent). When it ends, the machine does.
package main
