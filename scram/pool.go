package scram

import (
	"context"
	"errors"
	"runtime"
)

// ErrBusy is returned by a [Pool] whose queue is full.
var ErrBusy = errors.New("scram: too many passwords to check")

// Pool bounds how many keys are derived at a time, so that a flood of
// passwords leaves time for everything else. It is safe for concurrent use
// and has no goroutines of its own.
type Pool struct {
	running chan struct{} // one element for each that runs
	present chan struct{} // one for each that runs or waits
}

// queuePerCPU bounds the wait to about two seconds at the default iteration
// count, and to twice that with two CPUs.
const queuePerCPU = 32

// NewPool returns a pool that runs workers calls at a time, while at most queue
// others wait. Workers 0 means one for each CPU but one, which is left to everything
// else: messages wait for a CPU as long as all of them derive keys. It means one at
// least. Queue 0 means 32 for each CPU, or for each worker if their number is given.
// Negative numbers mean the same as 0.
func NewPool(workers, queue int) *Pool {
	waiting := queuePerCPU * workers
	if workers <= 0 {
		cpus := runtime.GOMAXPROCS(0)
		workers, waiting = max(1, cpus-1), queuePerCPU*cpus
	}
	if queue <= 0 {
		queue = waiting
	}
	return &Pool{running: make(chan struct{}, workers), present: make(chan struct{}, workers+queue)}
}

// Do calls f on this goroutine when there is room, and returns its error. It
// returns [ErrBusy] at once if the queue is full, and the context's error if
// that ends first; f is not called then. Once f runs, the context does not
// stop it.
func (p *Pool) Do(ctx context.Context, f func() error) error {
	select {
	case p.present <- struct{}{}:
		defer func() { <-p.present }()
	default:
		return ErrBusy
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case p.running <- struct{}{}:
		defer func() { <-p.running }()
	case <-ctx.Done():
		return ctx.Err()
	}
	return f()
}
