package control

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/xentropyd/xentropyd/internal/rights"
	"github.com/xentropyd/xentropyd/internal/unixsock"
)

// otherUser makes this test program stand in for a process of another user,
// which does what its name says at the socket given.
const otherUser = "XENTROPYD_TEST_OTHER_USER"

func TestMain(m *testing.M) {
	if what := os.Getenv(otherUser); what != "" {
		name, path, _ := strings.Cut(what, " ")
		if err := map[string]func(string) error{
			"look": look, "change": change, "hold": hold, "storm": storm,
			"flood": flood,
		}[name](path); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func look(path string) error {
	ctx, c := context.Background(), Dial(path)
	_, status := c.Status(ctx)
	_, sources := c.Sources(ctx)
	_, guests := c.Guests(ctx)
	r, err := c.http.Get("http://x/metrics")
	if err == nil && r.StatusCode != 200 {
		err = errors.New(r.Status)
	}
	if all := []bool{status == nil, sources == nil, guests == nil, err == nil}; status != nil &&
		(all[1] || all[2] || all[3]) {
		return fmt.Errorf("some of it can be seen: %v", all)
	}
	return errors.Join(status, sources, guests, err)
}

func change(path string) error {
	_, err := Dial(path).NewGeneration(context.Background(), "")
	return err
}

// hold opens as many connections as it can, says half a request on each, opens
// new ones for those that are closed, until it is killed.
func hold(path string) error {
	var all sync.WaitGroup
	for range 2 * maxConns {
		all.Go(func() {
			for {
				c, err := net.Dial("unix", path)
				if err != nil {
					continue
				}
				io.WriteString(c, "GET /v1/status HTTP/1.1\r\n")
				io.Copy(io.Discard, c)
				c.Close()
				time.Sleep(time.Millisecond)
			}
		})
	}
	all.Wait()
	return nil
}

// flood asks as fast as it can for a second and says how often it was answered.
func flood(path string) error {
	n := 0
	for end := time.Now().Add(time.Second); time.Now().Before(end); {
		if _, err := Dial(path).Guests(context.Background()); err == nil {
			n++
		}
	}
	return fmt.Errorf("answered %d times", n)
}

// storm connects as fast as it can for three seconds and says how often it
// could.
func storm(path string) error {
	var n atomic.Int64
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for end := time.Now().Add(3 * time.Second); time.Now().Before(end); {
				if c, err := net.Dial("unix", path); err == nil {
					n.Add(1)
					c.Close()
				}
			}
		})
	}
	all.Wait()
	return fmt.Errorf("connected %d times", n.Load())
}

// as starts this program as another user, a member of one group.
func as(t *testing.T, uid, gid uint32, what, path string) *exec.Cmd {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("another user is needed: sudo -E go test ./host/control")
	}
	c := exec.Command("/proc/self/exe")
	c.Env = append(os.Environ(), otherUser+"="+what+" "+path, "GORACE=atexit_sleep_ms=0") // else a second for each
	c.SysProcAttr = &syscall.SysProcAttr{
		Credential: &syscall.Credential{Uid: uid, Gid: gid, Groups: []uint32{gid}},
		Pdeathsig:  syscall.SIGKILL,
	}
	return c
}

// try is what another user is told, nothing if it is allowed.
func try(t *testing.T, uid, gid uint32, what, path string) string {
	t.Helper()
	out, err := as(t, uid, gid, what, path).Output()
	if err != nil {
		require.IsType(t, &exec.ExitError{}, err)
		return strings.TrimSpace(string(out))
	}
	return ""
}

// open lets every user reach the socket, as with a mode of 0666: rights are
// looked at behind that.
func open(t *testing.T, path string) {
	require.NoError(t, os.Chmod(path, 0o666))
	for dir := filepath.Dir(path); dir != "/tmp" && dir != "/"; dir = filepath.Dir(dir) {
		require.NoError(t, os.Chmod(dir, 0o755))
	}
}

// Numbers that no machine has in its files.
const (
	anna  = 1910001001
	berta = 1910001002
	wheel = 1910001050
)

func list(t *testing.T, entries ...string) rights.List {
	l, err := rights.Parse(entries)
	require.NoError(t, err)
	return l
}

func TestRightsOfOthers(t *testing.T) {
	for name, c := range map[string]struct {
		rights       Rights
		look, change string // what is denied, empty for nothing
	}{
		"of nobody":  {Rights{}, "look", "change"},
		"by default": {Rights{Look: list(t, "*")}, "", "change"},
		"of a user":  {Rights{Look: list(t, fmt.Sprint(anna)), Change: list(t, fmt.Sprint(anna))}, "", ""},
		"of a group": {Rights{
			Look:   list(t, fmt.Sprint("@", wheel)),
			Change: list(t, fmt.Sprint("@", wheel)),
		}, "", ""},
		"of others": {Rights{
			Look:   list(t, fmt.Sprint(berta), fmt.Sprint("@", anna)),
			Change: list(t, fmt.Sprint(berta)),
		}, "look", "change"},
		"to change all": {Rights{Change: list(t, "*")}, "look", ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, server, path := serveWith(t, c.rights)
			open(t, path)
			for what, denied := range map[string]string{"look": c.look, "change": c.change} {
				said := try(t, anna, wheel, what, path)
				if denied == "" {
					assert.Empty(t, said)
					continue
				}
				assert.Contains(t, said, fmt.Sprintf(`not allowed: uid %d has not the right %q`, anna, denied))
				assert.Contains(t, said, "listed as "+denied+" in [rights]")
			}
			want := uint64(1)
			if c.change == "" {
				want = 2
			}
			assert.Equal(t, want, server.generation.Load(), "who may not change something changes nothing")
		})
	}
}

// Whoever holds all connections that he can get holds up nobody but himself.
func TestConnectionsOfAUserStarveHimself(t *testing.T) {
	c, _, path := serveWith(t, Rights{Look: list(t, "*"), Change: list(t, "*")})
	open(t, path)
	bad := as(t, anna, anna, "hold", path)
	require.NoError(t, bad.Start())
	defer func() { bad.Process.Kill(); bad.Wait() }()
	require.Eventually(t, func() bool {
		said := try(t, anna, anna, "change", path)
		return strings.Contains(said, "too many") || strings.Contains(said, "permission denied") // by the socket's file
	}, time.Minute, 10*time.Millisecond, "he has none left")
	for range 20 {
		_, err := c.Status(t.Context())
		require.NoError(t, err, "root's")
		require.Empty(t, try(t, berta, berta, "change", path), "another user's")
	}
}

// Who asks again and again is served at a rate.
func TestRequestsOfAUserAreSlowedDown(t *testing.T) {
	_, _, path := serveWith(t, Rights{Look: list(t, "*")})
	open(t, path)
	var n int
	_, err := fmt.Sscanf(try(t, anna, anna, "flood", path), "answered %d times", &n)
	require.NoError(t, err)
	require.LessOrEqual(t, n, 2*requestRate+maxUserConn)
	require.Positive(t, n)
}

// net/http answers "OPTIONS *" itself, with 200, beside the handler that slows
// a user down. Here nothing is answered beside it.
func TestNothingIsAnsweredBesideTheHandler(t *testing.T) {
	_, _, path := serveWith(t, Rights{Look: list(t, "*")})
	c, err := net.Dial("unix", path)
	require.NoError(t, err)
	defer c.Close()
	fmt.Fprint(c, "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n")
	r, err := http.ReadResponse(bufio.NewReader(c), nil)
	require.NoError(t, err)
	defer r.Body.Close()
	require.Equal(t, http.StatusBadRequest, r.StatusCode)
}

// Who connects as fast as he can is taken from the queue at a rate, and costs
// no more than that: 0.07 of a core where this was measured.
func TestConnectionsAreTakenAtARate(t *testing.T) {
	_, _, path := serveWith(t, Rights{Look: list(t, "*")})
	open(t, path)
	var n int
	_, err := fmt.Sscanf(try(t, anna, anna, "storm", path), "connected %d times", &n)
	require.NoError(t, err)
	perSecond := refusalRate + int(time.Second/refusalPause)
	require.LessOrEqual(t, n, unixsock.Backlog+refusalRate+4*perSecond)
}

// TestPlaces: each user has some places, root has its own, and when all are
// taken the one with the most yields.
func TestPlaces(t *testing.T) {
	l := places(nil, nil)
	come := func(p place) *conn {
		here, there := connected(t)
		t.Cleanup(func() { here.Close() })
		c := &conn{Conn: there, sock: there, l: l, place: p}
		if !l.take(c) {
			there.Close()
			return nil
		}
		return c
	}
	user := func(n int) place { return place{uid: uint32(n)} }
	var first []*conn
	for range maxUserConn {
		first = append(first, come(user(1)))
	}
	require.NotContains(t, first, (*conn)(nil))
	require.Nil(t, come(user(1)), "his own are taken")
	for n := 2; l.all < maxConns; n++ {
		require.NotNil(t, come(user(n)))
	}
	require.NotNil(t, come(user(1000)), "from the one with the most")
	_, err := first[0].Read(make([]byte, 1))
	require.ErrorIs(t, err, net.ErrClosed, "his oldest")
	require.Equal(t, maxConns, l.all)
	for n := 1001; n < 1001+maxUserConn-2; n++ {
		require.NotNil(t, come(user(n)))
	}
	require.Nil(t, come(user(2000)), "everybody has one")
	for range maxRoot {
		require.NotNil(t, come(place{root: true}))
	}
	require.Nil(t, come(place{root: true}))
	require.Equal(t, maxConns, l.all)

	require.ErrorIs(t, first[0].Close(), net.ErrClosed)
	require.Equal(t, maxConns, l.all, "its place went before")
	require.NoError(t, first[3].Close())
	require.ErrorIs(t, first[3].Close(), net.ErrClosed)
	require.Equal(t, maxConns-1, l.all)
	require.NotNil(t, come(user(2000)))
}

// connected gives the ends of a connection.
func connected(t *testing.T) (here, there *net.UnixConn) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	var ends [2]*net.UnixConn
	for i, fd := range fds {
		f := os.NewFile(uintptr(fd), "socket")
		c, err := net.FileConn(f)
		require.NoError(t, err)
		f.Close()
		ends[i] = c.(*net.UnixConn)
	}
	return ends[0], ends[1]
}

// What a client does not read is the daemon's memory: its connection keeps its
// place until it does.
func TestUnreadAnswersKeepTheirPlace(t *testing.T) {
	for name, read := range map[string]func(c *net.UnixConn) error{
		"reads":  func(c *net.UnixConn) error { _, err := io.Copy(io.Discard, c); return err },
		"closes": (*net.UnixConn).Close,
	} {
		t.Run(name, func(t *testing.T) {
			l := places(nil, nil)
			defer l.leaving.Stop()
			here, there := connected(t)
			c := &conn{Conn: there, sock: there, l: l, place: place{uid: anna}}
			require.True(t, l.take(c))
			_, err := c.Write([]byte("an answer"))
			require.NoError(t, err)
			require.NoError(t, c.Close())
			taken := func() int {
				l.mu.Lock()
				defer l.mu.Unlock()
				return len(l.taken[c.place])
			}
			time.Sleep(20 * time.Millisecond)
			require.Equal(t, 1, taken())
			require.Zero(t, l.all, "others do not wait for it")
			require.NoError(t, read(here))
			require.Eventually(t, func() bool { return taken() == 0 }, time.Minute, time.Millisecond)
		})
	}
}

// One who keeps the daemon busy for nothing does not get the place back soon.
func TestDeafClientKeepsItsPlace(t *testing.T) {
	l := places(nil, nil)
	defer l.leaving.Stop()
	here, there := connected(t)
	defer here.Close()
	c := &conn{Conn: there, sock: there, l: l, place: place{uid: anna}}
	require.True(t, l.take(c))
	c.blame()
	require.Len(t, l.taken[c.place], 1)
	l.leaving.Stop()
	require.Empty(t, l.taken)
}

// A request that comes in very many parts ends the connection: each costs as
// much as a whole one.
func TestRequestInManyParts(t *testing.T) {
	for parts, ends := range map[int]bool{maxReads: false, maxReads + 1: true} {
		l := places(nil, nil)
		here, there := connected(t)
		c := &conn{Conn: there, sock: there, l: l, place: place{uid: anna}}
		require.True(t, l.take(c))
		require.NoError(t, c.begin(t.Context()))
		var err error
		for range parts {
			_, werr := here.Write([]byte("G"))
			require.NoError(t, werr)
			if _, err = c.Read(make([]byte, 100)); err != nil {
				break
			}
		}
		require.Equal(t, ends, err != nil)
		l.mu.Lock()
		require.Equal(t, ends, c.left)
		l.mu.Unlock()
		l.leaving.Stop()
		here.Close()
		_ = c.Close()
	}
}

func TestPlaceOf(t *testing.T) {
	require.Equal(t, place{root: true}, placeOf(0))
	require.Equal(t, place{root: true}, placeOf(uint32(os.Geteuid())))
	require.Equal(t, place{uid: anna}, placeOf(anna))
	require.Equal(t, maxConns, place{uid: unknownUser}.most())
}
