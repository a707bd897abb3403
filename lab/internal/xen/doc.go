// Package xen has the lab's machines that run Xen: Prepare makes their images,
// Boot starts one and gives its Dom0, in which scenarios run commands, start
// guests and run commands in those. A Session is a machine for many scenarios.
package xen
