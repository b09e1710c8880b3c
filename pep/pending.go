package pep

import (
	"context"
	"slices"
	"sync"

	"github.com/propolis-im/propolis/mux"
)

// pending are changes that have been decided upon and are not in the store yet. Those to
// be told of one were chosen when it was decided; who comes between that and the store
// would find neither the event nor the item, or an item that is gone. So last items are
// read when the changes that were under way are written (pep NTF-7, DEL-5).
type pending struct {
	mu sync.Mutex // guards what follows
	by map[mux.Address][]*change
}

type change struct {
	w    *mux.Work
	done chan struct{}
}

// begin notes that the nodes of the turn's account are about to be changed. It comes
// before anybody is chosen to be told.
func (p *pending) begin(e *mux.Event) {
	owner, c := e.Account, &change{e.Work, make(chan struct{})}
	p.mu.Lock()
	l := p.by[owner]
	if len(l) > 0 && l[len(l)-1].w == e.Work {
		p.mu.Unlock()
		return // several in one
	}
	if p.by == nil {
		p.by = make(map[mux.Address][]*change)
	}
	p.by[owner] = append(l, c)
	p.mu.Unlock()
	e.Work.After(func(error) {
		p.mu.Lock()
		if l := slices.DeleteFunc(p.by[owner], func(o *change) bool { return o == c }); len(l) == 0 {
			delete(p.by, owner)
		} else {
			p.by[owner] = l
		}
		p.mu.Unlock()
		close(c.done)
	})
}

// wait waits until what has begun for any of the owners has ended. It must not be called
// in a turn.
func (p *pending) wait(ctx context.Context, owners map[mux.Address]bool) error {
	var l []*change
	p.mu.Lock()
	for owner, changes := range p.by {
		if _, ok := owners[owner]; ok {
			l = append(l, changes...)
		}
	}
	p.mu.Unlock()
	for _, c := range l {
		select {
		case <-c.done:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}
