// Package doctest holds what the documents say of the code: its imports and the
// names of its tests.
package doctest
