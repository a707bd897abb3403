package xenstore

import (
	"context"
	"fmt"
	"strconv"

	"github.com/xentropyd/xentropyd/xenstore/internal/wire"
)

// Store is what a Client and a Tx have in common, for code that works on
// either.
//
// Paths are absolute, or relative to /local/domain/<own domid>, which over the
// daemon's socket is that of domain 0. A path with a NUL, an empty or an
// over-long one is refused here (ErrInvalid), everything else is the daemon's
// to judge.
type Store interface {
	// Read gives the value of a node: any bytes, at most MaxPayload.
	Read(ctx context.Context, path string) (string, error)
	// Write sets the value of a node and makes it and its missing parents as
	// needed. Path, a NUL and value must fit MaxPayload (less 16 bytes on the
	// kernel's device), else ErrTooBig. Unprivileged domains, and with
	// oxenstored all domains, are held to values of less than 2048 bytes.
	Write(ctx context.Context, path, value string) error
	// Mkdir makes a node with an empty value, and its missing parents; one that
	// is there stays as it is.
	Mkdir(ctx context.Context, path string) error
	// Rm removes a node and all below it. To remove what is not there is no
	// error if its parent is.
	Rm(ctx context.Context, path string) error
	// Directory lists the names of the nodes directly below one, in no
	// particular order. A list that fits no single reply (4096 bytes) is
	// fetched in parts. A daemon that neither sends it whole nor in parts, as
	// oxenstored 4.17 over the device, gives ErrTooBig and ErrNotSupported in
	// one error.
	Directory(ctx context.Context, path string) ([]string, error)
	// GetPerms gives the permission list of a node, the owner first.
	GetPerms(ctx context.Context, path string) ([]Perm, error)
	// SetPerms replaces it. Only privileged domains may change the owner.
	SetPerms(ctx context.Context, path string, perms ...Perm) error
}

var (
	_ Store = (*Client)(nil)
	_ Store = (*Tx)(nil)
)

// ops implements Store over something that performs requests.
type ops struct {
	do func(ctx context.Context, op wire.Op, path string, payload []byte) ([]byte, error)
}

// onPath performs a request that names a path first.
func (o ops) onPath(ctx context.Context, op wire.Op, path string, more ...string) ([]byte, error) {
	if err := checkPath(path); err != nil {
		return nil, fmt.Errorf("xenstore %v: %w", op, err)
	}
	return o.do(ctx, op, path, wire.Join(append([]string{path}, more...)...))
}

// Read implements Store.
func (o ops) Read(ctx context.Context, path string) (string, error) {
	p, err := o.onPath(ctx, wire.Read, path)
	return string(p), err
}

// Write implements Store.
func (o ops) Write(ctx context.Context, path, value string) error {
	if err := checkPath(path); err != nil {
		return fmt.Errorf("xenstore WRITE: %w", err)
	}
	// The value is the one part of the protocol that no NUL ends.
	_, err := o.do(ctx, wire.Write, path, append(wire.Join(path), value...))
	return err
}

// Mkdir implements Store.
func (o ops) Mkdir(ctx context.Context, path string) error {
	_, err := o.onPath(ctx, wire.Mkdir, path)
	return err
}

// Rm implements Store. The root is refused here: oxenstored would empty the
// whole store.
func (o ops) Rm(ctx context.Context, path string) error {
	if path == "/" {
		return fmt.Errorf("xenstore RM /: the root cannot be removed: %w", ErrInvalid)
	}
	_, err := o.onPath(ctx, wire.Rm, path)
	return err
}

// GetPerms implements Store.
func (o ops) GetPerms(ctx context.Context, path string) ([]Perm, error) {
	p, err := o.onPath(ctx, wire.GetPerms, path)
	if err != nil {
		return nil, err
	}
	list, _ := wire.Strings(p)
	return ParsePerms(list)
}

// SetPerms implements Store.
func (o ops) SetPerms(ctx context.Context, path string, perms ...Perm) error {
	if len(perms) == 0 {
		return fmt.Errorf("xenstore SET_PERMS %s: a list needs at least the owner: %w", path, ErrInvalid)
	}
	list := make([]string, len(perms))
	for i, p := range perms {
		list[i] = p.String()
		if _, err := ParsePerm(list[i]); err != nil {
			return fmt.Errorf("xenstore SET_PERMS %s: %w", path, err)
		}
	}
	_, err := o.onPath(ctx, wire.SetPerms, path, list...)
	return err
}

// onDomain performs a request that names a domain.
func (c *Client) onDomain(ctx context.Context, op wire.Op, domid uint16, more ...string) ([]byte, error) {
	id := strconv.Itoa(int(domid))
	return c.do(ctx, op, "domain "+id, wire.Join(append([]string{id}, more...)...))
}

// GetDomainPath asks the daemon where a domain's nodes live. It answers for
// domains that do not exist too; see DomainPath for the convention that needs
// no question.
func (c *Client) GetDomainPath(ctx context.Context, domid uint16) (string, error) {
	p, err := c.onDomain(ctx, wire.GetDomainPath, domid)
	if err != nil {
		return "", err
	}
	return string(p[:len(p)-1]), nil
}

// IsDomainIntroduced reports whether the daemon serves the domain. For
// privileged domains only.
func (c *Client) IsDomainIntroduced(ctx context.Context, domid uint16) (bool, error) {
	p, err := c.onDomain(ctx, wire.IsDomainIntroduced, domid)
	if err != nil {
		return false, err
	}
	return p[0] == 'T', nil
}

// Introduce tells the daemon of a domain, its xenstore page (frame or grant)
// and its event channel. It is for toolstacks, in a privileged domain.
func (c *Client) Introduce(ctx context.Context, domid uint16, frame uint64, port uint32) error {
	_, err := c.onDomain(ctx, wire.Introduce, domid,
		strconv.FormatUint(frame, 10), strconv.FormatUint(uint64(port), 10))
	return err
}

// Release makes the daemon leave a domain. It is for toolstacks, in a
// privileged domain.
func (c *Client) Release(ctx context.Context, domid uint16) error {
	_, err := c.onDomain(ctx, wire.Release, domid)
	return err
}

// OwnDomID reads the domain's own number, which the toolstack keeps in the
// relative node domid. Over the daemon's socket that is domain 0's.
func (c *Client) OwnDomID(ctx context.Context) (uint16, error) {
	s, err := c.Read(ctx, "domid")
	if err != nil {
		return 0, err
	}
	id, err := strconv.ParseUint(s, 10, 16)
	if err != nil {
		return 0, fmt.Errorf("xenstore READ domid: value is not a domid: %w", ErrInvalid)
	}
	return uint16(id), nil
}
