package pep

import (
	"context"
	"errors"
	"slices"
	"strings"

	"mellium.im/xmlstream"

	"github.com/propolis-im/propolis/mux"
)

// sorted are those who have to do with a node, in the order of their addresses.
func (n *node) sorted() []Peer {
	l := make([]Peer, 0, len(n.peers))
	for _, p := range n.peers {
		l = append(l, p)
	}
	slices.SortFunc(l, func(a, b Peer) int { return strings.Compare(a.JID.String(), b.JID.String()) })
	return l
}

// String names the affiliation as the protocol does.
func (a Affiliation) String() string {
	return [...]string{"none", "member", "publisher", "outcast"}[a]
}

// affiliations are the requester's own (XEP-0060 §5.7).
func affiliations(_ context.Context, q *query) (xmlstream.Marshaler, error) {
	b := []byte("<affiliations")
	if q.node != "" {
		b = appendAttr(b, "node", q.node)
	}
	b = append(b, '>')
	for _, name := range sortedKeys(q.a.nodes) {
		is := q.a.nodes[name].peers[q.from.Bare()].Affiliation.String()
		if q.owner {
			is = "owner"
		}
		if is != "none" && (q.node == "" || q.node == name) {
			b = append(appendAttr(appendAttr(append(b, "<affiliation"...), "node", name), "affiliation", is), "/>"...)
		}
	}
	return appendPubsub(NS, string(b)+"</affiliations>"), nil
}

// ownerAffiliations are those of a node (XEP-0060 §8.9.1).
func ownerAffiliations(_ context.Context, q *query) (xmlstream.Marshaler, error) {
	n, err := q.owned()
	if err != nil {
		return nil, err
	}
	b := append(appendAttr([]byte("<affiliations"), "node", n.Name), '>')
	b = append(appendAttr(append(b, "<affiliation"...), "jid", q.e.Account.String()), " affiliation='owner'/>"...)
	for _, p := range n.sorted() {
		if p.Affiliation != NoAffiliation {
			b = appendAttr(append(b, "<affiliation"...), "jid", p.JID.String())
			b = append(appendAttr(b, "affiliation", p.Affiliation.String()), "/>"...)
		}
	}
	return appendPubsub(NSOwner, string(b)+"</affiliations>"), nil
}

// setAffiliations changes affiliations (XEP-0060 §8.9.2): all that are named, or none.
func setAffiliations(ctx context.Context, q *query) (xmlstream.Marshaler, error) {
	n, err := q.owned()
	if err != nil {
		return nil, err
	}
	if q.x.kept(n.Name) != nil {
		return nil, errAlone
	}
	changes := make(map[mux.Address]Affiliation)
	bad := refused{list: "affiliations", entry: "affiliation", attr: "affiliation"}
	for _, k := range q.el.Children() {
		if k.Name.Space != NSOwner || k.Name.Local != "affiliation" {
			continue
		}
		if len(changes) >= q.x.opt.MaxSubscriptions {
			return nil, errOutOfRange
		}
		who, err := mux.ParseAddress(k.Attr("jid"))
		if err != nil || !who.IsBare() {
			bad.add(k.Attr("jid"), NoAffiliation.String())
			continue
		}
		if _, twice := changes[who]; twice {
			return nil, errBadRequest
		}
		is, err := q.affiliation(who, k.Attr("affiliation"))
		switch {
		case err == errNoAffiliation && who == q.e.Account:
			bad.add(who.String(), "owner")
		case err == errNoAffiliation:
			bad.add(who.String(), n.peers[who].Affiliation.String())
		case err != nil:
			return nil, err
		}
		changes[who] = is
	}
	if err := bad.err(n.Name); err != nil {
		return nil, err
	}
	more := 0
	for who, is := range changes {
		if _, had := n.peers[who]; !had && is != NoAffiliation {
			more++
		}
	}
	delete(changes, q.e.Account)
	if q.a.peers+more > q.x.opt.MaxSubscriptions && more > 0 {
		return nil, errTooManySubs
	}
	q.affiliate(ctx, n, changes)
	return nil, nil
}

// errNoAffiliation: somebody cannot be that.
var errNoAffiliation = errors.New("pep: no affiliation")

// affiliation reads what somebody is to be (pep E-30, E-31).
func (q *query) affiliation(who mux.Address, s string) (Affiliation, error) {
	switch {
	case who == q.e.Account && s == "owner":
		return NoAffiliation, nil
	case who == q.e.Account:
		return 0, errNoAffiliation // the last owner
	case s == "owner", s == "publish-only":
		return 0, unsupported(s + "-affiliation")
	}
	for a := NoAffiliation; a <= Outcast; a++ {
		if a.String() == s {
			return a, nil
		}
	}
	return 0, errNoAffiliation
}

// affiliate makes the changes; who may not see the node any more is subscribed no
// longer, and who may now and is interested gets the last item.
func (q *query) affiliate(ctx context.Context, n *node, changes map[mux.Address]Affiliation) {
	x, e := q.x, q.e
	before := q.before(ctx, n)
	for who, is := range changes {
		p := n.peers[who]
		p.JID, p.Affiliation = who, is
		q.setPeer(n, p)
	}
	for _, p := range n.sorted() {
		if _, changed := changes[p.JID.Bare()]; !changed || p.Subscription == NotSubscribed {
			continue
		}
		if n.Config.refusal(n.peers[p.JID.Bare()], true, x.about(ctx, e, p.JID, &n.Config)) != nil {
			x.unsubscribe(ctx, e, q.a, n, p)
		}
	}
	q.gained(n, before, x.targets(ctx, e, q.a, n))
}

// ownerSubscriptions are those of a node (XEP-0060 §8.8.1).
func ownerSubscriptions(_ context.Context, q *query) (xmlstream.Marshaler, error) {
	n, err := q.owned()
	if err != nil {
		return nil, err
	}
	b := append(appendAttr([]byte("<subscriptions"), "node", n.Name), '>')
	for _, p := range n.sorted() {
		if p.Subscription == Subscribed {
			b = append(b, appendSubscription("", p)...)
		}
	}
	return appendPubsub(NSOwner, string(b)+"</subscriptions>"), nil
}

// setSubscriptions changes subscriptions (XEP-0060 §8.8.2).
func setSubscriptions(ctx context.Context, q *query) (xmlstream.Marshaler, error) {
	n, err := q.owned()
	if err != nil {
		return nil, err
	}
	changes := make(map[mux.Address]SubState)
	bad := refused{list: "subscriptions", entry: "subscription", attr: "subscription"}
	more := 0
	for _, k := range q.el.Children() {
		if k.Name.Space != NSOwner || k.Name.Local != "subscription" {
			continue
		}
		who, err := mux.ParseAddress(k.Attr("jid"))
		if err != nil {
			bad.add(k.Attr("jid"), NotSubscribed.String())
			continue
		}
		var is SubState
		switch k.Attr("subscription") {
		case "none":
		case "subscribed":
			is = Subscribed
		case "pending":
			is = Pending
		default:
			bad.add(who.String(), n.peers[who].Subscription.String())
			continue
		}
		if _, twice := changes[who]; twice {
			return nil, errBadRequest
		}
		if _, had := n.peers[who]; !had && is != NotSubscribed {
			more++
		}
		changes[who] = is
	}
	if err := bad.err(n.Name); err != nil {
		return nil, err
	}
	if more > 0 && q.a.peers+more > q.x.opt.MaxSubscriptions {
		return nil, errTooManySubs
	}
	for who, is := range changes {
		q.x.setSubscription(ctx, q.e, q.a, n, who, is)
	}
	return nil, nil
}

// setSubscription is the owner's word on a subscription: the subscriber is told, and
// gets the last item.
func (x *Extension) setSubscription(ctx context.Context, e *mux.Event, a *account, n *node, who mux.Address, is SubState) {
	p := n.peers[who]
	if p.Subscription == is {
		return
	}
	p.JID, p.Subscription = who, is
	if is == NotSubscribed {
		p = Peer{JID: who, Affiliation: p.Affiliation}
	}
	x.setPeer(e, a, n, p)
	x.tellSubscription(ctx, e, n, who, is.String())
	if is == Subscribed && n.Config.SendLast != lastNever {
		(&query{x: x, e: e, a: a}).later(n.Name, []mux.Address{who})
	}
}
