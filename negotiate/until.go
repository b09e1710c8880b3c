package negotiate

import (
	"context"
	"sync"
	"time"
)

// until is a context with a deadline, as of [context.WithDeadline], which costs a
// timer only if somebody waits for its end: most look at the deadline, or do not
// wait at all.
type until struct {
	context.Context // parent
	at              time.Time

	mu    sync.Mutex
	full  context.Context // once somebody waits
	end   context.CancelFunc
	ended bool // cancel was called
}

// withTimeout is to be cancelled.
func withTimeout(parent context.Context, d time.Duration) *until {
	u := &until{Context: parent, at: time.Now().Add(d)}
	if at, ok := parent.Deadline(); ok && at.Before(u.at) {
		u.at = at
	}
	return u
}

// Deadline implements [context.Context].
func (u *until) Deadline() (time.Time, bool) { return u.at, true }

// Done implements [context.Context].
func (u *until) Done() <-chan struct{} {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.full == nil {
		u.full, u.end = context.WithDeadline(u.Context, u.at)
		if u.ended {
			u.end()
		}
	}
	return u.full.Done()
}

// Err implements [context.Context].
func (u *until) Err() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	switch {
	case u.full != nil:
		return u.full.Err()
	case u.ended:
		return context.Canceled
	}
	if err := u.Context.Err(); err != nil || time.Now().Before(u.at) {
		return err
	}
	return context.DeadlineExceeded
}

// Value implements [context.Context]: package context finds what it has made
// itself, so that what is derived needs no goroutine.
func (u *until) Value(key any) any {
	u.mu.Lock()
	full := u.full
	u.mu.Unlock()
	if full != nil {
		return full.Value(key)
	}
	return u.Context.Value(key)
}

func (u *until) cancel() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.ended = true
	if u.end != nil {
		u.end()
	}
}
