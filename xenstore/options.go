package xenstore

import (
	"context"
	"io"
	"time"
)

// DialFunc makes a connection to a xenstored. Close of what it returns must end
// a Read or Write that another goroutine is in; a whole message goes into one
// Write.
type DialFunc func(ctx context.Context) (io.ReadWriteCloser, error)

// Option changes what Open, Dial and New do.
type Option func(*options)

type options struct {
	address   string
	reconnect *ReconnectPolicy
	attempts  int
}

// WithAddress names the socket or device that Open connects to, and no other is
// tried.
func WithAddress(path string) Option {
	return func(o *options) { o.address = path }
}

// WithReconnect makes the client dial again when it loses its connection.
// Without it a lost connection is the end of the client.
func WithReconnect(p ReconnectPolicy) Option {
	p.defaults()
	return func(o *options) { o.reconnect = &p }
}

// WithTransactionAttempts sets how often Transaction tries in all; the default
// is 32.
func WithTransactionAttempts(n int) Option {
	return func(o *options) { o.attempts = max(n, 1) }
}

// ReconnectPolicy says what happens when the connection is lost. In any case
// requests under way and open transactions fail with ErrDisconnected: whether a
// WRITE was done nobody knows. Requests made while there is no connection wait
// for one. All watches are set again and fire; one that the daemon then refuses
// ends with the daemon's error.
//
// A zero field stands for its default.
type ReconnectPolicy struct {
	Delay    time.Duration // before the first attempt, doubled for each more, jittered by half; 100 ms
	MaxDelay time.Duration // 10 s; a connection that lasts longer starts with Delay again
	Timeout  time.Duration // for dialling and setting the watches again; 10 s
	Attempts int           // in a row, then the client ends with ErrDisconnected; 0 is without end

	// Notify, if set, is called with the reason when the connection is lost or
	// an attempt fails, and with nil when there is one again. It must not call
	// Close.
	Notify func(error)
}

func (p *ReconnectPolicy) defaults() {
	if p.Delay <= 0 {
		p.Delay = 100 * time.Millisecond
	}
	if p.MaxDelay <= 0 {
		p.MaxDelay = 10 * time.Second
	}
	if p.Timeout <= 0 {
		p.Timeout = 10 * time.Second
	}
	if p.Notify == nil {
		p.Notify = func(error) {}
	}
}
