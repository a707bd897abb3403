package xenstore

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/xentropyd/xentropyd/internal/wait"
	"github.com/xentropyd/xentropyd/xenstore/internal/wire"
)

// Our choices for transactions that meet a conflict: attempts in all, and the
// pause before the next, doubled each time and jittered. 32 attempts take about
// 3 s.
const (
	txAttempts = 32
	txDelay    = time.Millisecond
	txMaxDelay = 128 * time.Millisecond
)

// Tx is a transaction. What it writes is seen by others all at once at its end,
// and by itself at once. The commit succeeds only if nothing that it has read
// or written was changed by others meanwhile. It is valid until the function it
// was given to returns.
type Tx struct {
	ops
	conn *conn
	id   uint32
	done atomic.Bool
}

// Transaction runs fn in a transaction and commits it when fn returns nil.
// After a conflict with somebody else's change (EAGAIN) it runs fn again from
// the start, so fn must not change anything outside but what may be repeated;
// at the end of its attempts the error is ErrAgain. When fn fails the
// transaction is given up and fn's error is returned; an error of fn that is
// ErrAgain counts as a conflict.
//
// When the connection is lost, or ctx ends during the commit, whether it was
// done is not known. Unprivileged domains may have 10 transactions at once by
// default, then the error is ErrQuota.
func (c *Client) Transaction(ctx context.Context, fn func(tx *Tx) error) error {
	return c.TransactionInTurn(ctx, nil, fn)
}

// TransactionInTurn is Transaction for those who would be in each other's way,
// because they change the same directory: turn is a channel that they share, of
// capacity 1, which is full during each attempt. It is empty while an attempt
// that met a conflict waits for the next, so that one who meets conflicts for
// ever, a guest's doing perhaps, does not hold up the others.
func (c *Client) TransactionInTurn(ctx context.Context, turn chan struct{}, fn func(tx *Tx) error) error {
	attempts := c.opt.attempts
	if attempts == 0 {
		attempts = txAttempts
	}
	delay := txDelay
	for n := 1; ; n++ {
		err := c.attemptInTurn(ctx, turn, fn)
		if !errors.Is(err, ErrAgain) {
			return err
		}
		if n == attempts {
			return fmt.Errorf("transaction gave up after %d attempts: %w", n, err)
		}
		if !wait.For(ctx, jitter(delay)) {
			return fmt.Errorf("transaction met %d conflicts: %w", n, ctx.Err())
		}
		delay = min(2*delay, txMaxDelay)
	}
}

func (c *Client) attemptInTurn(ctx context.Context, turn chan struct{}, fn func(tx *Tx) error) error {
	if turn == nil {
		return c.attempt(ctx, fn)
	}
	select {
	case turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-turn }()
	return c.attempt(ctx, fn)
}

func (c *Client) attempt(ctx context.Context, fn func(tx *Tx) error) error {
	conn, err := c.acquire(ctx)
	if err != nil {
		return fmt.Errorf("xenstore %v: %w", wire.TransactionStart, err)
	}
	p, err := conn.do(ctx, &call{
		op:   wire.TransactionStart,
		late: func(p []byte) { conn.post(wire.TransactionEnd, "", txID(p), wire.Join("F")) },
	}, 0, wire.Join(""))
	if err != nil {
		return err
	}
	tx := &Tx{conn: conn, id: txID(p)}
	tx.ops = ops{do: tx.request}
	// Also when fn panics: the daemon allows few transactions at once.
	defer tx.abort()
	if err := fn(tx); err != nil {
		return err
	}
	return tx.commit(ctx)
}

// request performs a request inside the transaction, on the connection that it
// belongs to.
func (t *Tx) request(ctx context.Context, op wire.Op, path string, payload []byte) ([]byte, error) {
	if t.done.Load() {
		return nil, fmt.Errorf("xenstore %v %s: %w", op, path, ErrTxDone)
	}
	return t.conn.do(ctx, &call{op: op, path: path}, t.id, payload)
}

func (t *Tx) abort() {
	if !t.done.Swap(true) {
		t.conn.post(wire.TransactionEnd, "", t.id, wire.Join("F"))
	}
}

func (t *Tx) commit(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("xenstore %v: %w", wire.TransactionEnd, err) // abort follows
	}
	t.done.Store(true)
	k := &call{op: wire.TransactionEnd}
	_, err := t.conn.do(ctx, k, t.id, wire.Join("T"))
	if k.withdrawn {
		t.conn.post(wire.TransactionEnd, "", t.id, wire.Join("F"))
	}
	return err
}
