package server

import (
	"context"
	"hash/maphash"
	"time"

	"mellium.im/xmpp/stanza"

	"github.com/propolis-im/propolis/mux"
)

// recipientLimit bounds whom a client writes to (core-im LIM-13, XEP-0205 §4.6).
type recipientLimit struct {
	max  int // in a minute; not above 0 for no limit
	seed maphash.Seed
	sent mux.Key[recipients]
}

// recipients are the addresses a session has written to in a minute, hashed: with
// a secret seed nobody can make two of them the same. They are touched in the
// account's turns only.
type recipients struct {
	since time.Time
	seen  map[uint64]struct{} // at most recipientLimit.max
}

// Name implements mux.Extension.
func (*recipientLimit) Name() string { return "server limits" }

// Register implements mux.Extension.
func (x *recipientLimit) Register(r *mux.Registry) error {
	if x.max <= 0 {
		return nil
	}
	x.seed = maphash.MakeSeed()
	x.sent = mux.Slot[recipients](r)
	r.Guard(mux.FromPeer, mux.AnyStanza, x.check)
	return nil
}

var errTooManyRecipients = &mux.Error{
	Stanza: stanza.Error{Type: stanza.Wait, Condition: stanza.UnexpectedRequest},
	App:    mux.Raw("<too-many-stanzas xmlns='urn:xmpp:errors'/>"),
}

func (x *recipientLimit) check(_ context.Context, e *mux.Event) (mux.Verdict, error) {
	s := e.Stanza
	to := s.To().Bare()
	switch {
	case e.Session == nil, to.IsZero(), to == e.Account, to.Local() == "" && to.Domain() == e.Account.Domain():
		return mux.Pass, nil
	case s.Type() == "error", s.Kind() == mux.IQ && s.Type() == "result":
		return mux.Pass, nil // somebody has asked
	}
	if x.sent.Of(e.Session).fits(maphash.String(x.seed, to.String()), x.max, time.Now()) {
		return mux.Pass, nil
	}
	return mux.Done, errTooManyRecipients
}

// fits reports whether an address may be written to, and notes it.
func (r *recipients) fits(address uint64, limit int, now time.Time) bool {
	if now.Sub(r.since) >= time.Minute {
		r.since, r.seen = now, nil
	}
	if _, ok := r.seen[address]; ok {
		return true
	}
	if len(r.seen) >= limit {
		return false
	}
	if r.seen == nil {
		r.seen = make(map[uint64]struct{})
	}
	r.seen[address] = struct{}{}
	return true
}
