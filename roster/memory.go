package roster

import (
	"cmp"
	"context"
	"crypto/rand"
	"slices"
	"strings"
	"sync"

	"github.com/propolis-im/propolis/mux"
)

var _ Store = (*Memory)(nil)

// memoryRemoved is how many tombstones [Memory] keeps of an account.
const memoryRemoved = 500

// Memory is a [Store] that forgets everything at the end of the process. The
// zero value is empty and ready to use, also by several goroutines. Its writes
// take effect when they are applied; they ignore the transaction, so they
// cannot be rolled back, and the context.
type Memory struct {
	mu       sync.Mutex // guards what follows
	epoch    string     // made at first use
	accounts map[mux.Address]*memoryRoster
}

// memoryRoster is what Memory keeps of one account.
type memoryRoster struct {
	items   map[mux.Address]Item
	removed []Tombstone // oldest first
	ver     uint64
}

// Load implements [Store]. Items come in the order of their addresses.
func (m *Memory) Load(ctx context.Context, account mux.Address) (Roster, error) {
	if err := ctx.Err(); err != nil {
		return Roster{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.epoch == "" {
		m.epoch = rand.Text()
	}
	r := Roster{Epoch: m.epoch}
	kept := m.accounts[account]
	if kept == nil {
		return r, nil
	}
	r.Ver = kept.ver
	r.Removed = slices.Clone(kept.removed)
	for _, i := range kept.items {
		i.Groups = slices.Clone(i.Groups)
		r.Items = append(r.Items, i)
	}
	slices.SortFunc(r.Items, func(a, b Item) int { return strings.Compare(a.JID.String(), b.JID.String()) })
	return r, nil
}

// Put implements [Store]. It copies the groups.
func (m *Memory) Put(account mux.Address, i Item) mux.Write {
	i.Groups = slices.Clone(i.Groups)
	return m.write(account, func(r *memoryRoster) {
		r.items[i.JID] = i
		r.forget(i.JID)
		r.ver = max(r.ver, i.Ver)
	})
}

// Delete implements [Store].
func (m *Memory) Delete(account, contact mux.Address, ver uint64) mux.Write {
	return m.write(account, func(r *memoryRoster) {
		delete(r.items, contact)
		if ver == 0 {
			return
		}
		r.forget(contact)
		r.removed = append(r.removed, Tombstone{contact, ver})
		slices.SortStableFunc(r.removed, func(a, b Tombstone) int { return cmp.Compare(a.Ver, b.Ver) })
		r.removed = r.removed[max(0, len(r.removed)-memoryRemoved):]
		r.ver = max(r.ver, ver)
	})
}

// RemoveAccount implements [Store].
func (m *Memory) RemoveAccount(account mux.Address) mux.Write {
	return func(context.Context, mux.Tx) error {
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.accounts, account)
		return nil
	}
}

// write makes a change to the roster of an account, which it creates.
func (m *Memory) write(account mux.Address, change func(r *memoryRoster)) mux.Write {
	return func(context.Context, mux.Tx) error {
		m.mu.Lock()
		defer m.mu.Unlock()
		r := m.accounts[account]
		if r == nil {
			if m.accounts == nil {
				m.accounts = make(map[mux.Address]*memoryRoster)
			}
			r = &memoryRoster{items: make(map[mux.Address]Item)}
			m.accounts[account] = r
		}
		change(r)
		return nil
	}
}

// forget drops the tombstone of a contact.
func (r *memoryRoster) forget(contact mux.Address) {
	r.removed = slices.DeleteFunc(r.removed, func(t Tombstone) bool { return t.JID == contact })
}
