package deadline

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func passed(d *Deadline) bool {
	select {
	case <-d.Passed():
		return true
	default:
		return false
	}
}

func TestDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := New()
		require.False(t, passed(d))
		d.Set(time.Now().Add(time.Second))
		waiting := d.Passed()
		time.Sleep(time.Second - 1)
		require.False(t, passed(d))
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		<-waiting
		require.True(t, passed(d))
		d.Set(time.Time{})
		require.False(t, passed(d), "set anew")
		d.Set(time.Unix(1, 0))
		require.True(t, passed(d))
		d.Set(time.Now().Add(time.Hour))
		d.Set(time.Now().Add(2 * time.Hour))
		time.Sleep(time.Hour)
		synctest.Wait()
		require.False(t, passed(d), "the first was taken back")
		d.Set(time.Time{})
	})
}
