package cli

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestManPage(t *testing.T) {
	root := Root("prog", "do things")
	var s string
	c := &cobra.Command{
		Use: "go-on FILE", Short: "Go on",
		Long:    "One line\nand more.\n\n.TH is no request here\n'nor this\\n",
		Example: "  prog go-on x\n.hidden",
		Run:     func(*cobra.Command, []string) {},
	}
	c.Flags().StringVarP(&s, "to-there", "t", "far", "go to `PLACE`")
	c.Flags().Bool("fast", true, "hurry")
	c.Flags().Bool("secret", false, "not for man")
	require.NoError(t, c.Flags().MarkHidden("secret"))
	root.AddCommand(c)
	c.InitDefaultHelpFlag()
	page := manPage(c)
	for _, want := range []string{
		`.TH "PROG\-GO\-ON" "8" "" "prog `,
		"prog\\-go\\-on \\- Go on\n",
		".B prog go\\-on FILE [flags]\n",
		"and more.\n.PP\n\\&.TH is no request here\n\\&'nor this\\en\n",
		".TP\n\\fB\\-t\\fR, \\fB\\-\\-to\\-there\\fR \\fIPLACE\\fR\ngo to PLACE (default far)\n",
		".TP\n\\fB\\-\\-fast\\fR\nhurry\n",
		".SH \"OPTIONS OF ALL COMMANDS\"\n.TP\n\\fB\\-\\-log\\-level\\fR \\fILEVEL\\fR\n",
		".nf\n  prog go\\-on x\n\\&.hidden\n.fi\n",
		".SH \"SEE ALSO\"\n.BR prog (8)\n",
	} {
		assert.Contains(t, page, want)
	}
	assert.NotContains(t, page, "secret")
	assert.Contains(t, manPage(root), ".BR prog\\-go\\-on (8)")
	assert.NotContains(t, manPage(root), "prog\\-man", "hidden")

	if path, err := exec.LookPath("groff"); err == nil {
		lint := exec.Command(path, "-man", "-Tascii", "-ww", "-z")
		lint.Stdin = strings.NewReader(page)
		out, err := lint.CombinedOutput()
		assert.NoError(t, err)
		assert.Empty(t, string(out), "what groff has to say")
	}
}
