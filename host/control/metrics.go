package control

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/xentropyd/xentropyd/host"
)

// maxSeries is how many guests have series of their own. All others are summed
// up as guest="other".
const maxSeries = 256

// Registry holds the daemon's metrics, all read at the scrape.
func Registry(cfg Config) *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(&collector{cfg: cfg, tally: newTally(maxSeries)})
	return r
}

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("xentropyd_"+name, help, labels, nil)
}

var (
	descInfo       = describe("info", "Always 1; the version is a label.", "version")
	descStarted    = describe("start_time_seconds", "When the daemon started, in seconds since 1970.")
	descSeeded     = describe("seeded", "1 once the host is seeded.")
	descDegraded   = describe("degraded", "1 while no noise source is healthy.")
	descAssessed   = describe("assessed_bits_total", "Assessed min-entropy gathered, in bits.")
	descSpent      = describe("spent_bits_total", "Entropy credited to guests, in bits.")
	descReseeds    = describe("reseeds_total", "Reseeds of the host's Fortuna.")
	descGeneration = describe("generation", "Number of the current generation.")
	descSessions   = describe("sessions", "Sessions open now.")

	descSourceSamples  = describe("source_samples_total", "Samples that passed the health tests.", "source")
	descSourceBits     = describe("source_assessed_bits_total", "Assessed min-entropy delivered, in bits.", "source")
	descSourceHealthy  = describe("source_healthy", "1 while the source is healthy.", "source")
	descSourceFailures = describe("source_failures_total", "Failures, by health test or read.", "source", "test")

	descGuestSeeds      = describe("guest_seeds_total", "Seeds sent.", "guest")
	descGuestBytes      = describe("guest_seed_bytes_total", "Bytes of seeds sent.", "guest")
	descGuestRefusals   = describe("guest_refusals_total", "Requests and pushes refused.", "guest")
	descGuestViolations = describe("guest_violations_total",
		"Sessions ended because the guest broke the rules.", "guest")
	descGuestCPU      = describe("guest_cpu_seconds_total", "CPU time that the guest's sessions have used.", "guest")
	descGuestFailures = describe("guest_failures_total", "Failures that the guest reported of using a seed.", "guest")
)

type collector struct {
	cfg   Config
	mu    sync.Mutex
	tally *tally
}

// Describe describes nothing: the collector is unchecked, since which series
// there are depends on the guests.
func (*collector) Describe(chan<- *prometheus.Desc) {}

// Collect reads everything anew.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	count := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, v, labels...)
	}
	e, s := c.cfg.Entropy.Status(), c.cfg.Server.Status()
	gauge(descInfo, 1, c.cfg.Version)
	now := time.Now() // what the clock says today of a start before it was set
	gauge(descStarted, float64(now.Add(-now.Sub(c.cfg.Started)).UnixMilli())/1000)
	gauge(descSeeded, truth(e.Seeded))
	gauge(descDegraded, truth(e.Degraded))
	count(descAssessed, e.AssessedBits)
	count(descSpent, float64(e.SpentBits))
	count(descReseeds, float64(e.Reseeds))
	gauge(descGeneration, float64(s.Generation))
	gauge(descSessions, float64(s.Sessions))
	for _, src := range e.Sources {
		count(descSourceSamples, float64(src.Samples), src.Name)
		count(descSourceBits, src.MinEntropyBits, src.Name)
		gauge(descSourceHealthy, truth(src.Healthy), src.Name)
		for test, n := range src.Failures {
			count(descSourceFailures, float64(n), src.Name, test)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for guest, n := range c.tally.update(s.Guests) {
		count(descGuestSeeds, float64(n.seeds), guest)
		count(descGuestBytes, float64(n.bytes), guest)
		count(descGuestRefusals, float64(n.refusals), guest)
		count(descGuestViolations, float64(n.violations), guest)
		count(descGuestFailures, float64(n.failures), guest)
		count(descGuestCPU, n.cpu, guest)
	}
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// counts of one guest.
type counts struct {
	seeds, bytes, refusals, violations, failures uint64
	cpu                                          float64 // seconds
}

func countsOf(g host.GuestStatus) counts {
	return counts{g.Seeds, g.Bytes, g.Refused, g.Violations, g.Failures, g.CPU}
}

func (c counts) plus(d counts) counts {
	return counts{
		c.seeds + d.seeds, c.bytes + d.bytes, c.refusals + d.refusals, c.violations + d.violations,
		c.failures + d.failures, c.cpu + d.cpu,
	}
}

// since is what was added after an earlier look. A guest that was forgotten and
// came again counts from zero.
func (c counts) since(d counts) counts {
	if c.seeds < d.seeds || c.bytes < d.bytes || c.refusals < d.refusals || c.violations < d.violations ||
		c.failures < d.failures || c.cpu < d.cpu {
		return c
	}
	return counts{
		c.seeds - d.seeds, c.bytes - d.bytes, c.refusals - d.refusals, c.violations - d.violations,
		c.failures - d.failures, c.cpu - d.cpu,
	}
}
