package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"syscall"
	"time"

	"github.com/xentropyd/xentropyd/host"
	"github.com/xentropyd/xentropyd/internal/unixsock"
)

// ErrNotRunning is wrapped by a Client's error when nobody serves the socket.
var ErrNotRunning = errors.New("no xentropyd is running there")

// ErrNoAnswer is wrapped by a Client's error when somebody has the socket and
// does not answer in time.
var ErrNoAnswer = errors.New("no answer")

// ErrDenied is wrapped by a Client's error when the daemon does not let this
// user do that.
var ErrDenied = errors.New("not allowed")

// maxAnswer bounds an answer in bytes: 16,384 guests of about 900 bytes, with
// room to spare.
const maxAnswer = 64 << 20

// Client speaks to a daemon's control socket. It is safe for concurrent use and
// keeps nothing open between calls.
type Client struct {
	path string
	http http.Client
}

// Dial returns a client for the socket at path. It connects at each call.
func Dial(path string) *Client {
	return &Client{path: path, http: http.Client{
		Timeout: requestTime,
		Transport: &http.Transport{
			DisableKeepAlives: true,
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				ctx, cancel := context.WithTimeout(ctx, connectTime)
				defer cancel()
				return unixsock.Connect(ctx, path)
			},
		},
	}}
}

// connectTime is how long a client waits to be accepted.
const connectTime = 2 * time.Second

// Status asks for everything.
func (c *Client) Status(ctx context.Context) (Status, error) {
	return call[Status](ctx, c, http.MethodGet, "/v1/status")
}

// Sources asks for the noise sources.
func (c *Client) Sources(ctx context.Context) (Sources, error) {
	return call[Sources](ctx, c, http.MethodGet, "/v1/sources")
}

// Guests asks for the guests.
func (c *Client) Guests(ctx context.Context) ([]host.GuestStatus, error) {
	return call[[]host.GuestStatus](ctx, c, http.MethodGet, "/v1/guests")
}

// NewGeneration begins a new generation: every guest that is connected, or the
// one with this ID if it is not empty, gets a fresh seed that voids all earlier
// ones. Of many at once some share one, which began after each of these calls.
func (c *Client) NewGeneration(ctx context.Context, guest string) (Generation, error) {
	path := "/v1/generation"
	if guest != "" {
		path += "?guest=" + url.QueryEscape(guest)
	}
	return call[Generation](ctx, c, http.MethodPost, path)
}

func call[T any](ctx context.Context, c *Client, method, path string) (T, error) {
	var v T
	err := c.do(ctx, method, path, &v)
	if err != nil {
		err = fmt.Errorf("ask xentropyd at %s: %w", c.path, err)
	}
	return v, err
}

func (c *Client) do(ctx context.Context, method, path string, v any) error {
	r, err := http.NewRequestWithContext(ctx, method, "http://xentropyd"+path, nil)
	if err != nil {
		return err
	}
	a, err := c.http.Do(r)
	if err != nil {
		return c.reason(ctx, err)
	}
	defer a.Body.Close()
	d := json.NewDecoder(io.LimitReader(a.Body, maxAnswer))
	if a.StatusCode != http.StatusOK {
		var e errorAnswer
		if d.Decode(&e) != nil || e.Error == "" {
			e.Error = a.Status
		}
		if a.StatusCode == http.StatusForbidden {
			return fmt.Errorf("%w: %s", ErrDenied, e.Error)
		}
		return errors.New(e.Error)
	}
	if err := d.Decode(v); err != nil {
		return fmt.Errorf("read its answer: %w", c.reason(ctx, err))
	}
	return nil
}

// reason takes off what net/http wraps around the cause, which says nothing
// here.
func (c *Client) reason(ctx context.Context, err error) error {
	late, isNet := errors.AsType[net.Error](err)
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case isNet && late.Timeout():
		return fmt.Errorf("%w within %v", ErrNoAnswer, c.http.Timeout)
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return ErrNotRunning
	case errors.Is(err, fs.ErrPermission):
		return fs.ErrPermission
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return errors.New("it closed the connection: this user has too many, or comes too often")
	}
	return err
}
