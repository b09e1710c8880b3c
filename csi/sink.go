package csi

import (
	"time"

	"github.com/propolis-im/propolis/mux"
)

var (
	_ mux.Sink    = (*outbound)(nil)
	_ mux.Drainer = (*outbound)(nil)
	_ mux.Keeper  = (*outbound)(nil)
)

// outbound is the sink on a session's way out.
type outbound state

func (x *Extension) outbound(s *mux.Session, next mux.Sink) mux.Sink {
	st := x.key.Of(s)
	st.x, st.s, st.next = x, s, next
	return (*outbound)(st)
}

// Put implements [mux.Sink].
func (k *outbound) Put(it *mux.Item) error {
	st := (*state)(k)
	if it.Stanza.Kind() == mux.Nonza {
		return st.nonza(it)
	}
	if st.held == nil {
		return st.next.Put(it)
	}
	return st.put(it)
}

// nonza obeys marks; stream-level elements are passed on at once (smacks CSI-16) and
// are no reason to send what is held (CSI-22).
func (st *state) nonza(it *mux.Item) error {
	switch it.Stanza {
	case stateMark:
		st.set(stateDue, false)
		if st.set(wasActive, false) {
			if err := st.activate(); err != nil {
				return err
			}
		}
		if st.is(wants) {
			st.deactivate()
		}
	case spokeMark:
		st.set(spokeDue, false)
		return st.spoke()
	case agedMark:
		return st.aged()
	default:
		return st.next.Put(it)
	}
	return nil
}

// put decides about a stanza for a client that is inactive or was until now.
func (st *state) put(it *mux.Item) error {
	if !st.is(inactive) { // what could not be sent when it became active comes first
		if err := st.flush(ByActive, mux.Address{}); err != nil {
			return err
		}
		return st.next.Put(it)
	}
	switch {
	case st.notesProbe(it):
		return st.next.Put(it)
	case it.Row != 0:
		// It has waited behind a feed, and whoever tracks has it in its store already:
		// held, it would be in two places.
		return st.pass(it, ByClient)
	}
	d := st.x.decide(it)
	switch {
	case d.Action == Drop:
		st.x.stats.dropped.Add(1)
		it.Record.Lost()
		return nil
	case d.Action == Send:
		return st.important(it, d.Key)
	case time.Now().Before(st.held.awake):
		return st.pass(it, ByClient)
	}
	return st.hold(it, d)
}

// important sends a stanza at once, behind what is held (smacks CSI-15). Answers to it
// are not held.
func (st *state) important(it *mux.Item, outdated Key) error {
	if old, ok := st.held.queue.replaced(outdated); ok {
		st.x.stats.dropped.Add(1)
		old.Record.Lost()
	}
	st.wake()
	return st.pass(it, ByImportant)
}

// pass sends a stanza behind what is held: all of it, or what is from the same sender;
// always the latter while nobody is there to get it (smacks CSI-13).
func (st *state) pass(it *mux.Item, why Reason) error {
	if st.held.queue.n > 0 {
		var sender mux.Address
		if st.x.opt.PerSender || st.s.Stream() == nil {
			sender = senderOf(it)
		}
		if err := st.flush(why, sender); err != nil {
			return err
		}
	}
	return st.next.Put(it)
}

// hold holds a stanza back.
func (st *state) hold(it *mux.Item, d Decision) error {
	q := &st.held.queue
	if !d.Fence {
		if old, ok := q.replaced(d.Key); ok {
			st.x.stats.collapsed.Add(1)
			old.Record.Lost() // the newer one stands for it
		}
	}
	e := entry{item: *it, key: d.Key, sender: senderOf(it), since: time.Now()}
	e.item.Origin = nil // so that it does not keep a stream that has ended
	if e.item.At.IsZero() {
		e.item.At = e.since
	}
	if q.n > 0 && (q.n >= st.x.opt.MaxHeld || q.bytes+e.size() > st.x.opt.MaxBytes) {
		if err := st.flush(ByOverflow, mux.Address{}); err != nil {
			return err
		}
	}
	if e.size() > st.x.opt.MaxBytes {
		return st.next.Put(it)
	}
	q.push(e, d.Fence)
	st.x.stats.held.Add(1)
	st.watchAge()
	if st.x.more && lasting(it) {
		st.saveWith(it)
	}
	return nil
}

// flush sends what is held, of a sender or all, in the order in which it came and with
// the time at which it did (smacks CSI-20). What cannot be sent stays held.
func (st *state) flush(why Reason, sender mux.Address) error {
	h, n := st.held, int64(0)
	if h == nil {
		return nil
	}
	err := h.queue.take(sender, func(it *mux.Item) error {
		it.StampDelay()
		if err := st.next.Put(it); err != nil {
			return err
		}
		n++
		return nil
	})
	st.x.stats.flushed(why, n)
	if n > 0 && h.saved {
		h.saved = false
		st.saveLater() // else a crash would bring back what is sent now
	}
	if err == nil && !st.is(inactive) {
		h.disarm()
		st.held = nil
	}
	return err
}

// Drain implements [mux.Drainer]: a stream that resumes is active (XEP-0352 §5.2), and
// gets what was held behind the replay.
func (k *outbound) Drain() error {
	st := (*state)(k)
	st.set(inactive|wants|wasActive, false) // whatever the stream before has said
	return st.flush(ByResume, mux.Address{})
}

// Unacked implements [mux.Keeper]: what is held when the session ends is disposed of
// like what was sent and not acknowledged (smacks CSI-14).
func (k *outbound) Unacked() []mux.Item {
	st := (*state)(k)
	if st.held == nil {
		return nil
	}
	st.held.disarm()
	var left []mux.Item
	_ = st.held.queue.take(mux.Address{}, func(it *mux.Item) error {
		left = append(left, *it)
		return nil
	}) // takes all
	st.x.stats.flushed(ByEnd, int64(len(left)))
	return left
}
