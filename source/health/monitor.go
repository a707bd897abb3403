package health

import (
	"encoding/binary"
	"fmt"
	"math"
)

// Config is what a source declares about its samples.
type Config struct {
	SampleBytes int     // 1 to 8; a sample is a little-endian symbol
	SymbolBits  int     // bits of a symbol that may be set; 0: all of SampleBytes
	MinEntropy  float64 // bits per sample, over 0 and at most SymbolBits
	Alpha       float64 // 0: DefaultAlpha
}

// Cutoffs are the counts at which the tests of a Monitor fail.
type Cutoffs struct {
	Window     int
	Repetition int
	Proportion int
	Delta      int
	Lag        int // 0: left out, because it could not fail
}

// Monitor bundles all tests of one source with its start-up state.
type Monitor struct {
	size    int
	mask    uint64
	rep     RepetitionCount
	prop    AdaptiveProportion
	delta   DeltaRepetition
	lag     LagCount
	withLag bool
	samples uint64
	failed  *Failure
}

// New makes the Monitor of a source. A declaration for which a test of the
// standard could never fail is refused with [ErrDeclaration]. The lag test is
// left out where it alone could not (min-entropy below 34/512 bits with
// default alpha).
func New(c Config) (*Monitor, error) {
	if c.SampleBytes < 1 || c.SampleBytes > 8 {
		return nil, fmt.Errorf("%w: a sample of %d bytes is not 1 to 8 bytes", ErrDeclaration, c.SampleBytes)
	}
	if c.SymbolBits == 0 {
		c.SymbolBits = 8 * c.SampleBytes
	}
	if c.Alpha == 0 {
		c.Alpha = DefaultAlpha
	}
	if c.SymbolBits > 8*c.SampleBytes || c.MinEntropy > float64(c.SymbolBits) {
		return nil, fmt.Errorf("%w: %v bits of min-entropy, %d-bit symbols and %d-byte samples do not fit together",
			ErrDeclaration, c.MinEntropy, c.SymbolBits, c.SampleBytes)
	}
	mask, err := symbolMask(c.SymbolBits)
	if err != nil {
		return nil, err
	}
	rep, err := NewRepetitionCount(c.MinEntropy, c.Alpha)
	if err != nil {
		return nil, err
	}
	window := WindowFor(c.SymbolBits)
	prop, err := NewAdaptiveProportion(window, c.MinEntropy, c.Alpha)
	if err != nil {
		return nil, err
	}
	delta, err := NewDeltaRepetition(c.SymbolBits, c.MinEntropy, c.Alpha)
	if err != nil {
		return nil, err
	}
	m := &Monitor{size: c.SampleBytes, mask: mask, rep: *rep, prop: *prop, delta: *delta}
	if lag, err := NewLagCount(window, c.MinEntropy, c.Alpha); err == nil {
		m.lag, m.withLag = *lag, true
	}
	return m, nil
}

// Cutoffs returns the cutoffs in force.
func (m *Monitor) Cutoffs() Cutoffs {
	return Cutoffs{
		Window: m.prop.window, Repetition: m.rep.cutoff, Proportion: m.prop.cutoff,
		Delta: m.delta.cutoff, Lag: m.lag.cutoff,
	}
}

// Add tests one sample. Its error is a *Failure, the same one until Reset.
func (m *Monitor) Add(x uint64) error {
	if m.failed == nil {
		m.step(x)
	}
	return m.Err()
}

// Check tests the whole samples of data in order and stops at the first
// failure. A number of bytes that is not a multiple of the sample size is an
// error, and nothing of it is tested.
func (m *Monitor) Check(data []byte) error {
	if len(data)%m.size != 0 {
		return fmt.Errorf("health test of %d bytes: not whole samples of %d bytes", len(data), m.size)
	}
	if m.failed != nil {
		return m.failed
	}
	switch m.size {
	case 8:
		for ; len(data) >= 8; data = data[8:] {
			if m.step(binary.LittleEndian.Uint64(data)) {
				return m.failed
			}
		}
	case 1:
		for _, b := range data {
			if m.step(uint64(b)) {
				return m.failed
			}
		}
	default:
		for ; len(data) >= m.size; data = data[m.size:] {
			var x uint64
			for i := m.size - 1; i >= 0; i-- {
				x = x<<8 | uint64(data[i])
			}
			if m.step(x) {
				return m.failed
			}
		}
	}
	return nil
}

// step runs all tests over one sample; the first to fail is the one reported.
func (m *Monitor) step(x uint64) bool {
	m.samples++
	switch {
	case m.rep.add(x):
		m.failed = m.rep.failure()
	case m.prop.add(x):
		m.failed = m.prop.failure()
	case m.delta.add(x):
		m.failed = m.delta.failure()
	case m.withLag && m.lag.add(x):
		m.failed = m.lag.failure()
	default:
		return false
	}
	return true
}

// Started reports whether the start-up test has been passed: [StartupSamples]
// in a row since the last Reset, and no failure.
func (m *Monitor) Started() bool { return m.failed == nil && m.samples >= StartupSamples }

// Missing returns how many samples the start-up test still needs.
func (m *Monitor) Missing() int { return StartupSamples - int(min(m.samples, StartupSamples)) }

// Samples returns how many samples were tested since the last Reset.
func (m *Monitor) Samples() uint64 { return m.samples }

// Err returns the failure since the last Reset, or nil.
func (m *Monitor) Err() error {
	if m.failed == nil {
		return nil
	}
	return m.failed
}

// Reset forgets all samples, which wipes them, and begins the start-up test.
func (m *Monitor) Reset() {
	m.rep.Reset()
	m.prop.Reset()
	m.delta.Reset()
	m.lag.Reset()
	m.samples, m.failed = 0, nil
}

func symbolMask(bits int) (uint64, error) {
	if bits < 1 || bits > 64 {
		return 0, fmt.Errorf("%w: a symbol of %d bits is not 1 to 64 bits", ErrDeclaration, bits)
	}
	return math.MaxUint64 >> (64 - bits), nil
}
