// Package seccomptest runs a test in a process of its own in which system calls
// fail, as they do in a sandbox and on an old kernel, or never return, as they
// do in a sandbox whose supervisor hangs.
package seccomptest
