package blocking

import (
	"context"

	"github.com/propolis-im/propolis/mux"
)

// Reverse is what a store may offer beside [Store], for those who have to know about
// many accounts at once, without their turns. [Memory] does.
type Reverse interface {
	// Blockers returns those of the accounts that have blocked a contact, given by a
	// bare or full address, in any order. It may wait.
	Blockers(ctx context.Context, contact mux.Address, accounts []mux.Address) ([]mux.Address, error)
}

var _ Reverse = (*Memory)(nil)

// Covering are the items that block an address, as their texts (XEP-0191 §5): itself,
// its bare form, its domain with its resource, and its domain.
func Covering(a mux.Address) []string {
	l := []string{a.String()}
	if a.IsBare() && a.Local() == "" {
		return l
	}
	if !a.IsBare() && a.Local() != "" {
		l = append(l, a.Bare().String(), a.Domain()+"/"+a.Resource())
	}
	return append(l, a.Domain())
}

// Blockers implements [Reverse].
func (m *Memory) Blockers(ctx context.Context, contact mux.Address, accounts []mux.Address) (l []mux.Address, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, account := range accounts {
		if m.blocks(account, contact) {
			l = append(l, account)
		}
	}
	return l, ctx.Err()
}

func (m *Memory) blocks(account, contact mux.Address) bool {
	if len(m.lists[account]) == 0 {
		return false
	}
	for _, text := range Covering(contact) {
		if a, err := mux.ParseAddress(text); err == nil {
			if _, ok := m.lists[account][a]; ok {
				return true
			}
		}
	}
	return false
}
