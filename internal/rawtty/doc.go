// Package rawtty makes a terminal carry bytes as they are.
package rawtty
