package mux

import (
	"context"
	"crypto/rand"
	"encoding/xml"

	"mellium.im/xmlstream"
)

// BindOptions say how to bind.
type BindOptions struct {
	// Resource is the resource asked for, prepared or not; empty for one that the
	// server makes up.
	Resource string
	// Inline are the elements in Bind 2's bind, stepped in order of registration.
	Inline []Child
	// Bind2 says that Bind 2 asks for the session, also if Inline is empty.
	Bind2 bool
	// KeepOld refuses a resource that is in use with [ErrConflict] in place of
	// ending the session that has it.
	KeepOld bool
	// Replace says which other sessions of the account are ended first, as one with
	// the resource is, such as earlier ones of the same installation (XEP-0386
	// §3.2). It runs in the turn that binds; nil for none.
	Replace func(s *Session) bool
	// InlineReply is set to what the inline members answer.
	InlineReply []xmlstream.Marshaler
	// Kept runs in the turn that bound, with the session in the event; nil for
	// nothing.
	Kept func(ctx context.Context, e *Event)
}

// Bind makes a session for the account that the stream has authenticated (RFC
// 6120 §7) and attaches the stream. An old session with the resource is ended
// first, its end being complete when Bind returns (core-im LC-12). It waits for
// the account's turn, so it must not be called in one. Errors are [ErrLimit],
// [ErrConflict], [ErrClosed] and a malformed resource.
func (st *Stream) Bind(ctx context.Context, o *BindOptions) (*Session, error) {
	account := st.Account()
	if o == nil {
		o = &BindOptions{}
	}
	full, err := resourceOf(account, o.Resource)
	if err != nil {
		return nil, err
	}
	var s *Session
	var bindErr error = errServer // if a handler panics
	err = st.m.Do(ctx, account, func(ctx context.Context, e *Event) {
		var err error
		s, err = st.m.bind(ctx, e, st, full, o)
		bindErr = err
	})
	if err == nil {
		err = bindErr
	}
	if err != nil {
		return nil, err
	}
	return s, nil
}

// resourceOf is the full JID to bind. Made-up resources have 130 bits.
func resourceOf(account Address, resource string) (Address, error) {
	if account.IsZero() {
		return Address{}, ErrClosed
	}
	if resource == "" {
		resource = rand.Text()
	}
	return account.WithResource(resource)
}

// bind is the turn of Bind.
func (m *Mux) bind(ctx context.Context, e *Event, st *Stream, full Address, o *BindOptions) (*Session, error) {
	if st.isClosed() || m.stopping.Load() {
		return nil, ErrClosed
	}
	if old := e.acct.find(full); old != nil {
		if o.KeepOld {
			return nil, ErrConflict
		}
		m.displace(ctx, e, old)
	}
	if o.Replace != nil {
		for _, old := range e.acct.list() {
			if old.open() && o.Replace(old) {
				m.displace(ctx, e, old)
			}
		}
	}
	if len(e.acct.list()) >= m.opt.MaxSessions {
		return nil, ErrLimit
	}
	s := m.newSession(newSessionID(), full.clone(), e.acct)
	if !m.protect(s.chain) {
		m.release(s.acct)
		return nil, errServer
	}
	e.Session = s
	e.acct.addSession(s)
	m.sessions.put(s.id, s)
	if !m.protect(func() { m.begin(ctx, e, s, st, o) }) {
		m.endSession(ctx, e, s, errServer)
		return nil, errServer
	}
	return s, nil
}

// displace ends a session for one that is being bound, and tells its client why, also
// one that resumes it in this instant.
func (m *Mux) displace(ctx context.Context, e *Event, old *Session) {
	if st := old.Stream(); st != nil {
		st.Close(errConflicting)
	}
	m.endSession(ctx, e, old, errConflicting)
}

// begin is what a bound session begins with.
func (m *Mux) begin(ctx context.Context, e *Event, s *Session, st *Stream, o *BindOptions) {
	for _, l := range m.lifecycles {
		if l.Bound != nil {
			l.Bound(ctx, e)
		}
	}
	m.attach(s, st)
	if st.hasGone() {
		s.detach(st, false)
	}
	e.r.touch(s)
	step := &InlineEvent{} // for one after another
	for i := range m.inlines {
		in := &m.inlines[i]
		if in.At != InBind {
			continue
		}
		if in.Name == (xml.Name{}) && (o.Bind2 || len(o.Inline) > 0) {
			*step = InlineEvent{Stream: st, Account: e.Account, Session: s, Event: e}
			in.stepBound(ctx, step, o)
		}
		for j := range o.Inline {
			if c := &o.Inline[j]; c.Name == in.Name {
				*step = InlineEvent{Stream: st, Account: e.Account, Session: s, Element: *c, Event: e}
				in.stepBound(ctx, step, o)
			}
		}
	}
	if o.Kept != nil {
		o.Kept(ctx, e)
	}
}

// stepBound steps an inline member in the turn that binds.
func (in *Inline) stepBound(ctx context.Context, e *InlineEvent, o *BindOptions) {
	reply, err := in.Step(ctx, e)
	if err == nil && reply != nil {
		o.InlineReply = append(o.InlineReply, reply)
	}
}

// newSession makes a session with its slots, in state Live.
func (m *Mux) newSession(id SessionID, full Address, a *account) *Session {
	s := &Session{id: id, jid: full, m: m, acct: a, created: m.now()}
	m.retain(a)
	s.slots = make([]any, len(m.slots))
	for i, sl := range m.slots {
		s.slots[i] = sl.make()
	}
	return s
}

// chain builds the sinks: outbound router → Hold → Track → wire, inbound wire →
// Track → Hold → points.
func (s *Session) chain() {
	m := s.m
	var out Sink = s.Wire()
	for l := int(layers) - 1; l >= 0; l-- {
		for i := len(m.outbound[l]) - 1; i >= 0; i-- {
			next := m.outbound[l][i].bind(s, out)
			if next != out {
				s.sinks = append(s.sinks, next)
				if Layer(l) == Track && tracks(next) {
					s.tracked = true
				}
			}
			out = next
		}
	}
	s.out = out
	in := Sink(pointsSink{})
	for l := 0; l < int(layers); l++ {
		for i := len(m.inbound[l]) - 1; i >= 0; i-- {
			in = m.inbound[l][i].bind(s, in)
		}
	}
	if in != Sink(pointsSink{}) {
		s.in = in
	}
}

// tracks reports whether a sink answers for what passes it.
func tracks(k Sink) bool {
	if t, ok := k.(Tracker); ok {
		return t.Tracks()
	}
	_, keeps := k.(Keeper)
	return keeps
}

// SetTracked says whether a sink of layer Track answers for what is sent, which
// is so from the start if there is one with Unacked, unless it is a [Tracker]. For
// sinks that begin to, or do not; in Sync or a sink.
func (s *Session) SetTracked(on bool) { s.tracked = on }

// pointsSink is the end of the inbound chain.
type pointsSink struct{}

func (pointsSink) Put(*Item) error { return nil }

// attach gives the session its stream.
func (m *Mux) attach(s *Session, st *Stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stream.Store(st)
	st.session.Store(s)
	st.SetState(Bound)
	for _, l := range m.lifecycles {
		if l.Attached != nil {
			l.Attached(s)
		}
	}
	s.signalLow()
}
