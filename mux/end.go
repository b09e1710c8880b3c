package mux

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"mellium.im/xmpp/stanza"
)

// detach is what the end of a stream means for its session.
func (s *Session) detach(st *Stream, clean bool) {
	s.mu.Lock()
	if s.stream.Load() != st || !s.open() {
		s.mu.Unlock()
		return
	}
	s.stream.Store(nil)
	st.session.Store(nil)
	keep := time.Duration(0)
	for _, l := range s.m.lifecycles {
		if l.Detached == nil || clean {
			continue
		}
		s.m.protect(func() { keep = max(keep, l.Detached(s)) })
	}
	if s.tracked {
		s.dropQueue()
	}
	if keep > 0 {
		s.hibernate(keep)
	}
	s.mu.Unlock()
	s.m.Go(s.acct.addr, func(ctx context.Context, e *Event) {
		if keep > 0 {
			e.Work.Save(s)
			return
		}
		if s.Stream() == nil {
			s.m.endSession(ctx, e, s, nil)
		}
	})
}

// hibernate has the session wait for its peer; the lock is held.
func (s *Session) hibernate(keep time.Duration) {
	s.state.Store(uint32(Hibernating))
	s.until = s.m.now().Add(keep)
	s.timer = time.AfterFunc(keep, s.expire)
}

// expire ends a session whose window is over.
func (s *Session) expire() {
	s.m.Go(s.acct.addr, func(ctx context.Context, e *Event) {
		s.mu.Lock()
		over := s.State() == Hibernating && s.taking == nil && !s.m.now().Before(s.until)
		s.mu.Unlock()
		if over {
			s.m.endSession(ctx, e, s, nil)
		}
	})
}

// endSession ends a session for good, in its account's turn: nobody puts
// anything into it any more, what its peer did not get is disposed of, and then
// it is not there any more (core-im COMB-9).
func (m *Mux) endSession(ctx context.Context, e *Event, s *Session, cause error) {
	s.mu.Lock()
	if !s.open() {
		s.mu.Unlock()
		return
	}
	s.state.Store(uint32(Closing))
	if s.timer != nil {
		s.timer.Stop()
	}
	st := s.stream.Load()
	last := s.lastWords()
	left := s.leftover()
	s.mu.Unlock()

	e.acct.removeSession(s)
	m.awaitCommits(e, left)
	for i := range left {
		m.disposeWhenEnded(ctx, e, s, &left[i])
	}
	was := e.Session
	e.Session = s
	for _, l := range m.lifecycles {
		if l.Closed != nil {
			m.protect(func() { l.Closed(ctx, e) })
		}
	}
	e.Session = was
	m.sessions.remove(s.id)
	if m.opt.Sessions != nil && s.saved.Swap(false) {
		e.Work.Write(m.opt.Sessions.Delete(s.id.String()))
	}
	s.state.Store(uint32(Gone))
	s.part(e, st, last, cause)
	s.locked(func() {
		if s.gone = true; s.done != nil {
			close(s.done)
		}
	})
	m.release(s.acct)
}

// leftover is all that the session took and its peer may not have, oldest
// first; the lock is held.
func (s *Session) leftover() []Item {
	s.dropQueue()
	left := s.left
	s.left = nil
	for _, k := range s.sinks { // bound from the wire inwards: the oldest first
		if k, ok := k.(Keeper); ok {
			left = append(left, k.Unacked()...)
		}
	}
	for _, f := range s.feeds {
		left = append(left, f.waiting...)
	}
	s.feeds = nil
	return left
}

// awaitCommits waits until it is certain what the session had, as far as that is up
// to the store: then it is disposed of by the Work that has the store forget the
// session. Otherwise a crash between the two would lose it.
func (m *Mux) awaitCommits(e *Event, left []Item) {
	if m.committer == nil || !e.r.waits {
		return
	}
	waiting, done := new(atomic.Int32), make(chan struct{})
	waiting.Store(1)
	ended := func(error) {
		if waiting.Add(-1) == 0 {
			close(done)
		}
	}
	for i := range left {
		it := &left[i]
		for _, w := range it.works() {
			if w.gate(w.gen) == gateShut && w.fate(e) == fateSubmitted {
				waiting.Add(1)
				if !w.whenEnded(w.gen, ended) {
					ended(nil)
				}
			}
		}
	}
	ended(nil)
	select {
	case <-done:
	case <-m.ctx.Done(): // nothing is disposed of any more
	}
}

// workOf is a Work as an item knows it.
type workOf struct {
	*Work
	gen uint64
}

func (it *Item) works() [2]workOf { return [...]workOf{{it.Work, it.gen}, {it.also, it.alsoGen}} }

// fate says how the writes of a Work that has not ended relate to those of a turn.
type fate uint8

const (
	fateApart     fate = iota // nobody knows
	fateSubmitted             // they are before them
	fateShared                // they are made in one piece, or none of them is
)

// fate is asked in a turn of an account in which the Work's own turn has ended.
func (w *Work) fate(e *Event) fate {
	m := w.m
	m.commits.mu.Lock()
	defer m.commits.mu.Unlock()
	switch {
	case w.bundle == nil:
		return fateApart
	case w.bundle.root().gone:
		return fateSubmitted
	case e.acct.wrote != nil && e.acct.wrote.root() == w.bundle.root():
		return fateShared
	}
	return fateApart
}

// disposeWhenEnded disposes of a stanza once it is certain: one whose own Work has
// not ended may never have been, unless its writes and ours are made together.
func (m *Mux) disposeWhenEnded(ctx context.Context, e *Event, s *Session, it *Item) {
	again := func(error) {
		m.Go(s.acct.addr, func(ctx context.Context, e *Event) {
			m.checkRemoved(ctx, e)
			m.disposeWhenEnded(ctx, e, s, it)
		})
	}
	for _, w := range it.works() {
		if w.Work == e.Work || w.gate(w.gen) != gateShut {
			continue
		}
		if w.fate(e) == fateShared {
			e.Work.Write(func(context.Context, Tx) error { return nil }) // which makes it so
			continue
		}
		if w.whenEnded(w.gen, again) {
			return
		}
	}
	m.protect(func() { m.dispose(ctx, e, s, it) })
}

// checkRemoved notes whether the account was removed, in a turn behind the one that
// has ended a session of it. It may wait.
func (m *Mux) checkRemoved(ctx context.Context, e *Event) {
	ok, err := m.exists(ctx, e)
	if err != nil {
		m.log.LogAttrs(ctx, slog.LevelError, "account lookup failed", slog.String("account", e.Account.String()), slog.Any("err", err))
	}
	e.removing = err == nil && !ok
}

// dispose decides what becomes of a stanza whose session has ended (core-im
// COMB-8).
func (m *Mux) dispose(ctx context.Context, e *Event, s *Session, it *Item) {
	last := it.Record.Lost()
	if it.Work.gate(it.gen) == gateLost {
		return // it never was: its sender was not told otherwise
	}
	if it.Flags&Copy != 0 && it.Inner != nil && it.Record != nil {
		// The last copy of a message stands for the message (XEP-0198 §4,
		// smacks SM-93).
		original := *it
		original.Stanza, original.Inner, original.To, original.Flags = it.Inner, nil, Address{}, it.Flags&^Copy
		it = &original
	}
	if it.Flags&(Copy|ArchiveResult|Service) != 0 {
		return
	}
	st := it.Stanza
	switch st.kind {
	case IQ:
		if st.typ == "get" || st.typ == "set" {
			inner := m.afterEnd(e, s, it)
			inner.owe()
			m.refuse(ctx, &inner, "", errUnavailable)
		}
		return
	case Message:
	default:
		return
	}
	if !last || st.typ == "groupchat" || st.typ == "headline" || st.typ == "error" || passing(st) || st.Has(eventName) {
		return // smacks SM-90
	}
	if !m.protect(func() { m.disposeMessage(ctx, e, s, it) }) {
		inner := m.afterEnd(e, s, it)
		m.bounce(ctx, &inner, it, errInternal)
	}
}

// disposeMessage is dispose for a message that is to reach somebody.
func (m *Mux) disposeMessage(ctx context.Context, e *Event, s *Session, it *Item) {
	inner := m.afterEnd(e, s, it)
	if e.removing { // nobody may find it who has the name next
		if it.Flags&Offline == 0 {
			m.refuse(ctx, &inner, "", errUnavailable)
		}
		return
	}
	if m.dealtWith(ctx, &inner) {
		return
	}
	again := *it
	again.Flags |= Replay
	again.Origin, again.also = nil, nil
	inner.Item = &again
	if it.Flags&Offline == 0 && !s.apart.Load() {
		again.Work, again.gen = e.Work, e.Work.generation()
		again.StampDelay()
		for _, o := range chooseTop(nil, e.acct.list()) {
			if o.put(e.r, &again) {
				return
			}
		}
	}
	m.nobodyTook(ctx, &inner, stanza.Error{Type: stanza.Wait, Condition: stanza.RecipientUnavailable})
}

// afterEnd is the event of a stanza that a session had when it ended.
func (m *Mux) afterEnd(e *Event, s *Session, it *Item) Event {
	return Event{Account: e.Account, Session: s, Stanza: it.Stanza, Item: it, Work: e.Work, m: m, r: e.r, acct: e.acct, from: it.Stanza.from}
}

// dealtWith asks the Leftover handlers.
func (m *Mux) dealtWith(ctx context.Context, e *Event) bool {
	list := m.leftovers[kindIndex(e.Stanza.kind)]
	for i := range list {
		v, err := list[i].h(ctx, e)
		if err != nil {
			m.log.LogAttrs(ctx, slog.LevelError, "leftover handler failed", slog.String("extension", list[i].ext), slog.Any("err", err))
		} else if v == Done {
			return true
		}
	}
	return false
}

// ended is closed when the session is gone. Few wait for that, so that it is made for
// them; the lock is held.
func (s *Session) ended() <-chan struct{} {
	if s.done == nil {
		s.done = make(chan struct{})
		if s.gone {
			close(s.done)
		}
	}
	return s.done
}

// End waits until the session is gone.
func (s *Session) End(ctx context.Context) error {
	var ended <-chan struct{}
	s.locked(func() { ended = s.ended() })
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
