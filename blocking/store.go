package blocking

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/propolis-im/propolis/mux"
)

// Store keeps blocklists. Implementations must allow concurrent calls; writes of
// one account are applied in order.
type Store interface {
	// Load reads the list of an account, given by its bare address, in any order;
	// an account without one has an empty list. It may wait; an error is for
	// failures only.
	Load(ctx context.Context, account mux.Address) ([]mux.Address, error)
	// Add adds addresses, which may be there already. The slice may be kept, not
	// changed.
	Add(account mux.Address, items []mux.Address) mux.Write
	// Remove removes addresses; those that are not there are no error.
	Remove(account mux.Address, items []mux.Address) mux.Write
	// RemoveAccount removes everything of an account.
	RemoveAccount(account mux.Address) mux.Write
}

var _ Store = (*Memory)(nil)

// Memory is a [Store] that forgets everything at the end of the process. The zero
// value is empty and ready to use, also by several goroutines. Its writes take
// effect when they are applied; they ignore the transaction, so they cannot be
// rolled back, and the context.
type Memory struct {
	mu    sync.Mutex // guards what follows
	lists map[mux.Address]map[mux.Address]struct{}
}

// Load implements [Store]. Addresses come in the order of their texts.
func (m *Memory) Load(ctx context.Context, account mux.Address) ([]mux.Address, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.SortedFunc(maps.Keys(m.lists[account]), func(a, b mux.Address) int { return strings.Compare(a.String(), b.String()) }), nil
}

// Add implements [Store].
func (m *Memory) Add(account mux.Address, items []mux.Address) mux.Write {
	return func(context.Context, mux.Tx) error {
		m.mu.Lock()
		defer m.mu.Unlock()
		if m.lists == nil {
			m.lists = make(map[mux.Address]map[mux.Address]struct{})
		}
		if m.lists[account] == nil {
			m.lists[account] = make(map[mux.Address]struct{})
		}
		for _, a := range items {
			m.lists[account][a] = struct{}{}
		}
		return nil
	}
}

// Remove implements [Store].
func (m *Memory) Remove(account mux.Address, items []mux.Address) mux.Write {
	return func(context.Context, mux.Tx) error {
		m.mu.Lock()
		defer m.mu.Unlock()
		for _, a := range items {
			delete(m.lists[account], a)
		}
		if len(m.lists[account]) == 0 {
			delete(m.lists, account)
		}
		return nil
	}
}

// RemoveAccount implements [Store].
func (m *Memory) RemoveAccount(account mux.Address) mux.Write {
	return func(context.Context, mux.Tx) error {
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.lists, account)
		return nil
	}
}
