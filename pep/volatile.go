package pep

import (
	"github.com/propolis-im/propolis/mux"
)

// setVolatile notes that a node that keeps nothing has a last item in memory, which no
// read of the store will find (XEP-0060 §12.10).
func (x *index) setVolatile(owner mux.Address, node string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.volatile == nil {
		x.volatile = make(map[mux.Address]map[string]struct{})
	}
	if x.volatile[owner] == nil {
		x.volatile[owner] = make(map[string]struct{})
	}
	x.volatile[owner][node] = struct{}{}
}

// dropVolatile forgets that of one node.
func (x *index) dropVolatile(owner mux.Address, node string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if delete(x.volatile[owner], node); len(x.volatile[owner]) == 0 {
		delete(x.volatile, owner)
	}
}

// outOfUse forgets that of an account whose last session has ended: with it go the
// items.
func (x *index) outOfUse(owner mux.Address) {
	x.mu.Lock()
	defer x.mu.Unlock()
	delete(x.volatile, owner)
}

// volatiles are the nodes of others in a batch that have such an item.
func (x *index) volatiles(b *batch) (l []nodeKey) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	for owner, nodes := range x.volatile {
		if _, ok := b.owners[owner]; !ok || owner == b.full.Bare() {
			continue
		}
		for _, name := range b.nodes {
			if _, ok := nodes[name]; ok {
				l = append(l, nodeKey{owner, name})
			}
		}
	}
	return l
}
