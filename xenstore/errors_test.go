package xenstore

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestErrorIs(t *testing.T) {
	for name, want := range map[string]error{
		"ENOENT": ErrNotFound, "EEXIST": ErrExists, "EACCES": ErrPermission, "EPERM": ErrPermission,
		"EQUOTA": ErrQuota, "ENOSPC": ErrQuota, "EAGAIN": ErrAgain, "EINVAL": ErrInvalid,
		"E2BIG": ErrTooBig, "ENOSYS": ErrNotSupported,
	} {
		err := fmt.Errorf("outer: %w", &Error{Op: "READ", Path: "/a", Name: name})
		for _, s := range []error{
			ErrNotFound, ErrExists, ErrPermission, ErrQuota, ErrAgain, ErrInvalid, ErrTooBig,
			ErrNotSupported, ErrTxDone, ErrClosed, ErrDisconnected,
		} {
			require.Equal(t, s == want, errors.Is(err, s), "%s is %v", name, s)
		}
	}
	require.ErrorIs(t, &Error{Name: "ENOENT"}, fs.ErrNotExist)
	require.ErrorIs(t, &Error{Name: "EEXIST"}, fs.ErrExist)
	require.ErrorIs(t, &Error{Name: "EACCES"}, fs.ErrPermission)
	require.NotErrorIs(t, &Error{Name: "EIO"}, fs.ErrNotExist)
	require.ErrorIs(t, &Error{Op: "WATCH", Name: "E2BIG"}, ErrQuota)
	require.NotErrorIs(t, &Error{Op: "WATCH", Name: "E2BIG"}, ErrTooBig)
	require.EqualError(t, &Error{Op: "READ", Path: "/a", Name: "ENOENT"}, "xenstore READ /a: ENOENT: no such node")
	require.EqualError(t, &Error{Op: "READ", Path: "/a", Name: "EIO"}, "xenstore READ /a: EIO")
}

func TestDisconnected(t *testing.T) {
	err := disconnected(io.EOF)
	require.ErrorIs(t, err, ErrDisconnected)
	require.ErrorIs(t, err, io.EOF)
	require.Equal(t, err, disconnected(err))
	require.Equal(t, ErrClosed, disconnected(ErrClosed))
}

func TestErrorName(t *testing.T) {
	for _, s := range []string{"ENOENT", "E2BIG", "EIO"} {
		require.True(t, errorName(s), s)
	}
	for _, s := range []string{"", "E", "ENOENT\n", "enoent", "XIO", "E NO", "E12345678901234567890123456789012"} {
		require.False(t, errorName(s), s)
	}
}
