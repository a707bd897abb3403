//go:build unix

package cli

import (
	"context"
	"os"
	"syscall"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestSignalCancels(t *testing.T) {
	code, _, _ := run(t, tree(func(cmd *cobra.Command) error {
		require.NoError(t, cmd.Context().Err())
		require.NoError(t, syscall.Kill(os.Getpid(), syscall.SIGTERM))
		<-cmd.Context().Done()
		return context.Cause(cmd.Context())
	}), "do")
	assert.Equal(t, ExitFailure, code)
}
