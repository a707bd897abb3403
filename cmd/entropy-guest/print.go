package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
)

// chunk is how many bytes are held at once.
const chunk = 64 << 10

// printRaw copies n bytes from r to w.
func printRaw(ctx context.Context, w io.Writer, r io.Reader, n int64) error {
	return inChunks(ctx, r, n, func(b []byte) error {
		_, err := w.Write(b)
		return err
	})
}

// printHex copies n bytes from r to w as hexadecimal digits, and ends the line.
func printHex(ctx context.Context, w io.Writer, r io.Reader, n int64) error {
	text := make([]byte, 2*min(n, chunk)+1)
	defer clear(text)
	return inChunks(ctx, r, n, func(b []byte) error {
		end := hex.Encode(text, b)
		n -= int64(len(b))
		if n == 0 {
			text[end] = '\n'
			end++
		}
		_, err := w.Write(text[:end])
		return err
	})
}

// inChunks gives n bytes from r to f, some at a time, and wipes them.
func inChunks(ctx context.Context, r io.Reader, n int64, f func([]byte) error) error {
	buf := make([]byte, min(n, chunk))
	defer clear(buf)
	for n > 0 {
		if ctx.Err() != nil {
			return fmt.Errorf("%d bytes before the end: %w", n, context.Cause(ctx))
		}
		b := buf[:min(n, int64(len(buf)))]
		if _, err := io.ReadFull(r, b); err != nil {
			return fmt.Errorf("read random bytes: %w", err)
		}
		if err := f(b); err != nil {
			return fmt.Errorf("print random bytes: %w", err)
		}
		n -= int64(len(b))
	}
	return nil
}
