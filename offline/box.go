package offline

import (
	"context"
	"sync"

	"github.com/propolis-im/propolis/mux"
)

// box is what is on the way of an account's messages. They stay stored until they
// have arrived; meanwhile no other session gets them.
type box struct {
	mu       sync.Mutex              // guards what follows; nothing else is locked in it
	flying   map[int64]sent          // by Seq
	arrived  []int64                 // of those, what is to be removed
	leaving  map[int64]bool          // and what another Work is removing
	removing bool                    // a turn is on its way to do so
	feeding  map[*mux.Session]*flush // what is being sent to sessions
	returned bool                    // something came back since a session was last chosen
}

// sent is a message on its way.
type sent struct {
	s    *mux.Session // nil if that is not known, after a restart
	size int
	gone bool // is not stored any more; somebody may have read it before
}

// withBox calls f for the account's box, which is made if need be and is not
// forgotten meanwhile.
func (x *Extension) withBox(account mux.Address, f func(b *box)) {
	x.mu.Lock()
	defer x.mu.Unlock()
	b := x.boxes[account]
	if b == nil {
		b = &box{flying: make(map[int64]sent), feeding: make(map[*mux.Session]*flush)}
		x.boxes[account] = b
	}
	f(b)
}

// known is the account's box, nil if it has none.
func (x *Extension) known(account mux.Address) *box {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.boxes[account]
}

// tidy forgets a box in which there is nothing.
func (x *Extension) tidy(account mux.Address) {
	x.mu.Lock()
	defer x.mu.Unlock()
	b := x.boxes[account]
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.flying) == 0 && len(b.feeding) == 0 && len(b.leaving) == 0 && !b.removing && !b.returned {
		delete(x.boxes, account)
	}
}

// begin reports whether a session is to be sent what is stored: not if it is being
// sent it, or another one that is connected. That one looks once more at its end.
func (b *box) begin(f *flush) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for other, g := range b.feeding {
		if other == f.s || other.Stream() != nil {
			g.again = f
			return false
		}
	}
	b.feeding[f.s] = f
	return true
}

// goesOn reports whether a session is still to be sent what is stored.
func (b *box) goesOn(f *flush) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.feeding[f.s] == f
}

// next is for a session that has been sent what is stored: it may have to look once
// more, behind what that returns has written; nil if not.
func (b *box) next(f *flush) *flush {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.feeding[f.s] != f {
		return nil
	}
	again := f.again
	if f.again = nil; again == nil {
		b.forget(f.s)
	}
	return again
}

// stop has a session sent no more, and reports whether that leaves something to be
// sent to another.
func (b *box) stop(s *mux.Session) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.forget(s)
}

// end is told that a session is sent no more, and reports whether somebody counted on
// that it is.
func (b *box) end(f *flush) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.feeding[f.s] != f {
		return false
	}
	b.forget(f.s)
	return f.again != nil
}

// forget is stop with the lock held.
func (b *box) forget(s *mux.Session) (was bool) {
	_, was = b.feeding[s]
	if delete(b.feeding, s); len(b.feeding) == 0 {
		for seq, f := range b.flying {
			if f.gone {
				delete(b.flying, seq)
			}
		}
	}
	return was
}

// take notes that a session gets a message; false if one has it, or this one gets no
// more.
func (b *box) take(f *flush, m *Message) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, has := b.flying[m.Seq]; has || b.feeding[f.s] != f {
		return false
	}
	b.flying[m.Seq] = sent{s: f.s, size: m.size()}
	return true
}

// was notes that a session has a message since before the server was started.
func (b *box) was(seq int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.flying[seq] = sent{}
}

// back notes that a message did not arrive at a session that has ended. It may be on
// its way to another one by now.
func (b *box) back(seq int64, s *mux.Session) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f, has := b.flying[seq]
	if !has || f.gone || f.s != nil && f.s != s {
		return
	}
	delete(b.flying, seq)
	b.returned = true
}

// closed notes that a session is gone, and reports whether it leaves something to be
// sent to another.
func (b *box) closed(s *mux.Session) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	left := b.forget(s)
	for seq, f := range b.flying {
		if f.s == s && !f.gone && !b.isArrived(seq) {
			delete(b.flying, seq)
			left = true
		}
	}
	left = left || b.returned
	b.returned = false
	return left
}

func (b *box) isArrived(seq int64) bool {
	for _, a := range b.arrived {
		if a == seq {
			return true
		}
	}
	return b.leaving[seq]
}

// arrived notes that a client has a message. All that have arrived until a turn of the
// account comes round are removed together.
func (x *Extension) arrived(account mux.Address, b *box, seq int64) {
	m := x.m.Load()
	b.mu.Lock()
	b.arrived = append(b.arrived, seq)
	x.due.Add(1)
	first := m != nil && !b.removing // while the mux starts nothing is removed
	b.removing = b.removing || first
	b.mu.Unlock()
	if first {
		m.Go(account, func(_ context.Context, e *mux.Event) { x.remove(e, b) })
	}
}

// remove removes what has arrived.
func (x *Extension) remove(e *mux.Event, b *box) {
	account := e.Account
	seqs, size := b.takeArrived()
	x.due.Add(-int64(len(seqs)))
	if len(seqs) == 0 { // another Work has done it
		x.usage.forget(account)
		if b.removed(nil, nil) {
			x.remove(e, b)
			return
		}
		x.tidy(account)
		return
	}
	e.Work.Write(x.store.Remove(account, Removal{Seqs: seqs}))
	if u, known := x.usage.get(account); known && size >= 0 && u.Messages >= len(seqs) && u.Bytes >= size {
		x.usage.set(account, Usage{u.Messages - len(seqs), u.Bytes - size})
	} else {
		x.usage.forget(account)
	}
	m := e.Mux()
	e.Work.After(func(err error) {
		if err != nil {
			x.due.Add(int64(len(seqs)))
		}
		if b.removed(seqs, err) {
			m.Go(account, func(_ context.Context, e *mux.Event) { x.remove(e, b) })
			return
		}
		x.tidy(account)
	})
}

// seal has whatever is written next remove what has arrived as well: who tracks may
// write there that it is done with it, and must not be the only one after a crash.
func (x *Extension) seal(w *mux.Work) {
	if x.due.Load() == 0 {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	for account, b := range x.boxes {
		b.mu.Lock()
		seqs := b.arrived
		if !b.removing { // the mux starts, or it could not be done: that is tried again later
			seqs = nil
		} else {
			b.arrived = nil
			for _, seq := range seqs {
				if b.leaving == nil {
					b.leaving = make(map[int64]bool)
				}
				b.leaving[seq] = true
			}
		}
		b.mu.Unlock()
		if len(seqs) == 0 {
			continue
		}
		x.due.Add(-int64(len(seqs)))
		w.Write(x.store.Remove(account, Removal{Seqs: seqs}))
		w.After(func(err error) { x.sealed(account, b, seqs, err) })
	}
}

// sealed is told how that went.
func (x *Extension) sealed(account mux.Address, b *box, seqs []int64, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, seq := range seqs {
		delete(b.leaving, seq)
	}
	if err != nil {
		b.arrived = append(seqs, b.arrived...)
		x.due.Add(int64(len(seqs)))
		return
	}
	for _, seq := range seqs {
		b.gone(seq)
	}
}

// gone notes that a message is not stored any more; the lock is held. Who is being sent
// what is stored may have read it before.
func (b *box) gone(seq int64) {
	if delete(b.flying, seq); len(b.feeding) > 0 {
		b.flying[seq] = sent{gone: true}
	}
}

// takeArrived are those to be removed, and their octets, -1 if not known.
func (b *box) takeArrived() (seqs []int64, size int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	seqs, b.arrived = b.arrived, nil
	for _, seq := range seqs {
		if n := b.flying[seq].size; n == 0 {
			size = -1
		} else if size >= 0 {
			size += n
		}
	}
	return seqs, size
}

// removed notes how a removal ended, and reports whether there is more to remove. What
// could not be removed is tried again with what arrives next.
func (b *box) removed(seqs []int64, err error) (more bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err != nil {
		b.arrived = append(seqs, b.arrived...)
		b.removing = false
		return false
	}
	for _, seq := range seqs {
		b.gone(seq)
	}
	b.removing = len(b.arrived) > 0
	return b.removing
}
