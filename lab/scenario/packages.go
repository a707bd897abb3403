package scenario

// The packages whose compiled tests scenarios run inside, by their path below the module.
const (
	conformancePackage = "xenstore/xenstoretest/conformance"
	vchanPackage       = "vchan/xen"
)

// TestPackages are all of them; the images have each one's test binary.
func TestPackages() []string { return []string{conformancePackage, vchanPackage} }
