package demo

import (
	"context"
	"fmt"
	"io"
	"strings"

	tea "charm.land/bubbletea/v2"
	"charm.land/lipgloss/v2"

	"github.com/xentropyd/xentropyd/internal/cli"
	"github.com/xentropyd/xentropyd/source"
)

// Live runs the play behind a table that is drawn in place on a terminal.
// Ctrl-C, q and a cancelled ctx end it.
func Live(ctx context.Context, xentropyd string, in io.Reader, out io.Writer) (Result, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	p := tea.NewProgram(model{cancel: cancel, width: 80, height: 24},
		tea.WithInput(in), tea.WithOutput(out), tea.WithoutSignalHandler())
	type outcome struct {
		r   Result
		err error
	}
	played := make(chan outcome, 1)
	go func() {
		r, err := Run(ctx, xentropyd, func(f Frame) { p.Send(f) })
		played <- outcome{r, err}
		p.Quit()
	}()
	_, err := p.Run()
	if err != nil {
		cancel(fmt.Errorf("draw on the terminal: %w", err))
	}
	o := <-played
	if err != nil && o.err == nil {
		o.err = err
	}
	return o.r, o.err
}

// errInterrupted ends the play on ctrl-C, which a terminal in raw mode gives as
// a key.
var errInterrupted = fmt.Errorf("interrupted")

type model struct {
	frame         Frame
	width, height int
	cancel        context.CancelCauseFunc
	ending        bool
}

func (m model) Init() tea.Cmd { return nil }

func (m model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case Frame:
		m.frame = msg
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
	case tea.KeyPressMsg:
		switch msg.String() {
		case "ctrl+c", "q", "esc":
			m.ending = true
			m.cancel(errInterrupted)
		}
	}
	return m, nil
}

func (m model) View() tea.View { return tea.NewView(m.draw()) }

var (
	bold   = lipgloss.NewStyle().Bold(true)
	faint  = lipgloss.NewStyle().Faint(true)
	good   = lipgloss.NewStyle().Foreground(lipgloss.Green)
	uneasy = lipgloss.NewStyle().Foreground(lipgloss.Yellow)
	bad    = lipgloss.NewStyle().Foreground(lipgloss.Red)
)

// shownEvents is how many events are shown where there is room: all that a play
// has.
const shownEvents = 10

// draw makes at most height lines of at most width columns.
func (m model) draw() string {
	f := m.frame
	if len(f.Sources) == 0 {
		return "starting"
	}
	daemon := f.Daemon
	if f.PID != 0 {
		daemon += fmt.Sprintf(", pid %d", f.PID)
	}
	lines := []string{
		bold.Render("xentropyd demo") + fmt.Sprintf("  %4.1f s  daemon ", f.At.Seconds()) +
			mood(f.Daemon).Render(daemon),
		"",
		bold.Render(fmt.Sprintf("%-9s %-12s %10s %14s", "NOISE", "HEALTH", "SAMPLES", "ENTROPY")),
	}
	for _, s := range f.Sources {
		if s.State == source.StateAbsent {
			continue
		}
		entropy, state := cli.Bits(s.MinEntropyBits), string(s.State)
		if !s.Credited {
			entropy = "no credit"
		}
		if s.State == source.StateStarting && !s.Credited && s.Samples == 0 {
			state = "collecting"
		}
		lines = append(lines, fmt.Sprintf("%-9s ", s.Name)+mood(state).Render(fmt.Sprintf("%-12s", state))+
			fmt.Sprintf(" %10d %14s", s.Samples, entropy))
	}
	lines = append(lines, "", bold.Render(fmt.Sprintf("%-9s %-18s %8s %7s %14s %11s",
		"GUEST", "STATE", "PID", "SEEDS", "RANDOM BYTES", "RECONNECTS")))
	for _, g := range f.Guests {
		pid := "-"
		if g.PID != 0 {
			pid = fmt.Sprint(g.PID)
		}
		lines = append(lines, fmt.Sprintf("%-9s ", g.Name)+mood(g.State).Render(fmt.Sprintf("%-18s", g.State))+
			fmt.Sprintf(" %8s %7d %14s %11d", pid, g.Seeds, cli.Bytes(g.Bytes), g.Reconnects))
	}
	lines = append(lines, "")
	room := max(2, min(shownEvents, m.height-len(lines)-2))
	events := f.Events[max(0, len(f.Events)-room):]
	// Always as many lines: a picture that grows is drawn anew from the top,
	// which leaves the old one in the scrollback.
	for i := range room {
		line := ""
		if i < len(events) {
			line = faint.Render(fmt.Sprintf("%5.1f s", events[i].At.Seconds())) + "  " + events[i].Text
		}
		lines = append(lines, line)
	}
	if m.ending {
		lines[len(lines)-1] = uneasy.Render("stopping everything")
	}
	clip := lipgloss.NewStyle().MaxWidth(m.width)
	for i := range lines {
		lines[i] = clip.Render(lines[i])
	}
	return strings.Join(lines, "\n")
}

// mood is the colour of a state.
func mood(state string) lipgloss.Style {
	switch state {
	case "healthy", "seeded", "serving":
		return good
	case "killed", "quarantined":
		return bad
	}
	return uneasy
}
