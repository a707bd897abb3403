package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/xentropyd/xentropyd/host"
	"github.com/xentropyd/xentropyd/internal/rights"
	"github.com/xentropyd/xentropyd/source"
	"github.com/xentropyd/xentropyd/transport"
)

func everybody(t *testing.T) rights.List {
	l, err := rights.Parse([]string{rights.Everybody})
	require.NoError(t, err)
	return l
}

type fakeEntropy struct{}

func (fakeEntropy) Status() host.EntropyStatus {
	return host.EntropyStatus{
		Seeded: true, Policy: host.PolicyDegraded, AssessedBits: 1234.5, SpentBits: 512, Reseeds: 3,
		Sources: []source.Status{{
			Name: "jitter", State: source.StateHealthy, Healthy: true, Credited: true,
			Samples: 1088, MinEntropyBits: 544,
			Failures: map[string]uint64{"repetition count": 2},
		}},
	}
}

type fakeServer struct {
	generation atomic.Uint64
	guests     atomic.Pointer[[]host.GuestStatus]
}

func (s *fakeServer) NewGeneration() uint64 { return s.generation.Add(1) }

func (s *fakeServer) NewGenerationFor(id string) (uint64, bool) {
	if id != "local:0/a b" {
		return 0, false
	}
	return s.generation.Add(1), true
}

func (s *fakeServer) Status() host.Status {
	st := host.Status{Instance: "00", Generation: s.generation.Load(), Sessions: 1}
	if g := s.guests.Load(); g != nil {
		st.Guests = *g
	}
	return st
}

// serve runs the API on a real socket until the test ends, and checks that
// nothing is left then.
func serve(t *testing.T) (*Client, *fakeServer, string) { return serveWith(t, Rights{}) }

func serveWith(t *testing.T, r Rights) (*Client, *fakeServer, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "run", "control.sock")
	goroutines := runtime.NumGoroutine()
	l, err := Listen(path)
	require.NoError(t, err)
	server := &fakeServer{}
	server.generation.Store(1)
	server.guests.Store(&[]host.GuestStatus{{
		ID: "local:0/17", Name: "guest", Seeds: 3, Bytes: 192, CPU: 0.25,
		Seeded: true, Connected: true,
	}})
	cfg := Config{
		Version: "v0", PID: os.Getpid(), Started: time.Now().Add(-time.Hour), Listen: []string{"local:/a"},
		Entropy: fakeEntropy{}, Server: server,
		Rights: r,
		Absent: []source.Status{{Name: "tpm", State: source.StateAbsent, LastError: "there is none"}},
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- Serve(ctx, l, cfg) }()
	t.Cleanup(func() {
		cancel()
		assert.NoError(t, <-done)
		_, err := os.Lstat(path)
		assert.ErrorIs(t, err, fs.ErrNotExist, "the socket is removed")
		assert.Eventually(t, func() bool { return runtime.NumGoroutine() <= goroutines+1 }, time.Minute,
			10*time.Millisecond, "goroutines are left")
	})
	return Dial(path), server, path
}

func TestStatusSourcesGuests(t *testing.T) {
	c, server, _ := serve(t)
	s, err := c.Status(t.Context())
	require.NoError(t, err)
	assert.Equal(t, "v0", s.Version)
	assert.Equal(t, os.Getpid(), s.PID)
	up, _ := s.Uptime.Ago()
	assert.InDelta(t, 3600, up.Seconds(), 60)
	assert.Equal(t, fakeEntropy{}.Status(), s.Entropy)
	assert.Equal(t, server.Status(), s.Server)

	all, err := c.Sources(t.Context())
	require.NoError(t, err)
	require.Len(t, all.Sources, 2)
	assert.Equal(t, "jitter", all.Sources[0].Name)
	assert.Equal(t, "there is none", all.Sources[1].LastError)
	assert.EqualValues(t, 512, all.SpentBits)

	guests, err := c.Guests(t.Context())
	require.NoError(t, err)
	assert.Equal(t, server.Status().Guests, guests)
}

// TestStatusOfDomains: a Xen host's domains are in the status, and without Xen
// there is no such field.
func TestStatusOfDomains(t *testing.T) {
	ask := func(cfg Config) string {
		cfg.Entropy, cfg.Server, cfg.Rights = fakeEntropy{}, &fakeServer{}, Rights{Look: everybody(t)}
		w := httptest.NewRecorder()
		Handler(cfg).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/v1/status", nil))
		require.Equal(t, http.StatusOK, w.Code)
		return w.Body.String()
	}
	assert.NotContains(t, ask(Config{}), "domains")
	assert.Contains(t, ask(Config{Domains: func() []transport.Domain { return []transport.Domain{} }}), `"domains":[]`)
	denied := transport.Domain{
		DomID: 7, UUID: "3b241101-e2bb-4255-8caf-4136c566a962", ID: "domain 7", Name: "db",
		State: transport.DomainDenied,
	}
	var s Status
	require.NoError(t, json.Unmarshal([]byte(ask(Config{Domains: func() []transport.Domain { return []transport.Domain{denied} }})), &s))
	assert.Equal(t, []transport.Domain{denied}, s.Domains)
}

func TestNewGeneration(t *testing.T) {
	c, server, _ := serve(t)
	g, err := c.NewGeneration(t.Context(), "")
	require.NoError(t, err)
	assert.Equal(t, Generation{2, 1}, g)
	assert.EqualValues(t, 2, server.generation.Load())
	for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodDelete} {
		_, err := call[Generation](t.Context(), c, method, "/v1/generation")
		assert.ErrorContains(t, err, "no "+method+" /v1/generation; there are GET /v1/status")
	}
	assert.EqualValues(t, 2, server.generation.Load(), "only POST begins one")
}

// TestNewGenerationForAnEmptyName: who names a guest wrongly does not renew
// all.
func TestNewGenerationForAnEmptyName(t *testing.T) {
	c, server, _ := serve(t)
	for query, why := range map[string]string{
		"guest=":         "parameter guest is empty",
		"guest":          "parameter guest is empty",
		"guest=a&guest=": "comes 2 times",
		"gest=a":         `unknown parameter \"gest\"`,
		"guest=%zz":      "invalid URL escape",
	} {
		a, err := c.http.Post("http://xentropyd/v1/generation?"+query, "", nil)
		require.NoError(t, err)
		body, err := io.ReadAll(a.Body)
		require.NoError(t, err)
		require.NoError(t, a.Body.Close())
		assert.Equal(t, http.StatusBadRequest, a.StatusCode, query)
		assert.Contains(t, string(body), why, query)
	}
	_, err := call[Generation](t.Context(), c, http.MethodPost, "/v1/generation?guest=")
	assert.ErrorContains(t, err, "name a guest's ID")
	assert.EqualValues(t, 1, server.generation.Load())
}

// TestNoAnswer has a socket behind which a stopped process is: the kernel
// connects, and nobody answers.
func TestNoAnswer(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	require.NoError(t, err)
	defer l.Close()
	c := Dial(path)
	c.http.Timeout = 20 * time.Millisecond
	_, err = c.Status(t.Context())
	require.ErrorIs(t, err, ErrNoAnswer)
	assert.EqualError(t, err, "ask xentropyd at "+path+": no answer within 20ms")

	c.http.Timeout = time.Hour
	why := errors.New("told to stop")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(why)
	_, err = c.Status(ctx)
	require.ErrorIs(t, err, why)
	require.NotErrorIs(t, err, ErrNoAnswer)
}

func TestMetrics(t *testing.T) {
	c, server, _ := serve(t)
	scrape := func() string {
		r, err := c.http.Get("http://x/metrics")
		require.NoError(t, err)
		defer r.Body.Close()
		b, err := io.ReadAll(r.Body)
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, r.StatusCode, string(b))
		return string(b)
	}
	text := scrape()
	for _, line := range []string{
		`xentropyd_info{version="v0"} 1`,
		`xentropyd_seeded 1`,
		`xentropyd_degraded 0`,
		`xentropyd_reseeds_total 3`,
		`xentropyd_assessed_bits_total 1234.5`,
		`xentropyd_source_samples_total{source="jitter"} 1088`,
		`xentropyd_source_failures_total{source="jitter",test="repetition count"} 2`,
		`xentropyd_guest_seeds_total{guest="local:0/17"} 3`,
		`xentropyd_guest_seed_bytes_total{guest="local:0/17"} 192`,
		`xentropyd_guest_cpu_seconds_total{guest="local:0/17"} 0.25`,
	} {
		assert.Contains(t, text, line+"\n")
	}
	var many []host.GuestStatus
	for i := range 3000 {
		many = append(many, host.GuestStatus{ID: fmt.Sprintf("local:1/%d", i), Seeds: 2})
	}
	server.guests.Store(&many)
	text = scrape()
	assert.Equal(t, maxSeries+1, strings.Count(text, "\nxentropyd_guest_seeds_total{"))
	assert.Contains(t, text, fmt.Sprintf("xentropyd_guest_seeds_total{guest=\"other\"} %d\n", 3+2*(3000-maxSeries)),
		"the guest that went is in it")
}

func TestListenReplacesOnlyWhatIsStale(t *testing.T) {
	_, _, path := serve(t)
	_, err := Listen(path)
	var inUse *InUseError
	require.ErrorAs(t, err, &inUse)
	assert.Equal(t, InUseError{path, os.Getpid()}, *inUse)
	assert.ErrorContains(t, err, fmt.Sprintf("another xentropyd is running, pid %d", os.Getpid()))

	mute := filepath.Join(t.TempDir(), "mute")
	m, err := net.Listen("unix", mute)
	require.NoError(t, err)
	go func() {
		for {
			c, err := m.Accept()
			if err != nil {
				return
			}
			c.Close()
		}
	}()
	_, err = Listen(mute)
	require.ErrorAs(t, err, &inUse)
	assert.Equal(t, InUseError{mute, 0}, *inUse)
	m.(*net.UnixListener).SetUnlinkOnClose(false)
	require.NoError(t, m.Close())

	l, err := Listen(mute) // stale now
	require.NoError(t, err)
	info, err := os.Stat(mute)
	require.NoError(t, err)
	assert.Equal(t, fs.FileMode(0o660), info.Mode().Perm())

	// Somebody put another file there: it is theirs.
	require.NoError(t, os.Remove(mute))
	require.NoError(t, os.WriteFile(mute, []byte("x"), 0o600))
	require.NoError(t, l.Close())
	assert.FileExists(t, mute)
	_, err = Listen(mute)
	assert.ErrorContains(t, err, "is there and is no socket")
	assert.FileExists(t, mute)
}

func TestNotRunning(t *testing.T) {
	path := filepath.Join(t.TempDir(), "control.sock")
	_, err := Dial(path).Status(t.Context())
	assert.ErrorIs(t, err, ErrNotRunning)
	assert.ErrorContains(t, err, path)

	m, err := net.Listen("unix", path)
	require.NoError(t, err)
	m.(*net.UnixListener).SetUnlinkOnClose(false)
	require.NoError(t, m.Close())
	_, err = Dial(path).Status(t.Context())
	assert.ErrorIs(t, err, ErrNotRunning, "stale")
}

// TestClientDistrusts: what answers need not be a xentropyd.
func TestClientDistrusts(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	require.NoError(t, err)
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/v1/status":
			w.Write([]byte("<html>"))
		case "/v1/sources":
			w.WriteHeader(http.StatusTeapot)
		}
	})}
	go s.Serve(l)
	defer s.Close()
	_, err = Dial(path).Status(t.Context())
	assert.ErrorContains(t, err, "read its answer")
	_, err = Dial(path).Sources(t.Context())
	assert.ErrorContains(t, err, "418")
}

func TestBoundedRequests(t *testing.T) {
	_, _, path := serve(t)
	ask := func(request string) int {
		c, err := net.Dial("unix", path)
		require.NoError(t, err)
		defer c.Close()
		go io.WriteString(c, request)
		b, _ := io.ReadAll(c)
		var code int
		fmt.Sscanf(string(b), "HTTP/1.1 %d", &code)
		return code
	}
	const end = "Connection: close\r\n\r\n"
	assert.Equal(t, 200, ask("GET /v1/status HTTP/1.1\r\nHost: x\r\n"+end))
	assert.Equal(t, 431, ask("GET /v1/status HTTP/1.1\r\nHost: x\r\nX: "+strings.Repeat("x",
		maxHeader+8192)+"\r\n"+end))
	assert.Equal(t, 404, ask("GET /debug/pprof HTTP/1.1\r\nHost: x\r\n"+end))
	assert.Equal(t, 400, ask("HELLO\r\n\r\n"))
}

func TestTallyNeverFalls(t *testing.T) {
	tally := newTally(2)
	sum := func(guests ...host.GuestStatus) (sum uint64, series map[string]uint64) {
		series = make(map[string]uint64)
		for id, n := range tally.update(guests) {
			series[id] = n.seeds
			sum += n.seeds
		}
		return sum, series
	}
	g := func(id string, seeds uint64) host.GuestStatus { return host.GuestStatus{ID: id, Seeds: seeds} }

	n, series := sum(g("a", 1), g("b", 2), g("c", 3))
	assert.EqualValues(t, 6, n)
	assert.Equal(t, map[string]uint64{"a": 1, "b": 2, "other": 3}, series)
	n, series = sum(g("b", 4), g("c", 5), g("d", 1)) // a is forgotten; d gets its series, c stays among the others
	assert.EqualValues(t, 1+4+5+1, n)
	assert.Equal(t, map[string]uint64{"b": 4, "d": 1, "other": 6}, series)
	n, _ = sum()
	assert.EqualValues(t, 11, n)
	n, series = sum(g("b", 1)) // came again, counts from zero
	assert.EqualValues(t, 12, n)
	assert.Equal(t, map[string]uint64{"b": 1, "other": 11}, series)
	n, _ = sum(g("b", 0)) // forgotten and back between two looks
	assert.EqualValues(t, 12, n)
	n, _ = sum(g("b", 3))
	assert.EqualValues(t, 15, n)
}

func TestAnswersAreJSON(t *testing.T) {
	c, _, _ := serve(t)
	for _, path := range []string{"/v1/status", "/v1/sources", "/v1/guests"} {
		r, err := c.http.Get("http://x" + path)
		require.NoError(t, err)
		b, err := io.ReadAll(r.Body)
		require.NoError(t, err)
		r.Body.Close()
		assert.True(t, json.Valid(b), path)
		assert.Equal(t, "application/json", r.Header.Get("Content-Type"))
		assert.Equal(t, "no-store", r.Header.Get("Cache-Control"))
	}
}

func TestNewGenerationForOneGuest(t *testing.T) {
	c, _, _ := serve(t)
	g, err := c.NewGeneration(t.Context(), "local:0/a b")
	require.NoError(t, err)
	require.NotZero(t, g)
	_, err = c.NewGeneration(t.Context(), "nobody")
	require.ErrorContains(t, err, `no guest has the ID "nobody"; status shows them`)
}
