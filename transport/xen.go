package transport

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/xentropyd/xentropyd/internal/xendev"
	"github.com/xentropyd/xentropyd/vchan"
	"github.com/xentropyd/xentropyd/vchan/xen"
	"github.com/xentropyd/xentropyd/xenstore"
)

const xenScheme = "xen"

// restored is for package guest, which begins a new generation then.
type restored struct{}

func (restored) Error() string  { return "this domain was restored from a saved state" }
func (restored) Restored() bool { return true }

// xenPort is the last element of the offer's path.
const xenPort = "entropy"

// maxDomID is the last number that a domain can have: DOMID_FIRST_RESERVED (xen.h) is the next.
const maxDomID = 0x7fef

var (
	// ErrRestored is wrapped by the errors of a Conn whose domain has another number than when it was dialled: it was saved and
	// restored, migrated, or is a copy. What was in memory may be in another domain's memory as well.
	ErrRestored error = restored{}

	// ErrBusy is wrapped by the error of Dial when another process of this guest has the channel.
	ErrBusy = errors.New("another process uses it")

	// ErrUsedUp is wrapped by the error of Dial when this process has made as many event channels as it may: none can be given back while it lives. It
	// must be started again.
	ErrUsedUp = errors.New("the process has no event channel left: start it again")

	// ErrHostChanged is wrapped by the errors of a Conn whose host's daemon was restarted.
	ErrHostChanged = errors.New("the host's daemon was restarted")
)

// xenCarrier is the guest's end of a vchan between domains. The host's end looks for guests by itself.
type xenCarrier struct{}

func (xenCarrier) form() string { return "[DOMID-OF-HOST]" }

func (xenCarrier) check(path string) (int, string) {
	if path == "" {
		return 0, ""
	}
	for i := range len(path) {
		if path[i] < '0' || path[i] > '9' {
			return i, "want the number of the host's domain; use xen: for domain 0"
		}
	}
	if n, err := strconv.ParseUint(path, 10, 16); err != nil || n > maxDomID {
		return 0, fmt.Sprintf("no domain has a number over %d", maxDomID)
	}
	if len(path) > 1 && path[0] == '0' {
		return 0, "a number does not begin with 0"
	}
	return 0, ""
}

func (xenCarrier) dial(ctx context.Context, path string) (Conn, error) {
	host, _ := strconv.ParseUint("0"+path, 10, 16) // checked before
	return dialXen(ctx, uint16(host), thisDomain)
}

func (xenCarrier) listen(string, ListenOptions) (Listener, error) {
	return nil, fmt.Errorf("a host does not listen on Xen: it looks for guests (switch discovery on): %w", errors.ErrUnsupported)
}

// domain is a guest's surroundings, for tests.
type domain struct {
	store  func(context.Context, ...xenstore.Option) (*xenstore.Client, error)
	system xendev.System
	lock   string // what the offering process holds, "" for none
	left   *heritage
	ports  *ports
	pace   pace
}

// thisDomain is the machine. The kernel's device, not a daemon's socket: relative paths and the number are this domain's there.
var thisDomain = domain{
	store: func(ctx context.Context, opts ...xenstore.Option) (*xenstore.Client, error) {
		return xenstore.Open(ctx, append(opts, xenstore.WithAddress(xenstore.DevicePath))...)
	},
	lock:  xendev.GntallocPath,
	left:  new(heritage),
	ports: new(ports),
	pace:  usualPace,
}

// dialXen offers a channel and waits for the host as long as ctx allows. What was offered is taken back if it does not come.
func dialXen(ctx context.Context, host uint16, d domain) (_ Conn, err error) {
	c := &xenConn{domain: d}
	defer func() {
		if err != nil {
			_ = c.Close()
		}
	}()
	fresh := false
	if left := d.left.take(); left != nil {
		c.has, fresh = *left, true
	} else if err = c.settle(ctx, host); err != nil {
		return nil, err
	}
	if c.offer = c.has.takeNext(host); c.offer == nil {
		if c.offer, err = d.offer(ctx, c.has.store, host, c.has.own, fresh); err != nil {
			return nil, err
		}
	}
	for {
		c.blaming = blaming{c.offer.conn}
		c.over = make(chan struct{})
		c.watch = watchDomain(d, c.has.own, c.end)
		err := c.wait(ctx)
		if err == nil {
			break
		}
		if !errors.Is(err, errDoubted) {
			return nil, err
		}
		if err := c.offerAnew(ctx); err != nil {
			return nil, err
		}
	}
	d.ports.came(c.offer.port)
	c.watch.connected(c.has.store, d.pace.learn)
	return c, nil
}

// errDoubted is that an offer on a port that was used before found nobody, although the host is there.
var errDoubted = errors.New("the event channel may be one of before a restore")

// wait waits for the host, on a port that was used before not longer than pace.doubt if the host is there.
func (c *xenConn) wait(ctx context.Context) error {
	for {
		first, cancel := ctx, context.CancelFunc(func() {})
		doubtful := c.domain.ports.doubtful(c.offer.port)
		if doubtful {
			first, cancel = context.WithTimeout(ctx, c.domain.pace.doubt)
		}
		err := c.Conn.Wait(first)
		late := first.Err() != nil
		cancel()
		switch {
		case err == nil && late && doubtful && ctx.Err() == nil:
			return errDoubted // the host has come, and no event said so
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return fmt.Errorf("offered a channel at %s, domain %d did not connect: %w", c.offer.path, c.offer.host, context.Cause(ctx))
		case !doubtful || !errors.Is(err, context.DeadlineExceeded):
			return err
		}
		if instance, err := announced(ctx, c.has.store); err == nil && instance != "" {
			return errDoubted
		}
	}
}

// offerAnew makes another offer, on a port that was not used before.
func (c *xenConn) offerAnew(ctx context.Context) (err error) {
	c.domain.ports.doubt(c.offer.port)
	c.watch.stop()
	if why := c.watch.reason(); why != nil {
		return why
	}
	_ = c.Conn.Close()
	c.blaming, c.watch = blaming{}, nil
	c.offer, err = c.domain.offer(ctx, c.has.store, c.offer.host, c.has.own, false)
	return err
}

// offered is a channel before its host has come.
type offered struct {
	host     uint16
	path     string
	port     *guestPort
	conn     *vchan.Conn
	restored atomic.Bool // the domain was restored since: the path is no more
}

// offer makes a channel for the host and publishes it as domain own, whose number was asked for before.
func (d domain) offer(ctx context.Context, store *xenstore.Client, host, own uint16, fresh bool) (o *offered, err error) {
	o = &offered{host: host}
	if o.path, err = xen.Path(own, host, xenPort); err != nil {
		return nil, err
	}
	if o.port, err = d.ports.take(host, own, d.system); err != nil {
		return nil, explainDevices(err)
	}
	o.conn, err = xen.Offer(ctx, store, host, o.path, xen.OfferOptions{Port: o.port.Port, Own: own, Fresh: fresh, Keep: o.restored.Load})
	if err != nil {
		return nil, explainDevices(err)
	}
	return o, nil
}

// xenConn is an offered vchan with what it needs besides.
type xenConn struct {
	blaming // its Conn is nil until something was offered
	domain  domain
	has     belongings
	offer   *offered     // what the Conn was made of
	watch   *domainWatch // of this channel

	over chan struct{} // closed when end is done
	// What end has done after a restore; to be read when over is closed.
	became uint16 // the domain's new number
	next   *offered

	once sync.Once
}

// end is called by the watch. After a restore it offers the next channel before it ends this one: the host comes while the guest tidies up.
func (c *xenConn) end(why error) {
	defer close(c.over)
	if r := new(restoredError); errors.As(why, &r) {
		c.offer.restored.Store(true)
		c.domain.ports.restored(r.to)
		ctx, cancel := context.WithTimeout(context.Background(), c.domain.pace.answer)
		defer cancel()
		c.became = r.to
		c.next, _ = c.domain.offer(ctx, c.has.store, c.offer.host, r.to, true) // else the next dial says why not
	}
	c.offer.conn.Abort(why)
}

// settle opens what the first channel needs.
func (c *xenConn) settle(ctx context.Context, host uint16) (err error) {
	// Two offers would fight for one path.
	if c.has.unlock, err = lockFile(c.domain.lock); err != nil {
		if errors.Is(err, ErrBusy) {
			return fmt.Errorf("another process of this guest has the channel to domain %d: %w", host, err)
		}
		return explainDevices(err)
	}
	if c.has.store, err = c.domain.store(ctx, xenstore.WithReconnect(xenstore.ReconnectPolicy{})); err != nil {
		return explainDevices(err)
	}
	if c.has.own, err = c.has.store.OwnDomID(ctx); err != nil {
		return fmt.Errorf("ask xenstore for this domain's number: %w", err)
	}
	c.domain.ports.restored(c.has.own)
	return nil
}

// Close closes the channel, takes its path out of xenstore and waits for the watch. After a restore most of this is left to the next channel.
func (c *xenConn) Close() error {
	c.once.Do(func() {
		if c.Conn != nil {
			_ = c.Conn.Close() // fails only if the watch or the peer has ended it already
		}
		if !c.restored() {
			c.has.release()
			return
		}
		<-c.over
		if c.has.watch != nil {
			c.has.watch.stop()
		}
		left := belongings{store: c.has.store, watch: c.watch, unlock: c.has.unlock, own: c.became, next: c.next}
		c.domain.left.leave(left)
	})
	return nil
}

// restored says whether the watch ended the channel for a restore. If not, it has stopped by then.
func (c *xenConn) restored() bool {
	if c.watch == nil {
		return false
	}
	if !errors.Is(c.watch.reason(), ErrRestored) {
		c.watch.stop()
	}
	return errors.Is(c.watch.reason(), ErrRestored)
}
