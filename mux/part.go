package mux

import (
	"context"
	"math"
)

// endSessions ends all sessions of the account of the turn but one, and the
// streams that are about to get one.
func (e *Event) endSessions(ctx context.Context, but *Session, cause error) {
	for _, s := range e.Sessions() {
		if s != but {
			e.m.endSession(ctx, e, s, cause)
		}
	}
	e.EndLogins(cause)
}

// lastWords are the answers that a session which ends still owes its peer, such
// as the result of the request that ends it (XEP-0077 §3.2); the lock is held.
func (s *Session) lastWords() []Item {
	var last []Item
	note := func(items []Item) {
		for i := range items {
			if it := &items[i]; it.Flags&Service != 0 && it.Stanza.kind == IQ && it.gate() != gateLost {
				last = append(last, *it)
			}
		}
	}
	note(s.q.items[s.q.head:])
	for _, f := range s.feeds {
		note(f.waiting)
	}
	return last
}

// part has the stream of a session that has ended go: at once, or when its last
// words are durable and written.
func (s *Session) part(e *Event, st *Stream, last []Item, cause error) {
	if st != nil {
		st.mu.Lock()
		st.parting = s
		st.mu.Unlock()
		st.session.Store(nil)
	}
	s.mu.Lock()
	if st == nil || st.isClosed() || len(last) == 0 && !s.flushing {
		s.stream.Store(nil)
		s.mu.Unlock()
		if st != nil {
			st.Close(cause)
		}
		return
	}
	s.q.reset() // it was emptied
	for i := range last {
		_ = s.q.push(&last[i], math.MaxInt, false) // without a limit it takes all
	}
	s.bye = func() { st.Close(cause) }
	s.mu.Unlock()
	if s.m.committer == nil {
		e.r.touch(s)
	} else {
		e.Work.touch(s)
	}
}

// parted returns what is to be done once the last words are written; nil as long
// as they are not. The lock is held.
func (s *Session) parted() func() {
	bye := s.bye
	if bye == nil || s.q.len() > 0 {
		return nil
	}
	s.bye = nil
	s.stream.Store(nil)
	return bye
}

// hasEnded reports whether the stream is closed. If its session has ended and its
// last words are still to be written it waits for that: what else the peer says is
// nobody's.
func (st *Stream) hasEnded() bool {
	st.mu.Lock()
	parting := st.frozen || st.parting != nil
	st.mu.Unlock()
	if parting {
		return st.acquire(0) != nil
	}
	return st.isClosed()
}
