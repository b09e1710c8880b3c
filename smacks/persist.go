package smacks

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/propolis-im/propolis/mux"
)

// handles has the store know that a stanza of the client is handled, together with
// what that leads to (smacks SM-28): the turns of a session's stanzas are in order,
// and so are the writes made in them. Stanzas that lead to nothing lasting need no
// note of their own: they count with the next, and may be handled again after a crash as
// long as the client was not told that they are, see tell.
func (x *Extension) handles(_ context.Context, e *mux.Event) (mux.Verdict, error) {
	s, n := e.Work.Origin() // what passes here began with a session's stanza
	st := x.key.Of(s)
	st.begins.Store(n)
	if st.follows.Load() && lasting(e.Stanza) {
		st.notes.Store(uint64(marks(st.notes.Load()).with(n)))
		e.Work.Write(x.store.Note(st.id, Counters{Handled: n, Acked: st.noted.Load()}))
	}
	return mux.Pass, nil
}

// lasting reports whether what a stanza leads to must not happen twice.
func lasting(s *mux.Stanza) bool {
	switch s.Kind() {
	case mux.IQ:
		return s.Type() == "set"
	case mux.Presence:
		return s.Type() != "probe" && s.Type() != "error"
	}
	return true
}

// remembers reports whether a session that goes on after a crash will know that so many
// of the client's stanzas are handled; the lock is held.
func (st *state) remembers(handled uint32) bool {
	switch {
	case !st.follows.Load(), st.h(handled) == 0, marks(st.notes.Load()).has(handled):
		return true
	}
	return !after(handled, st.covered)
}

// remember has the store know what is handled, and tells the client then: a counter that
// went back after a crash would have it send again what has arrived, or give the session
// up (XEP-0198 §5; smacks SM-96). The lock is held.
func (x *Extension) remember(s *mux.Session, st *state) {
	if st.remembering {
		return
	}
	st.remembering = true
	s.Mux().Go(s.Account(), func(_ context.Context, e *mux.Event) {
		s.Sync(func() { x.noteHandled(e.Work, s, st) })
	})
}

// noteHandled has the store know what is handled now, unless the session is over.
func (x *Extension) noteHandled(w *mux.Work, s *mux.Session, st *state) {
	if s.State() > mux.Hibernating {
		return
	}
	handled := s.Handled()
	w.Write(x.store.Note(st.id, Counters{Handled: handled, Acked: st.noted.Load()}))
	w.After(func(err error) {
		s.Sync(func() {
			st.remembering = false
			if err == nil {
				x.remembered(s, st, handled)
			}
		})
	})
}

// remembered gives the answers that have waited. One that is to say more waits on.
func (x *Extension) remembered(s *mux.Session, st *state, handled uint32) {
	st.covered = handled
	rest := 0
	if st.late > 0 && after(st.owed, handled) {
		rest = 1
	}
	for ; st.late > rest; st.late-- {
		x.acknowledge(s, st, handled)
	}
	if rest > 0 {
		x.remember(s, st)
	}
}

// noteLater has the store know soon what is acknowledged: with the next stanza that
// is kept, or by itself; the lock is held.
func (x *Extension) noteLater(s *mux.Session, st *state) {
	if !st.follows.Load() {
		return
	}
	st.noteDue = true
	if st.noting {
		return
	}
	st.noting = true
	time.AfterFunc(x.opt.NoteWithin, func() {
		due := false
		s.Sync(func() { st.noting, due = false, st.noteDue })
		if due { // it did not go with a stanza meanwhile
			s.Mux().Go(s.Account(), func(_ context.Context, e *mux.Event) { x.note(e.Work, s, st) })
		}
	})
}

// note has the store know what is acknowledged.
func (x *Extension) note(w *mux.Work, s *mux.Session, st *state) {
	s.Sync(func() {
		if !st.noteDue || s.State() > mux.Hibernating {
			return
		}
		st.noteDue = false
		w.Write(x.store.Note(st.id, st.counters(s)))
		if tags := x.arrivals.take(); len(tags) > 0 {
			w.Write(x.store.Arrived(tags))
		}
	})
}

// saving has the store know all that it was not told in time, before the session is
// saved; under the lock.
func (x *Extension) saving(s *mux.Session, w *mux.Work) {
	st := x.key.Of(s)
	if !st.durable.Load() || st.phase != on {
		return
	}
	if st.unsaved {
		st.unsaved = false
		x.saveEntries(st, w)
	}
	st.noteDue = false
	w.Write(x.store.Note(st.id, st.counters(s)))
	if tags := x.arrivals.take(); len(tags) > 0 {
		w.Write(x.store.Arrived(tags))
	}
}

// saveEntries writes the entries that have no place in the store yet, or an old
// number in it. Rows are in the order of entries, so all behind one without a place
// get new ones.
func (x *Extension) saveEntries(st *state, w *mux.Work) {
	q := &st.queue
	moved := false
	for i, e := range q.all() {
		moved = moved || !e.placed()
		if !moved && !e.stale {
			continue
		}
		kept := saved(&e.item)
		kept.Row, kept.Number, kept.Sent = e.row, q.acked+uint32(i)+1, true
		if moved {
			st.lastRow++
			kept.Row, kept.Old = st.lastRow, e.row
		}
		if st.floating {
			kept.Number, kept.Sent = e.number, e.sent
		}
		e.row, e.stale = kept.Row, false
		w.Write(x.store.Append(st.id, kept))
	}
}

// restore gives the sessions that the mux has restored what they had.
func (x *Extension) restore(ctx context.Context, m *mux.Mux) error {
	all, err := x.store.Load(ctx, m.Wall())
	if err != nil {
		return fmt.Errorf("smacks: %w", err)
	}
	var orphans []string
	filled := make(map[*mux.Session]bool)
	for _, saved := range all {
		id, ok := mux.ParseSessionID(saved.Session)
		switch s := m.SessionByID(id); {
		case saved.Last != nil && ok:
			x.past.add(id, *saved.Last)
		case ok && s != nil:
			x.refill(m, s, saved)
			filled[s] = true
		default:
			orphans = append(orphans, saved.Session)
		}
	}
	x.endOthers(m, filled)
	for _, id := range orphans {
		// Its session is not there, so neither is its account.
		if err := m.Do(ctx, anywhere, func(_ context.Context, e *mux.Event) { e.Work.Write(x.store.End(id, nil)) }); err != nil {
			return fmt.Errorf("smacks: %w", err)
		}
	}
	return nil
}

// endOthers ends sessions that were restored without what they had: nobody can go
// on with them.
func (x *Extension) endOthers(m *mux.Mux, filled map[*mux.Session]bool) {
	for s := range m.AllSessions() {
		on := false
		s.Sync(func() {
			st := x.key.Of(s)
			on = st.phase != off && !filled[s]
			st.dead = st.dead || on
		})
		if on {
			x.opt.Logger.LogAttrs(context.Background(), slog.LevelError, "smacks: session was saved without its queue", slog.String("account", s.Account().String()))
			s.Close(nil)
		}
	}
}

// anywhere is an address for turns that are about no account.
var anywhere = mux.MustParseAddress("smacks.invalid")

// refill fills the window of a restored session.
func (x *Extension) refill(m *mux.Mux, s *mux.Session, saved Saved) {
	handled := saved.Counters.Handled
	s.Sync(func() {
		st := x.key.Of(s)
		if st.phase != on {
			return
		}
		if !st.begun && int32(handled-st.base) < 0 {
			handled = st.base // what came before it was enabled is not the client's affair any more
		}
		st.queue.acked, st.queue.through = saved.Counters.Acked, saved.Counters.Through
		st.noted.Store(saved.Counters.Acked)
		st.covered = handled
		st.lastRow = saved.Counters.Through
		st.stored(x, s)
		for _, e := range saved.Entries {
			if e.Row < waiting {
				st.lastRow = max(st.lastRow, e.Row)
			} else {
				st.lastWait, st.unsaved = max(st.lastWait, e.Row-waiting), true
			}
			it, err := m.RestoreItem(e.Item)
			if err != nil {
				x.opt.Logger.LogAttrs(context.Background(), slog.LevelError, "smacks: kept stanza cannot be read",
					slog.String("account", s.Account().String()), slog.Any("err", err))
				continue
			}
			if it.Record != nil {
				if e.Arrived {
					it.Record.MarkArrived()
				}
				x.arrivals.watch(x, it.Record)
			}
			if e.Sent && e.Row < waiting && !after(e.Number, saved.Counters.Acked) {
				// That it was acknowledged was noted with a stanza of the client,
				// and nothing about rows was.
				it.Record.Arrived()
				st.queue.through, st.noteDue = max(st.queue.through, e.Row), true
				continue
			}
			kept := st.queue.push(&it)
			kept.row, kept.number, kept.sent = e.Row, e.Number, e.Sent
		}
		x.waiting.leave(st) // without what it keeps
		x.waiting.count(st)
	})
	s.RestoreHandled(handled)
	x.stats.restored.Add(1)
}
