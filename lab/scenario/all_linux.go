package scenario

import (
	"github.com/xentropyd/xentropyd/lab/internal/report"
	"github.com/xentropyd/xentropyd/lab/internal/xen"
)

// Scenario is one of the lab's.
type Scenario struct {
	Name string
	// Doc says in a line what it shows.
	Doc string
	// Short is set for those that run before everything that lands.
	Short bool
	// Once is set for those that run on the first machine of an architecture alone.
	Once bool
	Run  func(*report.T, *xen.Dom0)
}

// All are the scenarios, in the order of running.
var All = []Scenario{
	{Name: "Boot", Doc: "dom0 is up, with the devices and daemons that all else needs", Short: true, Run: boot},
	{Name: "PV", Doc: "a PV guest boots and runs commands", Short: true, Run: pv},
	{Name: "PVH", Doc: "a PVH guest boots and runs commands", Once: true, Run: pvh},
	{Name: "XenstoreSocket", Doc: "the xenstore conformance tests in dom0, over the daemon's socket", Run: xenstoreSocket},
	{Name: "XenstoreDom0Device", Doc: "the same in dom0, over the kernel's device", Run: xenstoreDom0Device},
	{Name: "XenstoreGuestDevice", Doc: "the same in a guest, over the kernel's device", Run: xenstoreGuestDevice},
}

// On says whether a scenario runs on a machine.
func (s Scenario) On(m *xen.Machine) bool {
	if !s.Once {
		return true
	}
	for _, first := range xen.Machines {
		if first.Arch == m.Arch {
			return first == m
		}
	}
	return false
}
