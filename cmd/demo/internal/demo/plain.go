package demo

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/xentropyd/xentropyd/internal/cli"
)

// plainEvery is how often the counts are printed between events.
const plainEvery = 2 * time.Second

// Plain shows frames as lines: each event once, and the counts now and then.
func Plain(w io.Writer) (show func(Frame)) {
	var mu sync.Mutex
	printed := 0
	var counted time.Duration
	return func(f Frame) {
		mu.Lock()
		defer mu.Unlock()
		for ; printed < len(f.Events); printed++ {
			e := f.Events[printed]
			fmt.Fprintf(w, "%5.1f s  %s\n", e.At.Seconds(), e.Text)
		}
		if f.At-counted < plainEvery {
			return
		}
		counted = f.At
		var parts []string
		for _, g := range f.Guests {
			parts = append(parts, fmt.Sprintf("%s %s, %d seeds, %s read", g.Name, g.State, g.Seeds, cli.Bytes(g.Bytes)))
		}
		fmt.Fprintf(w, "%5.1f s  [daemon %s; %s]\n", f.At.Seconds(), f.Daemon, strings.Join(parts, "; "))
	}
}
