package host

import (
	"fmt"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xentropyd/xentropyd/protocol"
	"github.com/xentropyd/xentropyd/transport"
)

// of brings the next guests under another group.
func (b *bench) of(group string) *bench {
	b.group = group
	return b
}

// At the limit the group with the most makes room for one with fewer, and its
// newest session goes.
func TestAtTheLimitTheGroupWithMostYields(t *testing.T) {
	serve(t, with(func(c *Config) {
		c.Limits.Sessions = 4
		c.Limits.NewSessionsPerSecond = 1e6
		c.Times.KeepAlive = time.Hour
		c.Seed.Interval = time.Hour
	}), func(b *bench) {
		var many []*client
		for i := range 4 {
			c := b.of("many").join(fmt.Sprint("many ", i))
			c.seed()
			many = append(many, c)
		}
		require.Contains(t, b.of("many").hello("one more").ended(protocol.CloseLimit).Text, "4 sessions at most",
			"there is no room from oneself")
		few := b.of("few").join("few 0")
		few.seed()
		require.Contains(t, many[3].ended(protocol.CloseLimit).Text, "others have fewer")
		b.of("few").join("few 1").seed()
		many[2].ended(protocol.CloseLimit)
		require.Contains(t, b.of("few").hello("few 2").ended(protocol.CloseLimit).Text, "4 sessions at most",
			"two and two: nobody has fewer")
		require.Contains(t, b.of("many").hello("many 4").ended(protocol.CloseLimit).Text, "4 sessions at most")
		third := b.of("third").join("third")
		third.seed()
		for _, c := range []*client{many[0], third} { // the oldest are served on, whoever yielded
			c.send(protocol.Ping{Token: 7})
			require.Equal(t, protocol.Pong{Token: 7}, c.next())
		}
		time.Sleep(yieldTime)
		require.Equal(t, 4, b.server.Status().Sessions)
	})
}

// Those who go first find a place although everybody has one session alone, and
// take none from each other before that.
func TestThoseWhoGoFirstFindAPlace(t *testing.T) {
	cfg := with(func(c *Config) {
		c.Limits.Sessions = 8
		c.Limits.NewSessionsPerSecond = 1e6
		c.Times.KeepAlive = time.Hour
	})
	serve(t, cfg, func(b *bench) {
		users := make(map[string]*client)
		for i := range 8 {
			name := fmt.Sprint("sub-uid ", i)
			users[name] = b.of(name).join(name)
			users[name].seed()
		}
		require.Contains(t, b.of("sub-uid 8").hello("sub-uid 8").ended(protocol.CloseLimit).Text, "8 sessions at most")
		for i := range 4 {
			b.of("root").join(fmt.Sprint("root ", i)).seed()
			b.of("domain").join(fmt.Sprint("domain ", i)).seed()
		}
		time.Sleep(yieldTime)
		require.Equal(t, 8, b.server.Status().Sessions)
		for name := range users {
			require.False(t, b.guest(name).Connected)
		}
		require.Contains(t, b.of("root").hello("root 4").ended(protocol.CloseLimit).Text, "8 sessions at most")
		require.Contains(t, b.of("sub-uid 9").hello("sub-uid 9").ended(protocol.CloseLimit).Text, "8 sessions at most",
			"a user takes none of theirs")
	})
}

// A session that has to make room and takes its time loses its channel.
func TestWhoMustYieldCannotStay(t *testing.T) {
	serve(t, with(func(c *Config) {
		c.Limits.Sessions = 2
		c.Limits.NewSessionsPerSecond = 1e6
		c.Times.Write = time.Hour
		c.Seed.Interval = time.Hour
		c.Times.KeepAlive = time.Hour
	}), func(b *bench) {
		b.of("many").join("many 0").seed()
		stuck := b.of("many").hello("many 1") // takes not even the welcome
		synctest.Wait()
		b.of("few").join("few").seed()
		require.Equal(t, 3, b.server.Status().Sessions)
		time.Sleep(yieldTime)
		synctest.Wait()
		require.Equal(t, 2, b.server.Status().Sessions)
		_, err := io.ReadAll(stuck.conn)
		require.NoError(t, err, "closed")
		b.server.mu.Lock()
		defer b.server.mu.Unlock()
		require.Equal(t, [3]int{2, 0, 0}, [3]int{b.server.placed, b.server.yielding, b.server.refusing})
	})
}

// One group that is refused does not take from another one the places of those
// who are told why.
func TestRefusalsAreTheGroupsOwn(t *testing.T) {
	serve(t, with(func(c *Config) {
		c.Limits.SessionsPerGroup = 1
		c.Limits.NewSessionsPerSecond = 1e6
		c.Times.Handshake = time.Hour
		c.Times.KeepAlive = time.Hour
	}), func(b *bench) {
		b.of("bad").join("bad").seed()
		b.of("good").join("good").seed()
		for range 100 {
			b.of("bad").connect("bad 2")
			time.Sleep(time.Millisecond)
		}
		require.Equal(t, "1 sessions of good at most", b.of("good").hello("good 2").ended(protocol.CloseLimit).Text)
		synctest.Wait() // it has ended here too
		require.LessOrEqual(t, b.server.Status().Sessions, 2+maxRefusingGroup)
	})
}

// What a group is told costs no more than a little, however often it comes.
func TestRefusalsAreRare(t *testing.T) {
	serve(t, with(func(c *Config) {
		c.Limits.SessionsPerGroup = 1
		c.Limits.NewSessionsPerSecond = 1e6
		c.Times.KeepAlive = time.Hour
	}), func(b *bench) {
		b.join("bad").seed()
		told := 0
		for range 1000 {
			c := &client{bench: b, conn: b.connect("bad 2"), proto: protocol.NewGuest(protocol.Hello{})}
			c.decoder = protocol.NewGuestDecoder(c.conn)
			if _, err := c.conn.Write(c.proto.AppendHello(nil)); err == nil {
				c.ended(protocol.CloseLimit)
				told++
			}
			time.Sleep(10 * time.Millisecond)
		}
		require.InDelta(t, tellLines+10, told, 1, "in ten seconds")
		require.EqualValues(t, 1000, b.server.Status().TurnedAway)
	})
}

// The CPU time of sessions that are refused is their group's, also where no
// guest is known: one that owes some is not even told why.
func TestRefusalsAreMetered(t *testing.T) {
	cfg := quiet()
	cfg.Limits.SessionsPerGroup, cfg.Limits.NewSessionsPerSecond, cfg.Limits.CPUShare = 1, 1e6, 0.001
	serveOn(t, cfg, costly(cpuBurst/20), func(b *bench) {
		b.join("good").seed()
		time.Sleep(10 * time.Minute) // it owes nothing any more
		told := 0
		for ; told < tellLines && !b.owes("group"); told++ {
			c := &client{
				bench: b, conn: b.connect(fmt.Sprint("new name ", told)),
				proto: protocol.NewGuest(protocol.Hello{}),
			}
			c.conn.Write(c.proto.AppendHello(nil)) // may come too late
			io.Copy(io.Discard, c.conn)
		}
		require.Less(t, told, tellLines, "each costs a part of the burst")
		require.NotZero(t, told)
		before := time.Now()
		_, err := b.connect("again").Read(make([]byte, 1))
		require.ErrorIs(t, err, io.EOF)
		require.Zero(t, time.Since(before), "closed at once")
	})
}

// owes says whether a group has used more than its share of CPU time.
func (b *bench) owes(group string) bool {
	synctest.Wait()
	b.server.mu.Lock()
	defer b.server.mu.Unlock()
	return b.server.groups.all[groupKey{name: group}].cpu.Use(time.Now(), 0) > 0
}

func TestTableOfGroupsIsBounded(t *testing.T) {
	cfg := DefaultConfig()
	const most = 100
	g := newGroups(most)
	now := time.Now()
	connected := g.find(groupKey{name: "connected"}, &cfg, now)
	g.add(&session{group: connected})
	refused := g.find(groupKey{name: "being refused"}, &cfg, now)
	refused.refusing++
	for i := range 10 * most {
		g.find(groupKey{name: fmt.Sprint(i)}, &cfg, now.Add(time.Duration(i)))
		require.LessOrEqual(t, len(g.all), most)
	}
	require.Greater(t, len(g.all), most*3/4)
	require.Same(t, connected, g.find(groupKey{name: "connected"}, &cfg, now))
	require.Same(t, refused, g.find(groupKey{name: "being refused"}, &cfg, now))
	require.NotContains(t, g.all, groupKey{name: "0"}, "the longest unseen went first")
	require.Contains(t, g.all, groupKey{name: fmt.Sprint(10*most - 1)})
}

// A server's table has that bound, also for those that are refused.
func TestNewGroupsAreBoundedBeforeTheLimits(t *testing.T) {
	s, err := NewServer(newDrawer(), with(func(c *Config) { c.Limits.Sessions = 1 }))
	require.NoError(t, err)
	s.closing = true // nobody gets further than the table
	for i := range tableSize(1) + 10_000 {
		here, there := newPipe(&bench{T: t})
		here.Close()
		s.start(there, transport.Peer{ID: fmt.Sprint(i), Group: fmt.Sprint(i)})
	}
	require.LessOrEqual(t, len(s.groups.all), tableSize(1))
}
