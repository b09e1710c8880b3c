package pep

import (
	"context"

	"mellium.im/xmlstream"

	"github.com/propolis-im/propolis/mux"
)

// subscriber is the address in a request about a subscription, which must be the
// requester's (pep E-22).
func (q *query) subscriber(foreign error) (mux.Address, error) {
	s := q.el.Attr("jid")
	if s == "" {
		return mux.Address{}, errJIDRequired
	}
	who, err := mux.ParseAddress(s)
	if err != nil {
		return who, errInvalidJID
	}
	if who.Bare() != q.from.Bare() {
		return who, foreign
	}
	return who, nil
}

// subscribe makes a subscription (XEP-0060 §6.1).
func subscribe(ctx context.Context, q *query) (xmlstream.Marshaler, error) {
	n, err := q.find(errNotFound)
	if err != nil {
		return nil, err
	}
	who, err := q.subscriber(errInvalidJID)
	if err != nil {
		return nil, err
	}
	p := n.peers[who]
	p.JID = who
	if err := q.maySubscribe(ctx, n, p); err != nil {
		return nil, err
	}
	if q.with != "" && q.form != nil {
		if err := p.options(q.form); err != nil {
			return nil, err
		}
	}
	if n.peers[who].JID.IsZero() && q.a.peers >= q.x.opt.MaxSubscriptions {
		return nil, errTooManySubs
	}
	asks := false
	if p.Subscription == NotSubscribed {
		p.Subscription, p.Bounces = Subscribed, 0
		if n.Config.Access == accessAuthorize && !q.owner && n.peers[who.Bare()].Affiliation != Publisher {
			p.Subscription, asks = Pending, true
		}
	}
	q.setPeer(n, p)
	switch {
	case asks:
		q.x.askOwnerAbout(ctx, q.e, n, who)
	case n.Config.SendLast != lastNever:
		q.later(n.Name, []mux.Address{who})
	}
	return appendPubsub(NS, appendSubscription(n.Name, p)), nil
}

// maySubscribe refuses those who may not (pep E-16 to E-21, E-24).
func (q *query) maySubscribe(ctx context.Context, n *node, p Peer) error {
	if q.owner {
		return nil
	}
	affiliated := n.peers[q.from.Bare()]
	switch {
	case affiliated.Affiliation == Outcast:
		return errForbidden
	case !n.Config.Subscribe:
		return errNoSubscribe
	case p.Subscription == Pending:
		return errPending
	}
	return n.Config.refusal(affiliated, true, q.x.about(ctx, q.e, q.from, &n.Config))
}

func appendSubscription(node string, p Peer) string {
	b := []byte("<subscription")
	if node != "" {
		b = appendAttr(b, "node", node)
	}
	b = appendAttr(b, "jid", p.JID.String())
	b = appendAttr(b, "subscription", p.Subscription.String())
	return string(b) + "/>"
}

// String names the state as the protocol does.
func (s SubState) String() string { return [...]string{"none", "pending", "subscribed"}[s] }

// unsubscribe ends a subscription of the requester (XEP-0060 §6.2).
func unsubscribe(_ context.Context, q *query) (xmlstream.Marshaler, error) {
	n, err := q.find(errNotFound)
	if err != nil {
		return nil, err
	}
	who, err := q.subscriber(errForbidden)
	if err != nil {
		return nil, err
	}
	p := n.peers[who]
	if p.Subscription == NotSubscribed {
		return nil, errUnsubscribed
	}
	q.setPeer(n, Peer{JID: who, Affiliation: p.Affiliation})
	return nil, nil
}

// unsubscribe ends somebody's subscription, who is told.
func (x *Extension) unsubscribe(ctx context.Context, e *mux.Event, a *account, n *node, p Peer) {
	x.setPeer(e, a, n, Peer{JID: p.JID, Affiliation: p.Affiliation})
	x.tellSubscription(ctx, e, n, p.JID, "none")
}

// subscriptions are the requester's own (XEP-0060 §5.6).
func subscriptions(_ context.Context, q *query) (xmlstream.Marshaler, error) {
	b := []byte("<subscriptions")
	if q.node != "" {
		b = appendAttr(b, "node", q.node)
	}
	b = append(b, '>')
	for _, name := range sortedKeys(q.a.nodes) {
		if q.node != "" && q.node != name {
			continue
		}
		for _, p := range q.a.nodes[name].sorted() {
			if p.JID.Bare() == q.from.Bare() && p.Subscription != NotSubscribed {
				b = append(b, appendSubscription(name, p)...)
			}
		}
	}
	return appendPubsub(NS, string(b)+"</subscriptions>"), nil
}

// getOptions and setOptions are about the options of a subscription (XEP-0060 §6.3).
func getOptions(_ context.Context, q *query) (xmlstream.Marshaler, error) {
	n, p, err := q.subscription()
	if err != nil {
		return nil, err
	}
	b := appendAttr(appendAttr([]byte("<options"), "node", n.Name), "jid", p.JID.String())
	b = appendFormStart(append(b, '>'), "form", "subscribe_options")
	deliver := "1"
	if p.Silent {
		deliver = "0"
	}
	b = append(b, "<field var='"+varPrefix+"deliver' type='boolean' label='Send events'><value>"+deliver+"</value></field>"...)
	b = append(b, "<field var='"+varPrefix+"expire' type='text-single' label='Until when: presence, as long as you are there'>"...)
	if p.Temporary {
		b = append(b, "<value>presence</value>"...)
	}
	return appendPubsub(NS, string(b)+"</field></x></options>"), nil
}

func setOptions(_ context.Context, q *query) (xmlstream.Marshaler, error) {
	n, p, err := q.subscription()
	if err != nil {
		return nil, err
	}
	form, err := formOf(q.el)
	if err != nil {
		return nil, err
	}
	if form != nil && form.Type == "cancel" {
		return nil, nil
	}
	if err := p.options(form); err != nil {
		return nil, err
	}
	q.setPeer(n, p)
	return nil, nil
}

// subscription is the one that a request about options names.
func (q *query) subscription() (*node, Peer, error) {
	n, err := q.find(errNotFound)
	if err != nil {
		return nil, Peer{}, err
	}
	who, err := q.subscriber(errForbidden)
	if err != nil {
		return nil, Peer{}, err
	}
	p := n.peers[who]
	if p.Subscription == NotSubscribed {
		return nil, Peer{}, errUnsubscribed
	}
	return n, p, nil
}

// options sets what a form says; others than these two are not offered (pep PSUB-9).
func (p *Peer) options(form *formData) error {
	fields, err := form.submitted("subscribe_options")
	if err != nil {
		return errInvalidOptions
	}
	for _, f := range fields {
		value := ""
		if len(f.Values) == 1 {
			value = f.Values[0]
		}
		name, _ := cutField(f.Var)
		deliver, ok := parseBool(value)
		switch {
		case name == "deliver" && ok:
			p.Silent = !deliver
		case name == "expire" && (value == "presence" || value == ""):
			p.Temporary = value == "presence"
		default:
			return errInvalidOptions
		}
	}
	return nil
}
