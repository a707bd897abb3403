package agent

// ConfigPath is where an image says what its init has to do, as JSON of Config.
const ConfigPath = "/lab/init.json"

// Roles of an image.
const (
	RoleDom0  = "dom0"  // starts Xen's daemons, speaks for the guests
	RoleGuest = "guest" // a Xen guest
)

// Config is what an image tells its init. What differs from boot to boot is on the kernel's command line: lab.line=DEVICE (the agent's line),
// lab.xenstored=PROGRAM, lab.shell (a person sits at the console) and lab.follow (entropy-guest run is started).
type Config struct {
	Role    string
	Path    string   // the environment variable PATH
	Modules []string // kernel modules in the order of loading
	// Restart ends the machine by a restart, which QEMU is told to take for an end: some machines do not switch themselves off.
	Restart bool
}
