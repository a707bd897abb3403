package discovery

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/xentropyd/xentropyd/internal/wait"
	"github.com/xentropyd/xentropyd/transport/console"
)

// serveConsole keeps a console plugged into the guest.
func (g *guest) serveConsole(ctx context.Context) {
	cfg := g.d.console(g.id.domid)
	defer g.forgetConsoles()
	c := &consoleCare{
		g: g, connects: rate.NewLimiter(connectRate, connectBurst),
		replug: wait.Backoff{First: firstReplug, Last: lastReplug},
	}
	retry := wait.Backoff{First: firstRetry, Last: lastRetry}
	taken := false
	for {
		began := time.Now()
		g.clearConsoles(ctx, cfg)
		dev, err := console.Plug(ctx, cfg)
		if err == nil {
			err = c.care(ctx, dev)
			g.unplug(ctx, dev)
		}
		if ctx.Err() != nil {
			return
		}
		if time.Since(began) > lastRetry {
			retry.Reset()
		}
		switch {
		case errors.Is(err, errNotTaken):
			wait.For(ctx, absentTime) // c.replug says how often
			continue
		case errors.Is(err, console.ErrGone), errors.Is(err, errUnread): // nobody's fault
		case errors.Is(err, console.ErrTaken) && !taken:
			taken = true // by a toolstack that destroys the domain, and takes its devices first
		default:
			g.trouble(consoleCarrier, err)
		}
		wait.For(ctx, retry.Next())
	}
}

// clearConsoles takes out what is left of a killed predecessor, or of an
// unplugging that failed: whoever was talking on it is told by the hang-up.
func (g *guest) clearConsoles(ctx context.Context, cfg console.Config) {
	left, err := console.Leftovers(ctx, cfg)
	if err != nil {
		g.trouble(consoleCarrier, err)
		return
	}
	for _, dev := range left {
		g.unplug(ctx, dev)
	}
	if len(left) > 0 {
		wait.For(ctx, absentTime)
	}
}

// forgetConsoles leaves nothing of ours behind for a domain that is gone,
// however its last plugging or unplugging went. What it cannot remove the next
// sweep does.
func (g *guest) forgetConsoles() {
	if !errors.Is(context.Cause(g.ctx), errGone) {
		return
	}
	clean, cancel := cleaning()
	defer cancel()
	if err := console.Forget(clean, g.d.console(g.id.domid)); err != nil {
		g.d.cfg.Log.Warn("back end of a console not removed; trying again within a minute",
			"domain", g.id.domid, "error", err)
	}
}

// unplug asks the guest first, unless it is gone.
func (g *guest) unplug(ctx context.Context, dev *console.Device) {
	if errors.Is(context.Cause(ctx), errGone) {
		return // forgetConsoles does it
	}
	ask, cancel := context.WithTimeout(context.WithoutCancel(ctx), askTime)
	defer cancel()
	stop := context.AfterFunc(g.ctx, func() {
		if errors.Is(context.Cause(g.ctx), errGone) {
			cancel()
		}
	})
	defer stop()
	if err := dev.Unplug(ask); err != nil {
		g.trouble(consoleCarrier, err)
	}
}

var (
	errNotTaken = errors.New("the guest did not take the console up")
	errUnread   = errors.New("the guest left unread what it asked for")
	errTakenOut = errors.New("the console is being taken out")
)

// consoleCare looks after a console that is plugged.
type consoleCare struct {
	g        *guest
	connects *rate.Limiter // of links and sessions
	replug   wait.Backoff  // of a console that nobody takes up

	dev   *console.Device
	link  *console.Link
	front console.Front // that link was made of
	wg    sync.WaitGroup
	end   context.CancelCauseFunc // of the sessions on link
	over  chan error              // why the sessions ended
}

// care returns when the console must be plugged anew, with the reason, or ctx
// ends.
func (c *consoleCare) care(ctx context.Context, dev *console.Device) error {
	c.dev, c.over = dev, make(chan error, 1)
	changes := newChanges(ctx, c.g.d.cfg.Store, dev.Front())
	defer changes.close()
	defer c.drop()
	idle := time.NewTimer(c.replug.Next())
	defer idle.Stop()
	state := console.Initialising
	for {
		var over error
		late := false
		select {
		case <-changes.C:
		case over = <-c.over:
		case <-idle.C:
			late = true
		case <-ctx.Done():
		}
		switch {
		case over != nil:
			return over
		case ctx.Err() != nil:
			return nil
		case late && state == console.Initialising:
			// Taken up and closed again is the guest's wish; untouched is
			// perhaps a guest that must see it go and come.
			return errNotTaken
		case late:
			continue
		}
		front, err := dev.Look(ctx)
		if err != nil {
			return err
		}
		if front.Ready() {
			c.replug.Reset()
		}
		state = front.State
		if err := c.follow(ctx, front); err != nil {
			return err
		}
	}
}

// follow does what the guest's state asks for.
func (c *consoleCare) follow(ctx context.Context, front console.Front) error {
	switch {
	case front.State == console.Closing || front.State == console.Closed:
		c.drop()
		return c.dev.SetState(ctx, console.Closed)
	case !front.Ready():
		return nil
	case c.link != nil && c.same(front):
		c.front = front
		return nil
	}
	// New, or made anew by a driver that was bound again.
	if c.link != nil {
		c.drop()
		if err := c.dev.SetState(ctx, console.InitWait); err != nil {
			return err
		}
	}
	if err := c.connects.Wait(ctx); err != nil {
		return nil
	}
	free, err := c.g.d.slot(ctx)
	if err != nil {
		return nil
	}
	link, err := c.dev.Connect(front)
	free()
	if err != nil {
		return err
	}
	if err := c.dev.SetState(ctx, console.Connected); err != nil {
		_ = link.Close()
		return err
	}
	c.link, c.front = link, front
	ctx, c.end = context.WithCancelCause(ctx)
	c.wg.Go(func() {
		err := c.sessions(ctx, link)
		if ctx.Err() == nil {
			c.over <- err
		}
	})
	return nil
}

// same says whether a front end still is what the link was made of. Linux gets
// the same numbers when it makes a ring anew, but it goes back to Initialised
// then.
func (c *consoleCare) same(front console.Front) bool {
	return front.Ring == c.front.Ring && front.Port == c.front.Port &&
		(front.State == console.Connected || c.front.State == console.Initialised)
}

// drop ends the link and what is on it.
func (c *consoleCare) drop() {
	if c.link == nil {
		return
	}
	c.end(errTakenOut)
	c.wg.Wait()
	_ = c.link.Close()
	c.link = nil
	select { // what it said at the last moment
	case <-c.over:
	default:
	}
}

// sessions gives the host a channel each time that the guest begins to write.
func (c *consoleCare) sessions(ctx context.Context, link *console.Link) error {
	for {
		if err := link.Wait(ctx); err != nil {
			return err
		}
		if err := c.connects.Wait(ctx); err != nil {
			return err
		}
		c.g.connected(consoleCarrier, true)
		c.g.d.give(ctx, link.Open(), c.g.peer(consoleCarrier))
		c.g.connected(consoleCarrier, false)
		if err := link.Err(); err != nil {
			return fmt.Errorf("session ended: %w", err)
		}
		// What is not read now would be in front of the next session's first
		// word.
		drain, cancel := context.WithTimeout(ctx, drainTime)
		err := link.Drained(drain)
		cancel()
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, context.DeadlineExceeded):
			return errUnread
		case err != nil:
			return err
		}
	}
}
