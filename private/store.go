package private

import (
	"context"
	"encoding/xml"
	"sync"

	"github.com/propolis-im/propolis/mux"
)

// Store keeps elements. Accounts are given by their bare addresses, elements as
// text that declares its namespaces. Implementations must allow concurrent calls;
// writes of one account are applied in order.
type Store interface {
	// Load reads an element, empty if there is none. It may wait; an error is for
	// failures only.
	Load(ctx context.Context, account mux.Address, name xml.Name) (string, error)
	// Sizes tells which elements an account has, and how many octets each. It may
	// wait.
	Sizes(ctx context.Context, account mux.Address) (map[xml.Name]int, error)
	// Set replaces the element of a name.
	Set(account mux.Address, name xml.Name, element string) mux.Write
	// RemoveAccount removes everything of an account.
	RemoveAccount(account mux.Address) mux.Write
}

var _ Store = (*Memory)(nil)

// Memory is a [Store] that forgets everything at the end of the process. The zero
// value is empty and ready to use, also by several goroutines. Its writes take
// effect when they are applied; they ignore the transaction, so they cannot be
// rolled back, and the context.
type Memory struct {
	mu  sync.Mutex // guards what follows
	all map[mux.Address]map[xml.Name]string
}

// Load implements [Store].
func (m *Memory) Load(ctx context.Context, account mux.Address, name xml.Name) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.all[account][name], nil
}

// Sizes implements [Store].
func (m *Memory) Sizes(ctx context.Context, account mux.Address) (map[xml.Name]int, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	sizes := make(map[xml.Name]int)
	for name, element := range m.all[account] {
		sizes[name] = len(element)
	}
	return sizes, nil
}

// Set implements [Store].
func (m *Memory) Set(account mux.Address, name xml.Name, element string) mux.Write {
	return func(context.Context, mux.Tx) error {
		m.mu.Lock()
		defer m.mu.Unlock()
		if m.all == nil {
			m.all = make(map[mux.Address]map[xml.Name]string)
		}
		if m.all[account] == nil {
			m.all[account] = make(map[xml.Name]string)
		}
		m.all[account][name] = element
		return nil
	}
}

// RemoveAccount implements [Store].
func (m *Memory) RemoveAccount(account mux.Address) mux.Write {
	return func(context.Context, mux.Tx) error {
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.all, account)
		return nil
	}
}
