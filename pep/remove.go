package pep

import (
	"context"
	"encoding/xml"
	"slices"

	"mellium.im/xmlstream"

	"github.com/propolis-im/propolis/internal/xmlwrite"
	"github.com/propolis-im/propolis/mux"
)

// retract removes an item (XEP-0060 §7.2).
func retract(ctx context.Context, q *query) (xmlstream.Marshaler, error) {
	n, err := q.find(errForbidden)
	if err != nil {
		return nil, err
	}
	if !q.mayPublish(ctx, n) {
		return nil, errForbidden
	}
	if !n.Config.keeps() {
		return nil, errNotPersistent
	}
	if q.x.kept(n.Name) != nil {
		return nil, errKept
	}
	given := q.given()
	if len(given) == 0 {
		return nil, errItemRequired
	}
	ids := make([]string, 0, len(given))
	idx, err := q.x.items(ctx, q.e, n)
	if err != nil {
		return nil, err
	}
	for _, g := range given {
		id := g.Attr("id")
		e := idx.byID[id]
		switch {
		case id == "":
			return nil, errItemRequired
		case e == nil || n.Config.expired(e.At, now()):
			return nil, errNotFound
		case !q.owner && e.Publisher != q.from.Bare():
			return nil, errForbidden // pep PUB-11
		}
		if !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	for _, id := range ids {
		q.weigh(n, -idx.remove(id).size())
	}
	q.changed(n, Change{Remove: ids})
	q.x.changes(ctx, q.e, n.Name, nil, ids, false)
	if tell, _ := parseBool(q.el.Attr("notify")); (tell || n.Config.NotifyRetract) && n.Config.Notify {
		q.x.announce(ctx, q.e, q.a, n, retractEvent(n, ids))
	}
	return nil, nil
}

// changed writes that items are gone. They are a change in order like any other, so that
// no last item from before it is sent any more (pep DEL-5).
func (q *query) changed(n *node, c Change) {
	q.a.seq++
	n.Seq = q.a.seq
	n.last = nil
	c.Seq, c.Bytes = n.Seq, n.Bytes
	q.e.Work.Write(q.x.store.Change(q.e.Account, n.Name, c))
	q.x.index.supersede(q.e.Account, n.Name, n.Seq)
}

// purge removes all items (XEP-0060 §8.5).
func purge(ctx context.Context, q *query) (xmlstream.Marshaler, error) {
	n, err := q.owned()
	if err != nil {
		return nil, err
	}
	if !n.Config.keeps() {
		return nil, errNotPersistent
	}
	if q.x.kept(n.Name) != nil {
		return nil, errKept
	}
	q.empty(n)
	q.x.changes(ctx, q.e, n.Name, nil, nil, true)
	if n.Config.NotifyRetract && n.Config.Notify {
		q.x.announce(ctx, q.e, q.a, n, nodeEvent(n, "purge", ""))
	}
	return nil, nil
}

// empty removes all items.
func (q *query) empty(n *node) {
	q.weigh(n, -n.Bytes)
	n.items = &itemIndex{byID: make(map[string]*Entry)}
	q.x.used(q.e, n)
	q.changed(n, Change{All: true})
}

// deleteNode removes a node (XEP-0060 §8.4).
func deleteNode(ctx context.Context, q *query) (xmlstream.Marshaler, error) {
	n, err := q.owned()
	if err != nil {
		return nil, err
	}
	if q.x.kept(n.Name) != nil {
		return nil, errKept
	}
	content := ""
	if c, ok := q.el.Child(xml.Name{Space: NSOwner, Local: "redirect"}); ok {
		uri := c.Attr("uri")
		if uri == "" || len(uri) > maxText || !xmlwrite.ValidText(uri) {
			return nil, errBadRequest
		}
		content = string(appendAttr([]byte("<redirect"), "uri", uri)) + "/>"
	}
	to := q.x.targets(ctx, q.e, q.a, n)
	for _, p := range n.peers {
		if p.Subscription == Pending {
			to = append(to, q.x.target(q.e, p.JID, false))
		}
	}
	q.a.seq++ // what comes to be under this name is newer
	q.x.index.supersede(q.e.Account, n.Name, q.a.seq)
	q.weigh(n, -n.Bytes)
	q.a.peers -= len(n.peers)
	delete(q.a.nodes, n.Name)
	q.e.Work.Write(q.x.store.DropNode(q.e.Account, n.Name))
	q.x.changes(ctx, q.e, n.Name, nil, nil, true)
	if n.Config.NotifyDelete {
		q.x.send(ctx, q.e, &n.Config, nodeEvent(n, "delete", content), mux.Address{}, to)
	}
	return nil, nil
}
