package pep

import (
	"context"

	"github.com/propolis-im/propolis/mux"
)

// Wants implements [Interest].
func (x *Extension) Wants(_ context.Context, e *mux.Event, resource mux.Address, nodes []string) {
	if resource.IsBare() {
		return
	}
	if resource.Bare() == e.Account {
		if b := x.index.setLocal(resource, nodes); b != nil {
			e.Mux().Go(e.Account, func(ctx context.Context, e *mux.Event) { x.begin(ctx, e, b) })
		}
		return
	}
	fresh := x.index.setRemote(e.Account, resource, nodes, x.opt.MaxResources)
	if len(fresh) == 0 {
		return
	}
	e.Mux().Go(e.Account, func(ctx context.Context, e *mux.Event) { x.greet(ctx, e, resource, fresh) })
}

// Known implements [Interest].
func (x *Extension) Known(resource mux.Address, nodes []string) {
	if b := x.index.setLocal(resource, nodes); b != nil {
		x.index.loaded(b)
	}
}

// greet sends a resource that has shown its presence the last items of nodes that it
// wants (R18), in a turn that may wait. Strangers are forgotten, so that they cannot keep
// contacts out.
func (x *Extension) greet(ctx context.Context, e *mux.Event, full mux.Address, nodes []string) {
	from, to := x.opt.Subscription(ctx, e, full)
	switch {
	case to && e.Mux().Ours(full): // its own turn has seen to it
	case !from && !to && !x.opt.Strangers && !x.subscribed(ctx, e, full):
		x.index.setRemote(e.Account, full, nil, 0)
	default:
		x.sendLasts(ctx, e, full, nodes, func(*node) bool { return false })
	}
}

// subscribed reports whether somebody is subscribed to a node of the turn's account.
func (x *Extension) subscribed(ctx context.Context, e *mux.Event, who mux.Address) bool {
	a, err := x.load(ctx, e)
	if err != nil {
		return false
	}
	for _, n := range a.nodes {
		if n.subscribedAs(who) {
			return true
		}
	}
	return false
}

// sendLasts sends last items to a resource that gets them, but for nodes of which it
// had them before.
func (x *Extension) sendLasts(ctx context.Context, e *mux.Event, full mux.Address, nodes []string, before func(n *node) bool) {
	a, err := x.load(ctx, e)
	if err != nil {
		return
	}
	for _, name := range nodes {
		n := a.nodes[name]
		if n == nil || n.Config.SendLast != lastPresence {
			continue
		}
		if gets, sees := x.implicit(ctx, e, n, full); gets && !before(n) {
			x.sendLast(ctx, e, n, []target{{full, nil, sees}})
		}
	}
}

// subscriptionChanged looks again at who may see what (pep PSUB-7, S-9, S-10).
func (x *Extension) subscriptionChanged(_ context.Context, e *mux.Event, c mux.SubscriptionChanged) error {
	if c.ToWas && !c.To || c.FromWas && !c.From {
		x.index.bar(e.Account, c.Contact)
		x.index.bar(c.Contact, e.Account)
	}
	e.Mux().Go(e.Account, func(ctx context.Context, e *mux.Event) {
		a, err := x.load(ctx, e)
		if err != nil {
			return
		}
		if c.FromWas && !c.From {
			x.revoke(ctx, e, a, c.Contact)
		}
		if c.To && !(c.FromWas == c.From && c.ToWas) {
			x.welcome(ctx, e, c)
		}
	})
	return nil
}

// revoke ends the subscriptions of somebody who may not see nodes any more.
func (x *Extension) revoke(ctx context.Context, e *mux.Event, a *account, contact mux.Address) {
	for _, n := range a.nodes {
		for _, p := range n.peers {
			if p.Subscription == NotSubscribed || !covers(contact, p.JID) {
				continue
			}
			f := x.about(ctx, e, p.JID, &n.Config)
			if x.blocked(ctx, e, p.JID) || n.Config.refusal(n.peers[p.JID.Bare()], true, f) != nil {
				x.unsubscribe(ctx, e, a, n, p)
			}
		}
	}
}

// covers reports whether an address that is blocked, say, stands for another.
func covers(contact, who mux.Address) bool {
	return contact == who || contact == who.Bare() || contact.Local() == "" && contact.IsBare() && contact.Domain() == who.Domain()
}

// welcome sends a new contact whose resources are known already what it gets from now
// on.
func (x *Extension) welcome(ctx context.Context, e *mux.Event, c mux.SubscriptionChanged) {
	for full, nodes := range x.index.wanted(e.Account, c.Contact, true) {
		x.sendLasts(ctx, e, full, nodes, func(n *node) bool {
			was := facts{from: c.FromWas, to: c.ToWas}
			if n.Config.Access == accessRoster && was.from {
				was.groups = x.opt.Groups(ctx, e, c.Contact)
			}
			return (c.ToWas || x.index.knows(e.Account, full)) && x.opt.implicit(&n.Config, n.peers[c.Contact], n.subscribedAs(full), was)
		})
	}
}

// blockChanged: who is blocked is told nothing and has no subscription (pep NTF-13). What
// it wants is remembered, since it is not told again.
func (x *Extension) blockChanged(_ context.Context, e *mux.Event, c mux.BlockChanged) error {
	if c.Blocked {
		x.pending.begin(e)
		x.index.bar(e.Account, c.Contact)
		x.index.bar(c.Contact, e.Account)
	}
	e.Mux().Go(e.Account, func(ctx context.Context, e *mux.Event) {
		a, err := x.load(ctx, e)
		if err != nil {
			return
		}
		if c.Blocked {
			x.revoke(ctx, e, a, c.Contact)
			return
		}
		_, to := x.opt.Subscription(ctx, e, c.Contact)
		for full, nodes := range x.index.wanted(e.Account, c.Contact.Bare(), to) {
			if covers(c.Contact, full) {
				x.sendLasts(ctx, e, full, nodes, func(*node) bool { return false })
			}
		}
	})
	return nil
}

// accountRemoved removes an account's nodes, and its subscriptions elsewhere.
func (x *Extension) accountRemoved(_ context.Context, e *mux.Event, _ mux.AccountRemoved) error {
	x.pending.begin(e)
	e.Work.Write(x.store.RemoveAccount(e.Account))
	*x.accounts.Of(e) = account{}
	x.index.drop(e.Account)
	x.waiting.set(e.Account, false)
	m, gone := e.Mux(), e.Account
	m.Go(gone, func(ctx context.Context, e *mux.Event) {
		owners, err := x.store.Involved(ctx, gone)
		if err != nil {
			x.failed(ctx, e, "subscriptions of a removed account cannot be read", err)
			return
		}
		for _, owner := range owners {
			m.Go(owner, func(ctx context.Context, e *mux.Event) { x.forgetPeer(ctx, e, gone) })
		}
	})
	return nil
}

// forgetPeer removes whatever an address has to do with the nodes of the turn's account.
func (x *Extension) forgetPeer(ctx context.Context, e *mux.Event, who mux.Address) {
	a, err := x.load(ctx, e)
	if err != nil {
		return
	}
	for _, n := range a.nodes {
		for _, p := range n.peers {
			if p.JID.Bare() == who {
				x.setPeer(e, a, n, Peer{JID: p.JID})
			}
		}
	}
	x.index.forget(e.Account, who)
}

// presence ends subscriptions that last as long as the subscriber is there
// (pubsub#expire). It is a guard, since observers do not see what nobody gets.
func (x *Extension) presence(_ context.Context, e *mux.Event) (mux.Verdict, error) {
	a := x.accounts.Peek(e)
	if t := e.Stanza.Type(); a != nil && a.peers > 0 && (t == "unavailable" || t == "error") {
		x.left(e, a, e.Stanza.From())
	}
	return mux.Pass, nil
}

func (x *Extension) left(e *mux.Event, a *account, from mux.Address) {
	for _, n := range a.nodes {
		for _, who := range []mux.Address{from, from.Bare()} {
			p := n.peers[who]
			if !p.Temporary || who != from && len(x.index.wanted(e.Account, who, false)) > 0 {
				continue
			}
			x.setPeer(e, a, n, Peer{JID: who, Affiliation: p.Affiliation})
		}
	}
}
