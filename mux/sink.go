package mux

// Sink is one step of a session's chain. Put runs under the session's lock: it
// may change what the sink keeps and call next, nothing else. It must not retain
// it; a sink that keeps an item copies the value. An error ends the stream.
type Sink interface{ Put(it *Item) error }

// A sink may have more to say.
type (
	// Replayer passes on again all that it keeps, when a stream was attached.
	Replayer interface{ Replay() error }
	// Drainer passes on what it holds back, when what it waits for is due: after
	// a replay, before a proper end.
	Drainer interface{ Drain() error }
	// Keeper answers for what passed it: Unacked are the items that the peer may
	// not have, oldest first. It is asked when the session has ended.
	Keeper interface{ Unacked() []Item }
	// Asker wants the peer to acknowledge, after a take-over.
	Asker interface{ Ask() }
)

// wireSink is the end of the outbound chain.
type wireSink Session

// Put queues the item for writing.
func (w *wireSink) Put(it *Item) error {
	s := (*Session)(w)
	if s.stream.Load() == nil && s.tracked {
		return nil // whoever tracks has it, and will replay
	}
	return s.q.push(it, s.m.opt.MaxQueue)
}

// outQueue holds what waits to be written, in order.
type outQueue struct {
	items []Item
	head  int
	bytes int
}

func (q *outQueue) len() int { return len(q.items) - q.head }

func (q *outQueue) push(it *Item, limit int) error {
	n := it.size()
	if q.bytes+n > limit && q.bytes > 0 {
		return ErrOverflow
	}
	if q.head > 0 && q.head == len(q.items) {
		q.items, q.head = q.items[:0], 0
	}
	q.items = append(q.items, *it)
	q.bytes += n
	return nil
}

// takeOpen moves the items at the front that may go to dst, up to about limit
// octets, and tells what stopped it.
func (q *outQueue) takeOpen(dst []Item, limit int) ([]Item, gate) {
	for n := 0; q.head < len(q.items) && n < limit; q.head++ {
		it := &q.items[q.head]
		if g := it.gate(); g != gateOpen {
			return dst, g
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
	return dst, gateOpen
}

// keepItems is how many slots an empty queue keeps for the next items.
const keepItems = 8

func (q *outQueue) reset() {
	if cap(q.items) > keepItems {
		q.items = nil
	}
	q.items, q.head, q.bytes = q.items[:0], 0, 0
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
	if s.flushing {
		s.again = true
		s.mu.Unlock()
		return
	}
	s.flushing = true
	for {
		s.again = false
		st := s.stream.Load()
		if st == nil || s.taking != nil && s.taking != st {
			break
		}
		var g gate
		r.items, g = s.q.takeOpen(r.items[:0], flushBytes)
		if len(r.items) == 0 {
			if g == gateLost {
				s.q.all() // nothing of it was acknowledged; the peer sends again
				st.Close(errServer)
			}
			break
		}
		tracked := s.tracked
		s.mu.Unlock()
		err := st.write(r, r.items)
		if !tracked {
			for i := range r.items {
				if err == nil {
					r.items[i].Record.Arrived()
				}
			}
		}
		s.mu.Lock()
		if err != nil {
			if !tracked {
				s.q.unshift(r.items)
			}
			clear(r.items)
			s.flushing = false
			s.mu.Unlock()
			st.broken(err)
			return
		}
		clear(r.items)
	}
	s.flushing = false
	s.mu.Unlock()
}

// unshift puts back what could not be written.
func (q *outQueue) unshift(items []Item) {
	l := append(append(make([]Item, 0, len(items)+q.len()), items...), q.items[q.head:]...)
	q.items, q.head = l, 0
	for i := range items {
		q.bytes += items[i].size()
	}
}
