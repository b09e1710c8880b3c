package pep

import (
	"context"

	"mellium.im/xmlstream"

	"github.com/propolis-im/propolis/mux"
)

// create makes a node (XEP-0060 §8.1).
func create(_ context.Context, q *query) (xmlstream.Marshaler, error) {
	name := q.node
	switch {
	case !q.owner:
		if name != "" && q.a.nodes[name] != nil {
			return nil, errForbidden
		}
		return nil, errForbidden
	case q.a.nodes[name] != nil:
		return nil, errConflict
	case len(q.a.nodes) >= q.x.opt.MaxNodes:
		return nil, errTooManyNodes
	case q.withIn:
		return nil, errBadRequest // XEP-0060 §8.1.3
	}
	var fields []formField
	if q.with != "" && q.form != nil {
		var err error
		if fields, err = q.form.submitted("node_config"); err != nil {
			return nil, err
		}
	}
	if name == "" {
		name = newID()
	}
	n, err := q.newNode(name, fields, errOutOfRange)
	if err != nil {
		return nil, err
	}
	if field, err := n.Config.differs(fields); err != nil {
		return nil, err
	} else if field != "" {
		return nil, errOutOfRange // what is forced upon it is something else
	}
	q.a.nodes[name] = n
	q.e.Work.Write(q.x.store.PutNode(q.e.Account, n.Node))
	return appendPubsub(NS, string(appendAttr([]byte("<create"), "node", name))+"/>"), nil
}

// getConfig answers with the configuration as a form (XEP-0060 §8.2.2).
func getConfig(_ context.Context, q *query) (xmlstream.Marshaler, error) {
	n, err := q.owned()
	if err != nil {
		return nil, err
	}
	b := append(appendAttr([]byte("<configure"), "node", n.Name), '>')
	b = n.Config.appendForm(b, "form", q.x.limits)
	return appendPubsub(NSOwner, string(b)+"</configure>"), nil
}

// getDefault answers with the configuration of nodes of which nothing is said
// (XEP-0060 §8.3).
func getDefault(_ context.Context, q *query) (xmlstream.Marshaler, error) {
	if !q.owner {
		return nil, errForbidden
	}
	c := defaultConfig()
	c.MaxPayload = min(c.MaxPayload, q.x.limits.payload)
	return appendPubsub(NSOwner, "<default>"+string(c.appendForm(nil, "form", q.x.limits))+"</default>"), nil
}

// setConfig changes the configuration (XEP-0060 §8.2.4).
func setConfig(ctx context.Context, q *query) (xmlstream.Marshaler, error) {
	n, err := q.owned()
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
	fields, err := form.submitted("node_config")
	if err != nil {
		return nil, err
	}
	c := n.Config
	if err := c.apply(fields, q.x.limits, errOutOfRange); err != nil {
		return nil, err
	}
	if field, err := q.x.withForced(n.Name, &c).differs(fields); err != nil {
		return nil, err
	} else if field != "" {
		return nil, errOutOfRange
	}
	return nil, q.reconfigure(ctx, n, c)
}

// forced are fields that a node has whatever anybody says.
func (x *Extension) forced(name string) [][]formField {
	l := [][]formField{presets(forced[name]), presets(x.opt.Force(name))}
	if x.kept(name) != nil {
		l = append(l, presets(map[string][]string{"access_model": {accessWhitelist}, "publish_model": {"publishers"}, "persist_items": {"1"}}))
	}
	return l
}

// withForced is a configuration with what is forced upon the node.
func (x *Extension) withForced(name string, c *Config) *Config {
	out := *c
	for _, l := range x.forced(name) {
		if err := out.apply(l, unlimited, nil); err != nil {
			x.opt.Logger.Error("fields that a node cannot have are forced upon it", "node", name, "err", err)
		}
	}
	return &out
}

// reconfigure gives a node another configuration, with what that means for items and
// subscriptions (pep OPT-9, OPT-10).
func (q *query) reconfigure(ctx context.Context, n *node, c Config) error {
	x, e := q.x, q.e
	if n.Config.keeps() && c.keeps() {
		if _, err := x.items(ctx, e, n); err != nil {
			return err
		}
	}
	before := q.before(ctx, n)
	was := n.Config
	n.Config = c
	e.Work.Write(x.store.PutNode(e.Account, n.Node))
	switch {
	case was.keeps() && !c.keeps():
		q.empty(n)
		x.changes(ctx, e, n.Name, nil, nil, true)
	case was.keeps():
		trimmed, expired := q.trim(n, now())
		if gone := append(trimmed, expired...); len(gone) > 0 {
			q.changed(n, Change{Remove: gone})
			x.changes(ctx, e, n.Name, nil, gone, false)
		}
	}
	for _, p := range n.peers {
		if p.Subscription == NotSubscribed || p.JID.Bare() == e.Account {
			continue
		}
		f := x.about(ctx, e, p.JID, &c)
		if err := c.refusal(n.peers[p.JID.Bare()], true, f); err != nil {
			x.unsubscribe(ctx, e, q.a, n, p)
		}
	}
	to := x.targets(ctx, e, q.a, n)
	if c.NotifyConfig {
		content := ""
		if c.Payloads {
			content = string(c.appendForm(nil, "result", x.limits))
		}
		x.send(ctx, e, &c, nodeEvent(n, "configuration", content), mux.Address{}, to)
	}
	if was.Access != c.Access || len(was.Groups)+len(c.Groups) > 0 {
		q.gained(n, before, to)
	}
	return nil
}

// before are those who get the events of a node and have had its last item.
func (q *query) before(ctx context.Context, n *node) map[mux.Address]bool {
	m := make(map[mux.Address]bool)
	for _, t := range q.x.targets(ctx, q.e, q.a, n) {
		m[t.to] = true
	}
	return m
}

// gained sends the last item to those who may see a node now and might not before.
func (q *query) gained(n *node, before map[mux.Address]bool, to []target) {
	for _, full := range q.x.index.supersede(q.e.Account, n.Name, n.Seq) {
		delete(before, full) // it was to get it, as matters were
	}
	var fresh []mux.Address
	for _, t := range to {
		if !before[t.to] {
			fresh = append(fresh, t.to)
		}
	}
	if len(fresh) == 0 || n.Config.SendLast != lastPresence {
		return
	}
	q.later(n.Name, fresh)
}

// later sends last items in a turn of its own, since that may wait, and so behind the
// answer.
func (q *query) later(name string, to []mux.Address) {
	x := q.x
	q.e.Mux().Go(q.e.Account, func(ctx context.Context, e *mux.Event) {
		a, err := x.load(ctx, e)
		if err != nil || a.nodes[name] == nil {
			return
		}
		n := a.nodes[name]
		for _, who := range to {
			if x.blocked(ctx, e, who) || x.access(ctx, e, n, who) != nil {
				continue
			}
			x.sendLast(ctx, e, n, []target{x.target(e, who, false)})
		}
	})
}
