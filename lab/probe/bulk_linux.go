package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/xentropyd/xentropyd/internal/xendev"
	"github.com/xentropyd/xentropyd/vchan"
	"github.com/xentropyd/xentropyd/vchan/ring"
	"github.com/xentropyd/xentropyd/vchan/xen"
	"github.com/xentropyd/xentropyd/xenstore"
)

const patience = 10 * time.Minute

// notify is IOCTL_EVTCHN_NOTIFY (xen/evtchn.h).
const notify = 0x44504

// counting is this machine, and counts the events that it sends.
type counting struct {
	xendev.System
	events atomic.Int64
}

func (c *counting) Ioctl(fd int, request uint32, arg []byte) (int, error) {
	if request == notify {
		c.events.Add(1)
	}
	return c.System.Ioctl(fd, request, arg)
}

// bulk moves bytes one way and one byte back, as vchan/xen/testdata/cpeer does
// with --plain: the benchmark's end on our vchan.
func bulk(set *flag.FlagSet) func(context.Context, string) error {
	mode := set.String("mode", "send", "send or recv")
	role := set.String("role", "server", "server or client")
	peer := set.Uint("peer", 0, "the other end's `DOMID`")
	bytes := set.Int("bytes", 1<<20, "so many")
	left := set.Uint("left", 12, "order of the server's ring to the client")
	right := set.Uint("right", 12, "order of the other ring")
	most := set.Int("most", 8192, "bytes that are handed over at a time")
	return func(ctx context.Context, path string) error {
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		machine, err := xendev.Machine()
		if err != nil {
			return err
		}
		sys := &counting{System: machine}
		store, err := xenstore.Open(ctx)
		if err != nil {
			return err
		}
		defer store.Close()
		var c *vchan.Conn
		if *role == "server" {
			sizes := ring.Orders{Left: uint16(*left), Right: uint16(*right)}
			c, err = xen.Offer(ctx, store, uint16(*peer), path, xen.OfferOptions{Orders: sizes, System: sys})
		} else {
			c, err = xen.Connect(ctx, store, uint16(*peer), path, xen.ConnectOptions{System: sys})
		}
		if err != nil {
			return err
		}
		defer c.Close()
		if err := c.Wait(ctx); err != nil {
			return err
		}
		sys.events.Store(0)
		begin := time.Now()
		p := make([]byte, *most)
		if *mode == "send" {
			if err = move(p, *bytes, c.Write); err == nil {
				_, err = io.ReadFull(c, p[:1])
			}
		} else if err = move(p, *bytes, c.Read); err == nil {
			_, err = c.Write(p[:1])
		}
		if err != nil {
			return err
		}
		took := time.Since(begin).Seconds()
		fmt.Printf("%s %d bytes in %.6f s, %.2f MB/s, %d events\n",
			*mode, *bytes, took, float64(*bytes)/took/1e6, sys.events.Load())
		if *mode == "recv" { // the sender takes our byte and goes
			_, _ = io.Copy(io.Discard, c)
		}
		return nil
	}
}

// move moves n bytes by steps of p's length at most.
func move(p []byte, n int, step func([]byte) (int, error)) error {
	for n > 0 {
		moved, err := step(p[:min(n, len(p))])
		if err != nil {
			return err
		}
		n -= moved
	}
	return nil
}
