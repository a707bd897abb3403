package inside

import (
	"bytes"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"
)

// TestRegisters copies memory for the time that LAB_REGISTERS says, in each CPU, and looks whether what arrives is what left. Copies go
// through vector registers, so a domain that gets another one's registers is found out. Xen saves them lazily on AMD processors, by a
// trap that QEMU 7.2 does not always take: without Xen's spec-ctrl=eager-fpu this fails when two domains run it at once.
func TestRegisters(t *testing.T) {
	duration, err := time.ParseDuration(os.Getenv("LAB_REGISTERS"))
	if err != nil {
		t.Skip("for the lab: go run ./lab run --run Registers")
	}
	end := time.Now().Add(duration)
	var wg sync.WaitGroup
	for w := range 2 * runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			// Process numbers differ little between domains, times do.
			mine := byte(os.Getpid()) ^ byte(time.Now().UnixMicro()) + byte(w)
			from := bytes.Repeat([]byte{mine}, 224) // as long as registers alone are used for
			to := make([]byte, len(from))
			for time.Now().Before(end) {
				rounds := 2000
				if w%2 == 1 { // one that sleeps often: domains block and wake, too
					time.Sleep(100 * time.Microsecond)
					rounds = 20
				}
				for range rounds {
					clear(to)
					copy(to, from)
					if !bytes.Equal(to, from) {
						t.Errorf("copied %x…, there is %x", mine, to)
						return
					}
				}
			}
		})
	}
	wg.Wait()
}
