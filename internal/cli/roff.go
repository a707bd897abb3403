package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// manPage is the page of one command in man(7)'s macros.
func manPage(cmd *cobra.Command) string {
	var r roff
	root := cmd.Root()
	name := manName(cmd)
	r.line(`.TH %s %s "" %s %s`, quote(strings.ToUpper(name)), quote(manSection), quote(root.Name()+" "+Version()),
		quote(root.Name()+" manual"))
	r.line(".SH NAME")
	r.line(`%s \- %s`, escape(name), escape(cmd.Short))
	r.line(".SH SYNOPSIS")
	r.line(".B %s", escape(cmd.UseLine()))
	r.line(".SH DESCRIPTION")
	long := cmd.Long
	if long == "" {
		long = cmd.Short + "."
	}
	r.text(long)
	r.flags("OPTIONS", cmd.NonInheritedFlags())
	r.flags("OPTIONS OF ALL COMMANDS", cmd.InheritedFlags())
	if cmd.Example != "" {
		r.line(".SH EXAMPLES")
		r.line(".nf")
		for l := range strings.Lines(strings.TrimRight(cmd.Example, "\n")) {
			r.plain(strings.TrimRight(l, "\n"))
		}
		r.line(".fi")
	}
	r.seeAlso(cmd)
	return r.String()
}

// roff is a page being written.
type roff struct{ strings.Builder }

// line writes a line of requests; its arguments are escaped already.
func (r *roff) line(format string, args ...any) {
	fmt.Fprintf(r, format, args...)
	r.WriteByte('\n')
}

// plain writes a line of text: one that begins as a request does is none.
func (r *roff) plain(text string) {
	text = escape(text)
	if strings.HasPrefix(text, ".") || strings.HasPrefix(text, "'") {
		text = `\&` + text
	}
	r.line("%s", text)
}

// text writes paragraphs, divided by empty lines.
func (r *roff) text(s string) {
	for l := range strings.Lines(strings.TrimSpace(s)) {
		if l = strings.TrimSpace(l); l == "" {
			r.line(".PP")
		} else {
			r.plain(l)
		}
	}
}

// flags writes a section, unless there is nothing in it.
func (r *roff) flags(title string, set *pflag.FlagSet) {
	if !set.HasAvailableFlags() {
		return
	}
	r.line(".SH %s", quote(title))
	set.VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Deprecated != "" {
			return
		}
		value, usage := pflag.UnquoteUsage(f)
		names := `\fB\-\-` + escape(f.Name) + `\fR`
		if f.Shorthand != "" {
			names = `\fB\-` + escape(f.Shorthand) + `\fR, ` + names
		}
		if value != "" {
			names += ` \fI` + escape(value) + `\fR`
		}
		r.line(".TP")
		r.line("%s", names)
		if f.Value.Type() != "bool" && f.DefValue != "" && f.DefValue != "0s" && f.DefValue != "0" {
			usage += " (default " + f.DefValue + ")"
		}
		r.text(usage)
	})
}

func (r *roff) seeAlso(cmd *cobra.Command) {
	var pages []string
	if cmd.HasParent() {
		pages = append(pages, manName(cmd.Parent()))
	}
	for _, c := range manChildren(cmd) {
		pages = append(pages, manName(c))
	}
	if len(pages) == 0 {
		return
	}
	r.line(".SH %s", quote("SEE ALSO"))
	for i, p := range pages {
		end := ","
		if i == len(pages)-1 {
			end = ""
		}
		r.line(".BR %s (%s)%s", escape(p), manSection, end)
	}
}

// escape makes text of what roff would take for its own, and keeps dashes what
// one types.
var escape = strings.NewReplacer(`\`, `\e`, `-`, `\-`).Replace

// quote makes one argument of a request.
func quote(s string) string { return `"` + strings.ReplaceAll(escape(s), `"`, `""`) + `"` }
