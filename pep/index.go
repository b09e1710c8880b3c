package pep

import (
	"strings"
	"sync"

	"github.com/propolis-im/propolis/mux"
)

// wants is a set of nodes that resources are interested in. There is one for each
// set, shared by all who have it; it does not change.
type wants struct {
	nodes map[string]struct{}
	list  []string // as it was told last
	key   string
	refs  int // under the index's lock
}

func (w *wants) has(node string) bool {
	if w == nil {
		return false
	}
	_, ok := w.nodes[node]
	return ok
}

// same reports whether that is what was told, without looking at each.
func (w *wants) same(nodes []string) bool {
	if w == nil || len(nodes) != len(w.list) {
		return w == nil && len(nodes) == 0
	}
	return &nodes[0] == &w.list[0]
}

// index says who is interested in what. It never waits, and is used in the turns of
// all accounts.
type index struct {
	mu     sync.RWMutex // guards what follows
	sets   map[string]*wants
	local  map[mux.Address]*resource            // sessions of our own, by full JID
	byNode map[string]map[mux.Address]int       // node → their accounts, with how many of them
	byBare map[mux.Address]map[mux.Address]bool // account → its full JIDs in local
	remote map[mux.Address]*audience            // account → who else shows it its presence
	// loading are batches of last items that are under way.
	loading map[*batch]struct{}
	// volatile are nodes with last items that are in memory only.
	volatile map[mux.Address]map[string]struct{}
}

// resource is a session of our own that is available.
type resource struct {
	wants *wants
}

// audience are others that one account knows to be interested.
type audience struct {
	by     map[mux.Address]*wants
	groups map[*wants]map[mux.Address]struct{}
	bare   map[mux.Address][]mux.Address // contact → its full JIDs
}

// intern is the set of these nodes, with one more reference.
func (x *index) intern(nodes []string) *wants {
	if len(nodes) == 0 {
		return nil
	}
	key := strings.Join(nodes, "\x00")
	w := x.sets[key]
	if w == nil {
		w = &wants{nodes: make(map[string]struct{}, len(nodes)), list: nodes, key: key}
		for _, n := range nodes {
			w.nodes[n] = struct{}{}
		}
		if x.sets == nil {
			x.sets = make(map[string]*wants)
		}
		x.sets[key] = w
	}
	w.refs++
	return w
}

func (x *index) release(w *wants) {
	if w == nil {
		return
	}
	if w.refs--; w.refs == 0 {
		delete(x.sets, w.key)
	}
}

// fresh are the nodes of now that was did not have.
func fresh(was, now *wants) []string {
	if now == nil || was == now {
		return nil
	}
	var l []string
	for _, n := range now.list {
		if !was.has(n) {
			l = append(l, n)
		}
	}
	return l
}

// setLocal notes what a session of our own wants, and returns a batch for what is new,
// nil if nothing is. From then on events are sent, and the batch knows of them.
func (x *index) setLocal(full mux.Address, nodes []string) *batch {
	x.mu.RLock()
	r := x.local[full]
	same := r != nil && r.wants.same(nodes) || r == nil && len(nodes) == 0
	x.mu.RUnlock()
	if same {
		return nil
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	r = x.local[full]
	if r == nil {
		r = new(resource)
	}
	was, now := r.wants, x.intern(nodes)
	defer x.release(was)
	if was == now {
		return nil
	}
	bare := full.Bare()
	x.count(bare, was, -1)
	x.count(bare, now, 1)
	r.wants = now
	if now == nil {
		delete(x.local, full)
		if delete(x.byBare[bare], full); len(x.byBare[bare]) == 0 {
			delete(x.byBare, bare)
		}
		for b := range x.loading {
			if b.full == full {
				delete(x.loading, b)
			}
		}
		return nil
	}
	if x.local == nil {
		x.local, x.byBare = make(map[mux.Address]*resource), make(map[mux.Address]map[mux.Address]bool)
	}
	x.local[full] = r
	if x.byBare[bare] == nil {
		x.byBare[bare] = make(map[mux.Address]bool)
	}
	x.byBare[bare][full] = true
	l := fresh(was, now)
	if len(l) == 0 {
		return nil
	}
	b := &batch{full: full, nodes: l, left: 1}
	if x.loading == nil {
		x.loading = make(map[*batch]struct{})
	}
	x.loading[b] = struct{}{}
	return b
}

func (x *index) count(bare mux.Address, w *wants, d int) {
	if w == nil {
		return
	}
	for n := range w.nodes {
		m := x.byNode[n]
		if m == nil {
			m = make(map[mux.Address]int)
			if x.byNode == nil {
				x.byNode = make(map[string]map[mux.Address]int)
			}
			x.byNode[n] = m
		}
		if m[bare] += d; m[bare] == 0 {
			if delete(m, bare); len(m) == 0 {
				delete(x.byNode, n)
			}
		}
	}
}

// setRemote notes what somebody else wants of an account, and returns what is new.
// There are at most limit for each account.
func (x *index) setRemote(owner, full mux.Address, nodes []string, limit int) []string {
	x.mu.RLock()
	a := x.remote[owner]
	same := a == nil && len(nodes) == 0 || a != nil && a.by[full].same(nodes)
	x.mu.RUnlock()
	if same {
		return nil
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	a = x.remote[owner]
	if a == nil {
		a = &audience{by: make(map[mux.Address]*wants), groups: make(map[*wants]map[mux.Address]struct{}), bare: make(map[mux.Address][]mux.Address)}
	}
	was := a.by[full]
	if was == nil && len(nodes) > 0 && len(a.by) >= limit {
		return nil
	}
	now := x.intern(nodes)
	defer x.release(was)
	if was == now {
		return nil
	}
	a.set(full, was, now)
	switch {
	case len(a.by) == 0:
		delete(x.remote, owner)
	case x.remote == nil:
		x.remote = map[mux.Address]*audience{owner: a}
	default:
		x.remote[owner] = a
	}
	return fresh(was, now)
}

func (a *audience) set(full mux.Address, was, now *wants) {
	bare := full.Bare()
	if was != nil {
		if delete(a.groups[was], full); len(a.groups[was]) == 0 {
			delete(a.groups, was)
		}
	}
	if now == nil {
		delete(a.by, full)
		if l := without(a.bare[bare], full); len(l) == 0 {
			delete(a.bare, bare)
		} else {
			a.bare[bare] = l
		}
		return
	}
	if a.groups[now] == nil {
		a.groups[now] = make(map[mux.Address]struct{})
	}
	a.groups[now][full] = struct{}{}
	a.by[full] = now
	if was == nil {
		a.bare[bare] = append(a.bare[bare], full)
	}
}

func without(l []mux.Address, a mux.Address) []mux.Address {
	out := make([]mux.Address, 0, len(l))
	for _, o := range l {
		if o != a {
			out = append(out, o)
		}
	}
	return out
}

// forget drops what an account knows of a contact: a full address, a bare one with all
// its resources, or a domain with everybody there.
func (x *index) forget(owner, contact mux.Address) {
	var gone []mux.Address
	x.mu.RLock()
	if a := x.remote[owner]; a != nil {
		for full := range a.by {
			if full == contact || full.Bare() == contact || contact.Local() == "" && contact.IsBare() && full.Domain() == contact.Domain() {
				gone = append(gone, full)
			}
		}
	}
	x.mu.RUnlock()
	for _, full := range gone {
		x.setRemote(owner, full, nil, 0)
	}
}

// drop forgets everything of an account.
func (x *index) drop(account mux.Address) {
	x.mu.RLock()
	var own, others []mux.Address
	for full := range x.byBare[account] {
		own = append(own, full)
	}
	if a := x.remote[account]; a != nil {
		for full := range a.by {
			others = append(others, full)
		}
	}
	x.mu.RUnlock()
	for _, full := range own {
		x.setLocal(full, nil)
	}
	for _, full := range others {
		x.setRemote(account, full, nil, 0)
	}
}
