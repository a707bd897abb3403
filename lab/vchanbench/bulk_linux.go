package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
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

// bulk moves bytes one way and one byte back, as cpeer's modes of the same names do.
func bulk(args []string) error {
	if len(args) != 8 {
		return errors.New("send and recv take 7 arguments")
	}
	mode, role, path := args[0], args[1], args[3]
	var n [8]int
	for _, i := range []int{2, 4, 5, 6, 7} {
		var err error
		if n[i], err = strconv.Atoi(args[i]); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
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
	if role == "server" {
		c, err = xen.Offer(ctx, store, uint16(n[2]), path, xen.OfferOptions{Orders: ring.Orders{Left: uint16(n[5]), Right: uint16(n[6])}, System: sys})
	} else {
		c, err = xen.Connect(ctx, store, uint16(n[2]), path, xen.ConnectOptions{System: sys})
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
	p := make([]byte, n[7])
	if mode == "send" {
		err = send(c, p, n[4])
	} else {
		err = receive(c, p, n[4])
	}
	if err != nil {
		return err
	}
	took := time.Since(begin).Seconds()
	fmt.Printf("%s %d bytes in %.6f s, %.2f MB/s, %d events\n", mode, n[4], took, float64(n[4])/took/1e6, sys.events.Load())
	if mode == "recv" { // the sender takes our byte and goes
		_, _ = io.Copy(io.Discard, c)
	}
	return nil
}

func send(c *vchan.Conn, p []byte, n int) error {
	for n > 0 {
		moved, err := c.Write(p[:min(n, len(p))])
		if err != nil {
			return err
		}
		n -= moved
	}
	_, err := io.ReadFull(c, p[:1])
	return err
}

func receive(c *vchan.Conn, p []byte, n int) error {
	for n > 0 {
		moved, err := c.Read(p[:min(n, len(p))])
		if err != nil {
			return err
		}
		n -= moved
	}
	_, err := c.Write(p[:1])
	return err
}
