package cli

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// text is what was logged so far.
type text struct {
	mu sync.Mutex
	bytes.Buffer
}

func (b *text) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.Write(p)
}

func (b *text) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.String()
}

func TestLateLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b text
		l := NewLateLog(slog.NewTextHandler(&b, nil), time.Second)
		log := slog.New(l)
		lines := func() int { synctest.Wait(); return strings.Count(b.String(), "\n") }

		first := time.Now()
		log.Info("a")
		time.Sleep(time.Second / 2)
		log.With("x", 1).WithGroup("g").Info("b", "y", 2)
		log.Debug("not enabled")
		require.Zero(t, lines())
		time.Sleep(time.Second / 2)
		require.Equal(t, 2, lines(), "late, and no later")
		require.Contains(t, b.String(), first.Format("time=2006-01-02T15:04:05.000"), "the time at which it came")
		require.Contains(t, b.String(), "msg=b x=1 g.y=2")

		b.Reset()
		log.Info("c")
		log.Warn("d")
		require.Equal(t, 2, lines(), "a warning waits for nothing")
		require.Less(t, strings.Index(b.String(), "msg=c"), strings.Index(b.String(), "msg=d"))
		time.Sleep(time.Minute)
		require.Equal(t, 2, lines(), "nothing comes twice")

		b.Reset()
		for range lateMost {
			log.Info("many")
		}
		require.Equal(t, lateMost, lines())

		b.Reset()
		log.Info("e")
		require.NoError(t, l.Close())
		require.Equal(t, 1, lines())
		log.Info("f")
		time.Sleep(time.Second)
		require.Equal(t, 2, lines(), "after Close it is late again")
	})
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errors.New("no space left") }

func TestLateLogFails(t *testing.T) {
	l := NewLateLog(slog.NewTextHandler(failing{}, nil), time.Hour)
	log := slog.New(l)
	log.Info("a")
	log.Info("b")
	require.ErrorContains(t, l.Close(), "no space left\nno space left")
	require.NoError(t, l.Close())
}
