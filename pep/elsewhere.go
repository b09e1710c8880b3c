package pep

import (
	"context"
	"time"

	"mellium.im/xmlstream"
	"mellium.im/xmpp/stanza"

	"github.com/propolis-im/propolis/mux"
)

// Keeper keeps what is at a node in another place than the store: one item that is
// made of something else, such as a list of what is published one by one at another
// node. Such a node is its account's alone, whatever anybody says. What is published
// there goes to the keeper, which has events sent by [Extension.Tell]; nothing can be
// taken back, since that would not say what of the other form is meant. Its functions
// are called in the account's turn and may wait. Errors are answered as those of a
// [mux.Handler].
type Keeper struct {
	// ID is that of the item, whatever those who publish call it.
	ID string
	// Get returns the payload and when it was changed last. With nil, only what is
	// published goes to the keeper, who may refuse it; the rest is as ever.
	Get func(ctx context.Context, e *mux.Event) (payload mux.Raw, at time.Time, err error)
	// Set replaces it.
	Set func(ctx context.Context, e *mux.Event, payload mux.Raw) error
}

// errKept: the item cannot be taken back.
var errKept = stanza.Error{Type: stanza.Cancel, Condition: stanza.NotAllowed,
	Text: map[string]string{"en": "What is here is kept in another form; it can only be replaced"}}

// errAlone: nobody else can have a part in the node.
var errAlone = stanza.Error{Type: stanza.Cancel, Condition: stanza.NotAllowed,
	Text: map[string]string{"en": "What is here is the account's alone"}}

// kept is who keeps the item of a node, nil if the store does.
func (x *Extension) kept(node string) *Keeper {
	if k := x.opt.Elsewhere(node); k != nil && k.Get != nil {
		return k
	}
	return nil
}

// item reads the item of a node that is kept elsewhere.
func (k *Keeper) item(ctx context.Context, e *mux.Event) (*Item, error) {
	payload, at, err := k.Get(ctx, e)
	if err != nil {
		return nil, err
	}
	return &Item{Entry{ID: k.ID, At: at, Publisher: e.Account, Size: len(payload)}, string(payload)}, nil
}

// hand gives what is published to who keeps it. The node comes to be by that if it has
// to.
func (q *query) hand(ctx context.Context, n *node, k *Keeper, item *Item, made bool) (xmlstream.Marshaler, error) {
	switch {
	case !q.owner:
		return nil, errForbidden
	case item == nil:
		return nil, errItemRequired
	case !q.a.bucket.take(item.At, q.x.opt.PerMinute):
		return nil, errTooFast
	}
	q.a.nodes[n.Name] = n
	if err := k.Set(ctx, q.e, mux.Raw(item.Payload)); err != nil {
		if made {
			delete(q.a.nodes, n.Name)
		}
		return nil, err
	}
	if made {
		q.e.Work.Write(q.x.store.PutNode(q.e.Account, n.Node))
	}
	id := item.ID
	if k.ID != "" {
		id = k.ID
	}
	b := appendAttr([]byte("<publish"), "node", q.node)
	b = appendAttr(append(b, "><item"...), "id", id)
	return appendPubsub(NS, string(b)+"/></publish>"), nil
}

// itemsOf answers with the item of a node that is kept elsewhere.
func (q *query) itemsOf(ctx context.Context, n *node, k *Keeper) (xmlstream.Marshaler, error) {
	i, err := k.item(ctx, q.e)
	if err != nil {
		return nil, err
	}
	one := &node{Node: n.Node, items: &itemIndex{byID: make(map[string]*Entry)}}
	one.items.add(&i.Entry)
	page, err := q.page(one)
	if err != nil {
		return nil, err
	}
	return page.answer(n.Name, &n.Config, map[string]*Item{i.ID: i}), nil
}

// ownOnly takes others from a node that is its account's alone.
func (x *Extension) ownOnly(e *mux.Event, n *node) {
	for jid := range n.peers {
		if jid.Bare() != e.Account {
			delete(n.peers, jid)
			e.Work.Write(x.store.SetPeer(e.Account, n.Name, Peer{JID: jid}))
		}
	}
}

// Tell sends the item of a node that is kept elsewhere to the account's resources that
// are interested. It may wait for whoever keeps it.
func (x *Extension) Tell(ctx context.Context, e *mux.Event, name string) error {
	a, err := x.load(ctx, e)
	if err != nil {
		return err
	}
	n, k := a.nodes[name], x.kept(name)
	if n == nil || k == nil || !n.Config.Notify {
		return nil
	}
	to := x.targets(ctx, e, a, n)
	if len(to) == 0 {
		return nil
	}
	i, err := k.item(ctx, e)
	if err != nil {
		return err
	}
	x.send(ctx, e, &n.Config, itemsEvent(n, i), mux.Address{}, to)
	return nil
}
