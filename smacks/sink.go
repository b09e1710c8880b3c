package smacks

import "github.com/propolis-im/propolis/mux"

// sink is Stream Management on a session's way out.
type sink struct {
	x    *Extension
	s    *mux.Session
	st   *state
	next mux.Sink
}

var (
	_ mux.Sink     = (*sink)(nil)
	_ mux.Replayer = (*sink)(nil)
	_ mux.Keeper   = (*sink)(nil)
	_ mux.Asker    = (*sink)(nil)
	_ mux.Waiter   = (*sink)(nil)
	_ mux.Pauser   = (*sink)(nil)
	_ mux.Tracker  = (*sink)(nil)
)

func (x *Extension) bind(s *mux.Session, next mux.Sink) mux.Sink {
	return &sink{x: x, s: s, st: x.key.Of(s), next: next}
}

// Tracks implements [mux.Tracker].
func (k *sink) Tracks() bool { return k.st.phase == on }

// Put numbers a stanza, keeps it and passes it on, in this order (XEP-0198 §4,
// smacks SM-32).
func (k *sink) Put(it *mux.Item) error {
	st := k.st
	if it.Stanza.Kind() == mux.Nonza {
		err := k.next.Put(it)
		if st.phase == enabling && it.Stanza.Name().Local == "enabled" && it.Stanza.Name().Space == NS {
			k.begin()
		}
		return err
	}
	if it.Stanza.Kind() == mux.Message && it.Record.Shared() {
		k.x.arrivals.watch(k.x, it.Record)
	}
	if st.phase != on {
		return k.next.Put(it)
	}
	if k.full(it) {
		st.dead = true
		k.x.stats.overflowed.Add(1)
		return mux.ErrOverflow
	}
	k.keep(st.queue.push(it))
	if st.counted {
		k.x.waiting.add(st, size(it))
		k.x.notify(k.s, Notice{Kind: NoticeQueued, Stanzas: []*mux.Stanza{it.Stanza}})
	}
	_ = k.next.Put(it) // it is kept, and will be replayed
	k.askLater(it)
	return nil
}

// begin is the instant from which stanzas count (XEP-0198 §4). The lock is held.
func (k *sink) begin() {
	st := k.st
	st.phase, st.live = on, true
	k.s.SetTracked(true)
	if st.owes {
		st.owes = false
		k.x.tell(k.s, st)
	}
	for ; st.refuses > 0; st.refuses-- {
		_ = k.s.Say(enabledAlready) // a broken stream is noticed elsewhere
	}
}

var enabledAlready = fixed(string(failed(unexpected)))

// full reports whether one more is too much (core-im LIM-17). A session without a
// connection must not keep the old and pass by the new.
func (k *sink) full(it *mux.Item) bool {
	n, b := k.x.opt.MaxQueue, k.x.opt.MaxBytes
	if k.st.live {
		n, b = 2*n, 2*b
	}
	q := &k.st.queue
	if k.st.counted && k.x.waiting.bytes.Load()+int64(size(it)) > int64(k.x.opt.MaxAllBytes) {
		return true
	}
	return q.len() >= n || q.bytes+size(it) > b && q.len() > 0
}

// Pause implements [mux.Pauser]: bulk leaves room for what is live. The client was asked
// to acknowledge by then.
func (k *sink) Pause() bool {
	q := &k.st.queue
	return k.st.phase == on && k.st.live && (q.len() > k.x.opt.MaxQueue/2 || q.bytes > k.x.opt.MaxBytes/2)
}

// keep gives the store an entry, the last one, with what else it has to know.
func (k *sink) keep(e *entry) {
	st := k.st
	if !st.follows.Load() {
		st.unsaved = true
		return
	}
	if !k.s.Durable(nil) {
		st.unsaved = true
		return
	}
	// While it is not known what was sent before, nothing has a number.
	kept := saved(&e.item)
	kept.Row, kept.Old, kept.Number, kept.Sent = st.lastRow+1, e.row, st.queue.out(), !st.floating
	k.s.Durable(k.x.store.Append(st.id, kept))
	st.lastRow, e.row = kept.Row, kept.Row
	if st.noteDue {
		k.s.Durable(k.x.store.Note(st.id, st.counters(k.s)))
		st.noteDue = false
		// With what is forgotten here goes that it was a copy which has arrived.
		if tags := k.x.arrivals.take(); len(tags) > 0 {
			k.s.Durable(k.x.store.Arrived(tags))
		}
	}
}

// counters are what the store has to know. Of the client's stanzas only those
// count that are done with for good: others are noted with what they lead to.
func (st *state) counters(s *mux.Session) Counters {
	return Counters{Handled: s.Handled(), Acked: st.queue.acked, Through: st.queue.through}
}

// Wait implements [mux.Waiter]: the item is taken, and will be sent later. Until it
// has a number it is kept behind all that have one.
func (k *sink) Wait(it *mux.Item) {
	st := k.st
	if st.phase != on || !st.follows.Load() || it.Stanza.Kind() == mux.Nonza || !k.s.Durable(nil) {
		return
	}
	kept := saved(it)
	kept.Row = waiting + st.lastWait + 1
	k.s.Durable(k.x.store.Append(st.id, kept))
	st.lastWait++
	it.Row = kept.Row
}

// Replay sends all that is not acknowledged once more, with the numbers it had
// (XEP-0198 §5; smacks SM-77), and with the time it was for (SM-81).
func (k *sink) Replay() error {
	if k.st.phase != on {
		return nil
	}
	for _, e := range k.st.queue.all() {
		it := e.item
		if it.Stanza.Kind() != mux.IQ {
			it.StampDelay()
		}
		if err := k.next.Put(&it); err != nil {
			return err
		}
	}
	return nil
}

// Unacked implements [mux.Keeper].
func (k *sink) Unacked() []mux.Item {
	q := &k.st.queue
	items := make([]mux.Item, 0, q.len())
	for q.len() > 0 {
		items = append(items, q.take().item)
		q.taken()
	}
	return items
}
