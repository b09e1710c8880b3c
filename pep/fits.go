package pep

import (
	"context"
	"iter"

	"github.com/propolis-im/propolis/mux"
)

// Fits is nil if all of these items, by their IDs, can be published at a node one after
// another without pushing out others, and otherwise the error that publishing them would
// end with at some point: so that what is one for its sender is done whole or not at all
// (pep BM-10a). They are looked at as parts of a request that was counted, in a turn in
// which nothing else is published meanwhile. Options are those of a [Publication]. It may
// wait for the store, and changes nothing.
func (x *Extension) Fits(ctx context.Context, e *mux.Event, node string, items iter.Seq2[string, mux.Raw], options map[string][]string) error {
	a, err := x.load(ctx, e)
	if err != nil {
		return err
	}
	var r *room
	for id, payload := range items {
		q, err := x.inner(e, (&Publication{Node: node, ID: id, Payload: payload, Options: options}).pubsub())
		if err != nil {
			return err
		}
		q.a = a
		if r == nil {
			if r, err = q.room(ctx); err != nil {
				return err
			}
		}
		item, err := q.item(r.n)
		if err != nil {
			return err
		}
		if item != nil && r.n.Config.keeps() {
			if err := r.take(x, item); err != nil {
				return err
			}
		}
	}
	return nil
}

// room is what there is for items of a node.
type room struct {
	n              *node
	sizes          map[string]int64 // of items that are there or were taken
	bytes          int64
	account, count int64
}

// room looks at the node of a publication, as it is or would be.
func (q *query) room(ctx context.Context) (*room, error) {
	options, err := q.options()
	if err != nil {
		return nil, err
	}
	n := q.a.nodes[q.node]
	if n == nil {
		if len(q.a.nodes) >= q.x.opt.MaxNodes {
			return nil, errTooManyNodes
		}
		if n, err = q.newNode(q.node, options, errInvalidOptions); err != nil {
			return nil, err
		}
	}
	if name, err := n.Config.differs(options); err != nil {
		return nil, err
	} else if name != "" {
		return nil, errPrecondition(name)
	}
	r := &room{n: n, sizes: make(map[string]int64), bytes: n.Bytes, account: q.a.bytes}
	if !n.Config.keeps() {
		return r, nil
	}
	if _, err := q.x.items(ctx, q.e, n); err != nil {
		return nil, err
	}
	l := n.visible(now())
	r.count = int64(len(l))
	for _, entry := range n.items.list[:len(n.items.list)-len(l)] {
		r.bytes -= entry.size() // expired: they go with the first that is published
	}
	for _, entry := range l {
		r.sizes[entry.ID] = entry.size()
	}
	return r, nil
}

// take puts an item in, if there is room for it.
func (r *room) take(x *Extension, item *Item) error {
	was, had := r.sizes[item.ID]
	more := item.size() - was
	r.bytes += more
	if r.account += more; more > 0 && r.account > x.opt.MaxBytes {
		return errFull
	}
	if !had {
		r.count++
	}
	r.sizes[item.ID] = item.size()
	if !had && r.count > int64(x.most(&r.n.Config)) || more > 0 && r.bytes > x.opt.MaxNodeBytes {
		if r.n.Config.NodeFull == "reject" {
			return errNodeFull
		}
		return errFull
	}
	return nil
}
