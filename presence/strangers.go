package presence

import (
	"context"

	"mellium.im/xmpp/stanza"

	"github.com/propolis-im/propolis/mux"
)

// Strangers says whose requests reach a session that does not share its presence
// with them (RFC 6121 §8.5.3.1, core-im DL-33).
type Strangers uint8

const (
	// AllowStrangers delivers everybody's.
	AllowStrangers Strangers = iota
	// RefuseRemote answers those of other domains' as if there was no such session,
	// but for chat rooms that it has joined.
	RefuseRemote
	// RefuseAll does so for accounts of served domains as well.
	RefuseAll
)

// errUnavailable is what the kernel answers where there is no such session.
var errUnavailable = stanza.Error{Type: stanza.Cancel, Condition: stanza.ServiceUnavailable}

// strangers refuses requests for a session of who may not know that it is there.
func (x *Extension) strangers(ctx context.Context, e *mux.Event) (mux.Verdict, error) {
	s := x.strangerTo(e)
	if s == nil {
		return mux.Pass, nil
	}
	if err := x.subs.Load(ctx, e); err != nil {
		return mux.Done, err
	}
	if from, _ := x.subs.Subscription(ctx, e, e.Stanza.From()); from {
		return mux.Pass, nil
	}
	return mux.Done, errUnavailable
}

// strangerTo is the session that a request is for, if only a subscription could
// allow it; else nil. It does not wait.
func (x *Extension) strangerTo(e *mux.Event) *mux.Session {
	typ, from, to := e.Stanza.Type(), e.Stanza.From(), e.Item.Recipient()
	switch {
	case typ != "get" && typ != "set", to.IsBare(), from.Bare() == e.Account:
		return nil
	case from.Local() == "" && from.Domain() == e.Account.Domain(): // the server itself
		return nil
	case x.opt.Strangers == RefuseRemote && e.Mux().Ours(from):
		return nil
	}
	for _, s := range e.Sessions() {
		if s.JID() == to {
			if x.state.Of(s).told(from) {
				return nil
			}
			return s
		}
	}
	return nil
}

// told reports whether a session has sent its presence to an address of its own
// accord, or to the room whose occupant that is.
func (st *state) told(from mux.Address) bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.find(from) >= 0 || st.find(from.Bare()) >= 0 || st.joined(from.Bare())
}
