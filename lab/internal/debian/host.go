package debian

import (
	"fmt"
	"os/exec"
	"slices"
	"strings"
)

// Require checks that programs are installed on the host; the map says which
// package each is in. The error names one command that installs all that is
// missing.
func Require(programs map[string]string) error {
	var absent, packages []string
	for program, pkg := range programs {
		if _, err := exec.LookPath(program); err != nil {
			absent = append(absent, program)
			packages = append(packages, pkg)
		}
	}
	if len(absent) == 0 {
		return nil
	}
	slices.Sort(absent)
	slices.Sort(packages)
	return fmt.Errorf("%s not found on this machine: apt-get install --no-install-recommends %s",
		strings.Join(absent, ", "), strings.Join(slices.Compact(packages), " "))
}
