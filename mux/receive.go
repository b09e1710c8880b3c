package mux

import (
	"context"
	"encoding/xml"
	"errors"
	"log/slog"

	"mellium.im/xmpp/stream"
)

// Receive takes one stanza or nonza from the peer, which it owns from then on,
// and returns when it is accepted: what it leads to has then happened or is
// queued. It waits while the stream has too much in progress, and while its
// session is being taken over. An error ends the reader's work: [ErrClosed], or a
// [stream.Error] for which the stream was closed already.
func (st *Stream) Receive(ctx context.Context, s *Stanza) error {
	switch st.role {
	case Client:
		return st.fromClient(ctx, s)
	case Upstream:
		return st.fromUpstream(ctx, s)
	}
	return st.fromDomain(ctx, s)
}

// Flush writes what the stanzas received since the last Flush have led to. The
// reader calls it when its input is used up, before it waits for more.
func (st *Stream) Flush() {
	r := st.run
	if r == nil {
		return
	}
	st.run = nil
	r.end()
}

// runner is the reader's runner, which lives as long as there is input, so that
// an idle stream keeps none.
func (st *Stream) runner() *runner {
	if st.run == nil {
		st.run = st.m.newRunner()
	}
	return st.run
}

// fail ends the stream with a stream error.
func (st *Stream) fail(e stream.Error) error {
	st.Flush()
	st.Close(e)
	return e
}

func (st *Stream) fromClient(ctx context.Context, s *Stanza) error {
	sess := st.session.Load()
	if sess == nil {
		if st.hasEnded() {
			return ErrClosed
		}
		return st.fail(stream.Error{Err: "not-authorized"}) // core-im LC-5
	}
	if s.kind == Nonza {
		return st.nonza(ctx, sess, s)
	}
	// core-im CORE-2: stamped, whatever the client wrote, and refused if that is
	// somebody else.
	if s.badFrom != "" || !s.from.IsZero() && s.from != sess.jid && s.from != sess.acct.addr {
		return st.fail(errInvalidFrom)
	}
	s.from = sess.jid
	if s.lang == "" {
		s.lang = st.lang // set before there is a session
	}
	return st.accept(s, sess)
}

// accept takes a stanza into a Work of its own. What is under it on the stack while
// turns run is little, so that the stack of a reader stays as small as it is idle.
func (st *Stream) accept(s *Stanza, sess *Session) error {
	at := st.m.now()
	if err := st.acquire(s.size); err != nil {
		return err
	}
	m := st.m
	w := m.newWork()
	w.stream, w.size = st, s.size
	if sess != nil {
		w.sess, w.seq = sess, sess.count.next()
	} else if st.far != nil {
		w.seq = st.far.count.next()
	}
	r := st.runner()
	it := &r.item
	*it = Item{} // not all at once, which would be on the stack first
	it.Stanza, it.Origin, it.At, it.Record = s, st, at, s.rec
	it.Work, it.gen = w, w.generation()
	if sess != nil && sess.in != nil {
		if err := st.protected(func() error { return sess.in.Put(it) }); err != nil {
			m.log.LogAttrs(m.ctx, slog.LevelWarn, "inbound sink failed", slog.Any("err", err))
			w.turnEnded(r)
			return st.fail(errServer)
		}
	}
	if bad := malformed(s); bad != nil || sess == nil {
		st.atOnce(r, w, s, sess, bad)
		w.turnEnded(r)
		r.run()
		return nil
	}
	t := newTask(peerTask, w)
	t.item, t.sess = *it, sess
	m.retain(sess.acct)
	r.submit(sess.acct, t)
	r.run()
	return nil
}

// atOnce deals with a stanza, the runner's item, in nobody's turn: it goes back if
// something is wrong with it, or straight to the recipient's turns, in order of arrival.
func (st *Stream) atOnce(r *runner, w *Work, s *Stanza, sess *Session, bad error) {
	m, e := st.m, &r.ev
	*e = Event{Account: s.from.Bare(), Work: w, m: m, r: r}
	if sess != nil {
		e.acct, e.from = sess.acct, sess.jid
	}
	if bad != nil {
		m.bounce(m.ctx, e, &r.item, bad)
	} else {
		e.from = s.from
		m.route(m.ctx, e, &r.item)
	}
	*e = Event{}
}

// malformed is why a stanza cannot be processed, nil if it can (RFC 6120
// §8.2.3, §8.3.3.8; RFC 6121 §4.7.1).
func malformed(s *Stanza) error {
	switch {
	case s.badTo != "":
		return errMalformed
	case s.kind == IQ && badIQ(s):
		return errBadRequest
	case s.kind == Presence && !presenceType(s.typ):
		return errBadRequest
	}
	return nil
}

func presenceType(t string) bool {
	switch t {
	case "", "unavailable", "subscribe", "subscribed", "unsubscribe", "unsubscribed", "probe", "error":
		return true
	}
	return false
}

func (st *Stream) nonza(ctx context.Context, sess *Session, s *Stanza) error {
	x := st.m.nonzas[s.name]
	if x == nil {
		x = st.m.nonzas[xml.Name{Space: s.name.Space}]
	}
	if x == nil {
		return st.fail(st.m.misplaced(s.name))
	}
	if st.isClosed() {
		return ErrClosed
	}
	r := st.runner()
	r.item = Item{Stanza: s, Origin: st}
	e := &r.ev
	*e = Event{Account: sess.acct.addr, Session: sess, Stanza: s, m: st.m, r: r, Item: &r.item}
	err := st.protected(func() error {
		_, err := x.h(ctx, e)
		return err
	})
	*e = Event{}
	r.run()
	r.touch(sess)
	return st.outcome(ctx, x.ext, err)
}

// outcome is what the error of an extension's handler means for the stream: it ends
// with a stream error, and with internal-server-error for any other.
func (st *Stream) outcome(ctx context.Context, extension string, err error) error {
	var se stream.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &se):
		return st.fail(se)
	}
	st.m.log.LogAttrs(ctx, slog.LevelError, "handler failed", slog.String("extension", extension), slog.Any("err", err))
	return st.fail(errServer)
}

// protected contains a panic outside of turns.
func (st *Stream) protected(f func() error) (err error) {
	if !st.m.opt.NoRecover {
		defer func() {
			if p := recover(); p != nil {
				err = st.m.panicError(p)
			}
		}()
	}
	return f()
}

// fromDomain takes a stanza of a server or component (core-im CORE-3).
func (st *Stream) fromDomain(ctx context.Context, s *Stanza) error {
	switch {
	case s.kind == Nonza:
		return st.fromRemote(ctx, s)
	case s.badFrom != "" || s.from.IsZero() || s.to.IsZero() && s.badTo == "":
		return st.fail(errAddressing)
	case !st.speaksFor(s.from.Domain()):
		return st.fail(errInvalidFrom)
	case s.badTo == "" && st.role == Server && !st.m.host.Local(s.to.Domain()) && st.m.entities[s.to.Domain()] == nil:
		return st.fail(errHostUnknown)
	}
	if s.lang == "" {
		s.lang = st.lang // set before the first stanza (RFC 6120 §4.7.4)
	}
	return st.accept(s, nil)
}

func (st *Stream) speaksFor(domain string) bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	for _, d := range st.domains {
		if d == domain {
			return true
		}
	}
	return false
}

// fromUpstream takes what the server says to a client that runs this mux: there
// is one account, its own.
func (st *Stream) fromUpstream(ctx context.Context, s *Stanza) error {
	sess := st.session.Load()
	if sess == nil {
		return ErrClosed
	}
	if s.kind == Nonza {
		return st.nonza(ctx, sess, s)
	}
	if s.from.IsZero() && s.badFrom == "" {
		s.from = sess.acct.addr
	}
	return st.accept(s, sess)
}

// misplaced is the error for an element that nobody is there for: too late, or unknown
// (core-im LC-5, auth-register SA-14).
func (m *Mux) misplaced(name xml.Name) stream.Error {
	if m.Authenticates(name) {
		return stream.NotAuthorized
	}
	return errUnsupported
}
