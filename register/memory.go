package register

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/propolis-im/propolis/mux"
)

var _ Store = (*Memory)(nil)

// Memory is a [Store] that forgets everything at the end of the process. The zero
// value is empty and ready to use, also by several goroutines. It knows the accounts
// that were admitted only.
type Memory struct {
	mu      sync.Mutex // guards what follows
	invites map[InviteID]Invite
	names   map[mux.Address]string // skeletons
	removed map[mux.Address]time.Time
	queue   map[mux.Address]Application
	guests  map[mux.Address]Guest
}

// put sets a value in a map that may be nil.
func put[K comparable, V any](m *map[K]V, k K, v V) {
	if *m == nil {
		*m = make(map[K]V)
	}
	(*m)[k] = v
}

// write makes a Write of something that cannot fail.
func (m *Memory) write(f func()) mux.Write {
	return func(context.Context, mux.Tx) error {
		m.mu.Lock()
		defer m.mu.Unlock()
		f()
		return nil
	}
}

// Invite implements [Invites].
func (m *Memory) Invite(ctx context.Context, id InviteID) (Invite, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	i, ok := m.invites[id]
	if !ok {
		return Invite{}, cmp.Or(ctx.Err(), ErrNoInvite)
	}
	return i, ctx.Err()
}

// Invites implements [Invites].
func (m *Memory) Invites(ctx context.Context, inviter mux.Address) ([]Invite, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return sorted(m.invites, func(i Invite) bool { return inviter.IsZero() || i.Inviter == inviter },
		func(a, b Invite) int {
			return cmp.Or(a.Created.Compare(b.Created), slices.Compare(a.ID[:], b.ID[:]))
		}), ctx.Err()
}

func sorted[K comparable, V any](m map[K]V, which func(V) bool, less func(a, b V) int) []V {
	var list []V
	for v := range maps.Values(m) {
		if which(v) {
			list = append(list, v)
		}
	}
	slices.SortFunc(list, less)
	return list
}

// AddInvite implements [Invites].
func (m *Memory) AddInvite(i Invite) mux.Write {
	return m.write(func() {
		old := i.Created.Add(-day)
		maps.DeleteFunc(m.invites, func(_ InviteID, i Invite) bool { return i.Expires.Before(old) })
		put(&m.invites, i.ID, i)
	})
}

// RemoveInvite implements [Invites].
func (m *Memory) RemoveInvite(id InviteID) mux.Write {
	return m.write(func() { delete(m.invites, id) })
}

// Admit implements [Admissions].
func (m *Memory) Admit(a Admission) Also {
	return func(ctx context.Context, _ any) (error, error) {
		m.mu.Lock()
		defer m.mu.Unlock()
		if refusal := m.refuse(&a); refusal != nil || ctx.Err() != nil {
			return refusal, ctx.Err()
		}
		m.use(a.Invite)
		put(&m.names, a.Account, a.Skeleton)
		if a.Guest != nil {
			put(&m.guests, a.Account, *a.Guest)
		}
		if a.Application != nil {
			put(&m.queue, a.Account, *a.Application)
		}
		return nil, nil
	}
}

func (m *Memory) refuse(a *Admission) error {
	if a.Invite != (InviteID{}) && m.invites[a.Invite].Uses <= 0 {
		return ErrInviteGone
	}
	for id, i := range m.invites {
		if id != a.Invite && i.reserves(a.Account.Domain(), a.Account.Local(), a.Now) {
			return ErrTaken
		}
	}
	for account, skeleton := range m.names {
		if skeleton == a.Skeleton && account.Domain() == a.Account.Domain() && account != a.Account {
			return ErrTaken
		}
	}
	at, was := m.removed[a.Account]
	switch {
	case was && (a.Tombstone == 0 || a.Tombstone > 0 && a.Now.Before(at.Add(a.Tombstone))):
		return ErrTaken
	case a.Application != nil && len(m.queue) >= a.MaxWaiting:
		return ErrQueueFull
	}
	return nil
}

// use takes one use away; one that is used up is forgotten.
func (m *Memory) use(id InviteID) {
	i, ok := m.invites[id]
	if !ok {
		return
	}
	if i.Uses--; i.Uses > 0 {
		m.invites[id] = i
	} else {
		delete(m.invites, id)
	}
}

// Use implements [Admissions].
func (m *Memory) Use(id InviteID) Also {
	return func(ctx context.Context, _ any) (error, error) {
		m.mu.Lock()
		defer m.mu.Unlock()
		if m.invites[id].Uses <= 0 {
			return ErrInviteGone, nil
		}
		m.use(id)
		return nil, ctx.Err()
	}
}

// Redeem implements [Admissions].
func (m *Memory) Redeem(ctx context.Context, id InviteID, now time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if i := m.invites[id]; ctx.Err() != nil || !i.Valid(now) {
		return cmp.Or(ctx.Err(), ErrInviteGone)
	}
	m.use(id)
	return nil
}

// RemoveAccount implements [Admissions].
func (m *Memory) RemoveAccount(account mux.Address, removed time.Time) mux.Write {
	return m.write(func() {
		maps.DeleteFunc(m.invites, func(_ InviteID, i Invite) bool {
			return i.Inviter == account || i.Kind == ForReset && i.Domain == account.Domain() && i.Name == account.Local()
		})
		delete(m.names, account)
		delete(m.queue, account)
		delete(m.guests, account)
		for k, g := range m.guests {
			if g.Inviter == account {
				delete(m.guests, k)
			}
		}
		if !removed.IsZero() {
			put(&m.removed, account, removed)
		}
	})
}

// Applications implements [Queue].
func (m *Memory) Applications(ctx context.Context) ([]Application, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return sorted(m.queue, func(Application) bool { return true },
		func(a, b Application) int {
			return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Account.String(), b.Account.String()))
		}), ctx.Err()
}

// Decided implements [Queue].
func (m *Memory) Decided(account mux.Address) mux.Write {
	return m.write(func() { delete(m.queue, account) })
}

// Guests implements [Guests].
func (m *Memory) Guests(ctx context.Context, inviter mux.Address) ([]Guest, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return sorted(m.guests, func(g Guest) bool { return inviter.IsZero() || g.Inviter == inviter },
		func(a, b Guest) int {
			return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Account.String(), b.Account.String()))
		}), ctx.Err()
}

// Befriended implements [Guests].
func (m *Memory) Befriended(account mux.Address) mux.Write {
	return m.write(func() {
		if g, ok := m.guests[account]; ok {
			g.Befriend = false
			m.guests[account] = g
		}
	})
}
