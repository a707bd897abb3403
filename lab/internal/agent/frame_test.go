package agent

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func line(t *testing.T, m Message) string {
	t.Helper()
	b, err := encode(m)
	require.NoError(t, err)
	return string(b)
}

func TestReaderSkipsWhatIsNotOurs(t *testing.T) {
	a := Message{Op: OpOutput, ID: 7, Seq: 3, Place: "gäst", Data: []byte("\x00\xff\n@lab:")}
	b := Message{Op: OpExit, ID: 8, Code: 3}
	broken := strings.Replace(line(t, b), `"code"`, `"kode"`, 1)
	stream := "[    0.1] kernel says\r\nhalf a line" + line(t, a) +
		"@lab:5:00000000:{}\n@lab:\n@lab:99999999999:0:\n" + broken +
		strings.Repeat("x", 3*maxLine) + "\n" + "glued " + strings.TrimPrefix(line(t, b), "\n")
	r := NewReader(strings.NewReader(stream))
	got, err := r.Read()
	require.NoError(t, err)
	require.Equal(t, a, got)
	got, err = r.Read()
	require.NoError(t, err)
	require.Equal(t, b, got)
	_, err = r.Read()
	require.ErrorIs(t, err, io.EOF)
}

func FuzzReader(f *testing.F) {
	good, _ := encode(Message{Op: OpExec, ID: 1, Argv: []string{"true"}})
	f.Add(good)
	f.Add([]byte("@lab:2:99914b93:{}\n@lab:"))
	f.Fuzz(func(t *testing.T, b []byte) {
		// Whatever came before, a message on a line of its own is found.
		all := append(append(bytes.Clone(b), good...), '\n')
		r := NewReader(bytes.NewReader(all))
		var last Message
		for {
			m, err := r.Read()
			if err != nil {
				break
			}
			last = m
		}
		require.Equal(t, OpExec, last.Op)
	})
}
