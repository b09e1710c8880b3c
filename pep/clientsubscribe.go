package pep

import (
	"context"

	"mellium.im/xmpp/jid"

	"github.com/propolis-im/propolis/mux"
)

// Subscription is one that somebody has to a node.
type Subscription struct {
	Node string
	JID  jid.JID
	// State is subscribed, pending, unconfigured or none (XEP-0060 §4.2).
	State string
	// SubID tells several of one address apart, where a service has that.
	SubID string
}

func (x *subXML) read(node string) Subscription {
	s := Subscription{Node: x.Node, State: x.State, SubID: x.SubID}
	if s.Node == "" {
		s.Node = node
	}
	s.JID, _ = jid.Parse(x.JID) // what is no address is nobody
	return s
}

// Affiliated says what somebody may do at a node.
type Affiliated struct {
	Node string
	JID  jid.JID
	// Affiliation is owner, publisher, publish-only, member, outcast or none (XEP-0060
	// §4.1).
	Affiliation string
}

func (x *affiliationXML) read(node string) Affiliated {
	a := Affiliated{Node: x.Node, Affiliation: x.Value}
	if a.Node == "" {
		a.Node = node
	}
	a.JID, _ = jid.Parse(x.JID)
	return a
}

// Subscribe subscribes the own bare address to a node of somebody, whose events are from
// then on accepted by whoever watches it for [FromSubscribed] (XEP-0060 §6.1). Contacts' nodes need no
// subscription.
func (c *Client) Subscribe(ctx context.Context, to jid.JID, node string) (Subscription, error) {
	// It is noted before, as the last item may come before the answer.
	forget := c.intake.subscribed(mux.AddressOf(to.Bare()), node)
	b := element(wrapper(NS), "subscribe", "node", node, "jid", c.own().String())
	a, err := c.set(ctx, to, append(b, "</subscribe></pubsub>"...))
	if err != nil {
		forget()
		return Subscription{}, err
	}
	if a.Pubsub == nil || a.Pubsub.Subscription == nil {
		return Subscription{Node: node, JID: c.own(), State: "subscribed"}, nil
	}
	return a.Pubsub.Subscription.read(node), nil
}

// Unsubscribe ends a subscription of the own bare address (XEP-0060 §6.2).
func (c *Client) Unsubscribe(ctx context.Context, to jid.JID, node string) error {
	b := element(wrapper(NS), "unsubscribe", "node", node, "jid", c.own().String())
	_, err := c.set(ctx, to, append(b, "</unsubscribe></pubsub>"...))
	if err == nil {
		c.intake.unsubscribed(mux.AddressOf(to.Bare()), node)
	}
	return err
}

// Subscriptions are those of the own account at somebody's nodes, or at one if it is not
// empty (XEP-0060 §5.6). Those to the own bare address count from then on as made by
// [Client.Subscribe], which is for those of earlier sessions.
func (c *Client) Subscriptions(ctx context.Context, at jid.JID, node string) ([]Subscription, error) {
	list, err := c.subscriptions(ctx, at, NS, node)
	for _, s := range list {
		if s.State == "subscribed" && s.JID.Equal(c.own()) && !c.isOwn(at) {
			c.intake.subscribed(mux.AddressOf(at.Bare()), s.Node)
		}
	}
	return list, err
}

// Subscribers are the subscriptions of others to a node of the own account (XEP-0060
// §8.8).
func (c *Client) Subscribers(ctx context.Context, node string) ([]Subscription, error) {
	return c.subscriptions(ctx, jid.JID{}, NSOwner, node)
}

func (c *Client) subscriptions(ctx context.Context, at jid.JID, ns, node string) ([]Subscription, error) {
	p, err := c.list(ctx, at, ns, "subscriptions", node)
	if err != nil || p.Subscriptions == nil {
		return nil, err
	}
	var list []Subscription
	for i := range p.Subscriptions.List {
		list = append(list, p.Subscriptions.List[i].read(p.Subscriptions.Node))
	}
	return list, nil
}

// Affiliations are what the own account may do at somebody's nodes, or at one if it is
// not empty (XEP-0060 §5.7).
func (c *Client) Affiliations(ctx context.Context, at jid.JID, node string) ([]Affiliated, error) {
	return c.affiliations(ctx, at, NS, node)
}

// Affiliates are what others may do at a node of the own account (XEP-0060 §8.9).
func (c *Client) Affiliates(ctx context.Context, node string) ([]Affiliated, error) {
	return c.affiliations(ctx, jid.JID{}, NSOwner, node)
}

func (c *Client) affiliations(ctx context.Context, at jid.JID, ns, node string) ([]Affiliated, error) {
	p, err := c.list(ctx, at, ns, "affiliations", node)
	if err != nil || p.Affiliations == nil {
		return nil, err
	}
	var list []Affiliated
	for i := range p.Affiliations.List {
		list = append(list, p.Affiliations.List[i].read(p.Affiliations.Node))
	}
	return list, nil
}

// list asks for one of the lists, which is in the namespace that was asked in.
func (c *Client) list(ctx context.Context, at jid.JID, ns, what, node string) (*pubsubXML, error) {
	if c.isOwn(at) {
		at = jid.JID{}
	}
	b := append(element(wrapper(ns), what, "node", node), "</"+what+"></pubsub>"...)
	a, err := c.get(ctx, at, b)
	if err != nil {
		return nil, err
	}
	p := a.Pubsub
	if ns == NSOwner {
		p = a.Owner
	}
	if p == nil {
		return nil, ErrAnswer
	}
	return p, nil
}
