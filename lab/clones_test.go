//go:build lab && linux

package lab

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xentropyd/xentropyd/host"
	"github.com/xentropyd/xentropyd/lab/internal/xen"
)

// Our choices.
const (
	clonesForTimes = 9 // restored from one file, for the median
	// cloneWithin is the median's limit, from the first run of a clone's
	// process to its kernel reseeded.
	cloneWithin  = 250 * time.Millisecond
	cloneRecords = 500              // values compared in two clones, after the restore
	recordedFor  = 15 * time.Second // that clones run on with their recorders
)

// Where the recorders in a guest write.
const (
	readersFile = "/run/readers"
	uuidsFile   = "/run/uuids"
)

// noInstruction hides the CPU's generator from a guest, so that the host alone
// can tell clones apart.
const noInstruction = `cpuid = "host,rdrand=0,rdseed=0"`

// cloned is a saved guest.
type cloned struct {
	d      *xen.Dom0
	config xen.GuestConfig
	file   string
	made   int
}

// saveForCloning starts a guest with recorders in it, and saves it.
func saveForCloning(t *testing.T, d *xen.Dom0, c xen.GuestConfig, readers string) *cloned {
	p := start(t, d, c)
	if c.Follow {
		follower{p, d, c}.seededFromStart(t)
	}
	shell(t, p, fmt.Sprintf("probe readers --out %s %s >/run/readers.log 2>&1 </dev/null &"+
		"probe uuids --out %s </dev/null >/run/uuids.log 2>&1 &", readersFile, readers, uuidsFile))
	poll(t, "the recorders record", func() error {
		_, err := p.Shell(t.Context(), "[ $(wc -l < "+readersFile+") -gt 200 ] && [ $(wc -l < "+uuidsFile+") -gt 20 ] || "+
			"{ cat /run/readers.log; exit 1; }")
		return err
	})
	return &cloned{d: d, config: c, file: saved(t, d, c.Name)}
}

// clone restores it under a new name and lets it run; began is dom0's time of
// that.
func (s *cloned) clone(t *testing.T) (f follower, began time.Time) {
	s.made++
	c := s.config
	c.Name = fmt.Sprintf("%s-%d", c.Name, s.made)
	c.Lines = append(slices.Clone(c.Lines), uuid(1000+s.made))
	require.NoError(t, s.d.Restore(t.Context(), c, s.file))
	return follower{s.d.Guest(c.Name), s.d, c}, unpause(t, s.d, c.Name)
}

// twoClones lets two run with their recorders.
func (s *cloned) twoClones(t *testing.T) (a, b follower, beganA, beganB time.Time) {
	a, beganA = s.clone(t)
	b, beganB = s.clone(t)
	a.ready(t)
	b.ready(t)
	time.Sleep(recordedFor)
	return a, b, beganA, beganB
}

// ready waits until the agent answers.
func (f follower) ready(t *testing.T) { require.NoError(t, f.dom0.Ready(t.Context(), f.config.Name)) }

// recorded is the values that a clone recorded before and after it was
// restored.
func recorded(t *testing.T, f follower, file string) (before, after []string) {
	out := run(t, f, "probe", "records", "--most", fmt.Sprint(cloneRecords), file)
	all := make(map[string][]string)
	for line := range strings.Lines(out) {
		when, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		all[when] = append(all[when], value)
	}
	t.Logf("%s: %s: %d values before, %d across, %d after the restore",
		f, file, len(all["before"]), len(all["across"]), len(all["after"]))
	failed := func(value string) bool { return strings.HasPrefix(value, "!") } // a read that gave none
	before, after = slices.DeleteFunc(all["before"], failed), slices.DeleteFunc(all["after"], failed)
	require.NotEmpty(t, before)
	require.NotEmpty(t, after)
	require.Zero(t, common(before, after), "nothing comes twice in one clone")
	return before, after
}

// common counts the values of b that are in a, too.
func common(a, b []string) (n int) {
	for _, v := range b {
		if slices.Contains(a, v) {
			n++
		}
	}
	return n
}

// compare says how many values of a recorder two clones have in common after
// the restore. What they recorded before it is the same, or they are none.
func compare(t *testing.T, a, b follower, file string) (n, of int) {
	oldA, newA := recorded(t, a, file)
	oldB, newB := recorded(t, b, file)
	require.Equal(t, oldA, oldB, "copies of one guest")
	return common(newA, newB), min(len(newA), len(newB))
}

// TestClones: one saved guest restored under two names: both reseeded, no read
// in common. Then the same of a guest whose CPU has no generator.
func TestClones(t *testing.T) {
	long(t, func(t *testing.T, d *xen.Dom0) {
		s := service(t, d, "")
		t.Run("compared", func(t *testing.T) { clonesCompared(t, s, xen.GuestConfig{Name: "clone"}) })
		t.Run("compared without RDRAND", func(t *testing.T) {
			clonesCompared(t, s, xen.GuestConfig{Name: "norand", Lines: []string{noInstruction}})
		})
	})
}

// clonesCompared has entropy-guest on the vchan and a program on the guest
// library on the console of one guest.
func clonesCompared(t *testing.T, s *daemon, config xen.GuestConfig) {
	config.Follow = true
	a, b, beganA, beganB := saveForCloning(t, s.d, config, "").twoClones(t)
	ga, _ := s.reseeded(t, a, beganA)
	gb, _ := s.reseeded(t, b, beganB)
	require.NotEqual(t, ga.KernelGeneration, gb.KernelGeneration, "a generation of its own")
	t.Logf("began to run at %v; what entropy-guest said:\n%s",
		beganA.UTC().Format(time.StampMilli), run(t, a, "tail", "-n", "20", "/run/entropy-guest.log"))
	n, of := compare(t, a, b, readersFile)
	require.Zero(t, n, "of %d values of the guest library", of)
	n, of = compare(t, a, b, uuidsFile)
	t.Logf("the kernels gave %d equal UUIDs of %d, before they were reseeded", n, of)
	require.Less(t, n, of/2)
	destroy(t, s.d, a.config.Name)
	destroy(t, s.d, b.config.Name)
}

// reseeded is that a clone's acknowledgement came, and is true; at is when.
func (s *daemon) reseeded(t *testing.T, f follower, began time.Time) (g host.GuestStatus, at time.Time) {
	g, at = s.acknowledged(t, f.config.Name, began)
	said := f.says(t)
	require.Equal(t, g.KernelGeneration, said.Guest.Host.Generation)
	require.Zero(t, said.Guest.Kernel.Failures)
	require.GreaterOrEqual(t, said.Guest.Kernel.Seeds, uint64(2), "the original's, and its own")
	return g, at
}

// TestClonesTimed: how long a clone runs before its kernel is reseeded. One
// guest is restored again and again. Nothing else is asked for meanwhile: each
// program that starts inside costs as much as what is timed.
func TestClonesTimed(t *testing.T) {
	once(t, func(t *testing.T, d *xen.Dom0) {
		s := service(t, d, "")
		original := follow(t, d, xen.GuestConfig{Name: "timed"})
		shell(t, original, "probe awake /run/awake >/dev/null 2>&1 </dev/null &")
		c := &cloned{d: d, config: original.config, file: saved(t, d, original.config.Name)}
		var awake, whole times
		for range clonesForTimes {
			f, began := c.clone(t)
			time.Sleep(2 * time.Second)
			f.ready(t)
			_, at := s.reseeded(t, f, began)
			whole = append(whole, at.Sub(began))
			awake = append(awake, at.Sub(time.Unix(0, number[int64](t, f, "cat", "/run/awake"))))
			destroy(t, d, f.config.Name)
		}
		t.Logf("to its kernel reseeded and acknowledged, of %d clones:", len(whole))
		t.Logf("from the first run of a process: %v", awake)
		t.Logf("from the hypervisor's letting it run, with the resuming of its kernel: %v", whole)
		require.Less(t, awake.median(), time.Duration(patience*float64(cloneWithin)))
	})
}

// times are printed with their median.
type times []time.Duration

func (l times) median() time.Duration {
	l = slices.Sorted(slices.Values(l))
	return (l[len(l)/2] + l[(len(l)-1)/2]) / 2
}

func (l times) String() string {
	ms := time.Millisecond
	return fmt.Sprintf("median %v, from %v to %v", l.median().Round(ms),
		slices.Min(l).Round(ms), slices.Max(l).Round(ms))
}

// alonePairs is how many pairs of clones TestClonesAlone makes at most. How
// many values are equal is a matter of chance: a kernel may be due for a reseed
// of its own as soon as it is restored.
const alonePairs = 5

// TestClonesAlone is what happens without xentropyd: the kernels go on with the
// same random numbers. The guest library does not.
func TestClonesAlone(t *testing.T) {
	long(t, func(t *testing.T, d *xen.Dom0) {
		saved := saveForCloning(t, d, xen.GuestConfig{Name: "alone"}, "--alone")
		equal := 0
		for pair := 0; equal == 0 && pair < alonePairs; pair++ {
			a, b, _, _ := saved.twoClones(t)
			n, of := compare(t, a, b, uuidsFile)
			t.Logf("the kernels gave %d equal UUIDs of %d", n, of)
			equal = n
			n, of = compare(t, a, b, readersFile)
			require.Zero(t, n, "of %d values of the guest library", of)
			for _, clone := range []follower{a, b} {
				run(t, d, "xl", "destroy", clone.config.Name)
			}
		}
		require.NotZero(t, equal, "of %d pairs", alonePairs)
	})
}
