package agent

// What an image and its init agree on.
const (
	// BinDir has the lab's programs.
	BinDir = "/lab/bin"
	// ModulesDir has the kernel modules, ModulesPath their names in the order
	// of loading.
	ModulesDir  = "/lab/modules"
	ModulesPath = "/lab/modules.list"
	// UtilsDir has Xen's programs, in dom0 alone.
	UtilsDir = "/usr/lib/xen-" + XenVersion + "/bin"
	// SearchPath is the environment variable PATH.
	SearchPath = BinDir + ":" + UtilsDir + ":/usr/sbin:/usr/bin:/sbin:/bin"
	// XenVersion is Xen's in Debian bookworm; the paths inside its packages
	// have it in their names.
	XenVersion = "4.17"
)
