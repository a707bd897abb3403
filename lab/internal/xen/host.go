package xen

import (
	"fmt"

	"github.com/xentropyd/xentropyd/lab/internal/debian"
)

// CheckHost checks that what machines need is installed on the host.
func CheckHost(machines []*Machine) error {
	programs := map[string]string{"xz": "xz-utils"} // unpacks the kernel
	for _, m := range machines {
		programs[m.QEMU], programs[m.CC] = m.Package, m.CCPackage
	}
	return debian.Require(programs)
}

// Find finds a machine by its name.
func Find(name string) (*Machine, error) {
	for _, m := range Machines {
		if m.Name == name {
			return m, nil
		}
	}
	return nil, fmt.Errorf("no machine %s, see lab list", name)
}
