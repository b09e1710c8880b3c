package vcard

import (
	"context"
	"sync"

	"github.com/propolis-im/propolis/mux"
)

// Store keeps cards, as text that declares its namespaces. Accounts are given by
// their bare addresses. Implementations must allow concurrent calls; writes of one
// account are applied in order.
type Store interface {
	// Load reads the card of an account, empty if there is none. It may wait; an
	// error is for failures only.
	Load(ctx context.Context, account mux.Address) (string, error)
	// Set replaces the card, by none if it is empty.
	Set(account mux.Address, card string) mux.Write
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
	cards map[mux.Address]string
}

// Load implements [Store].
func (m *Memory) Load(ctx context.Context, account mux.Address) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.cards[account], nil
}

// Set implements [Store].
func (m *Memory) Set(account mux.Address, card string) mux.Write {
	return func(context.Context, mux.Tx) error {
		m.mu.Lock()
		defer m.mu.Unlock()
		if m.cards == nil {
			m.cards = make(map[mux.Address]string)
		}
		if m.cards[account] = card; card == "" {
			delete(m.cards, account)
		}
		return nil
	}
}

// RemoveAccount implements [Store].
func (m *Memory) RemoveAccount(account mux.Address) mux.Write { return m.Set(account, "") }
