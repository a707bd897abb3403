package scenario

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xentropyd/xentropyd/host"
	"github.com/xentropyd/xentropyd/host/control"
	"github.com/xentropyd/xentropyd/lab/internal/agent"
	"github.com/xentropyd/xentropyd/lab/internal/report"
	"github.com/xentropyd/xentropyd/lab/internal/xen"
)

// How long each attack goes on, and what xentropyd may cost and take meanwhile. CPU and times leave room for a
// machine that is slower or has other work to do, where a virtual CPU's waiting for a real one counts as its work: on one without, 20 % more than with no attack
// and 5 s were the most that was seen. A thread that spins takes 100 %.
const (
	attackTime   = 15 * time.Second
	attackCPU    = 0.4      // of one core, more than with no attack
	attackShare  = 2 * 0.05 // of one core for its sessions, by status: twice limits.cpu_share, as a virtual CPU's waiting counts
	attackBurst  = 2        // seconds, four times host's
	attackMemory = 32 << 10 // KiB more than the quiet daemon's; 2.5 MiB were seen
	attackFiles  = 16       // descriptors more than the quiet daemon's; 2 were seen
	attackLines  = 25       // of the log: host lets ten pass at once and then one in ten seconds
	seededAmidst = 20 * time.Second

	// attacksVariable names the attacks to run, with commas; all if it is empty.
	attacksVariable = "XENTROPYD_LAB_ATTACKS"

	hostileLog  = "/var/log/xentropyd.log"
	hostileName = "hostile"
)

// attack is one of lab/hostile's.
type attack struct {
	name  string
	proof string // what it must have done, by the name in its report
	fresh bool   // of a guest that was just started: of another the host has had enough, and looks at it once a minute
}

// The first is none: what the looking alone costs.
var allAttacks = []attack{
	{name: "nothing"},
	{name: "flood", proof: "sessions"},
	{name: "flood-moving", proof: "sessions"},
	{name: "byte-by-byte", proof: "bytes"},
	{name: "protocol", proof: "sessions"},
	{name: "silent", proof: "connects"},
	{name: "scribble-ring", proof: "connects"},
	{name: "claim", proof: "claims"},
	{name: "restart-storm", proof: "offers", fresh: true},
	{name: "junk-nodes", proof: "writes"},
	{name: "half-offer", proof: "writes", fresh: true},
	{name: "grant-games", proof: "offers"},
	{name: "flood-console", proof: "connects"},
	{name: "restart-console", proof: "connects"},
	{name: "scribble-console", proof: "connects"},
	{name: "junk-console", proof: "consoles", fresh: true},
	{name: "block-unplug", proof: "consoles"},
}

// usage is what a process has used and holds.
type usage struct {
	cpu    time.Duration
	memory int // KiB
	files  int
	lines  int // of its log
	events int // interrupts of the event channel that had most, of those that are open
	wakes  int // times that its threads went to sleep
}

// siege is xentropyd with two honest guests and one that is not.
type siege struct {
	d      *xen.Dom0
	pid    int
	honest []string
	ids    string // domain numbers of the honest, with commas
	quiet  usage
	share  float64 // of the CPU, with nothing but the looking
}

func hostile(t *report.T, d *xen.Dom0) {
	s := &siege{d: d, honest: []string{"honest-1", "honest-2"}}
	s.start(t)
	begin := s.usage(t)
	begun := time.Now()
	s.seeds(t)
	s.pause(t, 10*time.Second)
	s.quiet = s.usage(t)
	t.Logf("quiet: %v", s.figures(begin, s.quiet, time.Since(begun)))
	running := false
	only := os.Getenv(attacksVariable)
	for _, a := range allAttacks {
		if only != "" && !strings.Contains(","+only+",", ","+a.name+",") {
			continue
		}
		t.Run(a.name, func(t *report.T) {
			if a.fresh && running {
				require.NoError(t, d.Destroy(t.Context(), hostileName))
				running = false
			}
			if !running {
				_, err := d.Start(t.Context(), xen.GuestConfig{Name: hostileName, Type: xen.PV})
				require.NoError(t, err)
				running = true
			}
			s.attack(t, a)
		})
	}
	t.Run("afterwards", func(t *report.T) { s.afterwards(t) })
}

// start runs xentropyd with its log in a file, and the honest guests.
func (s *siege) start(t *report.T) {
	config := "listen = [\"xen:\"]\ncontrol = \"" + serviceControl + "\"\nseed_file = \"\"\n"
	require.NoError(t, s.d.Put(t.Context(), serviceConfig, config))
	s.background(t, s.d.Place, "mkdir -p /run/xentropyd; exec xentropyd run --config "+serviceConfig+" >"+hostileLog+" 2>&1")
	t.Cleanup(func() {
		if t.Failed() {
			out, err := s.d.Shell(context.WithoutCancel(t.Context()), "tail -n 100 "+hostileLog+"; xl list; xenstore-ls -f /local/domain/0/backend/entropy")
			t.Logf("dom0 (%v):\n%s", err, out)
		}
	})
	poll(t, "xentropyd runs", func() error {
		status, err := s.status(t)
		s.pid = status.PID
		return err
	})
	var ids []string
	for _, name := range s.honest {
		g, err := s.d.Start(t.Context(), xen.GuestConfig{Name: name, Type: xen.PV})
		require.NoError(t, err)
		id, err := s.d.Domid(t.Context(), name)
		require.NoError(t, err)
		ids = append(ids, strconv.Itoa(int(id)))
		s.background(t, g, "exec entropy-guest run")
	}
	s.ids = strings.Join(ids, ",")
}

// background runs a script until the test ends.
func (s *siege) background(t *report.T, p xen.Place, script string) {
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		r, err := p.Exec(ctx, agent.Command{Argv: []string{"/bin/sh", "-c", script}})
		if err == nil {
			t.Errorf("in %v: %s: it ended with status %d: %s", p, script, r.Code, r.Output)
		}
	}()
	t.Cleanup(func() {
		stop()
		<-done
	})
}

func (s *siege) status(t *report.T) (control.Status, error) { return (&daemon{d: s.d}).status(t) }

// usage asks what xentropyd has used. It fails when there is none any more.
func (s *siege) usage(t *report.T) usage {
	p := fmt.Sprintf("/proc/%d", s.pid)
	out, err := s.d.Shell(t.Context(), "sed 's/.*) //' "+p+"/stat && sed -n 's/^VmRSS: *//p' "+p+"/status && ls "+p+"/fd | wc -l && wc -l <"+hostileLog+
		" && sed -n '/evtchn:xentropyd/s/^ *[0-9]*: *\\([0-9]*\\) *\\([0-9]*\\).*/\\1 \\2/p' /proc/interrupts | awk '{n=$1+$2; if(n>m)m=n} END{print m+0}' && cat "+p+
		"/task/*/status | awk '/^voluntary/{n+=$2} END{print n}'")
	require.NoError(t, err, "xentropyd has ended")
	lines := strings.Split(strings.TrimSpace(out), "\n")
	require.Len(t, lines, 6, out)
	var u usage
	var user, system int
	fields := strings.Fields(lines[0]) // from the third on, proc_pid_stat(5)
	require.Greater(t, len(fields), 12, out)
	for at, to := range map[int]*int{11: &user, 12: &system} {
		*to, err = strconv.Atoi(fields[at])
		require.NoError(t, err)
	}
	u.cpu = time.Duration(user+system) * (time.Second / 100) // USER_HZ
	for i, to := range []*int{&u.memory, &u.files, &u.lines, &u.events, &u.wakes} {
		*to, err = strconv.Atoi(strings.Fields(lines[1+i])[0])
		require.NoError(t, err)
	}
	return u
}

func (s *siege) figures(from, to usage, d time.Duration) string {
	return fmt.Sprintf("CPU %.1f %% of one core, %.0f wake-ups/s, memory %d KiB, %d descriptors, %d lines logged in %v", 100*(to.cpu-from.cpu).Seconds()/d.Seconds(),
		float64(to.wakes-from.wakes)/d.Seconds(), to.memory, to.files, to.lines-from.lines, d.Round(time.Second))
}

func (s *siege) pause(t *report.T, d time.Duration) {
	select {
	case <-time.After(d):
	case <-t.Context().Done():
	}
}

// guests gives the honest ones as xentropyd knows them. All that is said here of a guest is of its vchan.
func (s *siege) guests(t *report.T) (map[string]host.GuestStatus, error) {
	status, err := s.status(t)
	found := make(map[string]host.GuestStatus)
	for _, g := range status.Server.Guests {
		for _, name := range s.honest {
			if g.Name == name {
				found[name] = g
			}
		}
	}
	if err == nil && len(found) != len(s.honest) {
		err = fmt.Errorf("only these are known: %+v", found)
	}
	return found, err
}

// seeds has a new generation begin, and waits until all honest guests have its seed in their kernels. It gives how long the last one took.
func (s *siege) seeds(t *report.T) time.Duration {
	var before map[string]host.GuestStatus
	poll(t, "the honest guests are known", func() (err error) {
		before, err = s.guests(t)
		return err
	})
	begin := time.Now()
	_, err := s.d.Run(t.Context(), "xentropyd", "renew", "--control", serviceControl)
	require.NoError(t, err)
	poll(t, "the honest guests have the new generation's seed", func() error {
		now, err := s.guests(t)
		if err != nil {
			return err
		}
		for name, g := range now {
			old := before[name]
			if !g.Connected || !g.Seeded || g.CurrentGeneration <= old.CurrentGeneration || g.Generation != g.CurrentGeneration || g.KernelAcknowledged <= old.KernelAcknowledged {
				return fmt.Errorf("%+v", g)
			}
		}
		return nil
	})
	return time.Since(begin)
}

// attack runs one and looks all the time whether the others have what they need.
func (s *siege) attack(t *report.T, a attack) {
	first, err := s.guests(t)
	require.NoError(t, err)
	spent := s.spent(t)
	from := s.usage(t)
	begin := time.Now()
	type result struct {
		r   *agent.Result
		err error
	}
	done := make(chan result, 1)
	ctx, cancel := context.WithTimeout(t.Context(), attackTime+servicePatient)
	defer cancel()
	argv := []string{"hostile", a.name, "--for", attackTime.String(), "--others", s.ids}
	if a.proof == "" {
		argv = []string{"sleep", strconv.Itoa(int(attackTime.Seconds()))}
	}
	go func() {
		r, err := s.d.Guest(hostileName).Exec(ctx, agent.Command{Argv: argv})
		done <- result{r, err}
	}()
	var slowest time.Duration
	most := from
	rounds := 0
	var ended result
	for over := false; !over; rounds++ {
		slowest = max(slowest, s.seeds(t))
		now := s.usage(t)
		most.memory, most.files, most.events = max(most.memory, now.memory), max(most.files, now.files), max(most.events, now.events)
		select {
		case ended = <-done:
			over = true
		case <-time.After(time.Second):
		}
	}
	to := s.usage(t)
	took := time.Since(begin)
	share := (to.cpu - from.cpu).Seconds() / took.Seconds()
	t.Logf("%s; at most %d events on a channel; %d new generations, the slowest seeded after %v",
		s.figures(from, usage{cpu: to.cpu, memory: most.memory, files: most.files, lines: to.lines, wakes: to.wakes}, took), most.events, rounds, slowest.Round(10*time.Millisecond))
	require.NoError(t, ended.err)
	t.Logf("%s", ended.r.Output)
	cost := s.spent(t) - spent
	t.Logf("status: %.2f s of CPU time spent on it", cost)
	require.Less(t, cost, attackShare*took.Seconds()+attackBurst, "CPU time spent on the guest, seconds")
	require.Zero(t, ended.r.Code)
	if a.proof == "" {
		s.share = share
		return
	}
	require.NotZero(t, tally(string(ended.r.Output), a.proof), "it did not get as far as it should: no %s", a.proof)
	require.Less(t, slowest, seededAmidst)
	last, err := s.guests(t)
	require.NoError(t, err)
	for name, g := range last {
		require.Zero(t, g.Violations, name)
		require.Equal(t, first[name].Reconnects, g.Reconnects, "%s lost its session: %s", name, g.LastError)
		require.Equal(t, first[name].Failures, g.Failures, name)
	}
	require.Less(t, share-s.share, attackCPU, "CPU")
	require.Less(t, most.memory, s.quiet.memory+attackMemory, "memory")
	require.Less(t, most.files, s.quiet.files+attackFiles, "descriptors")
	require.LessOrEqual(t, to.lines-from.lines, attackLines, "lines of the log")
}

// tally finds a number in what lab/hostile reports.
func tally(out, name string) int {
	for f := range strings.FieldsSeq(out) {
		if v, ok := strings.CutPrefix(f, name+"="); ok {
			n, _ := strconv.Atoi(v)
			return n
		}
	}
	return 0
}

// spent is the CPU time, in seconds, that status says the hostile guest's sessions have cost so far, 0 before its first one.
func (s *siege) spent(t *report.T) float64 {
	status, err := s.status(t)
	require.NoError(t, err)
	for _, g := range status.Server.Guests {
		if g.Name == hostileName {
			t.Logf("status: %s, %d frames, slowed %d times, %d violations, %d refused, %d reconnects, %q", g.Carrier, g.Frames, g.Slowed, g.Violations, g.Refused, g.Reconnects, g.LastError)
		}
	}
	var sum float64
	for _, g := range status.Server.Guests {
		if g.Name == hostileName {
			sum += g.CPU
		}
	}
	return sum
}

// afterwards: the guest goes, and nothing of it stays.
func (s *siege) afterwards(t *report.T) {
	id, err := s.d.Domid(t.Context(), hostileName)
	require.NoError(t, err)
	before := s.usage(t)
	require.NoError(t, s.d.Destroy(t.Context(), hostileName))
	poll(t, "nothing of the guest is left", func() error {
		list, err := s.d.Run(t.Context(), "xl", "list")
		if err != nil {
			return err
		}
		if strings.Contains(list, "(null)") || strings.Contains(list, hostileName) {
			return fmt.Errorf("%s", list)
		}
		nodes, err := s.d.Shell(t.Context(), fmt.Sprintf("xenstore-ls -f | grep -E '^/local/domain/(%d|0/backend/entropy/%d)(/|$| )' || true", id, id))
		if err == nil && nodes != "" {
			err = fmt.Errorf("nodes: %s", nodes)
		}
		return err
	})
	s.seeds(t)
	poll(t, "the descriptors come back", func() error {
		if now := s.usage(t); now.files > s.quiet.files {
			return fmt.Errorf("%d, %d when it was quiet, %d before the guest went", now.files, s.quiet.files, before.files)
		}
		return nil
	})
	back, err := s.d.Shell(t.Context(), "xenstore-list /local/domain/0/backend/entropy")
	require.NoError(t, err)
	require.ElementsMatch(t, strings.Split(s.ids, ","), strings.Fields(back), "back ends of others than the honest")
	end := s.usage(t)
	t.Logf("memory %d KiB, %d descriptors; quiet it had %d KiB and %d", end.memory, end.files, s.quiet.memory, s.quiet.files)
	require.Less(t, end.memory, s.quiet.memory+attackMemory)
}
