package smacks

import (
	"context"
	"time"

	"github.com/propolis-im/propolis/mux"
)

// attached: there is a connection, a first or another one. Under the lock.
func (x *Extension) attached(s *mux.Session) {
	st := x.key.Of(s)
	st.live = st.phase == on
	if x.waiting.leave(st) {
		x.notify(s, Notice{Kind: NoticeResumed})
	}
}

// detached says how long the client is waited for (XEP-0198 §7). Under the lock.
func (x *Extension) detached(s *mux.Session) time.Duration {
	st := x.key.Of(s)
	st.disarm()
	st.asked, st.live = false, false
	if st.phase != on || !st.resume || st.dead {
		return 0
	}
	if x.store == nil && s.Stream() != nil {
		return 0 // the process ends, and what it keeps with it
	}
	if !x.waiting.enter(x, st) {
		x.stats.crowded.Add(1)
		return 0
	}
	x.notify(s, Notice{Kind: NoticeWaits, Stanzas: st.queue.stanzas()})
	if st.waits = time.Now(); x.m != nil && s.Stream() == nil { // else all wait, for the server
		s.Mux().Go(s.Account(), x.makeRoom)
	}
	return st.window
}

// window is how long a client is waited for that asked for so many seconds (smacks
// SM-13).
func (x *Extension) window(asked int) time.Duration {
	if d := time.Duration(asked) * time.Second; d > 0 {
		return min(d, x.opt.Window)
	}
	return x.opt.Window
}

// makeRoom ends the session that has waited longest when too many wait (smacks
// SM-50).
func (x *Extension) makeRoom(ctx context.Context, e *mux.Event) {
	for {
		n, oldest := 0, (*mux.Session)(nil)
		var since time.Time
		for _, s := range e.Sessions() {
			if s.State() != mux.Hibernating {
				continue
			}
			n++
			s.Sync(func() {
				if w := x.key.Of(s).waits; oldest == nil || w.Before(since) {
					oldest, since = s, w
				}
			})
		}
		if n <= x.opt.MaxWaiting {
			return
		}
		x.stats.crowded.Add(1)
		e.EndSession(ctx, oldest, nil)
	}
}

// closed: the session has ended; what is known of it is told for a while to a
// client that comes too late (smacks SM-67).
func (x *Extension) closed(_ context.Context, e *mux.Event) {
	s := e.Session
	var last *Last
	st, kept := x.key.Of(s), false
	s.Sync(func() {
		st.disarm()
		if x.waiting.leave(st) {
			x.notify(s, Notice{Kind: NoticeEnded})
		}
		kept = st.durable.Load()
		if st.phase == on && st.resume {
			last = &Last{Account: s.Account(), Secret: st.secret, H: st.h(s.Handled()), Until: s.Mux().Wall().Add(remembered)}
		}
	})
	if last != nil {
		dropped := x.past.add(s.ID(), *last)
		x.forget(e, dropped)
		if n := st.begins.Load(); int32(n-s.Handled()) > 0 && int32(n-st.base) > 0 {
			s.OnHandled(n, func() { x.finished(s, n-st.base, kept) }) // what is in progress, when it is finished
		}
	}
	if kept {
		if n, ok := st.promised(s.Handled()); ok && last != nil {
			last.H = n - st.base // the past has a copy, where it still counts what is finished
		}
		e.Work.Write(x.store.End(st.id, last))
	}
}

// promised is up to which of the client's stanzas it is noted that they are handled, if
// that is more than are: those notes are committed before what a turn from now on writes,
// or with it, see handles.
func (st *state) promised(handled uint32) (n uint32, ok bool) {
	m := marks(st.notes.Load())
	n = m.last()
	return n, m != 0 && after(n, handled) && int32(n-st.base) > 0
}

// finished: more of a session that has ended is handled than was then; kept is whether the
// store is to know.
func (x *Extension) finished(s *mux.Session, h uint32, kept bool) {
	if !x.past.handled(s.ID(), h) || !kept {
		return
	}
	s.Mux().Go(s.Account(), func(_ context.Context, e *mux.Event) {
		if last, ok := x.past.word(s.ID()); ok {
			e.Work.Write(x.store.End(s.ID().String(), &last))
		}
	})
}

// now is the time on the wall.
func (x *Extension) now() time.Time {
	if x.m == nil {
		return time.Now()
	}
	return x.m.Wall()
}

// forget has the store forget sessions.
func (x *Extension) forget(e *mux.Event, ids []mux.SessionID) {
	if x.store == nil {
		return
	}
	for _, id := range ids {
		e.Work.Write(x.store.End(id.String(), nil))
	}
}

// removed: of an account that was removed nothing is kept.
func (x *Extension) removed(_ context.Context, e *mux.Event, _ mux.AccountRemoved) error {
	x.forget(e, x.past.forgetAccount(e.Account))
	return nil
}

// parting: the client ends its stream, and all that it sent is finished; it is told
// so (smacks SM-37). Under the lock.
func (x *Extension) parting(s *mux.Session) {
	if st := x.key.Of(s); st.phase == on {
		x.tell(s, st)
	}
}
