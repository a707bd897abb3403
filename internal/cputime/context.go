package cputime

import "context"

type key struct{}

// With gives ctx to those who wait for the goroutine of m: see [Wait].
func With(ctx context.Context, m *Meter) context.Context { return context.WithValue(ctx, key{}, m) }

// Wait stops the meter that ctx has, if it counts, while f sleeps. It must be called by the meter's goroutine; a goroutine that is handed
// the context of another one takes [Without].
func Wait(ctx context.Context, f func()) {
	m, _ := ctx.Value(key{}).(*Meter)
	if m == nil || !m.on {
		f()
		return
	}
	m.End()
	defer m.Begin()
	f()
}

// Without is ctx for another goroutine.
func Without(ctx context.Context) context.Context { return With(ctx, nil) }
