package mux

import "context"

// Attach gives a client's mux its one session: the account that this program is
// logged in as, over a stream of role Upstream. full is the full JID the server
// has bound. It waits for the account's turn.
func (st *Stream) Attach(ctx context.Context, full Address) (*Session, error) {
	if st.role != Upstream || full.IsBare() {
		return nil, ErrNoSession
	}
	st.SetAccount(full.Bare())
	var s *Session
	var bindErr error
	err := st.m.Do(ctx, full.Bare(), func(ctx context.Context, e *Event) {
		s, bindErr = st.m.bind(ctx, e, st, full, &BindOptions{})
	})
	if err == nil {
		err = bindErr
	}
	return s, err
}

// fromServer is the turn of what the server says to a client: FromPeer means
// from the server here, requests are answered by those registered for AtSelf or
// AtHost, and what is sent goes to the server whatever its address.
func (m *Mux) fromServer(ctx context.Context, e *Event) {
	e.from = e.Stanza.from
	e.owe()
	s := e.Stanza
	if s.kind == IQ && e.reply != replyOwed && m.matchServer(ctx, e) {
		return
	}
	if !m.pass(ctx, e, FromPeer) {
		return
	}
	if e.reply == replyOwed {
		at := AtSelf
		if m.findIQ(at, e.Stanza) == nil {
			at = AtHost // what a server answers for itself, a client answers too
		}
		m.answerIQ(ctx, e, at)
	}
	m.observe(ctx, e, FromPeer)
}

// matchServer gives an answer to whoever asked, if that was us. The peer must be
// the one that was asked; for a request without an address, or to the own account,
// that is the server, in whose name it likes (RFC 6120 §8.1.2.1, §10.3.3).
func (m *Mux) matchServer(ctx context.Context, e *Event) bool {
	s := e.Stanza
	k := queryKey{s.to.Bare(), s.from, s.id}
	if s.to.IsZero() {
		k.ours = e.Account
	}
	q := m.takeQuery(k)
	if q == nil && s.from.Bare() == e.Account {
		k.peer = e.Account
		q = m.takeQuery(k)
	}
	if q == nil && (s.from.Bare() == e.Account || s.from.String() == e.Account.Domain()) {
		k.peer = Address{}
		q = m.takeQuery(k)
	}
	if q == nil {
		return false
	}
	q.f(ctx, e, s, nil)
	return true
}
