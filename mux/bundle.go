package mux

import (
	"cmp"
	"slices"
)

// bundle holds Works whose writes have to be submitted together, because their
// turns in some account alternate: the writes of an account must reach the store
// in the order of its turns, and those of one Work in one piece. Mostly it is one
// Work: a second joins only if it writes in an account where the first has
// written and still has turns elsewhere. It is guarded by commits.mu.
type bundle struct {
	into  *bundle // merged
	works []*Work
	open  int // Works that have not ended
	gone  bool
}

// root is the bundle that b has become part of.
func (b *bundle) root() *bundle {
	for b.into != nil {
		if b.into.into != nil {
			b.into = b.into.into
		}
		b = b.into
	}
	return b
}

// stamped is a write with its place among all.
type stamped struct {
	n uint64
	f Write
}

// wroteIn notes that a turn of w in a has written.
func (m *Mux) wroteIn(w *Work, a *account) {
	m.commits.mu.Lock()
	defer m.commits.mu.Unlock()
	if w.bundle == nil {
		w.bundle = &bundle{works: []*Work{w}, open: 1}
	}
	b := w.bundle.root()
	if a.wrote != nil {
		if p := a.wrote.root(); p != b && !p.gone {
			p.works, p.open = append(p.works, b.works...), p.open+b.open
			b.into, b.works = p, nil
			b = p
		}
	}
	a.wrote = b
}

// submit hands the writes of a Work that has ended, and of those that have
// waited for it, to the committer; without one they are made now.
func (m *Mux) submit(r *runner, w *Work) {
	m.commits.mu.Lock()
	list := []*Work{w}
	if w.bundle != nil {
		b := w.bundle.root()
		if b.open--; b.open > 0 {
			m.commits.mu.Unlock()
			return
		}
		list, b.works, b.gone = b.works, nil, true
	}
	writes := inOrder(list)
	if len(writes) == 0 { // what was to be saved has ended
		m.commits.mu.Unlock()
		for _, w := range list {
			w.finish(r, nil)
		}
		return
	}
	if m.committer == nil {
		err := m.applyNow(writes)
		m.commits.mu.Unlock()
		for _, w := range list {
			w.finish(r, err)
		}
		return
	}
	batch := m.committer.Submit(writes)
	for _, w := range list {
		w.batch = batch
	}
	m.commits.first = append(m.commits.first, list...)
	m.commits.mu.Unlock()
}

// inOrder are the writes of Works in the order in which they were decided.
func inOrder(works []*Work) []Write {
	all := works[0].writes
	if len(works) > 1 {
		all = nil
		for _, w := range works {
			all = append(all, w.writes...)
		}
		slices.SortFunc(all, func(a, b stamped) int { return cmp.Compare(a.n, b.n) })
	}
	writes := make([]Write, len(all))
	for i := range all {
		writes[i] = all[i].f
	}
	return writes
}
