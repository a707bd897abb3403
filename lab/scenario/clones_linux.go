package scenario

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xentropyd/xentropyd/host"
	"github.com/xentropyd/xentropyd/lab/internal/record"
	"github.com/xentropyd/xentropyd/lab/internal/report"
	"github.com/xentropyd/xentropyd/lab/internal/xen"
)

// Our choices.
const (
	clonesForTimes = 9                      // restored from one file, for the median
	cloneWithin    = 250 * time.Millisecond // the median's limit, from the first run of a clone's process to its kernel reseeded
	cloneRecords   = 500                    // values compared in two clones, after the restore
	recordedFor    = 15 * time.Second       // that clones run on with their recorders
)

// Where the recorders in a guest write.
const (
	readersFile = "/run/readers"
	uuidsFile   = "/run/uuids"
)

// noInstruction hides the CPU's generator from a guest, so that the host alone can tell clones apart.
const noInstruction = `cpuid = "host,rdrand=0,rdseed=0"`

// cloned is a saved guest.
type cloned struct {
	d      *xen.Dom0
	config xen.GuestConfig
	file   string
	made   int
}

// saveForCloning starts a guest with recorders in it, and saves it.
func saveForCloning(t *report.T, d *xen.Dom0, c xen.GuestConfig, readers string) *cloned {
	c.Type = xen.PV
	p, err := d.Start(t.Context(), c)
	require.NoError(t, err)
	if c.Follow {
		follower{p, d, c}.seededFromStart(t)
	}
	_, err = p.Shell(t.Context(), fmt.Sprintf("probe readers --out %s %s >/run/readers.log 2>&1 </dev/null & probe uuids --out %s </dev/null >/run/uuids.log 2>&1 &", readersFile, readers, uuidsFile))
	require.NoError(t, err)
	poll(t, "the recorders record", func() error {
		_, err := p.Shell(t.Context(), fmt.Sprintf("[ $(wc -l < %s) -gt 200 ] && [ $(wc -l < %s) -gt 20 ] || { cat /run/readers.log; exit 1; }", readersFile, uuidsFile))
		return err
	})
	return &cloned{d: d, config: c, file: saved(t, d, c.Name)}
}

// clone restores it under a new name and lets it run; began is dom0's time of that.
func (s *cloned) clone(t *report.T) (f follower, began time.Time) {
	s.made++
	c := s.config
	c.Name = fmt.Sprintf("%s-%d", c.Name, s.made)
	c.Lines = append(slices.Clone(c.Lines), fmt.Sprintf("uuid = \"00000000-0000-4000-8000-%012d\"", 1000+s.made))
	require.NoError(t, s.d.Restore(t.Context(), c, s.file))
	began, err := s.d.Unpause(t.Context(), c.Name)
	require.NoError(t, err)
	return follower{s.d.Guest(c.Name), s.d, c}, began
}

// recorded is what a clone recorded before and after it was restored.
func recorded(t *report.T, f follower, file string) (before, after []record.Record) {
	out, err := f.Run(t.Context(), "probe", "records", file, "--most", fmt.Sprint(cloneRecords))
	require.NoError(t, err)
	list, err := record.Read(strings.NewReader(out))
	require.NoError(t, err)
	before, across, after := record.Split(list)
	t.Logf("%s: %s: %d values before, %d across, %d after the restore", f, file, len(before), len(across), len(after))
	return before, after
}

// values are those of records that have one.
func values(list []record.Record) (all []string) {
	for _, r := range list {
		if !strings.HasPrefix(r.Value, record.Note) {
			all = append(all, r.Value)
		}
	}
	return all
}

// common counts the values that two clones have both.
func common(a, b []string) (n int) {
	there := make(map[string]bool)
	for _, v := range a {
		there[v] = true
	}
	for _, v := range b {
		if there[v] {
			n++
		}
	}
	return n
}

// compare says how many values of a recorder two clones have in common after the restore. What they recorded before it is the same, or they are none.
func compare(t *report.T, a, b follower, file string) (n, of int) {
	beforeA, afterA := recorded(t, a, file)
	beforeB, afterB := recorded(t, b, file)
	old := values(beforeA)
	require.NotEmpty(t, old)
	require.Equal(t, old, values(beforeB), "copies of one guest")
	va, vb := values(afterA), values(afterB)
	require.NotEmpty(t, va)
	require.NotEmpty(t, vb)
	for _, v := range [][]string{va, vb} {
		require.Zero(t, common(old, v), "nothing comes twice in one clone")
	}
	return common(va, vb), min(len(va), len(vb))
}

// clones: two of one guest are compared, then two of one whose CPU has no generator.
func clones(t *report.T, d *xen.Dom0) {
	s := service(t, d, "")
	t.Run("compared", func(t *report.T) { clonesCompared(t, s, xen.GuestConfig{Name: "clone"}) })
	t.Run("compared without RDRAND", func(t *report.T) {
		clonesCompared(t, s, xen.GuestConfig{Name: "norand", Lines: []string{noInstruction}})
	})
}

// clonesCompared has entropy-guest on the vchan and a program on the guest library on the console of one guest.
func clonesCompared(t *report.T, s *daemon, config xen.GuestConfig) {
	config.Follow = true
	c := saveForCloning(t, s.d, config, "")
	a, beganA := c.clone(t)
	b, beganB := c.clone(t)
	ready(t, a, b)
	time.Sleep(recordedFor)
	ga, _ := s.reseeded(t, a, beganA)
	gb, _ := s.reseeded(t, b, beganB)
	require.NotEqual(t, ga.KernelGeneration, gb.KernelGeneration, "a generation of its own")
	log, err := a.Run(t.Context(), "tail", "-n", "20", "/run/entropy-guest.log")
	require.NoError(t, err)
	t.Logf("began to run at %v; what entropy-guest said:\n%s", beganA.UTC().Format(time.StampMilli), log)
	n, of := compare(t, a, b, readersFile)
	require.Zero(t, n, "of %d values of the guest library", of)
	n, of = compare(t, a, b, uuidsFile)
	t.Logf("the kernels gave %d equal UUIDs of %d, before they were reseeded", n, of)
	require.Less(t, n, of/2)
	for _, f := range []follower{a, b} {
		require.NoError(t, s.d.Destroy(t.Context(), f.config.Name))
	}
}

// reseeded is that a clone's acknowledgement came, and is true; at is when.
func (s *daemon) reseeded(t *report.T, f follower, began time.Time) (g host.GuestStatus, at time.Time) {
	poll(t, f.String()+" is reseeded", func() error {
		status, err := s.status(t)
		if err != nil {
			return err
		}
		g, at, err = kernelSeeded(status, f.config.Name, began)
		return err
	})
	require.Zero(t, g.Violations)
	require.Zero(t, g.Failures)
	said, err := f.says(t)
	require.NoError(t, err)
	require.Equal(t, g.KernelGeneration, said.Guest.Host.Generation)
	require.Zero(t, said.Guest.Kernel.Failures)
	require.GreaterOrEqual(t, said.Guest.Kernel.Seeds, uint64(2), "the original's, and its own")
	return g, at
}

// clonesTimed restores one guest again and again. Nothing else is asked for meanwhile: each program that starts inside costs as much as what is timed.
func clonesTimed(t *report.T, d *xen.Dom0) {
	s := service(t, d, "")
	config := xen.GuestConfig{Name: "timed", Type: xen.PV}
	original := follow(t, d, config)
	_, err := original.Shell(t.Context(), "probe awake /run/awake >/dev/null 2>&1 </dev/null &")
	require.NoError(t, err)
	c := &cloned{d: d, config: original.config, file: saved(t, d, config.Name)}
	var awake, whole times
	for range clonesForTimes {
		f, began := c.clone(t)
		time.Sleep(2 * time.Second)
		ready(t, f)
		_, at := s.reseeded(t, f, began)
		out, err := f.Run(t.Context(), "cat", "/run/awake")
		require.NoError(t, err)
		ns, err := strconv.ParseInt(strings.TrimSpace(out), 10, 64)
		require.NoError(t, err)
		whole = append(whole, at.Sub(began))
		awake = append(awake, at.Sub(time.Unix(0, ns)))
		require.NoError(t, s.d.Destroy(t.Context(), f.config.Name))
	}
	t.Logf("to its kernel reseeded and acknowledged, of %d clones:", len(whole))
	t.Logf("from the first run of a process: %v", awake)
	t.Logf("from the hypervisor's letting it run, with the resuming of its kernel: %v", whole)
	require.Less(t, awake.median(), time.Duration(s.d.Patience*float64(cloneWithin)))
}

// times are printed with their median.
type times []time.Duration

func (l times) median() time.Duration {
	l = slices.Sorted(slices.Values(l))
	return (l[len(l)/2] + l[(len(l)-1)/2]) / 2
}

func (l times) String() string {
	ms := time.Millisecond
	return fmt.Sprintf("median %v, from %v to %v", l.median().Round(ms), slices.Min(l).Round(ms), slices.Max(l).Round(ms))
}

// ready waits until agents answer.
func ready(t *report.T, list ...follower) {
	for _, f := range list {
		require.NoError(t, f.dom0.Ready(t.Context(), f.config.Name))
	}
}

// clonesAlone is what happens without xentropyd: the kernels go on with the same random numbers. The guest library does not.
func clonesAlone(t *report.T, d *xen.Dom0) {
	c := saveForCloning(t, d, xen.GuestConfig{Name: "alone"}, "--alone")
	a, _ := c.clone(t)
	b, _ := c.clone(t)
	ready(t, a, b)
	time.Sleep(recordedFor)
	n, of := compare(t, a, b, uuidsFile)
	t.Logf("the kernels gave %d equal UUIDs of %d", n, of)
	require.NotZero(t, n)
	n, of = compare(t, a, b, readersFile)
	require.Zero(t, n, "of %d values of the guest library", of)
}
