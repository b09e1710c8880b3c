package smacks

import (
	"context"
	"errors"

	"mellium.im/xmlstream"

	"github.com/propolis-im/propolis/internal/xmlwrite"
	"github.com/propolis-im/propolis/mux"
)

// maxPrevID bounds a token before anything is done with it (XEP-0198 §5).
const maxPrevID = 4000

// claim is a client's wish to go on with a session.
type claim struct {
	previd  string
	h       uint32
	id      mux.SessionID
	secret  [32]byte
	account mux.Address
	known   *uint32 // h for a refusal, if it may be told
}

// resume takes a session over in place of binding (XEP-0198 §5).
func (x *Extension) resume(_ context.Context, st *mux.Stream, el *mux.Stanza) (mux.Outcome, error) {
	if st.Role() != mux.Client {
		return mux.Outcome{Reply: failed(notImplemented)}, nil // smacks SM-66, SM-98
	}
	q, refusal := x.claim(st.Account(), el.Attr("previd"), el.Attr("h"))
	if q == nil {
		return mux.Outcome{Reply: refusal}, nil
	}
	return mux.Outcome{Become: q}, nil
}

// resumeInline does so inside SASL2's authenticate (XEP-0198 §9.2).
func (x *Extension) resumeInline(_ context.Context, e *mux.InlineEvent) (xmlstream.Marshaler, error) {
	q, refusal := x.claim(e.Account, e.Element.Attr("previd"), e.Element.Attr("h"))
	if q == nil {
		return refusal, nil
	}
	e.Become = q
	return nil, nil
}

// claim reads the wish; if it makes no sense there is just an answer.
func (x *Extension) claim(account mux.Address, previd, counter string) (*mux.Resumption, mux.Raw) {
	h, ok := parseH(counter)
	if !ok || previd == "" || len(previd) > maxPrevID {
		x.stats.refused[malformed].Add(1)
		return nil, failed(badRequest) // smacks SM-27
	}
	c := &claim{previd: previd, h: h, account: account}
	c.id, c.secret, ok = parseToken(previd)
	if !ok {
		x.stats.refused[unknown].Add(1)
		return nil, failed(notFound)
	}
	return &mux.Resumption{
		ID:      c.id,
		Check:   func(s *mux.Session) error { return x.check(s, c) },
		Reply:   func(s *mux.Session) xmlstream.Marshaler { return x.resumed(s, c) },
		Refused: func(err error) xmlstream.Marshaler { return x.refused(c, err) },
	}, ""
}

var (
	errNotYours = errors.New("smacks: no such session")
	errCounter  = errors.New("smacks: counter is out of range")
	errStalled  = errors.New("smacks: resumed again and again without progress")
)

// check decides under the session's lock, and changes nothing (smacks SM-69, SM-71).
func (x *Extension) check(s *mux.Session, c *claim) error {
	st := x.key.Of(s)
	switch mine := sameSecret(st.secret, c.secret); {
	case st.phase != on || !st.resume || st.dead, s.Account() != c.account, !mine:
		return errNotYours
	case !st.plausible(c.h):
		// smacks SM-72: the client is told what is known, and binds.
		h := st.h(s.Handled())
		c.known = &h
		return errCounter
	case st.stalled >= maxStalled:
		return errStalled
	}
	return nil
}

// maxStalled is how often in a row a session is resumed without the client
// acknowledging anything new (smacks SM-51).
const maxStalled = 5

// resumed is the answer, under the lock; what follows is the replay.
func (x *Extension) resumed(s *mux.Session, c *claim) xmlstream.Marshaler {
	st := x.key.Of(s)
	before := st.queue.acked
	switch {
	case st.floating:
		st.settle(c.h)
	case st.plausible(c.h):
		n, _ := acknowledged(c.h, st.queue.acked, st.queue.out())
		st.queue.drop(int(n))
		st.noted.Store(st.queue.acked)
	}
	if st.queue.acked != before || st.queue.len() == 0 {
		st.stalled = 0
	}
	st.stalled++
	st.asked, st.since, st.late, st.noteDue, st.live = false, 0, 0, true, true
	x.stats.resumed.Add(1)
	b := []byte("<resumed xmlns='" + NS + "' previd='")
	b = xmlwrite.AppendAttrValue(b, c.previd)
	return mux.Raw(append(b, "' h='"+utoa(st.h(s.Handled()))+"'/>"...))
}

// why is what the error of a resumption is counted as.
func why(err error) refusal {
	switch {
	case errors.Is(err, errCounter):
		return wrongCounter
	case errors.Is(err, errStalled):
		return stalled
	case errors.Is(err, mux.ErrBusy):
		return busy
	}
	return unknown
}

// refused is the answer otherwise. Of a session that has ended the client learns
// what was handled in it (XEP-0198 §5).
func (x *Extension) refused(c *claim, err error) xmlstream.Marshaler {
	x.stats.refused[why(err)].Add(1)
	h := c.known
	if h == nil && errors.Is(err, mux.ErrNoSession) {
		h = x.past.find(c, x.now())
	}
	if errors.Is(err, errStalled) && x.m != nil {
		if s := x.m.SessionByID(c.id); s != nil {
			s.Sync(func() { x.key.Of(s).dead = true })
			s.Close(nil)
		}
	}
	if h == nil {
		return failed(notFound)
	}
	return mux.Raw("<failed xmlns='" + NS + "' h='" + utoa(*h) + "'><" + notFound + " xmlns='" + mux.NSStanza + "'/></failed>")
}
