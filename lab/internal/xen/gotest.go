package xen

import "strings"

// TestBinary is the name of a package's compiled tests in BinDir, for a package's path below the module.
func TestBinary(pkg string) string { return strings.ReplaceAll(pkg, "/", ".") + ".test" }
