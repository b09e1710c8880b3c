package caps

import (
	"context"

	"github.com/propolis-im/propolis/mux"
)

// said sees what an own client says of itself to all. What it says to somebody in
// particular is read there, see heard.
func (x *Extension) said(ctx context.Context, e *mux.Event) {
	if e.Session == nil || !e.Stanza.To().IsZero() {
		return
	}
	r := x.own.Of(e.Session)
	who := subject{e.Account, e.Session.JID()}
	switch e.Stanza.Type() {
	case "":
		x.look(ctx, e, who, r, e.Stanza, ownLimit)
	case "unavailable":
		x.lose(ctx, e, who, r)
	}
}

// heard sees the presence that arrives for an account, also while nobody is there (pep
// CAPS-1). What own accounts say to all was seen in their own turns.
func (x *Extension) heard(ctx context.Context, e *mux.Event) (mux.Verdict, error) {
	s := e.Stanza
	switch s.Type() {
	case "":
	case "unavailable", "error":
		x.forget(ctx, e, s.From(), false)
		return mux.Pass, nil
	default:
		return mux.Pass, nil
	}
	if !x.reads(e) {
		return mux.Pass, nil
	}
	who := subject{e.Account, s.From()}
	r, l := x.peer(who), contactLimit
	if r == nil {
		if r, l = x.admit(ctx, e, who); r == nil {
			return mux.Pass, nil
		}
	}
	x.look(ctx, e, who, r, s, l)
	return mux.Pass, nil
}

// reads reports whether a presence that arrives is one to look at: of a resource of
// somebody else, not an occupant of a room, and not what was seen before.
func (x *Extension) reads(e *mux.Event) bool {
	s := e.Stanza
	from := s.From()
	switch {
	case from.IsBare() || from.Bare() == e.Account:
		return false
	case !s.Has(capsName) && !s.Has(newCapsName):
		return false
	case s.Has(occupantName):
		return false // pep CAPS-1
	case e.Item.Flags&mux.Service != 0 && e.Mux().Ours(from):
		return false // to all
	}
	return true
}

// isNew reports whether a presence is to be looked at that is the first of its resource,
// so that it must be known who that is.
func (x *Extension) isNew(e *mux.Event) bool {
	return e.Stanza.Type() == "" && x.reads(e) && x.peer(subject{e.Account, e.Stanza.From()}) == nil
}

// peer is a resource of somebody else, nil if it is not known. It notes that it was heard
// of.
func (x *Extension) peer(who subject) *resource {
	x.mu.Lock()
	defer x.mu.Unlock()
	r := x.peers[who.account][who.full]
	if r != nil {
		x.clock++
		r.heard = x.clock
	}
	return r
}

// admit makes a new resource known, nil if it is not to be.
func (x *Extension) admit(ctx context.Context, e *mux.Event, who subject) (*resource, limit) {
	from, to := x.opt.Subscription(ctx, e, who.full.Bare())
	l := contactLimit
	if !from && !to {
		l = strangerLimit
	}
	if l == strangerLimit && !x.opt.Strangers || to && e.Mux().Ours(who.full) {
		return nil, l // what an own account says to its contacts was seen in its own turn
	}
	x.mu.Lock()
	var oldest mux.Address
	if list := x.peers[who.account]; len(list) >= x.opt.MaxResources || len(list) > 0 && x.nPeers >= x.opt.MaxAllResources {
		least := x.clock + 1
		for full, r := range list {
			if r.heard < least {
				oldest, least = full, r.heard
			}
		}
	}
	x.mu.Unlock()
	if !oldest.IsZero() {
		x.forget(ctx, e, oldest, false)
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.nPeers >= x.opt.MaxAllResources {
		return nil, l
	}
	list := x.peers[who.account]
	if list == nil {
		list = make(map[mux.Address]*resource)
		x.peers[who.account] = list
	}
	x.clock++
	r := &resource{heard: x.clock}
	list[who.own().full] = r
	x.nPeers++
	return r, l
}

// forget forgets the resources of others that an address names for the account of the
// turn: one, or all of a bare address. A domain stands for all its addresses if that is
// said.
func (x *Extension) forget(ctx context.Context, e *mux.Event, a mux.Address, domain bool) {
	type one struct {
		full mux.Address
		r    *resource
	}
	var gone []one
	x.mu.Lock()
	list := x.peers[e.Account]
	if r := list[a]; r != nil {
		gone = append(gone, one{a, r})
	}
	if a.IsBare() {
		for full, r := range list {
			if full.Bare() == a || domain && a.Local() == "" && full.Domain() == a.Domain() {
				gone = append(gone, one{full, r})
			}
		}
	}
	for _, g := range gone {
		x.remove(e.Account, g.full)
	}
	x.mu.Unlock()
	for _, g := range gone {
		x.lose(ctx, e, subject{e.Account, g.full}, g.r)
	}
}

// remove takes a resource off the list.
func (x *Extension) remove(account, full mux.Address) {
	list := x.peers[account]
	if _, ok := list[full]; !ok {
		return
	}
	delete(list, full)
	x.nPeers--
	if len(list) == 0 {
		delete(x.peers, account)
	}
}

// accountRemoved forgets what an account has heard.
func (x *Extension) accountRemoved(ctx context.Context, e *mux.Event, _ mux.AccountRemoved) error {
	var list []mux.Address
	x.mu.Lock()
	for full := range x.peers[e.Account] {
		list = append(list, full)
	}
	x.mu.Unlock()
	for _, full := range list {
		x.forget(ctx, e, full, false)
	}
	return nil
}
