package snapshot_test

import (
	"fmt"

	"github.com/xentropyd/xentropyd/guest/snapshot"
)

// A value that must not be used in two copies of one machine, such as a session
// ticket's key, is thrown away when the number has changed.
func Example() {
	restores := snapshot.Counter()
	madeAt := restores()

	// Later, before each use:
	if restores() != madeAt {
		fmt.Println("this machine was restored: make another one")
		return
	}
	fmt.Println("still good")
	// Output: still good
}

// A machine that learns of its restores in another way counts them.
func ExampleDetector_Bump() {
	d := snapshot.New(snapshot.Options{})
	defer d.Close()
	before := d.Generation()
	d.Bump()
	fmt.Println(d.Generation() != before)
	// Output: true
}
