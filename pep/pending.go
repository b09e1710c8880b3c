package pep

import (
	"context"
	"sync"

	"github.com/propolis-im/propolis/mux"
)

// pending are changes that have been decided upon and are not in the store yet. Those to
// be told of one were chosen when it was decided; who comes between that and the store
// would find neither the event nor the item, or an item that is gone. So last items are
// read when the changes that were under way are written (pep NTF-7, DEL-5).
type pending struct {
	mu    sync.Mutex // guards what follows
	first *change    // a list, in no order
}

// change is that of one account.
type change struct {
	owner      mux.Address
	prev, next *change
	done       chan struct{} // nil while nobody waits
}

// begin notes that the nodes of the turn's account are about to be changed. It comes
// before anybody is chosen to be told.
func (p *pending) begin(e *mux.Event) {
	c := &change{owner: e.Account}
	p.mu.Lock()
	if c.next = p.first; c.next != nil {
		c.next.prev = c
	}
	p.first = c
	p.mu.Unlock()
	e.Work.After(func(error) { p.end(c) })
}

func (p *pending) end(c *change) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c.prev == nil {
		p.first = c.next
	} else {
		c.prev.next = c.next
	}
	if c.next != nil {
		c.next.prev = c.prev
	}
	if c.done != nil {
		close(c.done)
	}
}

// wait waits until what has begun for any of the owners has ended. It must not be called
// in a turn.
func (p *pending) wait(ctx context.Context, owners map[mux.Address]bool) error {
	var l []chan struct{}
	p.mu.Lock()
	for c := p.first; c != nil; c = c.next {
		if _, ok := owners[c.owner]; ok {
			if c.done == nil {
				c.done = make(chan struct{})
			}
			l = append(l, c.done)
		}
	}
	p.mu.Unlock()
	for _, done := range l {
		select {
		case <-done:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}
