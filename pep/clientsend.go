package pep

import "context"

// calling is the context of a call of mellium, which ends with another one while that runs
// and not afterwards: mellium watches it for a moment longer than it writes, and one that is
// canceled just then would have whatever is written next fail, and with it the session.
type calling struct {
	context.Context
	done chan struct{}
}

// call returns one. over is called when the call has returned, before ctx is canceled.
func call(ctx context.Context) (c context.Context, over func()) {
	done := make(chan struct{})
	stop := context.AfterFunc(ctx, func() { close(done) })
	return calling{ctx, done}, func() { stop() }
}

// Done implements [context.Context].
func (c calling) Done() <-chan struct{} { return c.done }
