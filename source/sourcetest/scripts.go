package sourcetest

import (
	"context"
	"io"
)

// Good gives uniform samples from a seeded PRNG.
func Good(seed uint64) Script {
	r := generator(seed)
	return func(context.Context, int) (uint64, error) { return r.Uint64(), nil }
}

// Stuck gives one value for ever.
func Stuck(value uint64) Script {
	return func(context.Context, int) (uint64, error) { return value, nil }
}

// Repeating gives a pattern over and over.
func Repeating(pattern ...uint64) Script {
	return func(_ context.Context, i int) (uint64, error) { return pattern[i%len(pattern)], nil }
}

// Biased gives value with probability p more than the others, which are
// uniform.
func Biased(seed, value uint64, p float64) Script {
	r := generator(seed)
	return func(context.Context, int) (uint64, error) {
		x := r.Uint64()
		if r.Float64() < p {
			x = value
		}
		return x, nil
	}
}

// Drifting is Biased with a p that begins at 0 and grows by perSample, up to 1:
// a bias that comes slowly.
func Drifting(seed, value uint64, perSample float64) Script {
	r := generator(seed)
	return func(_ context.Context, i int) (uint64, error) {
		x := r.Uint64()
		if r.Float64() < float64(i)*perSample {
			x = value
		}
		return x, nil
	}
}

// Ramp gives start, start+step, start+2*step and so on: a linear drift.
func Ramp(start, step uint64) Script {
	return func(_ context.Context, i int) (uint64, error) { return start + uint64(i)*step, nil }
}

// Then plays first for n samples and next from there on; next counts from 0.
func Then(n int, first, next Script) Script {
	return func(ctx context.Context, i int) (uint64, error) {
		if i < n {
			return first(ctx, i)
		}
		return next(ctx, i-n)
	}
}

// Fails gives this error for ever.
func Fails(err error) Script {
	return func(context.Context, int) (uint64, error) { return 0, err }
}

// FailsTimes gives the error so many times and then plays next.
func FailsTimes(times int, err error, next Script) Script {
	return func(ctx context.Context, i int) (uint64, error) {
		if times > 0 {
			times--
			return 0, err
		}
		return next(ctx, i)
	}
}

// Vanished fails with [ErrVanished]: a device that was pulled out.
func Vanished() Script { return Fails(ErrVanished) }

// Ended fails with io.EOF.
func Ended() Script { return Fails(io.EOF) }

// Blocking gives nothing until its context is done: a device that hangs.
func Blocking() Script {
	return func(ctx context.Context, _ int) (uint64, error) {
		<-ctx.Done()
		return 0, ctx.Err()
	}
}

// Deaf gives nothing until release is closed, whatever its context says, and
// then fails with io.EOF.
func Deaf(release <-chan struct{}) Script {
	return func(context.Context, int) (uint64, error) {
		<-release
		return 0, io.EOF
	}
}
