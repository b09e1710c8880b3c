package pep

import (
	"context"
	"slices"

	"github.com/propolis-im/propolis/mux"
)

// facts are what the roster says of somebody, as far as it was asked.
type facts struct {
	from, to bool
	groups   []string
}

// about asks the roster about somebody.
func (x *Extension) about(ctx context.Context, e *mux.Event, who mux.Address, c *Config) (f facts) {
	f.from, f.to = x.opt.Subscription(ctx, e, who)
	if c.Access == accessRoster && f.from {
		f.groups = x.opt.Groups(ctx, e, who.Bare())
	}
	return f
}

// refusal says why somebody may not subscribe to a node or read it, nil if they may
// (pep E-16 to E-20). With authorize, a subscription is what decides.
func (c *Config) refusal(p Peer, subscribed bool, f facts) error {
	if p.Affiliation == Outcast {
		return errForbidden
	}
	switch c.Access {
	case accessOpen:
		return nil
	case accessPresence:
		if !f.from {
			return errNeedsPresence
		}
		return nil
	case accessRoster:
		if !f.from || !slices.ContainsFunc(f.groups, func(g string) bool { return slices.Contains(c.Groups, g) }) {
			return errNotInGroup
		}
		return nil
	case accessWhitelist:
		if p.Affiliation != Member && p.Affiliation != Publisher {
			return errClosedNode
		}
		return nil
	}
	if !subscribed && p.Affiliation != Publisher {
		return errNotSubscribed
	}
	return nil
}

// subscribedAs reports whether somebody is subscribed, by the bare address or the full
// one.
func (n *node) subscribedAs(who mux.Address) bool {
	return n.peers[who].Subscription == Subscribed || n.peers[who.Bare()].Subscription == Subscribed
}

// access says why somebody may not read a node, nil if they may.
func (x *Extension) access(ctx context.Context, e *mux.Event, n *node, who mux.Address) error {
	if who.Bare() == e.Account {
		return nil
	}
	return n.Config.refusal(n.peers[who.Bare()], n.subscribedAs(who), x.about(ctx, e, who, &n.Config))
}

// blocked reports whether the account has blocked somebody.
func (x *Extension) blocked(ctx context.Context, e *mux.Event, who mux.Address) bool {
	if who.Bare() == e.Account {
		return false
	}
	b, err := x.opt.Blocked(ctx, e, who)
	if err != nil {
		x.failed(ctx, e, "blocks cannot be read", err)
	}
	return b || err != nil
}

// mayPublish reports whether somebody may publish to a node that exists (spec
// PUB-11).
func (q *query) mayPublish(ctx context.Context, n *node) bool {
	if q.owner {
		return true
	}
	p := n.peers[q.from.Bare()]
	switch {
	case p.Affiliation == Outcast:
		return false
	case p.Affiliation == Publisher:
		return true
	case n.Config.Publish == "open":
		return q.x.access(ctx, q.e, n, q.from) == nil
	case n.Config.Publish == "subscribers":
		return n.subscribedAs(q.from) && q.x.access(ctx, q.e, n, q.from) == nil
	}
	return false
}

// visible reports whether somebody may know that a node is there: read it or ask for a
// subscription (XEP-0163 §6.2).
func (x *Extension) visible(ctx context.Context, e *mux.Event, n *node, who mux.Address) bool {
	if who.Bare() == e.Account {
		return true
	}
	if n.Config.Access == accessAuthorize && n.peers[who.Bare()].Affiliation != Outcast {
		from, _ := x.opt.Subscription(ctx, e, who)
		return from || n.subscribedAs(who)
	}
	return x.access(ctx, e, n, who) == nil
}

// Visible reports whether somebody who may not see the presence of the turn's account
// may see a node of it, so that service discovery answers (XEP-0030 §8, pep PEP-8). It
// may wait if [Extension.Waits] says so.
func (x *Extension) Visible(ctx context.Context, e *mux.Event, who mux.Address) bool {
	if x.blocked(ctx, e, who) {
		return false
	}
	a, err := x.load(ctx, e)
	if err != nil {
		return false
	}
	for _, n := range a.nodes {
		if x.visible(ctx, e, n, who) {
			return true
		}
	}
	return false
}
