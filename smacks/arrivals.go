package smacks

import (
	"context"
	"sync"
	"time"

	"github.com/propolis-im/propolis/mux"
)

// arrivals are the tags of messages of which a copy has reached a client while
// others were under way: when the store knows of it nothing is done about those after
// a restart either (smacks SM-93). The zero value is ready.
type arrivals struct {
	mu   sync.Mutex
	tags []string
}

// watch has the store know when a copy of the message arrives.
func (a *arrivals) watch(x *Extension, r *mux.Record) {
	if x.store == nil || x.m == nil {
		return
	}
	// Maybe under a session's lock, where no turn may begin.
	r.OnArrived(func() { a.add(x, r.Tag()) })
}

func (a *arrivals) add(x *Extension, tag string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.tags = append(a.tags, tag); len(a.tags) > 1 {
		return
	}
	time.AfterFunc(x.opt.NoteWithin, func() {
		x.m.Go(anywhere, func(_ context.Context, e *mux.Event) {
			if tags := a.take(); len(tags) > 0 {
				e.Work.Write(x.store.Arrived(tags))
			}
		})
	})
}

// take are those that the store has to be told.
func (a *arrivals) take() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	tags := a.tags
	a.tags = nil
	return tags
}

// saved is what the store keeps of an item.
func saved(it *mux.Item) Entry {
	e := Entry{Item: it.AppendSaved(nil)}
	if it.Stanza.Kind() == mux.Message && it.Record != nil {
		e.Tag, e.Arrived = it.Record.Tag(), it.Record.Done()
	}
	return e
}
