package demo

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"charm.land/lipgloss/v2"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/xentropyd/xentropyd/host/control"
	"github.com/xentropyd/xentropyd/source"
)

func TestBlocks(t *testing.T) {
	random := make([]byte, 64*blockBytes)
	rand.Read(random)
	var b blocks
	b.add(appendHashes(nil, random))
	assert.Equal(t, 64, b.compared)
	assert.Zero(t, b.repeated)
	b.add(appendHashes(nil, random[5*blockBytes:6*blockBytes]))
	assert.Equal(t, 65, b.compared)
	assert.Equal(t, 1, b.repeated)
	assert.False(t, bytes.Contains(appendHashes(nil, random), random[:hashBytes]), "a hash is not the block")
}

func TestActorsCountOverLives(t *testing.T) {
	var mu sync.Mutex
	var b blocks
	a := &actor{name: "guest-1"}
	a.listen(&mu, &b)(strings.NewReader(`{"seeded":true,"seeds":1,"bytes":256,"reconnects":0}
{"seeded":true,"seeds":2,"bytes":512,"reconnects":1,"longest_pause":7}
{"seeded":true,"see`)) // killed in the middle of a line
	assert.EqualValues(t, 2, a.reports)
	assert.EqualValues(t, 512, a.total().Bytes)
	a.bury()
	assert.Equal(t, 1, a.kills)
	assert.False(t, a.total().Seeded, "a new process begins unseeded")
	a.listen(&mu, &b)(strings.NewReader(`{"seeded":true,"seeds":3,"bytes":100,"longest_pause":5}`))
	total := a.total()
	assert.EqualValues(t, 5, total.Seeds)
	assert.EqualValues(t, 612, total.Bytes)
	assert.EqualValues(t, 2, total.Reconnects, "one of its own, one for the restart")
	assert.EqualValues(t, 7, total.Pause)
}

// playedStage is a stage after a play in which all went well.
func playedStage() (*stage, *Result) {
	s := &stage{began: time.Now().Add(-10 * time.Second), earlier: map[string]source.Status{}}
	for i := range guestCount {
		a := &actor{
			name: fmt.Sprintf("guest-%d", i+1),
			now:  report{Seeded: true, Connected: true, Seeds: 9, SeedBytes: 576, Bytes: 1 << 20},
		}
		s.guests = append(s.guests, a)
	}
	s.guests[1].kills = 1
	s.blocks.compared = 1234567
	s.sources = []source.Status{
		{
			Name: "jitter", State: source.StateHealthy, Healthy: true, Credited: true,
			Samples: 2048, MinEntropyBits: 1024,
		},
		{Name: "hwrng", State: source.StateQuarantined, Credited: true, Samples: 12},
		{Name: "kernel", State: source.StateHealthy, Healthy: true, Samples: 2048},
		{Name: "arrivals", State: source.StateStarting},
		{Name: "tpm", State: source.StateAbsent, LastError: "there is none"},
	}
	return s, &Result{ReadOn: true, Renewed: true, Outage: 1.8}
}

func TestConclude(t *testing.T) {
	s, r := playedStage()
	s.conclude(r)
	assert.True(t, r.OK)
	assert.Len(t, r.Sources, 3)
	assert.Len(t, r.NotUsed, 2)
	var b bytes.Buffer
	r.Summary(&b, 80)
	assert.Contains(t, b.String(), "Noise from jitter passed")
	assert.Contains(t, strings.Join(strings.Fields(b.String()), " "), "hwrng did not pass")
	assert.Contains(t, b.String(), "1,234,567 blocks")
	for line := range strings.Lines(b.String()) {
		assert.LessOrEqual(t, len(strings.TrimSuffix(line, "\n")), 80, line)
	}

	for what, spoil := range map[string]func(*stage, *Result){
		"guest-3 was not seeded":    func(s *stage, _ *Result) { s.guests[2].now.Seeded = false },
		"guest-1 had 2 reads":       func(s *stage, _ *Result) { s.guests[0].now.Errors = 2 },
		"reads stopped":             func(_ *stage, r *Result) { r.ReadOn = false },
		"did not follow":            func(_ *stage, r *Result) { r.Renewed = false },
		"3 blocks of 16 bytes came": func(s *stage, _ *Result) { s.blocks.repeated = 3 },
	} {
		s, r := playedStage()
		spoil(s, r)
		s.conclude(r)
		assert.False(t, r.OK, what)
		require.Len(t, r.Problems, 1, what)
		assert.Contains(t, r.Problems[0], what)
		b.Reset()
		r.Summary(&b, 80)
		assert.Contains(t, b.String(), what)
	}
}

func TestLiveFits(t *testing.T) {
	s, _ := playedStage()
	s.client = control.Dial("/nonexistent")
	for i := range 20 {
		s.events = append(s.events, Event{
			time.Duration(i) * time.Second,
			"something happened that takes rather many words to say, " + strings.Repeat("x", 60),
		})
	}
	for _, size := range [][2]int{{80, 24}, {120, 40}, {40, 10}} {
		m := model{frame: s.frame(), width: size[0], height: size[1]}
		lines := strings.Split(m.draw(), "\n")
		if size[1] >= 24 {
			assert.Less(t, len(lines), size[1], "%v", size)
		}
		for _, l := range lines {
			assert.LessOrEqual(t, lipgloss.Width(l), size[0], "%q", l)
		}
		fewer := m
		fewer.frame.Events = fewer.frame.Events[:1]
		assert.Len(t, strings.Split(fewer.draw(), "\n"), len(lines), "a constant height")
	}
}

func TestPlain(t *testing.T) {
	s, _ := playedStage()
	var b bytes.Buffer
	show := Plain(&b)
	s.events = []Event{{time.Second, "first"}}
	show(s.frame())
	s.events = append(s.events, Event{2 * time.Second, "second"})
	show(s.frame())
	show(s.frame())
	assert.Equal(t, 1, strings.Count(b.String(), "first\n"), "each event once")
	assert.Equal(t, 1, strings.Count(b.String(), "  2.0 s  second\n"))
	assert.Equal(t, 1, strings.Count(b.String(), "guest-3 seeded, 9 seeds, 1.0 MiB read"))
	assert.NotContains(t, b.String(), "\x1b")
}

func TestTail(t *testing.T) {
	var tl tail
	assert.Empty(t, tl.String())
	for i := range 1000 {
		fmt.Fprintf(&tl, "line %d\n", i)
	}
	assert.Equal(t, "line 999", tl.String())
	assert.LessOrEqual(t, len(tl.b), tailBytes)
}

func TestChildThatFails(t *testing.T) {
	s := newSpawner()
	defer s.close()
	_, err := s.spawn("/nonexistent/program", func(io.Reader) {}, "run")
	assert.ErrorContains(t, err, "start run")
	c, err := s.spawn("/bin/sh", func(r io.Reader) { io.Copy(io.Discard, r) }, "-c", "echo no such luck >&2; exit 3")
	require.NoError(t, err)
	<-c.ended
	assert.EqualError(t, c.trouble("the daemon"), "the daemon ended: no such luck")
	c.stop() // does no harm now
}

// TestWentOn: a guest whose count stands still, that reports no more, or whose
// reads fail, has not read on.
func TestWentOn(t *testing.T) {
	for what, c := range map[string]struct {
		then func(*actor)
		want bool
	}{
		"reads on":        {func(a *actor) { a.reports += 5; a.now.Bytes++ }, true},
		"too few reports": {func(a *actor) { a.reports += 4; a.now.Bytes++ }, false},
		"stands still":    {func(a *actor) { a.reports += 50 }, false},
		"fails":           {func(a *actor) { a.reports += 5; a.now.Bytes++; a.now.Errors = 1 }, false},
	} {
		s, _ := playedStage()
		before := s.counts()
		for _, a := range s.guests[:2] {
			a.reports += 5
			a.now.Bytes++
		}
		assert.False(t, s.wentOn(before), "one has not")
		c.then(s.guests[2])
		assert.Equal(t, c.want, s.wentOn(before), what)
	}
}
