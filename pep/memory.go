package pep

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/propolis-im/propolis/mux"
)

var _ Store = (*Memory)(nil)

// Memory is a [Store] that forgets everything at the end of the process. The zero
// value is empty and ready to use, also by several goroutines. Its writes take
// effect when they are applied; they ignore the transaction, so they cannot be
// rolled back, and the context.
type Memory struct {
	mu       sync.Mutex // guards what follows
	accounts map[mux.Address]map[string]*memoryNode
}

type memoryNode struct {
	node  Node // without peers
	peers map[mux.Address]Peer
	items map[string]Item
}

func (n *memoryNode) sorted() []Item {
	return slices.SortedFunc(maps.Values(n.items), func(a, b Item) int { return cmp.Compare(a.Seq, b.Seq) })
}

// Load implements [Store].
func (m *Memory) Load(ctx context.Context, account mux.Address) ([]Node, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var l []Node
	for _, n := range m.accounts[account] {
		one := n.node
		one.Peers = slices.SortedFunc(maps.Values(n.peers), func(a, b Peer) int { return strings.Compare(a.JID.String(), b.JID.String()) })
		l = append(l, one)
	}
	slices.SortFunc(l, func(a, b Node) int { return strings.Compare(a.Name, b.Name) })
	return l, ctx.Err()
}

// Heads implements [Store].
func (m *Memory) Heads(ctx context.Context, contact mux.Address, owners []mux.Address, nodes []string) ([]Head, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var l []Head
	for _, owner := range owners {
		if len(m.accounts[owner]) == 0 {
			continue
		}
		for _, name := range nodes {
			n := m.accounts[owner][name]
			if n == nil || n.node.Config.SendLast != lastPresence || len(n.items) == 0 {
				continue
			}
			items := n.sorted()
			p := n.peers[contact]
			p.JID = contact
			l = append(l, Head{owner, name, n.node.Config, p, items[len(items)-1]})
		}
	}
	return l, ctx.Err()
}

// Involved implements [Store].
func (m *Memory) Involved(ctx context.Context, peer mux.Address) ([]mux.Address, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var l []mux.Address
	for owner, nodes := range m.accounts {
		for _, n := range nodes {
			for _, p := range n.peers {
				if p.JID.Bare() == peer && !slices.Contains(l, owner) {
					l = append(l, owner)
				}
			}
		}
	}
	return l, ctx.Err()
}

// Index implements [Store].
func (m *Memory) Index(ctx context.Context, account mux.Address, node string) ([]Entry, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.accounts[account][node]
	if n == nil {
		return nil, ctx.Err()
	}
	var l []Entry
	for _, i := range n.sorted() {
		l = append(l, i.Entry)
	}
	return l, ctx.Err()
}

// Items implements [Store].
func (m *Memory) Items(ctx context.Context, account mux.Address, node string, ids []string) ([]Item, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.accounts[account][node]
	if n == nil {
		return nil, ctx.Err()
	}
	var l []Item
	for _, id := range ids {
		if i, ok := n.items[id]; ok {
			l = append(l, i)
		}
	}
	return l, ctx.Err()
}

// write is a change of the data.
func (m *Memory) write(f func()) mux.Write {
	return func(context.Context, mux.Tx) error {
		m.mu.Lock()
		defer m.mu.Unlock()
		f()
		return nil
	}
}

// PutNode implements [Store].
func (m *Memory) PutNode(account mux.Address, n Node) mux.Write {
	return m.write(func() {
		if m.accounts == nil {
			m.accounts = make(map[mux.Address]map[string]*memoryNode)
		}
		if m.accounts[account] == nil {
			m.accounts[account] = make(map[string]*memoryNode)
		}
		have := m.accounts[account][n.Name]
		if have == nil {
			have = &memoryNode{peers: make(map[mux.Address]Peer), items: make(map[string]Item)}
			m.accounts[account][n.Name] = have
		}
		if have.node.Name != "" {
			n.Seq, n.Bytes = have.node.Seq, have.node.Bytes
		}
		n.Peers = nil
		have.node = n
	})
}

// SetPeer implements [Store].
func (m *Memory) SetPeer(account mux.Address, node string, p Peer) mux.Write {
	return m.write(func() {
		n := m.accounts[account][node]
		switch {
		case n == nil:
		case p.Affiliation == NoAffiliation && p.Subscription == NotSubscribed:
			delete(n.peers, p.JID)
		default:
			n.peers[p.JID] = p
		}
	})
}

// DropNode implements [Store].
func (m *Memory) DropNode(account mux.Address, node string) mux.Write {
	return m.write(func() { delete(m.accounts[account], node) })
}

// Change implements [Store].
func (m *Memory) Change(account mux.Address, node string, c Change) mux.Write {
	return m.write(func() {
		n := m.accounts[account][node]
		if n == nil {
			return
		}
		if c.All {
			clear(n.items)
		}
		for _, id := range c.Remove {
			delete(n.items, id)
		}
		for _, i := range c.Put {
			n.items[i.ID] = i
		}
		n.node.Seq, n.node.Bytes = c.Seq, c.Bytes
	})
}

// RemoveAccount implements [Store].
func (m *Memory) RemoveAccount(account mux.Address) mux.Write {
	return m.write(func() { delete(m.accounts, account) })
}
