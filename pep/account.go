package pep

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/propolis-im/propolis/mux"
)

// account are the nodes of an account in use. They are touched in its turns only.
type account struct {
	loaded bool
	nodes  map[string]*node
	seq    uint64 // the highest of all nodes
	bytes  int64
	peers  int
	bucket bucket
}

// node is a node in use.
type node struct {
	Node
	peers map[mux.Address]Peer
	// items are all items, nil while they are not read, or after a while without use.
	items *itemIndex
	used  time.Time // when they were
	// last is the last item, if it is at hand: of transient nodes, and of others as
	// long as nothing else has happened.
	last *Item
}

// itemIndex is what is known of a node's items.
type itemIndex struct {
	list []*Entry // in the order of Seq
	byID map[string]*Entry
}

// load are the nodes of the turn's account. It may wait unless Cached.
func (x *Extension) load(ctx context.Context, e *mux.Event) (*account, error) {
	a := x.accounts.Of(e)
	if a.loaded {
		return a, nil
	}
	nodes, err := x.store.Load(ctx, e.Account)
	if err != nil {
		x.failed(ctx, e, "nodes cannot be read", err)
		return nil, errInternal
	}
	*a = account{loaded: true, nodes: make(map[string]*node, len(nodes))}
	for i := range nodes {
		n := &node{Node: nodes[i], peers: make(map[mux.Address]Peer)}
		if c := x.withForced(n.Name, &n.Config); c.Encode() != n.Config.Encode() {
			n.Config = *c
			e.Work.Write(x.store.PutNode(e.Account, n.Node))
		}
		for _, p := range n.Peers {
			n.peers[p.JID] = p
		}
		n.Peers = nil
		if x.kept(n.Name) != nil {
			x.ownOnly(e, n)
		}
		a.peers += len(n.peers)
		a.seq = max(a.seq, n.Seq)
		a.bytes += n.Bytes
		a.nodes[n.Name] = n
	}
	if err := x.opt.Loaded(ctx, e); err != nil {
		a.loaded = false
		return nil, err
	}
	x.askAll(e, a)
	return a, nil
}

// index reads what is known of a node's items, unless that is there.
func (x *Extension) items(ctx context.Context, e *mux.Event, n *node) (*itemIndex, error) {
	if n.items != nil {
		x.used(e, n)
		return n.items, nil
	}
	l, err := x.store.Index(ctx, e.Account, n.Name)
	if err != nil {
		x.failed(ctx, e, "items cannot be read", err)
		return nil, errInternal
	}
	n.items = &itemIndex{byID: make(map[string]*Entry, len(l))}
	for i := range l {
		n.items.add(&l[i])
	}
	x.used(e, n)
	return n.items, nil
}

func bySeq(e *Entry, seq uint64) int { return cmp.Compare(e.Seq, seq) }

// add puts the newest item in.
func (i *itemIndex) add(e *Entry) {
	i.list = append(i.list, e)
	i.byID[e.ID] = e
}

// remove takes an item out.
func (i *itemIndex) remove(id string) *Entry {
	e := i.byID[id]
	if e == nil {
		return nil
	}
	delete(i.byID, id)
	switch at, ok := slices.BinarySearchFunc(i.list, e.Seq, bySeq); {
	case ok && at == 0: // the usual one: nothing has to be moved
		i.list[0] = nil
		i.list = i.list[1:]
	case ok:
		i.list = slices.Delete(i.list, at, at+1)
	}
	return e
}

// size is what an item counts for.
func (e *Entry) size() int64 { return int64(e.Size + len(e.ID)) }

// expired reports whether an item is not to be seen any more (pep OPT-15).
func (c *Config) expired(at, now time.Time) bool {
	return c.Expire != Max && !now.Before(at.Add(time.Duration(c.Expire)*time.Second))
}

// visible are the items that have not expired. The slice must not be changed.
func (n *node) visible(now time.Time) []*Entry {
	l := n.items.list
	for len(l) > 0 && n.Config.expired(l[0].At, now) {
		l = l[1:] // older ones were published earlier
	}
	return l
}

// newest is the last item of a node, without payload if deep is false and it is not at
// hand; nil if there is none. It may wait for the store if deep.
func (x *Extension) newest(ctx context.Context, e *mux.Event, n *node) (*Item, error) {
	if k := x.kept(n.Name); k != nil {
		return k.item(ctx, e)
	}
	t := now()
	if n.last != nil {
		if n.Config.expired(n.last.At, t) {
			return nil, nil
		}
		return n.last, nil
	}
	if !n.Config.keeps() {
		return nil, nil
	}
	if _, err := x.items(ctx, e, n); err != nil {
		return nil, err
	}
	l := n.visible(t)
	if len(l) == 0 {
		return nil, nil
	}
	got, err := x.store.Items(ctx, e.Account, n.Name, []string{l[len(l)-1].ID})
	if err != nil {
		x.failed(ctx, e, "an item cannot be read", err)
		return nil, errInternal
	}
	if len(got) == 0 || got[0].Seq != l[len(l)-1].Seq {
		return nil, nil // it is not written yet, and will be told by its event
	}
	n.keepLast(&got[0])
	return &got[0], nil
}

// keepLast keeps the last item at hand if it is small.
func (n *node) keepLast(i *Item) {
	n.last = nil
	if !n.Config.keeps() || len(i.Payload) <= 16<<10 {
		n.last = i
	}
}

// setPeer changes what somebody has to do with a node.
func (q *query) setPeer(n *node, p Peer) { q.x.setPeer(q.e, q.a, n, p) }

func (x *Extension) setPeer(e *mux.Event, a *account, n *node, p Peer) {
	_, had := n.peers[p.JID]
	none := p.Affiliation == NoAffiliation && p.Subscription == NotSubscribed
	switch {
	case none && !had:
		return
	case none:
		delete(n.peers, p.JID)
		a.peers--
	default:
		if !had {
			a.peers++
		}
		n.peers[p.JID] = p
	}
	e.Work.Write(x.store.SetPeer(e.Account, n.Name, p))
}

// bucket limits a rate.
type bucket struct {
	left float64
	at   time.Time
}

// take takes one, of as many as come in a minute and may come at once.
func (b *bucket) take(now time.Time, perMinute int) bool {
	if perMinute < 0 {
		return true
	}
	if b.at.IsZero() {
		b.left = float64(perMinute)
	} else {
		b.left = min(float64(perMinute), b.left+now.Sub(b.at).Minutes()*float64(perMinute))
	}
	b.at = now
	if b.left < 1 {
		return false
	}
	b.left--
	return true
}
