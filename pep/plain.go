package pep

import (
	"context"
	"time"

	"github.com/propolis-im/propolis/mux"
)

// What server code does with nodes of the account of the turn. Parameters are of
// package mux alone, so that other extensions can name what they need as an interface.
// Nodes whose items are kept elsewhere are those of the store here.

// PublishItem is [Extension.Publish] without a Publication; counted is that of one.
func (x *Extension) PublishItem(ctx context.Context, e *mux.Event, node, id string, payload mux.Raw, options map[string][]string, counted bool) error {
	_, err := x.Publish(ctx, e, Publication{Node: node, ID: id, Payload: payload, Options: options, Counted: counted})
	return err
}

// EachItem calls yield for each item of a node in the order of publication, as they are
// in this turn. Of those that were not durable when it was called the payload may be
// empty: whoever needs it remembers it from [Extension.OnChange] until it is durable, and
// looks for that before. A node that has more than most octets, 0 for
// any number, is not read but an error, resource-constraint. It may wait for the store.
func (x *Extension) EachItem(ctx context.Context, e *mux.Event, node string, most int64, yield func(id string, at time.Time, payload mux.Raw)) error {
	a, err := x.load(ctx, e)
	if err != nil {
		return err
	}
	n := a.nodes[node]
	switch {
	case n == nil || !n.Config.keeps():
		return nil
	case most > 0 && n.Bytes > most:
		return errFull
	}
	if _, err := x.items(ctx, e, n); err != nil {
		return err
	}
	entries := n.visible(now())
	ids := make([]string, len(entries))
	for i := range entries {
		ids[i] = entries[i].ID
	}
	if len(ids) == 0 {
		return nil
	}
	got, err := x.store.Items(ctx, e.Account, node, ids)
	if err != nil {
		x.failed(ctx, e, "items cannot be read", err)
		return errInternal
	}
	byID := make(map[string]*Item, len(got))
	for i := range got {
		byID[got[i].ID] = &got[i]
	}
	for _, entry := range entries {
		var payload mux.Raw
		if i := byID[entry.ID]; i != nil && i.Seq == entry.Seq {
			payload = mux.Raw(i.Payload)
		}
		yield(entry.ID, entry.At, payload)
	}
	return nil
}

// Exists reports whether there is a node. It may wait for the store.
func (x *Extension) Exists(ctx context.Context, e *mux.Event, node string) (bool, error) {
	a, err := x.load(ctx, e)
	return err == nil && a.nodes[node] != nil, err
}

// Remove removes items that the store has of a node without telling anybody, because
// they are kept elsewhere from now on. It may wait for the store.
func (x *Extension) Remove(ctx context.Context, e *mux.Event, node string, ids []string) error {
	a, err := x.load(ctx, e)
	if err != nil || a.nodes[node] == nil {
		return err
	}
	n := a.nodes[node]
	idx, err := x.items(ctx, e, n)
	if err != nil {
		return err
	}
	q := &query{x: x, e: e, a: a, from: e.Account, owner: true, inner: true}
	var gone []string
	for _, id := range ids {
		if entry := idx.remove(id); entry != nil {
			q.weigh(n, -entry.size())
			gone = append(gone, id)
		}
	}
	if len(gone) > 0 {
		q.changed(n, Change{Remove: gone})
	}
	return nil
}

// Ensure makes a node, or changes its configuration, so that it has these fields, by
// their names without pubsub#. It may wait for the store. Errors are those that the
// client would get, also where something else is forced upon the node.
func (x *Extension) Ensure(ctx context.Context, e *mux.Event, node string, fields map[string][]string) error {
	a, err := x.load(ctx, e)
	if err != nil {
		return err
	}
	q := &query{x: x, e: e, a: a, from: e.Account, owner: true, inner: true}
	wanted := presets(fields)
	n := a.nodes[node]
	made := n == nil
	switch {
	case made && len(a.nodes) >= x.opt.MaxNodes:
		return errTooManyNodes
	case made:
		if n, err = q.newNode(node, wanted, errInvalidOptions); err != nil {
			return err
		}
	}
	c := n.Config
	if err := c.apply(wanted, x.limits, errInvalidOptions); err != nil {
		return err
	}
	c = *x.withForced(node, &c)
	if field, err := c.differs(wanted); err != nil {
		return err
	} else if field != "" {
		return errPrecondition(field)
	}
	if made {
		a.nodes[node] = n
		e.Work.Write(x.store.PutNode(e.Account, n.Node))
		return nil
	}
	if c.Encode() == n.Config.Encode() {
		return nil
	}
	return q.reconfigure(ctx, n, c)
}

// Alone reports whether nobody but the account itself can have a part in a node: it is
// not there, or a whitelist on which nobody is, which subscriptions from before do not
// change. It may wait for the store.
func (x *Extension) Alone(ctx context.Context, e *mux.Event, node string) (bool, error) {
	a, err := x.load(ctx, e)
	if err != nil {
		return false, err
	}
	n := a.nodes[node]
	if n == nil {
		return true, nil
	}
	if n.Config.Access != accessWhitelist || n.Config.Publish != "publishers" {
		return false, nil
	}
	for jid, p := range n.peers {
		if jid.Bare() != e.Account && (p.Affiliation == Member || p.Affiliation == Publisher) {
			return false, nil
		}
	}
	return true, nil
}

// Hears reports whether a session wants a node. It does not wait.
func (x *Extension) Hears(s *mux.Session, node string) bool {
	return s.Available() && x.index.wantsLocal(s.JID(), node)
}

// Listens reports whether the account itself wants a node: a session is interested, or
// it is subscribed. It does not wait.
func (x *Extension) Listens(e *mux.Event, node string) bool {
	for _, s := range e.Sessions() {
		if x.Hears(s, node) {
			return true
		}
	}
	a := x.accounts.Peek(e)
	if a == nil || a.nodes[node] == nil {
		return false
	}
	for jid, p := range a.nodes[node].peers {
		if jid.Bare() == e.Account && p.Subscription == Subscribed {
			return true
		}
	}
	return false
}
