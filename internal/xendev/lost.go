package xendev

import (
	"errors"
	"fmt"
	"sync"
	"time"
)

// ErrLost is a call of a driver that does not come back. A bug in the kernel
// has ended its thread, or it waits for one that was ended so.
var ErrLost = errors.New("the kernel does not come back from this call; its log may say why (dmesg)")

// A driver's calls are over in microseconds. One that is not after all these
// waits is lost. Several are needed: while a domain is paused its clock goes
// on, so that one wait can be over in a moment. Our choices.
const (
	lostWait  = 10 * time.Second
	lostWaits = 3
)

var lost struct {
	once sync.Once
	c    chan struct{}
}

func init() { lost.c = make(chan struct{}) }

// Lost is closed when a call was lost, for the first time in this process.
// Whoever runs one that a service manager starts again should end it then: what
// the lost thread holds in the kernel nobody else gives back.
func Lost() <-chan struct{} { return lost.c }

// bounded makes a call that may be lost, in a goroutine of its own, which is
// lost with it. It is not for calls that are made for each event.
func bounded(call func() error) error {
	done := make(chan error, 1)
	go func() { done <- call() }()
	for range lostWaits {
		t := time.NewTimer(lostWait)
		select {
		case err := <-done:
			t.Stop()
			return err
		case <-t.C:
		}
	}
	lost.once.Do(func() { close(lost.c) })
	return fmt.Errorf("no answer for %v: %w", lostWaits*lostWait, ErrLost)
}
