package transport

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

	"github.com/xentropyd/xentropyd/xenstore"
)

const consoleScheme = "console"

// ConsoleName is what the entropy channel among a guest's consoles is called, by MirageOS's convention of 2014.
const ConsoleName = "org.openmirage.entropy.1"

// nodeConsoles is where a guest's consoles beyond the first are, relative to its own part of xenstore. Linux takes N from the last
// character of a console's node and refuses 0 (hvc_xen.c, xenbus_devid_to_vtermno).
const nodeConsoles = "device/console"

// maxNameNode is the most that a name can have in xenstore, in bytes.
const maxNameNode = 256

// consoleCarrier is the guest's end of a PV console, as a terminal device.
type consoleCarrier struct{}

func (consoleCarrier) form() string { return "[NAME or /dev/hvcN]" }

func (consoleCarrier) check(path string) (int, string) {
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

func (consoleCarrier) dial(ctx context.Context, path string) (Conn, error) {
	return dialConsole(ctx, path, thisDomain, "/dev")
}

func (consoleCarrier) listen(string, ListenOptions) (Listener, error) {
	return nil, fmt.Errorf("a host does not listen on consoles: it plugs them in (switch discovery on): %w", errors.ErrUnsupported)
}

// FindConsole says whether this guest has a console with a name, "" for ConsoleName, and gives its device. When there is none, the
// error is fs.ErrNotExist.
func FindConsole(ctx context.Context, name string) (device string, err error) {
	store, err := thisDomain.store(ctx)
	if err != nil {
		return "", err
	}
	defer store.Close()
	return findConsole(ctx, store, cmp.Or(name, ConsoleName), "/dev")
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

// dialConsole finds the console, waits for it as long as ctx allows, and opens it.
func dialConsole(ctx context.Context, path string, d domain, dev string) (_ Conn, err error) {
	c := &consoleConn{}
	defer func() {
		if err != nil {
			_ = c.Close()
		}
	}()
	c.store, err = d.store(ctx, xenstore.WithReconnect(xenstore.ReconnectPolicy{}))
	named := !strings.HasPrefix(path, "/")
	switch {
	case err != nil && named:
		return nil, fmt.Errorf("find the console: %w (console:/dev/hvc1 does without)", explainDevices(err))
	case err != nil:
		c.store, err = nil, nil // then nobody watches either
	}
	tty, err := openConsole(ctx, c.store, path, dev)
	if err != nil {
		return nil, err
	}
	c.terminal = tty
	if c.store == nil {
		return c, nil
	}
	own, err := c.store.OwnDomID(ctx)
	if err != nil {
		return nil, fmt.Errorf("ask xenstore for this domain's number: %w", err)
	}
	// There is no connecting on a console: whoever serves it now is whom we speak with.
	c.watch = watchDomain(d, own, c.end)
	c.watch.connected(c.store, 0)
	<-c.watch.learnt
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
			device, err = findConsole(ctx, store, cmp.Or(path, ConsoleName), dev)
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
type terminal interface{ Conn }

// consoleConn is a console and who watches over it.
type consoleConn struct {
	terminal // nil until it is open
	store    *xenstore.Client
	watch    *domainWatch

	once sync.Once
	mu   sync.Mutex
	why  error // why the watch ended it
}

// end is called by the watch. Nobody hears of it before both directions are at their end.
func (c *consoleConn) end(why error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.why = why
	past := time.Unix(1, 0)
	_ = c.terminal.SetReadDeadline(past)
	_ = c.terminal.SetWriteDeadline(past)
}

// explain gives the reason that stands behind an error.
func (c *consoleConn) explain(err error) error {
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

func (c *consoleConn) Read(p []byte) (int, error) {
	n, err := c.terminal.Read(p)
	return n, c.explain(err)
}

func (c *consoleConn) Write(p []byte) (int, error) {
	n, err := c.terminal.Write(p)
	return n, c.explain(err)
}

// SetReadDeadline sets Read's deadline. On a console that was ended nothing is to be waited for.
func (c *consoleConn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.why != nil {
		return nil
	}
	return c.terminal.SetReadDeadline(t)
}

// SetWriteDeadline is SetReadDeadline for Write.
func (c *consoleConn) SetWriteDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.why != nil {
		return nil
	}
	return c.terminal.SetWriteDeadline(t)
}

// Close closes the terminal and waits for the watch.
func (c *consoleConn) Close() error {
	var err error
	c.once.Do(func() {
		if c.terminal != nil {
			err = c.terminal.Close()
		}
		if c.watch != nil {
			c.watch.stop()
		}
		if c.store != nil {
			_ = c.store.Close()
		}
	})
	return err
}
