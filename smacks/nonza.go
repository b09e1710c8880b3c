package smacks

import (
	"context"
	"strconv"

	"mellium.im/xmlstream"
	"mellium.im/xmpp/stream"

	"github.com/propolis-im/propolis/internal/xmlwrite"
	"github.com/propolis-im/propolis/mux"
)

// failed is the answer to what cannot be done, with a stanza error's condition
// (XEP-0198 §6).
func failed(condition string) mux.Raw {
	return mux.Raw("<failed xmlns='" + NS + "'><" + condition + " xmlns='" + mux.NSStanza + "'/></failed>")
}

const (
	badRequest     = "bad-request"
	notFound       = "item-not-found"
	unexpected     = "unexpected-request"
	notImplemented = "feature-not-implemented"
)

// early answers what comes before there is a session (smacks SM-4).
func early(context.Context, *mux.Stream, *mux.Stanza) (mux.Outcome, error) {
	return mux.Outcome{Reply: failed(unexpected)}, nil
}

// say sends an element that is not counted.
func say(e *mux.Event, raw mux.Raw) error {
	el, err := mux.Parse([]byte(raw))
	if err != nil {
		return err
	}
	e.Sync(func() { err = e.Session.Say(el) })
	return err
}

// misplaced answers a resume on a stream that has a session (smacks SM-70).
func (x *Extension) misplaced(_ context.Context, e *mux.Event) (mux.Verdict, error) {
	return mux.Done, say(e, failed(unexpected))
}

// unknown answers elements that are none (smacks SM-46).
func (x *Extension) unknown(_ context.Context, e *mux.Event) (mux.Verdict, error) {
	return mux.Done, say(e, failed(badRequest))
}

// enable turns it on (XEP-0198 §3). What the client has sent behind it counts; the
// answer is sent in a turn, together with what the store has to know.
func (x *Extension) enable(_ context.Context, e *mux.Event) (mux.Verdict, error) {
	s, el := e.Session, e.Stanza
	was := off
	e.Sync(func() {
		st := x.key.Of(s)
		switch was = st.phase; was {
		case off:
			x.prepare(s, e.Origin(), el.Attr("resume"), el.Attr("max"))
		case enabling:
			st.refuses++ // behind the answer to the first
		}
	})
	switch was {
	case on:
		return mux.Done, say(e, failed(unexpected)) // smacks SM-11
	case enabling:
		return mux.Done, nil
	}
	e.Turn(func(_ context.Context, e *mux.Event) {
		reply, err := mux.Parse([]byte(x.enabled(s)))
		if err != nil {
			return // cannot be: it was made here
		}
		if x.key.Of(s).resume {
			e.Work.Save(s)
		}
		e.Deliver(mux.Item{Stanza: reply, Flags: mux.Service}, s)
	})
	return mux.Done, nil
}

// prepare notes what the client wants; the lock is held.
func (x *Extension) prepare(s *mux.Session, origin *mux.Stream, resume, seconds string) {
	st := x.key.Of(s)
	st.phase, st.base = enabling, s.Received()
	st.window = x.window(parseMax(seconds))
	if !parseBool(resume) || !resumable(origin) {
		return
	}
	st.resume = true
	st.stored(x, s)
}

// stored notes whether and how the store has the session; the lock is held.
func (st *state) stored(x *Extension, s *mux.Session) {
	st.id = s.ID().String()
	st.durable.Store(x.store != nil)
	st.follows.Store(x.store != nil && s.Mux().Durable())
}

// resumable reports whether the connection is of a kind that can be replaced.
func resumable(st *mux.Stream) bool {
	if st == nil {
		return false
	}
	c, ok := st.Conn().(interface{ Resumable() bool })
	return !ok || c.Resumable()
}

// enabled is the answer; it makes the token, of which it is the only one that
// knows it.
func (x *Extension) enabled(s *mux.Session) (raw mux.Raw) {
	s.Sync(func() { raw = x.isEnabled(s) })
	return raw
}

// isEnabled is that where the lock is held.
func (x *Extension) isEnabled(s *mux.Session) mux.Raw {
	st := x.key.Of(s)
	b := append(make([]byte, 0, 128), "<enabled xmlns='"+NS+"'"...)
	if st.resume {
		var token string
		token, st.secret = newToken(s.ID())
		b = append(append(append(b, " id='"...), token...), "' resume='true' max='"...)
		b = strconv.AppendInt(b, int64(st.window.Seconds()), 10)
		b = append(b, '\'')
		if x.opt.Location != "" {
			b = append(b, " location='"...)
			b = append(xmlwrite.AppendAttrValue(b, x.opt.Location), '\'')
		}
	}
	return mux.Raw(append(b, "/>"...))
}

// enableInline turns it on inside Bind 2 (XEP-0198 §9.1): the counters begin at the
// end of the success that tells of it.
func (x *Extension) enableInline(_ context.Context, e *mux.InlineEvent) (xmlstream.Marshaler, error) {
	s := e.Session
	var reply mux.Raw
	e.Event.Sync(func() { // what there is to write is written when the session is bound
		st := x.key.Of(s)
		if st.phase != off {
			return
		}
		x.prepare(s, e.Stream, e.Element.Attr("resume"), e.Element.Attr("max"))
		st.phase, st.live = on, true
		s.SetTracked(true)
		reply = x.isEnabled(s)
	})
	if reply == "" {
		return failed(unexpected), nil
	}
	if x.key.Of(s).resume {
		e.Event.Work.Save(s)
	}
	return reply, nil
}

// request answers with what is handled, at once, and once more when what came
// before is (XEP-0198 §4; smacks SM-33).
func (x *Extension) request(_ context.Context, e *mux.Event) (mux.Verdict, error) {
	s, received := e.Session, e.Session.Received()
	wait, early := false, false
	e.Sync(func() {
		st := x.key.Of(s)
		switch {
		case st.phase == off:
			early = true
		case st.phase == enabling:
			st.owes = true
		case x.tell(s, st) != received && (!st.tells || st.heard != received):
			st.tells, st.heard, wait = true, received, true
		}
	})
	if early {
		return mux.Done, say(e, failed(unexpected)) // smacks SM-46
	}
	if !wait {
		return mux.Done, nil
	}
	origin := e.Origin()
	s.OnHandled(received, func() {
		s.Sync(func() {
			st := x.key.Of(s)
			if st.tells && st.heard == received {
				st.tells = false
			}
			if s.Stream() == origin {
				x.tell(s, st)
			}
		})
	})
	return mux.Done, nil
}

// tell sends an acknowledgement, and returns up to which stanza; the lock is held. What
// a crash would forget is kept before.
func (x *Extension) tell(s *mux.Session, st *state) (handled uint32) {
	handled = s.Handled()
	if st.late > 0 || !st.remembers(handled) {
		st.late, st.owed = st.late+1, handled
		x.remember(s, st)
		return handled
	}
	x.acknowledge(s, st, handled)
	return handled
}

// acknowledge says so; a broken stream is noticed elsewhere.
func (x *Extension) acknowledge(s *mux.Session, st *state, handled uint32) {
	_ = s.Say(mux.Written("<a xmlns='" + NS + "' h='" + utoa(st.h(handled)) + "'/>"))
}

func utoa(n uint32) string { return strconv.FormatUint(uint64(n), 10) }

// ack takes the client's acknowledgement.
func (x *Extension) ack(_ context.Context, e *mux.Event) (mux.Verdict, error) {
	s := e.Session
	h, number := parseH(e.Stanza.Attr("h"))
	p, out, ok := off, uint32(0), true
	e.Sync(func() {
		st := x.key.Of(s)
		p, out = st.phase, st.queue.out()
		if s.Stream() != e.Origin() {
			return // it was said on a stream that the session has left (smacks SM-43)
		}
		if ok = number; ok && p == on {
			ok = x.take(s, st, h)
		}
	})
	switch {
	case p == off:
		return mux.Done, say(e, failed(unexpected)) // smacks SM-46
	case ok:
		return mux.Done, nil
	case !number:
		return mux.Done, x.kill(s, stream.BadFormat) // smacks SM-27
	}
	return mux.Done, x.kill(s, tooHigh(h, out)) // smacks SM-38
}

// take drops what is acknowledged; the lock is held. It is false if that cannot be.
func (x *Extension) take(s *mux.Session, st *state, h uint32) bool {
	n, ok := acknowledged(h, st.queue.acked, st.queue.out())
	if !ok {
		return false
	}
	if n > 0 {
		st.queue.drop(int(n))
		st.noted.Store(st.queue.acked)
		st.stalled = 0
		x.stats.acked.Add(int64(n))
		x.noteLater(s, st)
	}
	if !st.asked {
		return true
	}
	st.asked = false
	k := &sink{x: x, s: s, st: st}
	k.answered(n > 0)
	return true
}

// kill ends the session of a client that breaks the protocol: it must not come back
// to it. What it has got nobody knows, so nobody else is sent that (smacks SM-95).
func (x *Extension) kill(s *mux.Session, why stream.Error) error {
	s.Sync(func() { x.key.Of(s).dead = true })
	s.KeepApart()
	return why
}

// tooHigh is the stream error of XEP-0198 §6.
func tooHigh(h, sent uint32) stream.Error {
	el := mux.Raw("<handled-count-too-high xmlns='" + NS + "' h='" + utoa(h) + "' send-count='" + utoa(sent) + "'/>")
	return stream.UndefinedCondition.ApplicationError(el.TokenReader())
}
