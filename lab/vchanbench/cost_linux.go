package main

import (
	"fmt"
	"os"
	"syscall"
	"time"
	"runtime"

	"golang.org/x/sys/unix"
)

func cost() {
	b, _ := os.ReadFile("/sys/devices/system/clocksource/clocksource0/current_clocksource")
	fmt.Printf("clocksource %s CPUs %d\n", b, runtime.NumCPU())
	per := func(name string, n int, f func()) {
		t := time.Now()
		for range n {
			f()
		}
		fmt.Printf("%s %v\n", name, time.Since(t)/time.Duration(n))
	}
	per("time.Now", 2000, func() { time.Now() })
	t := time.Now()
	per("time.Since", 2000, func() { time.Since(t) })
	per("rawgetpid", 2000, func() { syscall.RawSyscall(syscall.SYS_GETPPID, 0, 0, 0) })
	per("getpid", 2000, func() { syscall.Syscall(syscall.SYS_GETPPID, 0, 0, 0) })
	per("gosched", 2000, runtime.Gosched)
	p := make([]byte, 2048)
	q := make([]byte, 2048)
	per("copy+clear 2k", 2000, func() { copy(p, q); clear(q) })
	fd, _ := unix.Eventfd(0, 0)
	per("poll0", 2000, func() { f := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}; unix.Poll(f, 0) })
	per("poll1ms", 100, func() { f := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}; unix.Poll(f, 1) })
	per("poll5ms", 100, func() { f := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}; unix.Poll(f, 5) })
	// thread ping pong by eventfd, plain syscalls
	a, _ := unix.Eventfd(0, 0)
	c, _ := unix.Eventfd(0, 0)
	one := []byte{1, 0, 0, 0, 0, 0, 0, 0}
	go func() {
		runtime.LockOSThread()
		b := make([]byte, 8)
		for {
			unix.Read(a, b)
			unix.Write(c, one)
		}
	}()
	bb := make([]byte, 8)
	per("pingpong blocking", 500, func() { unix.Write(a, one); unix.Read(c, bb) })
	ra, wa, _ := os.Pipe()
	rb, wb, _ := os.Pipe()
	go func() {
		b := make([]byte, 8)
		for {
			ra.Read(b)
			wb.Write(b)
		}
	}()
	per("pingpong netpoll pipe", 500, func() { wa.Write(bb); rb.Read(bb) })
}
