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
	{Name: "Seeds", Doc: "xentropyd in dom0 seeds three PV guests over vchan by protocol 2, and one that comes again", Short: true, Run: seeds},
	{Name: "PVH", Doc: "a PVH guest boots and runs commands; xentropyd seeds it, and again after a reboot", Run: seedsPVH},
	{Name: "Console", Doc: "a guest with nothing but busybox gets entropy over the PV console by protocol 1", Short: true, Run: console},
	{Name: "Restarts", Doc: "guests that are rebooted, panic, are destroyed, paused, saved and restored, and a killed daemon: seeded again within 5 s", Run: restarts},
	{Name: "Restores", Doc: "a guest that is saved and restored again and again on a busy machine: seeded each time, and after its service's restart", Once: true, Run: restores},
	{Name: "Clones", Doc: "one saved guest restored under two names: both reseeded, no read in common", Run: clones},
	{Name: "ClonesTimed", Doc: "how long a clone runs before its kernel is reseeded", Once: true, Run: clonesTimed},
	{Name: "ClonesAlone", Doc: "the same without xentropyd: equal UUIDs", Run: clonesAlone},
	{Name: "Secrets", Doc: "nothing that was sent to a guest is ever seen in xenstore", Run: secrets},
	{Name: "Init", Doc: "entropy-guest as the only process of an initramfs, with modules and without", Run: earlyInit},
	{Name: "Hostile", Doc: "a guest attacks xentropyd in every way that it has, and the others are seeded all the time", Run: hostile},
	{Name: "VchanC", Doc: "vchan against Debian's libxenvchan inside dom0: both roles, all orders, either closes", Short: true, Run: vchanC},
	{Name: "VchanProxy", Doc: "vchan with Xen's vchan-socket-proxy at the other end, in both roles", Run: vchanProxy},
	{Name: "VchanGuestC", Doc: "the same between dom0 and a PV guest, libxenvchan on either side", Run: vchanGuestC},
	{Name: "VchanGuest", Doc: "vchan between dom0 and a PV guest: exchange, many connects, either end killed, both roles", Run: vchanGuest},
	{Name: "BenchStart", Doc: "from entropy-guest's start to a seeded kernel, beside a C program's connect and round trip", Once: true, Run: benchStartUp},
	{Name: "BenchRest", Doc: "what xentropyd takes with three guests and nothing to do", Once: true, Run: benchRest},
	{Name: "BenchBulk", Doc: "vchan's throughput and events beside libxenvchan's", Once: true, Run: benchBulk},
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
