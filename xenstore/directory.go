package xenstore

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/xentropyd/xentropyd/xenstore/internal/wire"
)

// Our own bounds on a list that fits no ordinary message: bytes of names with
// their NULs (a domain's quota of 1000 nodes with the longest names stays under
// 3 MiB), and how often a list that changes while it is read in parts is begun
// again.
const (
	maxDirectory      = 8 << 20
	directoryRestarts = 32
)

// Directory implements Store.
func (o ops) Directory(ctx context.Context, path string) ([]string, error) {
	p, err := o.onPath(ctx, wire.Directory, path)
	if err == nil {
		list, _ := wire.Strings(p)
		return list, nil
	}
	var e *Error
	if !errors.As(err, &e) || e.Name != "E2BIG" {
		return nil, err
	}
	for range directoryRestarts {
		list, again, perr := o.directoryParts(ctx, path)
		switch {
		case errors.Is(perr, ErrNotSupported):
			return nil, fmt.Errorf("this xenstored cannot list so large a directory over the device, only over its "+
				"socket in dom0: %w; %w", err, perr)
		case perr != nil:
			return nil, perr
		case !again:
			return list, nil
		}
	}
	return nil, fmt.Errorf("xenstore DIRECTORY_PART %s: the list changed %d times while it was read: %w",
		path, directoryRestarts, ErrAgain)
}

// directoryParts reads one list; again means that it changed on the way.
func (o ops) directoryParts(ctx context.Context, path string) (list []string, again bool, err error) {
	var generation string
	for offset := 0; ; {
		p, err := o.onPath(ctx, wire.DirectoryPart, path, strconv.Itoa(offset))
		if err != nil {
			return nil, false, err
		}
		part := parsePart(p)
		if offset == 0 {
			generation = part.generation
		}
		if part.generation != generation {
			return nil, true, nil
		}
		list = append(list, part.names...)
		offset += part.bytes
		if part.last {
			return list, false, nil
		}
		if offset > maxDirectory {
			return nil, false, fmt.Errorf("xenstore DIRECTORY_PART %s: list is over %d bytes: %w",
				path, maxDirectory, ErrTooBig)
		}
	}
}
