// Package consoletest is the guest's end of a PV console, for tests: [TakeUp]
// does what Linux's hvc_xen does when it finds one, and more or less of that
// for those who want a hostile guest.
package consoletest

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/xentropyd/xentropyd/internal/xendev"
	"github.com/xentropyd/xentropyd/xenstore"
)

// Layout, xen/io/console.h.
const (
	inSize     = 1024
	outSize    = 2048
	offOut     = inSize
	offIndices = inSize + outSize
)

// Front is a front end that has been taken up. Its Read and Write are for one
// goroutine.
type Front struct {
	Page []byte
	Ref  uint32
	Port uint32

	store   *xenstore.Client
	path    string
	host    uint16
	page    *xendev.Mapping
	ev      *xendev.Evtchn
	until   time.Time
	inCons  uint32
	outProd uint32
	old     func() error
}

// TakeUp waits for the console at path, makes a ring and says so: states 1
// to 3. System is the guest's.
func TakeUp(ctx context.Context, store *xenstore.Client, sys xendev.System, path string) (*Front, error) {
	w, err := store.Watch(ctx, path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = w.Close() }()
	for {
		if _, err := w.Wait(ctx); err != nil {
			return nil, fmt.Errorf("wait for the console %s: %w", path, err)
		}
		state, err := store.Read(ctx, path+"/state")
		if err == nil && state == "1" {
			break
		}
	}
	id, err := store.Read(ctx, path+"/backend-id")
	if err != nil {
		return nil, err
	}
	host, err := strconv.ParseUint(id, 10, 16)
	if err != nil {
		return nil, err
	}
	f := &Front{store: store, path: path, host: uint16(host)}
	if err := f.allocate(sys); err != nil {
		return nil, err
	}
	return f, f.Publish(ctx, "3")
}

func (f *Front) allocate(sys xendev.System) error {
	alloc, err := xendev.OpenGntalloc(sys)
	if err != nil {
		return err
	}
	defer func() { _ = alloc.Close() }()
	page, refs, err := alloc.Alloc(f.host, 1)
	if err != nil {
		return err
	}
	f.page, f.Page, f.Ref = page, page.Bytes(), refs[0]
	if f.ev, err = xendev.OpenEvtchn(sys); err != nil {
		return err
	}
	f.Port, err = f.ev.BindUnbound(f.host)
	return err
}

// Publish writes the nodes and then a state.
func (f *Front) Publish(ctx context.Context, state string) error {
	return f.store.Transaction(ctx, func(tx *xenstore.Tx) error {
		return errors.Join(
			tx.Write(ctx, f.path+"/ring-ref", strconv.Itoa(int(f.Ref))),
			tx.Write(ctx, f.path+"/port", strconv.Itoa(int(f.Port))),
			tx.Write(ctx, f.path+"/state", state))
	})
}

// Resume makes the ring anew, as hvc_xen does, and waits until the back end has
// taken it. The old one stays until Close.
func (f *Front) Resume(ctx context.Context, sys xendev.System) error {
	back, err := f.store.Read(ctx, f.path+"/backend")
	if err != nil {
		return err
	}
	w, err := f.store.Watch(ctx, back)
	if err != nil {
		return err
	}
	defer func() { _ = w.Close() }()
	if _, err := w.Wait(ctx); err != nil { // for being set
		return err
	}
	page, ev := f.page, f.ev
	f.old = func() error { return errors.Join(ev.Close(), page.Unmap()) }
	if err := f.allocate(sys); err != nil {
		return err
	}
	f.inCons, f.outProd = 0, 0
	if err := f.Publish(ctx, "3"); err != nil {
		return err
	}
	if _, err := w.Wait(ctx); err != nil { // InitWait, or what came after it
		return err
	}
	return f.Await(ctx, "4")
}

// Await waits until the back end is in a state, and follows it to Connected as
// hvc_xen does.
func (f *Front) Await(ctx context.Context, state string) error {
	back, err := f.store.Read(ctx, f.path+"/backend")
	if err != nil {
		return err
	}
	w, err := f.store.Watch(ctx, back)
	if err != nil {
		return err
	}
	defer func() { _ = w.Close() }()
	for {
		if _, err := w.Wait(ctx); err != nil {
			return fmt.Errorf("wait for state %s of %s: %w", state, back, err)
		}
		if now, _ := f.store.Read(ctx, back+"/state"); now == state {
			if state == "4" {
				return f.store.Write(ctx, f.path+"/state", "4")
			}
			return nil
		}
	}
}

// Index is one of the four indices of the page: in_cons, in_prod, out_cons,
// out_prod.
func (f *Front) Index(n int) *atomic.Uint32 {
	return (*atomic.Uint32)(unsafe.Pointer(&f.Page[offIndices+4*n]))
}

// Notify sends an event.
func (f *Front) Notify() { _ = f.ev.Notify(f.Port) }

// SetDeadline bounds what waits.
func (f *Front) SetDeadline(t time.Time) { f.until = t }

func (f *Front) wait() error {
	if err := f.ev.SetDeadline(f.until); err != nil {
		return err
	}
	port, err := f.ev.Pending()
	if err != nil {
		return err
	}
	return f.ev.Unmask(port)
}

// Read reads what is there, at least a byte.
func (f *Front) Read(p []byte) (int, error) {
	for {
		n := min(f.Index(1).Load()-f.inCons, uint32(len(p)))
		for i := range n {
			p[i] = f.Page[(f.inCons+i)%inSize]
		}
		if n > 0 {
			f.inCons += n
			f.Index(0).Store(f.inCons)
			f.Notify()
			return int(n), nil
		}
		if err := f.wait(); err != nil {
			return 0, err
		}
	}
}

// Write writes all of p.
func (f *Front) Write(p []byte) (int, error) {
	for at := 0; at < len(p); {
		n := min(outSize-(f.outProd-f.Index(2).Load()), uint32(len(p)-at))
		if n == 0 {
			if err := f.wait(); err != nil {
				return at, err
			}
			continue
		}
		for i := range n {
			f.Page[offOut+(f.outProd+i)%outSize] = p[at+int(i)]
		}
		f.outProd += n
		f.Index(3).Store(f.outProd)
		f.Notify()
		at += int(n)
	}
	return len(p), nil
}

// Close gives page and port back.
func (f *Front) Close() error {
	err := errors.Join(f.ev.Close(), f.page.Unmap())
	if f.old != nil {
		err = errors.Join(err, f.old())
	}
	return err
}
