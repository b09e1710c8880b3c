package pep

import (
	"github.com/propolis-im/propolis/mux"
)

// wantsLocal reports whether a session of our own wants a node.
func (x *index) wantsLocal(full mux.Address, node string) bool {
	x.mu.RLock()
	defer x.mu.RUnlock()
	r := x.local[full]
	return r != nil && r.wants.has(node)
}

// others are the resources that an account knows to want a node, beside those of
// accounts of ours.
func (x *index) others(owner mux.Address, node string) []mux.Address {
	x.mu.RLock()
	defer x.mu.RUnlock()
	a := x.remote[owner]
	if a == nil {
		return nil
	}
	var l []mux.Address
	for w, members := range a.groups {
		if w.has(node) {
			for full := range members {
				l = append(l, full)
			}
		}
	}
	return l
}

// knows reports whether an account knows that a resource wants anything, and so that
// it is there.
func (x *index) knows(owner, full mux.Address) bool {
	x.mu.RLock()
	defer x.mu.RUnlock()
	a := x.remote[owner]
	return a != nil && a.by[full] != nil
}

// wanting is how many accounts of ours want a node.
func (x *index) wanting(node string) int {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return len(x.byNode[node])
}

// accounts are those that want a node.
func (x *index) accounts(node string) []mux.Address {
	x.mu.RLock()
	defer x.mu.RUnlock()
	l := make([]mux.Address, 0, len(x.byNode[node]))
	for bare := range x.byNode[node] {
		l = append(l, bare)
	}
	return l
}

// resources are the sessions of an account that want a node.
func (x *index) resources(bare mux.Address, node string) []mux.Address {
	x.mu.RLock()
	defer x.mu.RUnlock()
	var l []mux.Address
	for full := range x.byBare[bare] {
		if x.local[full].wants.has(node) {
			l = append(l, full)
		}
	}
	return l
}

// wanted are the resources of a contact that an account may know of, with what they
// want: of an account of ours if shared, and those that were told to it.
func (x *index) wanted(owner, contact mux.Address, shared bool) map[mux.Address][]string {
	x.mu.RLock()
	defer x.mu.RUnlock()
	m := make(map[mux.Address][]string)
	if shared {
		for full := range x.byBare[contact] {
			m[full] = x.local[full].wants.list
		}
	}
	if a := x.remote[owner]; a != nil {
		for _, full := range a.bare[contact] {
			m[full] = a.by[full].list
		}
	}
	return m
}

// wantsBare reports whether any session of an account wants a node.
func (x *index) wantsBare(bare mux.Address, node string) bool {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.byNode[node][bare] > 0
}
