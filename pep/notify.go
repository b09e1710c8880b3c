package pep

import (
	"context"
	"encoding/xml"
	"time"

	"github.com/propolis-im/propolis/mux"
)

// target is who gets an event.
type target struct {
	to   mux.Address
	s    *mux.Session // of the account itself, else nil
	sees bool         // the presence of the account, so that the publisher may be named
}

// targets are those who get the events of a node (pep table 3.1).
func (x *Extension) targets(ctx context.Context, e *mux.Event, a *account, n *node) []target {
	l := x.own(e, n)
	if n.Config.Access != accessWhitelist || len(n.peers) > 0 {
		l = x.contacts(ctx, e, n, l)
		l = x.known(ctx, e, n, l)
	}
	return x.subscribers(ctx, e, a, n, l)
}

// own are the account's own resources (R2, R3).
func (x *Extension) own(e *mux.Event, n *node) (l []target) {
	for _, s := range e.Sessions() {
		if s.Available() && x.index.wantsLocal(s.JID(), n.Name) {
			l = append(l, target{s.JID(), s, true})
		}
	}
	return l
}

// contacts are the resources of contacts that are accounts of ours and share their
// presence with the account (R6 to R12). The smaller of roster and interest is looked
// through.
func (x *Extension) contacts(ctx context.Context, e *mux.Event, n *node, l []target) []target {
	add := func(contact mux.Address) {
		if contact == e.Account || x.blocked(ctx, e, contact) {
			return
		}
		f := x.about(ctx, e, contact, &n.Config)
		if f.to && x.opt.implicit(&n.Config, n.peers[contact], n.subscribedAs(contact), f) {
			for _, full := range x.index.resources(contact, n.Name) {
				if !x.blocked(ctx, e, full) {
					l = append(l, target{full, nil, f.from})
				}
			}
		}
	}
	if x.index.wanting(n.Name) <= few {
		for _, contact := range x.index.accounts(n.Name) {
			add(contact)
		}
		return l
	}
	var there []mux.Address
	err := x.opt.Contacts(ctx, e, func(contact mux.Address, _, to bool) bool {
		if to && e.Mux().Ours(contact) && x.index.wantsBare(contact, n.Name) {
			there = append(there, contact)
		}
		return true
	})
	if err != nil {
		x.failed(ctx, e, "contacts cannot be read", err)
	}
	for _, contact := range there {
		add(contact)
	}
	return l
}

// few is how many interested accounts are looked through without asking which of them
// are contacts.
const few = 64

// known are resources that have shown their presence to the account, of contacts
// elsewhere or of anybody (R6 to R12, R19).
func (x *Extension) known(ctx context.Context, e *mux.Event, n *node, l []target) []target {
	type verdict struct{ gets, sees bool }
	asked := make(map[mux.Address]verdict)
	for _, full := range x.index.others(e.Account, n.Name) {
		if x.blocked(ctx, e, full) { // which may be one resource of several
			continue
		}
		v, ok := asked[full.Bare()]
		if !ok {
			f := x.about(ctx, e, full, &n.Config)
			v.sees = f.from
			// A contact here is among contacts.
			v.gets = !(f.to && e.Mux().Ours(full)) && x.opt.implicit(&n.Config, n.peers[full.Bare()], n.subscribedAs(full), f)
			asked[full.Bare()] = v
		}
		if v.gets {
			l = append(l, target{full, nil, v.sees})
		}
	}
	return l
}

// implicit reports whether a resource that is known gets the events of a node without
// a subscription, and whether it sees the presence of the account.
func (x *Extension) implicit(ctx context.Context, e *mux.Event, n *node, full mux.Address) (gets, sees bool) {
	if x.blocked(ctx, e, full) {
		return false, false
	}
	f := x.about(ctx, e, full, &n.Config)
	return x.opt.implicit(&n.Config, n.peers[full.Bare()], n.subscribedAs(full), f), f.from
}

// implicit is the same by facts alone: contacts by what the node says, others only where
// it is open (R6, R11).
func (o *Options) implicit(c *Config, p Peer, subscribed bool, f facts) bool {
	if (!f.from || !f.to) && (c.Access != accessOpen || !f.to && !o.Strangers) {
		return false
	}
	return c.refusal(p, subscribed, f) == nil
}

// subscribers are those with a subscription that have not got the event as they are
// interested anyway (R5, R13 to R16). Who may not see the node any more is none any
// longer.
func (x *Extension) subscribers(ctx context.Context, e *mux.Event, a *account, n *node, l []target) []target {
	var got map[mux.Address]bool
	var bare map[mux.Address]bool
	for _, p := range n.peers {
		if p.Subscription != Subscribed || p.Silent {
			continue
		}
		if got == nil {
			got, bare = make(map[mux.Address]bool, len(l)), make(map[mux.Address]bool)
			for _, t := range l {
				got[t.to], bare[t.to.Bare()] = true, true
			}
		}
		f := x.about(ctx, e, p.JID, &n.Config)
		if x.blocked(ctx, e, p.JID) || p.JID.Bare() != e.Account && n.Config.refusal(n.peers[p.JID.Bare()], true, f) != nil {
			x.unsubscribe(ctx, e, a, n, p)
			continue
		}
		sees := f.from || p.JID.Bare() == e.Account
		if p.JID.IsBare() {
			l = x.toBare(ctx, e, n, p, f, sees, got, bare, l)
		} else if !got[p.JID] && (x.there(e, p.JID, f) || !n.Config.PresenceBased && !p.Temporary) {
			got[p.JID] = true
			l = append(l, x.target(e, p.JID, sees))
		}
	}
	return l
}

// toBare adds a subscriber by the bare address: its resources that are known to be
// interested, or else the address itself (R13, R14).
func (x *Extension) toBare(ctx context.Context, e *mux.Event, n *node, p Peer, f facts, sees bool, got, bare map[mux.Address]bool, l []target) []target {
	some := bare[p.JID]
	shared := f.to || p.JID == e.Account
	for full, nodes := range x.index.wanted(e.Account, p.JID, shared) {
		for _, name := range nodes {
			if name != n.Name {
				continue
			}
			some = true
			if !got[full] && !x.blocked(ctx, e, full) {
				got[full] = true
				l = append(l, x.target(e, full, sees))
			}
		}
	}
	if some || n.Config.PresenceBased || p.Temporary {
		return l
	}
	return append(l, target{p.JID, nil, sees})
}

// there reports whether the account may know that a resource is there.
func (x *Extension) there(e *mux.Event, full mux.Address, f facts) bool {
	if x.index.knows(e.Account, full) {
		return true
	}
	if !e.Mux().Ours(full) || !f.to && full.Bare() != e.Account {
		return false // its presence is not for the account (pep R10)
	}
	for _, s := range e.Mux().Sessions(full.Bare()) {
		if s.JID() == full && s.Available() {
			return true
		}
	}
	return false
}

// target is a resource as a target.
func (x *Extension) target(e *mux.Event, full mux.Address, sees bool) target {
	if full.Bare() == e.Account {
		for _, s := range e.Sessions() {
			if s.JID() == full {
				return target{full, s, true}
			}
		}
	}
	return target{full, nil, sees}
}

// eventID begins the ids of events, so that errors that come back are known.
const eventID = "pep-"

var eventName = xml.Name{Space: NSEvent, Local: "event"}

// send sends an event to all, who share what it says. The publisher is named to those
// who see the account's presence (XEP-0163 §4.3.1).
func (x *Extension) send(ctx context.Context, e *mux.Event, c *Config, content string, publisher mux.Address, to []target) {
	if len(to) == 0 {
		return
	}
	plain := message(e.Account, c, content)
	named := plain
	if !publisher.IsZero() && !publisher.IsBare() {
		b := appendAttr([]byte("<addresses xmlns='http://jabber.org/protocol/address'><address type='replyto'"), "jid", publisher.String())
		named = plain.With(mux.RawChild(xml.Name{Space: "http://jabber.org/protocol/address", Local: "addresses"}, string(b)+"/></addresses>"))
	}
	for _, t := range to {
		s := plain
		if t.sees {
			s = named
		}
		x.deliver(ctx, e, mux.Item{Stanza: s, To: t.to, Flags: mux.Service}, t)
	}
}

func (x *Extension) deliver(ctx context.Context, e *mux.Event, it mux.Item, t target) {
	if t.s != nil {
		e.Deliver(it, t.s)
		return
	}
	e.SendItem(ctx, it)
}

// message is the stanza of an event.
func message(owner mux.Address, c *Config, content string) *mux.Stanza {
	return mux.Make(mux.Head{Kind: mux.Message, Type: c.MessageType, ID: eventID + newID(), From: owner},
		mux.RawChild(eventName, "<event xmlns='"+NSEvent+"'>"+content+"</event>"))
}

// itemsEvent says that an item was published.
func itemsEvent(n *node, i *Item) string {
	b := appendAttr([]byte("<items"), "node", n.Name)
	if i == nil {
		return string(b) + "/>"
	}
	b = appendItem(append(b, '>'), i, &n.Config, n.Config.Payloads)
	return string(b) + "</items>"
}

// retractEvent says that items are gone.
func retractEvent(n *node, ids []string) string {
	b := append(appendAttr([]byte("<items"), "node", n.Name), '>')
	for _, id := range ids {
		b = append(appendAttr(append(b, "<retract"...), "id", id), "/>"...)
	}
	return string(b) + "</items>"
}

// nodeEvent is the event of a name about the node itself.
func nodeEvent(n *node, name, content string) string {
	b := appendAttr([]byte("<"+name), "node", n.Name)
	if content == "" {
		return string(b) + "/>"
	}
	return string(b) + ">" + content + "</" + name + ">"
}

// publish tells of an item, and of those that had to go for it (pep PUB-13).
func (x *Extension) publish(ctx context.Context, e *mux.Event, n *node, i *Item, trimmed []string, from mux.Address) {
	x.index.supersede(e.Account, n.Name, n.Seq)
	if !n.Config.Notify {
		return
	}
	to := x.targets(ctx, e, x.accounts.Of(e), n)
	x.index.told(e.Account, n.Name, n.Seq, to)
	x.send(ctx, e, &n.Config, itemsEvent(n, i), from, to)
	if len(trimmed) > 0 && n.Config.NotifyRetract && n.Config.MaxItems != 1 && n.Config.NodeFull == "retract-oldest" {
		x.send(ctx, e, &n.Config, retractEvent(n, trimmed), mux.Address{}, to)
	}
}

// announce tells of a change that is no publication.
func (x *Extension) announce(ctx context.Context, e *mux.Event, a *account, n *node, content string) {
	x.send(ctx, e, &n.Config, content, mux.Address{}, x.targets(ctx, e, a, n))
}

// tellSubscription tells somebody what has become of a subscription.
func (x *Extension) tellSubscription(ctx context.Context, e *mux.Event, n *node, who mux.Address, state string) {
	b := appendAttr([]byte("<subscription"), "node", n.Name)
	b = appendAttr(b, "jid", who.String())
	b = appendAttr(b, "subscription", state)
	x.send(ctx, e, &n.Config, string(b)+"/>", mux.Address{}, []target{x.target(e, who, false)})
}

// sendLast sends the last item of a node (XEP-0060 §6.1.7). It may wait for the store.
func (x *Extension) sendLast(ctx context.Context, e *mux.Event, n *node, to []target) {
	if len(to) == 0 || !n.Config.Notify {
		return
	}
	i, err := x.newest(ctx, e, n)
	if err != nil || i == nil {
		return
	}
	s := message(e.Account, &n.Config, itemsEvent(n, i))
	var extra []byte
	if !i.At.IsZero() { // kept elsewhere, and never changed
		extra = delay(i.At)
	}
	for _, t := range to {
		x.deliver(ctx, e, mux.Item{Stanza: s, To: t.to, Flags: mux.Service, Extra: extra}, t)
	}
}

// delay says when an item was published (pep NTF-10).
func delay(at time.Time) []byte {
	return at.UTC().AppendFormat(nil, "<delay xmlns='urn:xmpp:delay' stamp='2006-01-02T15:04:05.000Z'/>")
}
