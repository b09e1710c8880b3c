package negotiate

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

type untilKey struct{}

func TestUntil(t *testing.T) {
	t.Parallel()
	parents := map[string]func() (context.Context, func()){
		"without end": func() (context.Context, func()) {
			return context.WithValue(context.Background(), untilKey{}, "v"), nil
		},
		"cancelled": func() (context.Context, func()) {
			ctx, cancel := context.WithCancel(context.WithValue(context.Background(), untilKey{}, "v"))
			return ctx, cancel
		},
		"earlier": func() (context.Context, func()) {
			return withTimeout(context.WithValue(context.Background(), untilKey{}, "v"), time.Second), nil
		},
	}
	for name, parent := range parents {
		for _, waited := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					p, end := parent()
					start := time.Now()
					ctx := withTimeout(p, time.Minute)
					defer ctx.cancel()
					d := time.Minute
					if name == "earlier" {
						d = time.Second
					}
					if at, ok := ctx.Deadline(); !ok || !at.Equal(start.Add(d)) {
						t.Errorf("Deadline = %v, %t", at.Sub(start), ok)
					}
					var child context.Context = ctx
					if waited {
						_ = ctx.Done()
						var stop context.CancelFunc
						child, stop = context.WithCancel(ctx)
						defer stop()
					}
					if ctx.Err() != nil || ctx.Value(untilKey{}) != "v" {
						t.Errorf("Err = %v, Value = %v", ctx.Err(), ctx.Value(untilKey{}))
					}
					want := context.DeadlineExceeded
					if end != nil {
						end()
						want = context.Canceled
					} else {
						time.Sleep(d)
					}
					synctest.Wait()
					if err := ctx.Err(); !errors.Is(err, want) {
						t.Errorf("Err = %v, want %v", err, want)
					}
					<-ctx.Done()
					<-child.Done()
					if err := child.Err(); !errors.Is(err, want) {
						t.Errorf("Err of what is derived = %v, want %v", err, want)
					}
				})
			})
		}
	}
}

func TestUntilCancel(t *testing.T) {
	t.Parallel()
	for _, waited := range []bool{false, true} {
		ctx := withTimeout(t.Context(), time.Hour)
		if waited {
			_ = ctx.Done()
		}
		ctx.cancel()
		ctx.cancel()
		if err := ctx.Err(); !errors.Is(err, context.Canceled) {
			t.Errorf("Err = %v", err)
		}
		<-ctx.Done()
		if err := ctx.Err(); !errors.Is(err, context.Canceled) {
			t.Errorf("Err = %v after Done", err)
		}
	}
}
