package csi

import (
	"time"

	"github.com/propolis-im/propolis/mux"
)

// entry is one stanza that is held.
type entry struct {
	item   mux.Item // without a Stanza: it was taken out
	key    Key      // in the index, or zero
	sender mux.Address
	since  time.Time
}

// size is about how many octets it occupies, what is shared with others included.
func (e *entry) size() int { return e.item.Stanza.Size() + len(e.item.Extra) + entrySize }

const entrySize = 256

// queue is what is held, in order of arrival. The zero value is empty.
type queue struct {
	entries []entry
	index   map[Key]int // of those that have a key
	n       int         // entries that are there
	bytes   int
}

// push appends an entry. From now on it is the one that its key means.
func (q *queue) push(e entry, fence bool) {
	if fence {
		for k, i := range q.index {
			if k.What == e.key.What && k.From == e.key.From && k.Scope == e.key.Scope {
				q.entries[i].key = Key{}
				delete(q.index, k)
			}
		}
		e.key = Key{}
	}
	q.compact()
	if e.key != (Key{}) {
		if i, ok := q.index[e.key]; ok {
			q.entries[i].key = Key{}
		}
		if q.index == nil {
			q.index = make(map[Key]int)
		}
		q.index[e.key] = len(q.entries)
	}
	q.entries = append(q.entries, e)
	q.n++
	q.bytes += e.size()
}

// replaced takes out what is held under a key, and returns it; ok is false if there is
// nothing.
func (q *queue) replaced(k Key) (it mux.Item, ok bool) {
	if k == (Key{}) {
		return it, false
	}
	i, ok := q.index[k]
	if !ok {
		return it, false
	}
	it = q.entries[i].item
	q.remove(i)
	return it, true
}

func (q *queue) remove(i int) {
	e := &q.entries[i]
	delete(q.index, e.key)
	q.n--
	q.bytes -= e.size()
	*e = entry{}
	if q.n == 0 {
		q.entries = q.entries[:0]
	}
}

// take hands all entries of a sender, or all if that is zero, to f, in order. Those it
// takes are gone; the first that it does not take stays, and so do all behind it. An
// empty queue occupies nothing.
func (q *queue) take(sender mux.Address, f func(it *mux.Item) error) error {
	for i := 0; i < len(q.entries); i++ {
		e := &q.entries[i]
		if e.item.Stanza == nil || !sender.IsZero() && e.sender != sender {
			continue
		}
		it := e.item
		if err := f(&it); err != nil {
			return err
		}
		q.remove(i)
	}
	if q.n == 0 {
		*q = queue{}
	}
	q.compact()
	return nil
}

// compact closes the gaps if they are many.
func (q *queue) compact() {
	if len(q.entries) <= 2*q.n+16 {
		return
	}
	kept := q.entries[:0]
	for i := range q.entries {
		e := &q.entries[i]
		if e.item.Stanza == nil {
			continue
		}
		if e.key != (Key{}) {
			q.index[e.key] = len(kept)
		}
		kept = append(kept, *e)
	}
	clear(q.entries[len(kept):])
	q.entries = kept
}

// oldest is since when something is held.
func (q *queue) oldest() (since time.Time) {
	for i := range q.entries {
		if q.entries[i].item.Stanza != nil {
			return q.entries[i].since
		}
	}
	return since
}
