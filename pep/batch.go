package pep

import (
	"context"
	"slices"
	"sync"

	"github.com/propolis-im/propolis/mux"
)

// batch are last items for a session of our own that has said what it wants: of its
// own account and of its contacts that are accounts of ours, with one read of the
// store (pep NTF-9).
type batch struct {
	full  mux.Address
	nodes []string

	mu     sync.Mutex           // guards what follows
	seen   map[nodeKey]uint64   // what was told by events meanwhile
	barred map[mux.Address]bool // owners that are contacts no longer
	owners map[mux.Address]bool // to whom it shows its presence, and whether it sees theirs
	heads  []Head               // what is left to be sent
	read   bool
	left   int // how many have still to send: the feed and owners that are asked
}

type nodeKey struct {
	owner mux.Address
	node  string
}

// pace is how many last items are sent before live traffic is let through.
const pace = 50

// supersede notes that an event of a node was decided upon: items up to seq need not be
// sent any more, nor may they (pep DEL-5). It returns the sessions that were to get them,
// maybe.
func (x *index) supersede(owner mux.Address, node string, seq uint64) (waiting []mux.Address) {
	x.eachBatch(func(b *batch) {
		if b.from(owner) && slices.Contains(b.nodes, node) {
			b.saw(owner, node, seq)
			waiting = append(waiting, b.full)
		}
	})
	return waiting
}

// told notes that an event is sent to these, for who came since supersede: they need not
// get the same as a last item.
func (x *index) told(owner mux.Address, node string, seq uint64, to []target) {
	x.eachBatch(func(b *batch) {
		if slices.ContainsFunc(to, func(t target) bool { return t.to == b.full }) {
			b.saw(owner, node, seq)
		}
	})
}

// saw notes what was told; the lock is held.
func (b *batch) saw(owner mux.Address, node string, seq uint64) {
	if b.seen == nil {
		b.seen = make(map[nodeKey]uint64)
	}
	b.seen[nodeKey{owner, node}] = seq
}

// from reports whether items of an owner may be in a batch; its lock is held.
func (b *batch) from(owner mux.Address) bool {
	_, ok := b.owners[owner]
	return ok || b.owners == nil
}

// bar keeps what is left of an owner from sessions of somebody.
func (x *index) bar(who, owner mux.Address) {
	x.eachBatch(func(b *batch) {
		if covers(who, b.full) {
			if b.barred == nil {
				b.barred = make(map[mux.Address]bool)
			}
			b.barred[owner] = true
		}
	})
}

func (x *index) eachBatch(f func(b *batch)) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	for b := range x.loading {
		b.mu.Lock()
		f(b)
		b.mu.Unlock()
	}
}

// loaded ends a batch when all have sent their part.
func (x *index) loaded(b *batch) {
	x.mu.Lock()
	defer x.mu.Unlock()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.left--; b.left <= 0 {
		delete(x.loading, b)
	}
}

// begin starts a batch: it runs in a turn of its account, which may wait.
func (x *Extension) begin(ctx context.Context, e *mux.Event, b *batch) {
	a, err := x.load(ctx, e)
	var s *mux.Session
	for _, o := range e.Sessions() {
		if o.JID() == b.full {
			s = o
		}
	}
	if err != nil || s == nil {
		x.index.loaded(b)
		return
	}
	x.transient(ctx, e, a, b, s)
	owners := x.ownersFor(ctx, e)
	b.mu.Lock()
	b.owners = owners
	b.mu.Unlock()
	// The store is read when all that this account has done is written.
	m := e.Mux()
	e.Work.Write(func(context.Context, mux.Tx) error { return nil })
	e.Work.After(func(err error) {
		if err != nil {
			x.index.loaded(b)
			return
		}
		s.Feed(func(ctx context.Context, emit func(mux.Item)) (bool, error) { return x.feed(ctx, m, b, emit) })
	})
}

// ownersFor are those whose last items a session of the turn's account may get: the
// account and contacts here, with whether it sees their presence.
func (x *Extension) ownersFor(ctx context.Context, e *mux.Event) map[mux.Address]bool {
	owners := map[mux.Address]bool{e.Account: true}
	err := x.opt.Contacts(ctx, e, func(contact mux.Address, from, to bool) bool {
		if from && e.Mux().Ours(contact) {
			owners[contact] = to
		}
		return true
	})
	if err != nil {
		x.failed(ctx, e, "contacts cannot be read", err)
	}
	for contact := range owners {
		if x.blocked(ctx, e, contact) {
			delete(owners, contact)
		}
	}
	return owners
}

// transient delivers last items that are not in the store. It may wait for who keeps
// them elsewhere.
func (x *Extension) transient(ctx context.Context, e *mux.Event, a *account, b *batch, s *mux.Session) {
	for _, name := range b.nodes {
		n := a.nodes[name]
		if n == nil || n.Config.SendLast != lastPresence {
			continue
		}
		if !n.Config.keeps() && n.last != nil || x.kept(name) != nil {
			x.sendLast(ctx, e, n, []target{{s.JID(), s, true}})
		}
	}
}

// feed gives the next items of a batch.
func (x *Extension) feed(ctx context.Context, m *mux.Mux, b *batch, emit func(mux.Item)) (more bool, err error) {
	if !b.read {
		b.read = true
		if err := x.readHeads(ctx, m, b); err != nil {
			x.index.loaded(b)
			return false, err
		}
	}
	for sent := 0; len(b.heads) > 0 && sent < pace; {
		h := &b.heads[0]
		if x.due(b, h) {
			n := &node{Node: Node{Name: h.Node, Config: h.Config}}
			emit(mux.Item{Stanza: message(h.Owner, &h.Config, itemsEvent(n, &h.Item)), To: b.full, Flags: mux.Service, Extra: delay(h.Item.At)})
			sent++
		}
		b.heads = b.heads[1:]
	}
	if len(b.heads) > 0 {
		return true, nil
	}
	x.index.loaded(b)
	return false, nil
}

// due reports whether an item is still to be sent.
func (x *Extension) due(b *batch, h *Head) bool {
	if !x.index.wantsLocal(b.full, h.Node) { // its lock comes before the batch's
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.seen[nodeKey{h.Owner, h.Node}] < h.Item.Seq && !b.barred[h.Owner]
}

// readHeads reads the last items and leaves out those that the contact may not see:
// its roster tells what those of the owners do, since both are kept here, and affiliations
// come with the items. Where groups of the owner decide, or it has what the store has not, the
// owner is asked.
func (x *Extension) readHeads(ctx context.Context, m *mux.Mux, b *batch) error {
	account := b.full.Bare()
	owners := make([]mux.Address, 0, len(b.owners))
	for o := range b.owners {
		owners = append(owners, o)
	}
	slices.SortFunc(owners, func(a, b mux.Address) int {
		if a.String() < b.String() {
			return -1
		}
		return 1
	})
	if err := x.pending.wait(ctx, b.owners); err != nil {
		return err
	}
	blockers, err := x.opt.Blockers(ctx, b.full, owners)
	if err != nil {
		return err
	}
	owners = slices.DeleteFunc(owners, func(o mux.Address) bool { return o != account && slices.Contains(blockers, o) })
	heads, err := x.store.Heads(ctx, account, owners, b.nodes)
	if err != nil {
		return err
	}
	t := now()
	for _, h := range heads {
		h.Config = *x.withForced(h.Node, &h.Config)
		if !h.Config.Notify || h.Config.expired(h.Item.At, t) || x.kept(h.Node) != nil {
			continue // what is kept elsewhere its account has sent, and nobody else gets
		}
		switch {
		case h.Owner == account:
		case h.Config.Access == accessRoster:
			x.askOwner(m, b, h.Owner, h.Node)
			continue
		case !x.opt.implicit(&h.Config, h.Peer, h.Peer.Subscription == Subscribed, facts{from: b.owners[h.Owner], to: true}):
			continue
		}
		b.heads = append(b.heads, h)
	}
	for _, k := range x.index.volatiles(b) {
		x.askOwner(m, b, k.owner, k.node)
	}
	return nil
}

// askOwner has the owner send the last item of a node, in a turn of its own.
func (x *Extension) askOwner(m *mux.Mux, b *batch, owner mux.Address, name string) {
	b.mu.Lock()
	b.left++
	b.mu.Unlock()
	m.Go(owner, func(ctx context.Context, e *mux.Event) {
		defer x.index.loaded(b)
		a, err := x.load(ctx, e)
		if err != nil {
			return
		}
		n := a.nodes[name]
		if n == nil || n.Config.SendLast != lastPresence {
			return
		}
		i, err := x.newest(ctx, e, n)
		if i == nil && !n.Config.keeps() {
			x.index.dropVolatile(owner, name)
		}
		if err != nil || i == nil || !x.due(b, &Head{Owner: owner, Node: name, Item: *i}) {
			return
		}
		if gets, sees := x.implicit(ctx, e, n, b.full); gets {
			x.sendLast(ctx, e, n, []target{{b.full, nil, sees}})
		}
	})
}
