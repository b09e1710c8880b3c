package pep

import (
	"context"
	"strconv"
	"strings"

	"github.com/propolis-im/propolis/internal/xmlwrite"
	"github.com/propolis-im/propolis/mux"
)

// features are what the service can do (XEP-0060 §10, pep 2.12).
var features = strings.Fields(`access-authorize access-open access-presence access-roster access-whitelist auto-create auto-subscribe
	config-node config-node-max create-and-configure create-nodes delete-items delete-nodes filtered-notifications instant-nodes
	item-ids last-published manage-subscriptions member-affiliation meta-data modify-affiliations multi-items outcast-affiliation
	persistent-items presence-notifications presence-subscribe publish publish-node-full publish-options publisher-affiliation
	pubsub-on-a-jid purge-nodes retract-items retrieve-affiliations retrieve-default retrieve-items retrieve-subscriptions rsm
	subscribe subscription-notifications subscription-options`)

func addService(q *mux.DiscoQuery) {
	q.Identities = append(q.Identities, mux.DiscoIdentity{Category: "pubsub", Type: "pep"})
	q.Feature(NS, nsRSM)
	for _, f := range features {
		q.Feature(nsPrefix + f)
	}
}

// discoHost tells of the service at the domain too, since clients ask there (XEP-0222
// §5, XEP-0223 §5).
func discoHost(_ context.Context, q *mux.DiscoQuery) error {
	if q.Node == "" && !q.Items {
		addService(q)
	}
	return nil
}

// disco tells of an account's service and nodes (XEP-0163 §6).
func (x *Extension) disco(ctx context.Context, q *mux.DiscoQuery) error {
	if q.Node == "" && !q.Items {
		addService(q)
		return nil
	}
	if q.Event == nil || q.Event.Unknown {
		return nil
	}
	e := q.Event
	if q.From.Bare() != e.Account && x.blocked(ctx, e, q.From) {
		return nil
	}
	a, err := x.load(ctx, e)
	if err != nil {
		return err
	}
	if q.Node == "" {
		for _, name := range sortedKeys(a.nodes) {
			if n := a.nodes[name]; x.visible(ctx, e, n, q.From) {
				q.Children = append(q.Children, mux.DiscoItem{JID: e.Account, Node: name, Name: n.Config.Title})
			}
		}
		return nil
	}
	n := a.nodes[q.Node]
	if n == nil {
		return nil
	}
	if !x.visible(ctx, e, n, q.From) {
		return x.access(ctx, e, n, q.From)
	}
	q.Found = true
	if !q.Items {
		x.metadata(n, q, e)
		return nil
	}
	return x.listItems(ctx, n, q)
}

// listItems are the items of a node (XEP-0060 §5.5), for those who may read it.
func (x *Extension) listItems(ctx context.Context, n *node, q *mux.DiscoQuery) error {
	if err := x.access(ctx, q.Event, n, q.From); err != nil || !n.Config.keeps() {
		return err
	}
	if k := x.kept(n.Name); k != nil {
		q.Children = append(q.Children, mux.DiscoItem{JID: q.Event.Account, Name: k.ID})
		return nil
	}
	if _, err := x.items(ctx, q.Event, n); err != nil {
		return err
	}
	l := n.visible(now())
	for _, i := range l[max(0, len(l)-ownerPageItems):] {
		// Items of one node are told apart by name here, which is theirs alone.
		q.Children = append(q.Children, mux.DiscoItem{JID: q.Event.Account, Name: i.ID})
	}
	return nil
}

// metadata describes a node (XEP-0060 §5.4).
func (x *Extension) metadata(n *node, q *mux.DiscoQuery, e *mux.Event) {
	q.Identities = append(q.Identities, mux.DiscoIdentity{Category: "pubsub", Type: "leaf", Name: n.Config.Title})
	q.Feature(NS)
	b := appendFormStart(nil, "result", "meta-data")
	field := func(name, value string) {
		b = append(b, "<field var='"+varPrefix+name+"'><value>"...)
		b = xmlwrite.AppendText(b, value)
		b = append(b, "</value></field>"...)
	}
	for _, name := range []string{"type", "title", "description", "language", "access_model", "publish_model", "max_items"} {
		if v := findField(name).values(&n.Config); v[0] != "" {
			field(name, v[0])
		}
	}
	field("creation_date", n.Created.UTC().Format("2006-01-02T15:04:05Z"))
	field("owner", e.Account.String())
	if q.From.Bare() == e.Account {
		subscribed := 0
		for _, p := range n.peers {
			if p.Subscription == Subscribed {
				subscribed++
			}
		}
		field("num_subscribers", strconv.Itoa(subscribed))
	}
	q.Forms = append(q.Forms, mux.Raw(append(b, "</x>"...)))
}
