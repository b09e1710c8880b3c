package mux

import (
	"context"
	"math"
	"sync"
)

// Sink is one step of a session's chain. Put runs under the session's lock: it
// may change what the sink keeps and call next, nothing else. It must not retain
// it; a sink that keeps an item copies the value. An error ends the stream.
type Sink interface{ Put(it *Item) error }

// A sink may have more to say.
type (
	// Replayer passes on again all that it keeps, when a stream was attached.
	Replayer interface{ Replay() error }
	// Drainer passes on what it holds back, when what it waits for is due: after a
	// replay. What is still held when the session ends is among its Unacked.
	Drainer interface{ Drain() error }
	// Keeper answers for what passed it: Unacked are the items that the peer may
	// not have, oldest first. It is asked when the session has ended.
	Keeper interface{ Unacked() []Item }
	// Tracker says whether a sink of layer Track answers for what passes it, as it is
	// made: for those that may begin to later, or did before a restart.
	Tracker interface{ Tracks() bool }
	// Asker wants the peer to acknowledge, after a take-over.
	Asker interface{ Ask() }
	// Pauser does not want more from feeds while Pause is true, because the peer has
	// so much already that it has not acknowledged. It is asked again after each Sync.
	Pauser interface{ Pause() bool }
	// Waiter is told of an item that the session has taken and that will be Put
	// later, behind a feed: a sink that keeps what it is given durably does so now,
	// in the item's Work, and notes that in it.Row.
	Waiter interface{ Wait(it *Item) }
)

// wireSink is the end of the outbound chain.
type wireSink Session

// Put queues the item for writing.
func (w *wireSink) Put(it *Item) error {
	s := (*Session)(w)
	if s.tracked && (s.stream.Load() == nil || s.gap) {
		return nil // whoever tracks has it, and will replay
	}
	limit := s.m.opt.MaxQueue
	if s.replaying {
		limit = math.MaxInt
	}
	err := s.q.push(it, limit, !s.tracked)
	if err != nil && s.tracked {
		// Whoever tracks has it: it is taken, and the stream is given up. Nothing
		// may be written behind what is left out: the peer counts.
		s.over, s.gap = true, true
		return nil
	}
	return err
}

// outQueue holds what waits to be written, in order.
type outQueue struct {
	items []Item
	head  int
	bytes int
}

func (q *outQueue) len() int { return len(q.items) - q.head }

func (q *outQueue) push(it *Item, limit int, loose bool) error {
	n := it.size()
	if q.bytes+n > limit && q.bytes > 0 {
		return ErrOverflow
	}
	if q.items == nil {
		q.items = queueSlots.Get().(*[keepItems]Item)[:0]
	}
	if q.head > 32 && 2*q.head >= len(q.items) || q.head > 0 && q.head == len(q.items) {
		n := copy(q.items, q.items[q.head:])
		clear(q.items[n:])
		q.items, q.head = q.items[:n], 0
	}
	q.items = append(q.items, Item{})
	last := &q.items[len(q.items)-1]
	*last = *it
	last.loose = loose
	q.bytes += n
	return nil
}

// takeOpen moves the items at the front that may go to dst, up to about limit
// octets.
func (q *outQueue) takeOpen(dst []Item, limit int) []Item {
	for n := 0; q.head < len(q.items) && n < limit; q.head++ {
		it := &q.items[q.head]
		if it.gate() != gateOpen {
			return dst // if its Work has failed the session is being ended
		}
		size := it.size()
		n += size
		q.bytes -= size
		dst = append(dst, *it)
		*it = Item{}
	}
	if q.head == len(q.items) {
		q.reset()
	}
	return dst
}

// queueSlots are for queues that have become empty, which keep none: a session with
// nothing to write holds nothing.
var queueSlots = sync.Pool{New: func() any { return new([keepItems]Item) }}

const keepItems = 16

func (q *outQueue) reset() {
	if cap(q.items) == keepItems {
		queueSlots.Put((*[keepItems]Item)(q.items[:keepItems])) // all are zero
	}
	q.items, q.head, q.bytes = nil, 0, 0
}

// all removes and returns everything.
func (q *outQueue) all() []Item {
	l := q.items[q.head:]
	q.items, q.head, q.bytes = nil, 0, 0
	return l
}

// size is about how many octets the item has on the wire.
func (it *Item) size() int { return it.Stanza.size + len(it.Extra) + 32 }

// flushBytes is how much is written at a time.
const flushBytes = 128 << 10

// flush writes what may go. One goroutine at a time does; others leave a note.
func (s *Session) flush(r *runner) {
	s.mu.Lock()
	if s.flushing { // the other goes on until nothing is left
		s.mu.Unlock()
		return
	}
	s.flushing = true
	for {
		st := s.stream.Load()
		if st == nil || s.taking != nil && s.taking != st {
			break
		}
		r.items = s.q.takeOpen(r.items[:0], flushBytes)
		if len(r.items) == 0 {
			break
		}
		s.mu.Unlock()
		err := st.write(r, r.items)
		s.mu.Lock()
		if err != nil {
			s.unwritten(r.items)
			clear(r.items)
			s.mu.Unlock()
			st.broken(err)
			s.mu.Lock()
			if s.stream.Load() != st {
				continue // the session was taken over meanwhile, and the new stream waits
			}
			break
		}
		for i := range r.items {
			if r.items[i].loose {
				r.items[i].Record.Arrived()
			}
		}
		clear(r.items)
	}
	s.flushing = false
	if len(s.feeds) > 0 {
		s.signalLow()
	}
	bye := s.parted()
	s.mu.Unlock()
	if bye != nil {
		bye()
	}
}

// unwritten keeps what could not be written and nobody tracks; the lock is held.
func (s *Session) unwritten(items []Item) {
	var loose []Item
	for i := range items {
		if items[i].loose {
			loose = append(loose, items[i])
		}
	}
	switch {
	case len(loose) == 0:
	case s.open():
		s.left = append(s.left, loose...)
	default: // its end did not see them
		s.m.Go(s.acct.addr, func(ctx context.Context, e *Event) {
			s.m.checkRemoved(ctx, e)
			for i := range loose {
				s.m.dispose(ctx, e, s, &loose[i])
			}
		})
	}
}

// dropQueue empties the queue when its stream is gone: what is tracked will come
// again, the rest is kept for the session's end. The lock is held.
func (s *Session) dropQueue() {
	for _, it := range s.q.all() {
		if it.loose {
			s.left = append(s.left, it)
		}
	}
}
