package presence

import (
	"context"

	"github.com/propolis-im/propolis/mux"
)

// subscriber is an address with a subscription, in either direction.
type subscriber struct {
	to       mux.Address
	from, is bool // it receives our presence; we are subscribed to its
}

// blockChanged tells a contact that was blocked the end of our presence, and one
// that is no longer our presence as it is (XEP-0191 §3.3, §3.4). Whoever blocks
// emits the event while last words may still leave, in a turn that may wait.
func (x *Extension) blockChanged(ctx context.Context, e *mux.Event, b mux.BlockChanged) error {
	if len(e.Sessions()) == 0 {
		return nil
	}
	subscribers, err := x.subscribers(ctx, e, b.Contact)
	if err != nil {
		return err
	}
	for _, s := range e.Sessions() {
		if b.Blocked {
			x.hide(ctx, e, s, b.Contact, subscribers)
		} else if p := s.Presence(); p != nil && p.Available {
			x.show(ctx, e, s, p, subscribers)
		}
	}
	return nil
}

// subscribers are the contacts that an item of a blocklist is about. A subscription is
// between bare addresses; an item with a resource is about that resource.
func (x *Extension) subscribers(ctx context.Context, e *mux.Event, item mux.Address) (list []subscriber, err error) {
	if err := x.subs.Load(ctx, e); err != nil {
		return nil, err
	}
	if item.Local() != "" || !item.IsBare() {
		if from, to := x.subs.Subscription(ctx, e, item); from || to {
			list = append(list, subscriber{item, from, to})
		}
		return list, nil
	}
	err = x.subs.Contacts(ctx, e, func(contact mux.Address, from, to bool) bool {
		if covers(item, contact) && !ownServer(e, contact) {
			list = append(list, subscriber{contact, from, to})
		}
		return true
	})
	return list, err
}

// covers reports whether an item of a blocklist is about an address (XEP-0191 §5).
func covers(item, a mux.Address) bool {
	switch {
	case item == a, item == a.Bare():
		return true
	case item.Local() != "", item.Domain() != a.Domain():
		return false
	}
	return item.IsBare() || item.Resource() == a.Resource()
}

// ownServer reports whether an address is the account's server, which cannot be
// blocked.
func ownServer(e *mux.Event, a mux.Address) bool {
	return a.Local() == "" && a.Domain() == e.Account.Domain()
}

// hide ends a session's presence for an item: for subscribers, and for whom it told
// of its own accord.
func (x *Extension) hide(ctx context.Context, e *mux.Event, s *mux.Session, item mux.Address, subscribers []subscriber) {
	st := x.state.Of(s)
	told := st.take(func(a mux.Address) bool { return covers(item, a) && !ownServer(e, a) })
	was := st.isAvailable()
	unavailable := mux.Make(mux.Head{Kind: mux.Presence, Type: "unavailable", From: s.JID()})
	for _, c := range subscribers {
		if was && c.from && reachable(e, c.to) {
			x.send(ctx, e, unavailable, c.to)
		}
	}
	for _, to := range told {
		if from, _ := x.subs.Subscription(ctx, e, to); !was || !from {
			x.send(ctx, e, unavailable, to)
		}
	}
	if len(told) > 0 {
		e.Work.Save(s)
	}
}

// show tells subscribers a session's presence, and asks for that of those whose
// presence was kept away from it.
func (x *Extension) show(ctx context.Context, e *mux.Event, s *mux.Session, p *mux.PresenceInfo, subscribers []subscriber) {
	probe := mux.Make(mux.Head{Kind: mux.Presence, Type: "probe", From: s.JID()})
	for _, c := range subscribers {
		if c.from && reachable(e, c.to) {
			it := x.current(e, s, p, c.to)
			it.Flags = mux.Service
			e.SendItem(ctx, it)
		}
		if c.is {
			x.send(ctx, e, probe, c.to)
		}
	}
}

// take forgets the addresses that match names, and returns them.
func (st *state) take(match func(a mux.Address) bool) (taken []mux.Address) {
	st.mu.Lock()
	defer st.mu.Unlock()
	kept := st.directed[:0]
	for _, d := range st.directed {
		if match(d.to) {
			taken = append(taken, d.to)
		} else {
			kept = append(kept, d)
		}
	}
	clear(st.directed[len(kept):])
	st.directed = kept
	return taken
}
