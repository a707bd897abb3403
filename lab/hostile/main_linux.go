// Command hostile is what root in a hostile guest runs against xentropyd: its
// own program on /dev/xen and xenstore. Each subcommand is one attack, which
// goes on for a given time and then prints what it did:
//
//	hostile -for 15s flood
//
// It speaks no vchan of the library's: it has its own page, its own indices and
// its own idea of when to send an event. What it breaks of the own domain it
// leaves broken; the lab throws the guest away.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// attacks by name. Each goes on until its guest's time is over, and returns an
// error only if it could not attack at all.
var attacks = map[string]func(*guest) error{
	"scribble-ring":    scribbleRing,
	"scribble-console": scribbleConsole,
	"silent":           silent,
	"byte-by-byte":     byteByByte,
	"flood":            flood,
	"flood-moving":     floodMoving,
	"flood-console":    floodConsole,
	"junk-nodes":       junkNodes,
	"half-offer":       halfOffer,
	"junk-console":     junkConsole,
	"claim":            claim,
	"grant-games":      grantGames,
	"protocol":         breakProtocol,
	"restart-storm":    restartStorm,
	"restart-console":  restartConsole,
	"block-unplug":     blockUnplug,
}

func main() {
	if err := run(); err != nil {
		log.Fatalf("lab: hostile: %v", err)
	}
}

func run() error {
	length := flag.Duration("for", 15*time.Second, "how long")
	others := flag.String("others", "", "domain numbers of other guests, with commas")
	flag.Parse()
	name := flag.Arg(0)
	if attacks[name] == nil {
		return fmt.Errorf("name an attack: %s", strings.Join(slices.Sorted(maps.Keys(attacks)), ", "))
	}
	ctx, cancel := context.WithTimeout(context.Background(), *length)
	defer cancel()
	g, err := newGuest(ctx)
	if err != nil {
		return err
	}
	defer g.close()
	for s := range strings.SplitSeq(*others, ",") {
		if n, err := strconv.ParseUint(s, 10, 16); err == nil {
			g.others = append(g.others, uint16(n))
		}
	}
	if err := attacks[name](g); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	fmt.Println(name + ":" + g.report())
	return nil
}
