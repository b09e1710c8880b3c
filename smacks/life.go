package smacks

import (
	"context"
	"time"

	"github.com/propolis-im/propolis/mux"
)

// attached: there is a connection, a first or another one. Under the lock.
func (x *Extension) attached(s *mux.Session) {
	st := x.key.Of(s)
	s.SetTracked(st.phase == on)
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
			s.OnHandled(n, func() { x.past.handled(s.ID(), n-st.base) }) // what is in progress, when it is finished
		}
	}
	if kept {
		e.Work.Write(x.store.End(st.id, last))
	}
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
