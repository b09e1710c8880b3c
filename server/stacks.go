package server

import (
	"iter"
	"runtime"
	"sync"
)

// stacks runs functions that need a deep stack, TLS handshakes above all, for
// goroutines that live on with a small one: each function is a coroutine, which
// blocks its caller and hands the processor over without the scheduler, where a new
// goroutine would wake a thread up. Those that are through are kept for others,
// since it takes time to grow a stack.
type stacks struct {
	mu     sync.Mutex
	free   []*coroutine
	closed bool
}

// maxStacks bounds how many are kept, of some 64 KiB each.
const maxStacks = 64

type coroutine struct {
	next func() (struct{}, bool)
	stop func()
	job  func()
}

// run returns when job has.
func (s *stacks) run(job func()) {
	c := s.take()
	c.job = job
	c.next()
	c.job = nil
	s.put(c)
}

func (s *stacks) take() *coroutine {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := len(s.free); n > 0 {
		c := s.free[n-1]
		s.free = s.free[:n-1]
		return c
	}
	c := &coroutine{}
	c.next, c.stop = iter.Pull(c.loop)
	return c
}

// loop runs jobs. The garbage collector halves a stack of which less than a quarter
// is in use, which idle ones would have to grow again: ballast is that quarter.
//
//go:noinline
func (c *coroutine) loop(yield func(struct{}) bool) {
	var ballast [8 << 10]byte
	for more := true; more; more = yield(struct{}{}) {
		c.job()
	}
	runtime.KeepAlive(&ballast)
}

func (s *stacks) put(c *coroutine) {
	s.mu.Lock()
	full := s.closed || len(s.free) >= maxStacks
	if !full {
		s.free = append(s.free, c)
	}
	s.mu.Unlock()
	if full {
		c.stop()
	}
}

// close keeps none any more.
func (s *stacks) close() {
	s.mu.Lock()
	free := s.free
	s.free, s.closed = nil, true
	s.mu.Unlock()
	for _, c := range free {
		c.stop()
	}
}
