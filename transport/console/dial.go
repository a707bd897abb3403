package console

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/xentropyd/xentropyd/transport"
	"github.com/xentropyd/xentropyd/transport/internal/domain"
	"github.com/xentropyd/xentropyd/xenstore"
)

const scheme = "console"

// Carrier is the PV console. Its host's end is plugged in by whoever listens at
// "xen:".
var Carrier = &transport.Carrier{
	Scheme:   scheme,
	Form:     "[NAME or /dev/hvcN]",
	Check:    check,
	Dial:     func(ctx context.Context, path string) (transport.Conn, error) { return Dialer(path)(ctx) },
	Waits:    true,
	Find:     find,
	Cure:     cure,
	NoListen: "a host plugs consoles into its guests where it listens at xen:",
}

// nodeConsoles is where a guest's consoles beyond the first are, relative to
// its own part of xenstore. Linux takes N from the last character of a
// console's node and refuses 0 (hvc_xen.c, xenbus_devid_to_vtermno).
const nodeConsoles = "device/console"

// maxNameNode is the most that a name can have in xenstore, in bytes.
const maxNameNode = 256

func check(path string) (int, string) {
	if i := strings.IndexFunc(path, unicode.IsControl); i >= 0 {
		return i, "control character"
	}
	switch {
	case strings.HasPrefix(path, "//"):
		return 0, "a path begins with one slash; use console:/dev/hvc1"
	case strings.HasPrefix(path, "/") && strings.HasSuffix(path, "/"):
		return len(path) - 1, "this is a directory; name a terminal in it"
	case len(path) > maxNameNode:
		return maxNameNode, fmt.Sprintf("%d bytes; at most %d", len(path), maxNameNode)
	}
	return 0, ""
}

func cure(err error) string {
	if errors.Is(err, fs.ErrPermission) {
		return "run it as root: the consoles are root's"
	}
	return "see in domain 0 whether xentropyd runs and what xentropyd status says of this guest, or give another --host"
}

// surroundings are what a guest's end stands on.
type surroundings struct {
	open   domain.Opener
	dev    string // directory of the terminals
	timing domain.Timing
}

var thisMachine = surroundings{open: domain.Open, dev: "/dev", timing: domain.Usual}

// Dialer opens a guest's end of the console with a name, "" for Name, or of the
// terminal at a path, and waits until it is there.
func Dialer(path string) transport.Dialer {
	return func(ctx context.Context) (transport.Conn, error) { return dial(ctx, path, thisMachine) }
}

// find says whether this guest has a console with the usual name.
func find(ctx context.Context) (string, error) {
	if !domain.Guest() {
		return "", transport.ErrNotHere
	}
	store, err := domain.Open(ctx)
	if err != nil {
		return "", fmt.Errorf("look for a console: %w", err)
	}
	defer store.Close()
	_, err = findConsole(ctx, store, Name, thisMachine.dev)
	return "", err
}

func findConsole(ctx context.Context, store *xenstore.Client, name, dev string) (string, error) {
	list, err := store.Directory(ctx, nodeConsoles)
	if err != nil && !errors.Is(err, xenstore.ErrNotFound) {
		return "", fmt.Errorf("look for the consoles in xenstore: %w", err)
	}
	slices.Sort(list)
	for _, n := range list {
		if len(n) != 1 || n[0] < '1' || n[0] > '9' {
			continue
		}
		got, err := store.Read(ctx, xenstore.Join(nodeConsoles, n, "name"))
		switch {
		case errors.Is(err, xenstore.ErrNotFound), errors.Is(err, xenstore.ErrPermission):
		case err != nil:
			return "", fmt.Errorf("look for the consoles in xenstore: %w", err)
		case got == name:
			return dev + "/hvc" + n, nil
		}
	}
	return "", fmt.Errorf("this guest has no console named %s: %w", name, fs.ErrNotExist)
}

// plugTime is between two tries to open a console whose device is not ready.
const plugTime = 100 * time.Millisecond

// dial finds the console, waits for it as long as ctx allows, and opens it.
func dial(ctx context.Context, path string, sur surroundings) (_ transport.Conn, err error) {
	c := &guestConn{}
	defer func() {
		if err != nil {
			_ = c.Close()
		}
	}()
	store, err := sur.open(ctx, xenstore.WithReconnect(xenstore.ReconnectPolicy{}))
	named := !strings.HasPrefix(path, "/")
	switch {
	case err != nil && named:
		return nil, fmt.Errorf("find the console: %w (console:/dev/hvc1 does without)", domain.Explain(err))
	case err != nil:
		store, err = nil, nil // then nobody watches either
	default:
		defer store.Close()
	}
	if c.terminal, err = openConsole(ctx, store, path, sur.dev); err != nil || store == nil {
		return c, err
	}
	own, err := domain.Number(ctx, store)
	if err != nil {
		return nil, err
	}
	// There is no connecting on a console: whoever serves it now is whom we
	// speak with.
	in := domain.Standing{Own: own, Taken: true}
	if in.Instance, err = domain.Instance(ctx, store); err != nil {
		return nil, fmt.Errorf("ask xenstore which host serves the console: %w", err)
	}
	w := domain.Watch{Open: sur.open, Timing: sur.timing}
	w.Begin = func() (uint16, uint64) { return own, 0 }
	w.See = func(r domain.Reading, _ uint64) (over bool) {
		why := in.Compare(r)
		if why != nil {
			c.end(why)
		}
		return why != nil
	}
	watching, stop := context.WithCancel(context.Background())
	c.stop = stop
	c.watch.Go(func() { w.Run(watching) })
	return c, nil
}

// openConsole tries until the console is there and its driver has taken it.
func openConsole(ctx context.Context, store *xenstore.Client, path, dev string) (terminal, error) {
	var plugged <-chan struct{}
	if !strings.HasPrefix(path, "/") {
		w, err := store.Watch(ctx, nodeConsoles)
		if err != nil {
			return nil, fmt.Errorf("watch the consoles in xenstore: %w", err)
		}
		defer w.Close()
		plugged = w.C()
	}
	retry := time.NewTicker(plugTime)
	defer retry.Stop()
	for {
		device, err := path, error(nil)
		if plugged != nil {
			device, err = findConsole(ctx, store, cmp.Or(path, Name), dev)
		}
		var tty terminal
		if err == nil {
			if tty, err = openTerminal(device); err == nil {
				return tty, nil
			}
		}
		var again <-chan time.Time
		switch {
		case notReady(err):
			again = retry.C
		case !errors.Is(err, fs.ErrNotExist) || plugged == nil:
			return nil, err
		}
		select {
		case _, ok := <-plugged:
			if !ok {
				return nil, fmt.Errorf("watch the consoles in xenstore: %w", xenstore.ErrDisconnected)
			}
		case <-again:
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: %w", err, context.Cause(ctx))
		}
	}
}

// terminal is an open console in raw mode.
type terminal interface{ transport.Conn }

// guestConn is a guest's end, and who watches over it.
type guestConn struct {
	terminal                    // nil until it is open
	stop     context.CancelFunc // of the watch; nil: nobody watches
	watch    sync.WaitGroup

	once sync.Once
	mu   sync.Mutex
	why  error // why the watch ended it
}

// end is called by the watch. Nobody hears of it before both directions are at
// their end.
func (c *guestConn) end(why error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.why = why
	past := time.Unix(1, 0)
	_ = c.terminal.SetReadDeadline(past)
	_ = c.terminal.SetWriteDeadline(past)
}

// explain gives the reason that stands behind an error.
func (c *guestConn) explain(err error) error {
	if err == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.why != nil {
		return c.why
	}
	return err
}

func (c *guestConn) Read(p []byte) (int, error) {
	n, err := c.terminal.Read(p)
	return n, c.explain(err)
}

func (c *guestConn) Write(p []byte) (int, error) {
	n, err := c.terminal.Write(p)
	return n, c.explain(err)
}

// SetReadDeadline sets Read's deadline. On a console that was ended nothing is
// to be waited for.
func (c *guestConn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.why != nil {
		return nil
	}
	return c.terminal.SetReadDeadline(t)
}

// SetWriteDeadline is SetReadDeadline for Write.
func (c *guestConn) SetWriteDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.why != nil {
		return nil
	}
	return c.terminal.SetWriteDeadline(t)
}

// Close closes the terminal and waits for the watch.
func (c *guestConn) Close() error {
	var err error
	c.once.Do(func() {
		if c.terminal != nil {
			err = c.terminal.Close()
		}
		if c.stop != nil {
			c.stop()
			c.watch.Wait()
		}
	})
	return err
}
