package xen

import (
	"context"
	"errors"
	"fmt"
	"syscall"

	"github.com/xentropyd/xentropyd/internal/xendev"
	"github.com/xentropyd/xentropyd/vchan"
	"github.com/xentropyd/xentropyd/vchan/ring"
	"github.com/xentropyd/xentropyd/xenstore"
)

// Connect waits until the domain server offers a channel under path, maps it
// and connects: the Conn can be used at once. ctx bounds all of that.
//
// It looks at one offer only. What cannot be one is a *xenstore.NodeError or
// ring.ErrLayout; an offer whose server is gone is [ErrStale], and the
// caller tries again when the nodes change or after a while.
func Connect(ctx context.Context, store *xenstore.Client, server uint16, path string,
	opts ConnectOptions,
) (*vchan.Conn, error) {
	p, err := awaitOffer(ctx, store, path)
	if err != nil {
		return nil, connectError(server, path, err)
	}
	return ConnectTo(server, path, p, opts)
}

// ConnectTo is Connect to an offer that [Lookup] found; it waits for nothing.
// path is for errors and addresses. Who watches the nodes while connected knows
// by p whether they still say what the Conn was made of.
func ConnectTo(server uint16, path string, p Published, opts ConnectOptions) (*vchan.Conn, error) {
	c, err := connect(server, path, p, opts)
	if err != nil {
		return nil, connectError(server, path, err)
	}
	return c, nil
}

func connectError(server uint16, path string, err error) error {
	return fmt.Errorf("connect to the vchan of domain %d at %s: %w", server, path, err)
}

func awaitOffer(ctx context.Context, store *xenstore.Client, path string) (Published, error) {
	if err := xenstore.ValidatePath(path); err != nil {
		return Published{}, err
	}
	p, err := await(ctx, store, path)
	if err == nil {
		err = ctx.Err()
	}
	return p, err
}

func connect(server uint16, path string, n Published, opts ConnectOptions) (*vchan.Conn, error) {
	dev, err := xendev.OpenGntdev(opts.System)
	if err != nil {
		return nil, err
	}
	defer func() { _ = dev.Close() }() // what is mapped keeps the kernel's side alive
	if err := dev.SetMaxGrants(mostGrants(opts.MaxOrder)); err != nil {
		return nil, err
	}
	mem, orders, err := mapOffer(dev, server, n.Ref, opts)
	if err != nil {
		return nil, err
	}
	ev, err := newEvents(opts.System, func(d *xendev.Evtchn) (uint32,
		error,
	) {
		return d.BindInterdomain(server, n.Port)
	})
	if err != nil {
		_ = mem.Close()
		return nil, stale(err)
	}
	// The page is the first mapping. From here on our end is seen, however it
	// comes.
	if err := mem.maps[0].NotifyUnmap(offCliLive, ev.port); err != nil {
		_ = ev.Close()
		_ = mem.Close()
		return nil, err
	}
	return vchan.New(vchan.Config{
		Role: ring.Client, Orders: orders, Memory: mem, Events: ev, Spin: spin,
		Local:  vchan.Addr{Net: "xen", Name: path + " client"},
		Remote: vchan.Addr{Net: "xen", Name: fmt.Sprintf("%s server (domain %d)", path, server)},
	})
}

// mostGrants is how many grants the largest allowed channel has.
func mostGrants(maxOrder uint16) int {
	if maxOrder == 0 || maxOrder > 20 {
		maxOrder = 20
	}
	return 1 + ring.Orders{Left: maxOrder, Right: maxOrder}.Grants()
}

// mapOffer maps the page, checks what it says and maps the rings by the copy.
func mapOffer(dev *xendev.Gntdev, server uint16, ref uint32, opts ConnectOptions) (*memory, ring.Orders, error) {
	page, err := dev.Map(server, []uint32{ref})
	if err != nil {
		return nil, ring.Orders{}, stale(err)
	}
	m := &memory{page: page.Bytes(), maps: []*xendev.Mapping{page}}
	o, err := m.mapRings(dev, server, opts)
	if err != nil {
		_ = m.Close()
		return nil, ring.Orders{}, err
	}
	return m, o, nil
}

func (m *memory) mapRings(dev *xendev.Gntdev, server uint16, opts ConnectOptions) (ring.Orders, error) {
	o, err := ring.ReadOrders(m.page)
	if err != nil {
		return o, err
	}
	if most := opts.MaxOrder; most != 0 && (o.Left > most || o.Right > most) {
		return o, fmt.Errorf("%w: orders %d and %d, at most %d", ErrOrder, o.Left, o.Right, most)
	}
	if ring.Liveness(m.page[offSrvLive]) == ring.Gone {
		return o, ErrStale
	}
	if o.Grants() == 0 {
		return o, nil
	}
	left, right, err := ring.ReadGrants(m.page, o)
	if err != nil {
		return o, err
	}
	rings, err := dev.Map(server, append(left, right...))
	if err != nil {
		return o, stale(err)
	}
	m.maps = append(m.maps, rings)
	m.layRings(rings.Bytes(), o)
	return o, nil
}

// stale marks what the kernel says of grants and ports that are gone: not
// granted, not waiting for us, no such domain.
func stale(err error) error {
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ESRCH) || errors.Is(err, syscall.ENOENT) {
		// Not an open that failed: there ENOENT is a missing driver.
		if e := new(xendev.Error); errors.As(err, &e) && e.Op != "open" {
			return fmt.Errorf("%w: %w", ErrStale, err)
		}
	}
	return err
}
