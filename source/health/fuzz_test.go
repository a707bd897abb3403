package health

import "testing"

// Whatever the samples and the declaration are: no panic, no failure below its
// cutoff, and Reset brings back a Monitor that can pass.
func FuzzMonitor(f *testing.F) {
	f.Add(uint8(1), uint8(0), 1.0, 0x1p-30, []byte("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"))
	f.Add(uint8(8), uint8(64), 8.0, 0x1p-30, make([]byte, 64))
	f.Add(uint8(1), uint8(1), 1.0, 0.5, []byte{0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1})
	f.Add(uint8(3), uint8(20), 0.07, 0x1p-20, []byte{1, 2, 3, 2, 3, 4, 3, 4, 5})
	f.Add(uint8(200), uint8(9), -1.0, 2.0, []byte{})
	f.Fuzz(func(t *testing.T, size, bits uint8, h, alpha float64, data []byte) {
		m, err := New(Config{SampleBytes: int(size), SymbolBits: int(bits), MinEntropy: h, Alpha: alpha})
		if err != nil {
			return
		}
		check(t, m, data)
		for i := 0; i+8 <= len(data); i++ {
			_ = m.Add(uint64(data[i]) << (data[i+1] % 64))
		}
		m.Reset()
		if m.Err() != nil || m.Samples() != 0 || m.Missing() != StartupSamples {
			t.Fatal("not reset")
		}
		check(t, m, data[:len(data)/int(size)*int(size)])
	})
}

func check(t *testing.T, m *Monitor, data []byte) {
	err := m.Check(data)
	failure, ok := err.(*Failure)
	if ok && (failure.Count < failure.Cutoff || failure.Error() == "") {
		t.Fatalf("failed below the cutoff: %v", failure)
	}
	if ok && m.Started() {
		t.Fatal("failed and started")
	}
}
