package smacks

import (
	"iter"
	"sync"

	"github.com/propolis-im/propolis/mux"
)

// entry is a stanza that was sent, or will be when there is a connection.
type entry struct {
	item   mux.Item
	row    uint64 // where the store has it, 0 for nowhere
	number uint32 // while floating: its number, if sent
	sent   bool
	stale  bool // the store has it under an old number
}

// waiting begins the rows of entries that have no number yet.
const waiting = 1 << 40

// placed reports whether the store has the entry in its place.
func (e *entry) placed() bool { return e.row != 0 && e.row < waiting }

// window is what was sent and not acknowledged: stanzas acked+1 to acked+n. Entries
// stay where they are until they are dropped.
type window struct {
	acked       uint32
	n           int // entries
	head        int // the first of them in its chunk
	first, last *chunk
	bytes       int
	through     uint64 // rows up to this one are done with
}

// chunk is a piece of a window.
type chunk struct {
	next    *chunk
	n       int // slots used
	entries [16]entry
}

// chunks are those that nobody uses: an idle session has none.
var chunks = sync.Pool{New: func() any { return new(chunk) }}

func (w *window) len() int { return w.n }

// out is how many stanzas were sent.
func (w *window) out() uint32 { return w.acked + uint32(w.n) }

// push adds an item, and returns its entry.
func (w *window) push(it *mux.Item) *entry {
	c := w.last
	if c == nil || c.n == len(c.entries) {
		c = chunks.Get().(*chunk)
		if w.last == nil {
			w.first = c
		} else {
			w.last.next = c
		}
		w.last = c
	}
	e := &c.entries[c.n]
	c.n++
	w.n++
	e.item, e.row = *it, it.Row
	w.bytes += size(it)
	return e
}

// drop takes the first n out, which have arrived.
func (w *window) drop(n int) {
	for range n {
		e := w.take()
		e.item.Record.Arrived()
		if e.placed() {
			w.through = max(w.through, e.row)
		}
		w.acked++
		w.taken()
	}
}

// take is the first entry, which is there until taken is called.
func (w *window) take() *entry { return &w.first.entries[w.head] }

// taken forgets the first entry.
func (w *window) taken() {
	c := w.first
	w.bytes -= size(&c.entries[w.head].item)
	c.entries[w.head] = entry{}
	w.head++
	w.n--
	if w.head < c.n {
		return
	}
	// All that was in it is gone; behind it there may be more.
	w.first, w.head = c.next, 0
	if w.first == nil {
		w.last = nil
	}
	c.next, c.n = nil, 0
	chunks.Put(c) // all is zero
}

// all are the entries in order, with how many come before.
func (w *window) all() iter.Seq2[int, *entry] {
	return func(yield func(int, *entry) bool) {
		i, from := 0, w.head
		for c := w.first; c != nil; c = c.next {
			for j := from; j < c.n; j++ {
				if !yield(i, &c.entries[j]) {
					return
				}
				i++
			}
			from = 0
		}
	}
}

// stanzas are what is in it.
func (w *window) stanzas() []*mux.Stanza {
	list := make([]*mux.Stanza, 0, w.n)
	for _, e := range w.all() {
		list = append(list, e.item.Stanza)
	}
	return list
}

// size is about how many octets an item has.
func size(it *mux.Item) int { return it.Stanza.Size() + len(it.Extra) + 32 }
