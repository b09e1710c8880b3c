package mux

import (
	"context"
	"sync"
)

// goroutines counts those of the mux. Other than with a [sync.WaitGroup] new ones
// may begin while it is waited for: streams end when they like, also during a
// shutdown.
type goroutines struct {
	mu   sync.Mutex
	n    int
	idle chan struct{} // closed when n gets to zero; nil if nobody waits
}

// Add counts n more.
func (g *goroutines) Add(n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.n += n
}

// Done counts one less.
func (g *goroutines) Done() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.n--; g.n == 0 && g.idle != nil {
		close(g.idle)
		g.idle = nil
	}
}

// wait waits until there are none.
func (g *goroutines) wait(ctx context.Context) error {
	g.mu.Lock()
	if g.n == 0 {
		g.mu.Unlock()
		return nil
	}
	if g.idle == nil {
		g.idle = make(chan struct{})
	}
	idle := g.idle
	g.mu.Unlock()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
