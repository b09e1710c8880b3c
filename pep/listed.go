package pep

import (
	"container/list"
	"context"
	"sync"
	"time"

	"github.com/propolis-im/propolis/mux"
)

// settled is how long a node must not have been used for its list of items to be given up:
// what was written before is in the store by then, which is read when the list is needed
// again.
const settled = 10 * time.Minute

// listed knows the nodes whose items are listed in memory, the least recently used first,
// and bounds how many items that are in all (pep COST-3).
type listed struct {
	mu    sync.Mutex // guards what follows
	order list.List  // of *listedNode
	m     map[nodeKey]*list.Element
	total int
}

type listedNode struct {
	nodeKey
	items int
	used  time.Time
}

// use notes that a node is used, and returns those that are to be given up. One whose
// account is out of use is among them in the end, and costs nothing then.
func (l *listed) use(k nodeKey, items int, now time.Time, most int) (old []nodeKey) {
	l.mu.Lock()
	defer l.mu.Unlock()
	items++ // the node itself counts too
	el := l.m[k]
	if el == nil {
		if l.m == nil {
			l.m = make(map[nodeKey]*list.Element)
		}
		el = l.order.PushBack(&listedNode{nodeKey: k})
		l.m[k] = el
	}
	n := el.Value.(*listedNode)
	l.total += items - n.items
	n.items, n.used = items, now
	l.order.MoveToBack(el)
	for l.total > most {
		first := l.order.Front()
		n := first.Value.(*listedNode)
		if now.Sub(n.used) < settled {
			break // it may not be in the store yet
		}
		l.order.Remove(first)
		delete(l.m, n.nodeKey)
		l.total -= n.items
		old = append(old, n.nodeKey)
	}
	return old
}

// used notes that the list of a node's items is used, and has others given up if there are
// too many, in the turns of their accounts.
func (x *Extension) used(e *mux.Event, n *node) {
	t := now()
	n.used = t
	for _, k := range x.listed.use(nodeKey{e.Account, n.Name}, len(n.items.list), t, x.opt.MaxListed) {
		e.Mux().Go(k.owner, func(_ context.Context, e *mux.Event) {
			a := x.accounts.Peek(e)
			if a == nil {
				return
			}
			if n := a.nodes[k.node]; n != nil && now().Sub(n.used) >= settled {
				n.items = nil
			}
		})
	}
}
