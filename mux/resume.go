package mux

import (
	"context"
	"errors"
	"iter"
	"log/slog"
)

// Resume hands the stream to a session that exists, live or hibernating, in
// place of binding (kernel rule 6). The order is: win the session, check under
// its lock, freeze the reader of its old stream, wait for what that has in
// progress, write the reply, replay, ask for an acknowledgement. A refusal
// changes nothing. It waits, and must not be called in a turn. Errors are
// [ErrNoSession], [ErrBusy], [ErrClosed] and whatever Check returned.
func (st *Stream) Resume(ctx context.Context, q *Resumption) (*Session, error) {
	m := st.m
	s := m.sessions.get(q.ID)
	if s == nil {
		return nil, ErrNoSession
	}
	if err := s.win(st, q); err != nil {
		return nil, err
	}
	old := s.Stream()
	if old != nil && !old.freeze(m.opt.TakeOverTimeout) {
		s.lose(old)
		return nil, ErrBusy
	}
	if !s.settled(ctx) {
		s.lose(old)
		return nil, ErrBusy
	}
	w := m.newWork()
	if err := s.take(st, q, w); err != nil {
		r := m.newRunner()
		w.turnEnded(r)
		r.touch(s) // last words, if the session has ended meanwhile
		r.end()
		if errors.Is(err, ErrClosed) {
			s.lose(old)
		}
		return nil, err
	}
	if old != nil {
		old.session.CompareAndSwap(s, nil)
		old.Close(errConflicting)
	}
	s.flushNow() // up to the reply, if that has to wait
	m.goIn(w, s.acct.addr, func(_ context.Context, e *Event) { e.Work.Save(s) })
	if st.hasGone() {
		s.detach(st, false)
	}
	return s, nil
}

// win makes st the one that may take the session over.
func (s *Session) win(st *Stream, q *Resumption) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case !s.open(), s.taking != nil:
		return ErrNoSession
	case st.isClosed():
		return ErrClosed
	case s.Stream() == st:
		return ErrNoSession
	}
	if q.Check != nil {
		if err := q.Check(s); err != nil {
			return err
		}
	}
	s.taking = st
	return nil
}

// lose gives the session back to the stream it had.
func (s *Session) lose(old *Stream) {
	if old != nil {
		old.thaw()
	}
	s.mu.Lock()
	s.taking = nil
	over := s.State() == Hibernating && !s.m.now().Before(s.until)
	s.mu.Unlock()
	if over {
		s.expire()
	}
	s.flushNow() // what came while nobody was to be written to
}

// settled waits until all that the session received is finished.
func (s *Session) settled(ctx context.Context) bool {
	if s.count.idle() {
		return true
	}
	done := make(chan struct{})
	s.OnHandled(s.Received(), func() { close(done) })
	ctx, cancel := context.WithTimeout(ctx, s.m.opt.TakeOverTimeout)
	defer cancel()
	select {
	case <-done:
		return true
	case <-ctx.Done():
		return false
	}
}

// take is the take-over itself, under the session's lock. The reply, and with it
// all that follows, waits for w, which saves the session as it is from now on: a
// crash must not know less of what was sent than the peer.
func (s *Session) take(st *Stream, q *Resumption, w *Work) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taking = nil
	if !s.open() || s.m.stopping.Load() {
		return ErrNoSession
	}
	if st.isClosed() {
		return ErrClosed // what it has proved was taken back meanwhile, see BeginLogin
	}
	if s.timer != nil {
		s.timer.Stop()
		s.timer = nil
	}
	// What nobody tracked goes behind the replay.
	var queued []Item
	if s.tracked {
		s.dropQueue()
		queued, s.left = s.left, nil
	} else {
		queued = s.q.all()
	}
	s.state.Store(uint32(Live))
	s.stream.Store(st)
	st.session.Store(s)
	st.SetState(Bound)
	s.replaying, s.gap, s.over = true, false, false
	if q.Reply != nil {
		s.m.protect(func() { s.reply(q, w) })
	}
	s.m.protect(s.replay)
	next := s.Wire()
	if s.tracked {
		next = s.out
	}
	for i := range queued {
		s.m.protect(func() { s.logPut(next.Put(&queued[i])) })
	}
	s.replaying = false
	for _, l := range s.m.lifecycles {
		if l.Attached != nil {
			s.m.protect(func() { l.Attached(s) })
		}
	}
	s.signalLow()
	return nil
}

func (s *Session) reply(q *Resumption, w *Work) {
	c, err := NewChild(q.Reply(s))
	if err != nil {
		s.m.log.LogAttrs(s.m.ctx, slog.LevelError, "reply cannot be written", slog.Any("err", err))
		return
	}
	el, err := c.Element()
	if err != nil {
		return
	}
	it := &Item{Stanza: el, Flags: Service}
	if s.m.committer != nil {
		it.Work, it.gen = w, w.generation()
		w.touch(s)
	}
	s.logPut(s.Wire().Put(it))
}

// replay goes through the sinks from the wire inwards: what was sent before is
// sent again first, then what was held back if it is due.
func (s *Session) replay() {
	for _, k := range s.sinks {
		if k, ok := k.(Replayer); ok {
			s.logPut(k.Replay())
		}
	}
	for _, k := range s.sinks {
		if k, ok := k.(Drainer); ok {
			s.logPut(k.Drain())
		}
	}
	for _, k := range s.sinks {
		if k, ok := k.(Asker); ok {
			k.Ask()
		}
	}
}

func (s *Session) logPut(err error) {
	if err != nil {
		s.m.log.LogAttrs(s.m.ctx, slog.LevelError, "replay failed", slog.String("account", s.Account().String()), slog.Any("err", err))
	}
}

// AllSessions are all sessions, kept ones included, in no order; those that come or go meanwhile may be
// among them.
func (m *Mux) AllSessions() iter.Seq[*Session] {
	return func(yield func(*Session) bool) {
		for _, s := range m.sessions.all() {
			if !yield(s) {
				return
			}
		}
	}
}

// SessionByID is the session of that name, nil if there is none.
func (m *Mux) SessionByID(id SessionID) *Session { return m.sessions.get(id) }
