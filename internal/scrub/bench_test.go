package scrub

import "testing"

func BenchmarkDo(b *testing.B) {
	for b.Loop() {
		Do(func() {})
	}
}
