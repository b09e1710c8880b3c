package lastactivity

import (
	"context"
	"sync"
	"time"

	"github.com/propolis-im/propolis/mux"
)

// Last is when an account was last there.
type Last struct {
	At     time.Time // when the last session went; zero if that is not known
	Status string    // what it said then, valid text, empty for nothing
}

// Store keeps last activity. Implementations must allow concurrent calls; writes
// of one account are applied in order.
type Store interface {
	// Load reads when an account, given by its bare address, was last there: the
	// zero Last if nothing is known. It may wait; an error is for failures only.
	Load(ctx context.Context, account mux.Address) (Last, error)
	// Set replaces what is kept of an account. At may be kept to the microsecond.
	Set(account mux.Address, l Last) mux.Write
	// RemoveAccount removes everything of an account.
	RemoveAccount(account mux.Address) mux.Write
}

var _ Store = (*Memory)(nil)

// Memory is a [Store] that forgets everything at the end of the process. The zero
// value is empty and ready to use, also by several goroutines. Its writes take
// effect when they are applied; they ignore the transaction, so they cannot be
// rolled back, and the context.
type Memory struct {
	mu   sync.Mutex // guards what follows
	last map[mux.Address]Last
}

// Load implements [Store].
func (m *Memory) Load(ctx context.Context, account mux.Address) (Last, error) {
	if err := ctx.Err(); err != nil {
		return Last{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.last[account], nil
}

// Set implements [Store].
func (m *Memory) Set(account mux.Address, l Last) mux.Write {
	return func(context.Context, mux.Tx) error {
		m.mu.Lock()
		defer m.mu.Unlock()
		if m.last == nil {
			m.last = make(map[mux.Address]Last)
		}
		m.last[account] = l
		return nil
	}
}

// RemoveAccount implements [Store].
func (m *Memory) RemoveAccount(account mux.Address) mux.Write {
	return func(context.Context, mux.Tx) error {
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.last, account)
		return nil
	}
}
