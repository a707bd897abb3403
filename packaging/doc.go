// Package packaging holds the units and configuration files of a system's
// packages; its tests boot them under a real systemd.
package packaging
