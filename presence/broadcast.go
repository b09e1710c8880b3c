package presence

import (
	"context"

	"github.com/propolis-im/propolis/mux"
)

// fromPeer sees what an own client says.
func (x *Extension) fromPeer(ctx context.Context, e *mux.Event) {
	typ := e.Stanza.Type()
	if e.Session == nil || typ != "" && typ != "unavailable" {
		return
	}
	if err := x.subs.Load(ctx, e); err != nil {
		x.logError(ctx, e, "presence is not broadcast", err)
	}
	if !e.Stanza.To().IsZero() {
		x.sentDirected(ctx, e, typ == "")
		return
	}
	was := x.state.Of(e.Session).setAvailable(typ == "")
	e.Work.Save(e.Session)
	switch {
	case typ == "" && !was:
		x.came(ctx, e)
	case typ == "":
		x.toOwn(e, own(e), e.Session)
		x.toContacts(ctx, e, e.Stanza, nil)
	case was:
		x.toOwn(e, own(e), e.Session)
		x.left(ctx, e, e.Stanza, was)
	default:
		e.Deliver(own(e), e.Session)
		x.left(ctx, e, e.Stanza, was)
	}
}

// came is what initial presence leads to (RFC 6121 §4.2.2, §4.3.1).
func (x *Extension) came(ctx context.Context, e *mux.Event) {
	x.toOwn(e, own(e), e.Session)
	probe := mux.Make(mux.Head{Kind: mux.Presence, Type: "probe", From: e.Session.JID()})
	x.toContacts(ctx, e, e.Stanza, probe)
	for _, s := range e.Sessions() {
		if p := s.Presence(); s != e.Session && p != nil && p.Available {
			e.Deliver(x.current(e, s, p, e.Session.JID()), e.Session)
		}
	}
	requests, err := x.subs.Requests(ctx, e)
	if err != nil {
		x.logError(ctx, e, "subscription requests are not delivered", err)
	}
	for _, r := range requests {
		e.Deliver(mux.Item{Stanza: r, To: e.Account}, e.Session) // RFC 6121 §3.1.3
	}
}

// Resend tells the account's own sessions and its contacts the presence of a session of
// e's account again, as Options.Current has it now. It may wait unless the subscriptions
// are cached. A session that is not available is left alone.
func (x *Extension) Resend(ctx context.Context, e *mux.Event, s *mux.Session) {
	p := s.Presence()
	if p == nil || !p.Available || !x.state.Of(s).isAvailable() {
		return
	}
	if err := x.subs.Load(ctx, e); err != nil {
		x.logError(ctx, e, "presence is not broadcast", err)
		return
	}
	now := x.opt.Current(e, s, p.Stanza)
	x.toOwn(e, mux.Item{Stanza: now}, s)
	x.toContacts(ctx, e, now, nil)
}

// left is what the end of a session's presence leads to (RFC 6121 §4.5.2, §4.6.3):
// contacts are told if they were told that it came, and whoever else was by the
// client itself.
func (x *Extension) left(ctx context.Context, e *mux.Event, unavailable *mux.Stanza, was bool) {
	st := x.state.Of(e.Session)
	st.mu.Lock()
	list := st.directed
	st.directed = nil
	st.mu.Unlock()
	if was {
		x.toContacts(ctx, e, unavailable, nil)
	}
	for _, d := range list {
		if from, _ := x.subs.Subscription(ctx, e, d.to); was && from {
			continue // told by the broadcast
		}
		x.send(ctx, e, unavailable, d.to)
	}
}

// closed is told of the end of a session (RFC 6121 §4.5.2), whose client may not
// have said anything.
func (x *Extension) closed(ctx context.Context, e *mux.Event) {
	st := x.state.Of(e.Session)
	was := st.setAvailable(false)
	st.mu.Lock()
	none := !was && len(st.directed) == 0
	st.mu.Unlock()
	if none {
		return
	}
	if err := x.subs.Load(ctx, e); err != nil {
		x.logError(ctx, e, "unavailable presence is not broadcast", err)
	}
	unavailable := mux.Make(mux.Head{Kind: mux.Presence, Type: "unavailable", From: e.Session.JID()})
	if was {
		x.toOwn(e, mux.Item{Stanza: unavailable}, nil)
	}
	x.left(ctx, e, unavailable, was)
}

// own is what an own client says, for other sessions.
func own(e *mux.Event) mux.Item {
	return mux.Item{Stanza: e.Stanza, Origin: e.Item.Origin, At: e.Item.At}
}

// toOwn tells the account's available sessions, and the one that speaks (RFC 6121
// §4.2.2, §4.4.2, §4.5.2).
func (x *Extension) toOwn(e *mux.Event, it mux.Item, speaker *mux.Session) {
	for _, o := range e.Sessions() {
		if o == speaker || o.Available() {
			e.Deliver(it, o)
		}
	}
}

// toContacts tells the contacts that are subscribed, and probes those the account
// is subscribed to, if there is a probe. The stanzas are shared by all.
func (x *Extension) toContacts(ctx context.Context, e *mux.Event, s, probe *mux.Stanza) {
	err := x.subs.Contacts(ctx, e, func(contact mux.Address, from, to bool) bool {
		if to = to && probe != nil; !from && !to || !reachable(e, contact) {
			return true
		}
		if from {
			x.send(ctx, e, s, contact)
		}
		if to {
			// Not a Service: where a contact's server cannot be reached, the client
			// learns it (core-im PR-25).
			e.SendItem(ctx, mux.Item{Stanza: probe, To: contact, Origin: e.Origin()})
		}
		return true
	})
	if err != nil {
		x.logError(ctx, e, "presence is not broadcast", err)
	}
}

// reachable reports whether anybody would see presence sent to a contact. For an
// account of ours, somebody has to be available.
//
// Who becomes available just now is not missed: its own presence is noted before
// it looks at ours, so that one of the two sees the other.
func reachable(e *mux.Event, contact mux.Address) bool {
	m := e.Mux()
	if !m.Ours(contact) {
		return true
	}
	for _, s := range m.Sessions(contact) {
		if s.Available() {
			return true
		}
	}
	return false
}

// send sends presence on behalf of a session. That it cannot be delivered is
// nobody's concern.
func (x *Extension) send(ctx context.Context, e *mux.Event, s *mux.Stanza, to mux.Address) {
	e.SendItem(ctx, mux.Item{Stanza: s, To: to, Flags: mux.Service})
}

// subscriptionChanged tells a contact our presence, or the end of it (RFC 6121
// §3.1.5, §3.2.2, §3.3.3).
func (x *Extension) subscriptionChanged(ctx context.Context, e *mux.Event, c mux.SubscriptionChanged) error {
	if c.FromWas == c.From {
		return nil
	}
	there := reachable(e, c.Contact)
	for _, s := range e.Sessions() {
		p := s.Presence()
		if p == nil || !p.Available {
			continue
		}
		switch {
		case !there:
		case c.From:
			it := x.current(e, s, p, c.Contact)
			it.Flags = mux.Service
			e.SendItem(ctx, it)
		default:
			x.send(ctx, e, mux.Make(mux.Head{Kind: mux.Presence, Type: "unavailable", From: s.JID()}), c.Contact)
		}
		if !c.From && x.state.Of(s).forget(c.Contact) {
			e.Work.Save(s)
		}
	}
	return nil
}
