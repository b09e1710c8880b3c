package pep

import (
	"context"
	"time"

	"mellium.im/xmlstream"
	"mellium.im/xmpp/stanza"

	"github.com/propolis-im/propolis/internal/xmlwrite"
	"github.com/propolis-im/propolis/mux"
)

// publish publishes an item (XEP-0060 §7.1), to a node that comes to be by that if it
// has to (XEP-0163 §3): nothing of it is done if anything is wrong.
func publish(ctx context.Context, q *query) (xmlstream.Marshaler, error) {
	if q.node == "" {
		return nil, errNodeRequired
	}
	n := q.a.nodes[q.node]
	made := n == nil
	switch {
	case made && !q.owner:
		return nil, errForbidden
	case made && len(q.a.nodes) >= q.x.opt.MaxNodes:
		return nil, errTooManyNodes
	case !made && !q.mayPublish(ctx, n):
		return nil, errForbidden
	}
	options, err := q.options()
	if err != nil {
		return nil, err
	}
	if made {
		if n, err = q.newNode(q.node, options, errInvalidOptions); err != nil {
			return nil, err
		}
	}
	// Also of a node that comes to be: what is forced upon it may contradict.
	if name, err := n.Config.differs(options); err != nil {
		return nil, err
	} else if name != "" {
		return nil, errPrecondition(name)
	}
	item, err := q.item(n)
	if err != nil {
		return nil, err
	}
	if k := q.x.opt.Elsewhere(n.Name); k != nil && !q.inner {
		return q.hand(ctx, n, k, item, made)
	}
	var trimmed []string
	if item != nil {
		if trimmed, err = q.put(ctx, n, item, made); err != nil {
			return nil, err
		}
		q.made = item.ID
		q.x.publish(ctx, q.e, n, item, trimmed, q.from)
		q.x.changes(ctx, q.e, n.Name, item, trimmed, false)
	} else {
		q.x.publish(ctx, q.e, n, nil, nil, q.from) // only told (XEP-0060 §4.3)
	}
	b := appendAttr([]byte("<publish"), "node", q.node)
	if item == nil {
		return appendPubsub(NS, string(b)+"/>"), nil
	}
	b = appendAttr(append(b, "><item"...), "id", item.ID)
	return appendPubsub(NS, string(b)+"/></publish>"), nil
}

// options are the fields of publish-options.
func (q *query) options() ([]formField, error) {
	if q.with == "" {
		return nil, nil
	}
	l, err := q.form.submitted("publish-options")
	if err != nil {
		return nil, err
	}
	for _, f := range l {
		// Also fields of others: a precondition that is not understood is not met.
		name, ours := cutField(f.Var)
		if _, is := fixedFields[name]; !ours || !is && findField(name) == nil {
			return nil, errInvalidOptions
		}
	}
	return l, nil
}

// newNode makes a node with what is said of it, which is not kept yet.
func (q *query) newNode(name string, fields []formField, unknown error) (*node, error) {
	if !xmlwrite.ValidText(name) {
		return nil, errBadRequest
	}
	n := &node{Node: Node{Name: name, Config: defaultConfig(), Created: now(), Creator: q.from.Bare(), Seq: q.a.seq},
		peers: make(map[mux.Address]Peer), items: &itemIndex{byID: make(map[string]*Entry)}}
	n.Config.MaxPayload = min(n.Config.MaxPayload, q.x.limits.payload)
	for _, l := range append([][]formField{presets(known[name]), presets(q.defaults), fields}, q.x.forced(name)...) {
		if err := n.Config.apply(l, q.x.limits, unknown); err != nil {
			return nil, err
		}
	}
	return n, nil
}

// item is the item of the request as it will be kept, nil if a node that keeps nothing
// is only to be told of (pep E-3 to E-7).
func (q *query) item(n *node) (*Item, error) {
	given := q.given()
	notifies := !n.Config.Payloads && !n.Config.keeps()
	switch {
	case len(given) > 1:
		return nil, errInvalidPayload
	case len(given) == 0 && notifies:
		return nil, nil
	case len(given) == 0:
		return nil, errItemRequired
	}
	p, err := payload(given[0])
	switch {
	case err != nil:
		return nil, err
	case p == "" && !notifies && n.Config.Payloads:
		return nil, errPayloadRequired
	case p != "" && notifies:
		return nil, errItemForbidden
	case len(p) > min(n.Config.MaxPayload, q.x.limits.payload):
		return nil, errPayloadTooBig
	}
	id := given[0].Attr("id")
	if len(id) > maxName {
		return nil, errOutOfRange
	}
	if id == "" {
		id = newID()
	}
	return &Item{Entry{ID: id, At: now(), Publisher: q.from.Bare(), Size: len(p)}, p}, nil
}

// errFull: an account keeps as much as it may.
var errFull = stanza.Error{Type: stanza.Wait, Condition: stanza.ResourceConstraint}

// put keeps an item, and the node too if it is new. It returns the items that had to
// go.
func (q *query) put(ctx context.Context, n *node, item *Item, made bool) (trimmed []string, err error) {
	if n.Config.keeps() {
		if _, err := q.x.items(ctx, q.e, n); err != nil {
			return nil, err
		}
		if err := q.fits(n, item); err != nil {
			return nil, err
		}
	}
	if !q.counted && !q.a.bucket.take(item.At, q.x.opt.PerMinute) {
		return nil, errTooFast
	}
	if made {
		q.a.nodes[n.Name] = n
		q.e.Work.Write(q.x.store.PutNode(q.e.Account, n.Node))
	}
	q.a.seq++
	item.Seq, n.Seq = q.a.seq, q.a.seq
	n.keepLast(item)
	if !n.Config.keeps() {
		if n.Config.SendLast == lastPresence {
			q.x.index.setVolatile(q.e.Account, n.Name)
		}
		q.e.Work.Write(q.x.store.Change(q.e.Account, n.Name, Change{Seq: n.Seq}))
		return nil, nil
	}
	if old := n.items.remove(item.ID); old != nil {
		q.weigh(n, -old.size())
	}
	n.items.add(&item.Entry)
	q.weigh(n, item.size())
	trimmed, expired := q.trim(n, item.At)
	q.e.Work.Write(q.x.store.Change(q.e.Account, n.Name, Change{
		Put: []Item{*item}, Remove: append(expired, trimmed...), Seq: n.Seq, Bytes: n.Bytes}))
	return trimmed, nil
}

// fits refuses an item for which there is no room (pep E-2, E-8).
func (q *query) fits(n *node, item *Item) error {
	old := n.items.byID[item.ID]
	if old != nil && !q.owner && old.Publisher != q.from.Bare() {
		return errForbidden // pep PUB-11
	}
	more := item.size()
	if old != nil {
		more -= old.size()
	}
	if old == nil && n.Config.NodeFull == "reject" {
		if len(n.visible(item.At)) >= q.x.most(&n.Config) || n.Bytes+more > q.x.opt.MaxNodeBytes {
			return errNodeFull
		}
	}
	if more > 0 && q.a.bytes+more > q.x.opt.MaxBytes {
		return errFull
	}
	return nil
}

// most is how many items a node keeps.
func (x *Extension) most(c *Config) int {
	switch {
	case !c.Persist:
		return 0
	case c.MaxItems == Max:
		return x.opt.MaxItems
	}
	return min(c.MaxItems, x.opt.MaxItems)
}

func (q *query) weigh(n *node, d int64) { n.Bytes += d; q.a.bytes += d }

// trim takes those items out that a node does not keep any more: too many, or too old.
func (q *query) trim(n *node, t time.Time) (trimmed, expired []string) {
	drop := func() string {
		e := n.items.list[0]
		n.items.remove(e.ID)
		q.weigh(n, -e.size())
		return e.ID
	}
	for l := n.items.list; len(l) > 0 && n.Config.expired(l[0].At, t); l = n.items.list {
		expired = append(expired, drop())
	}
	most := q.x.most(&n.Config)
	for len(n.items.list) > most || n.Bytes > q.x.opt.MaxNodeBytes && len(n.items.list) > 1 {
		trimmed = append(trimmed, drop())
	}
	return trimmed, expired
}
