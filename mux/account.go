package mux

import (
	"sync"
	"sync/atomic"
)

// account is the queue of turns of one address, and what belongs to it while it
// is in use. There is one for each account with sessions or turns, for each
// address of a hosted entity with turns, and for each served domain with turns.
type account struct {
	addr Address
	refs atomic.Int32 // sessions, queued turns, notes of Works

	mu   sync.Mutex
	busy bool // a runner has it
	head *task
	tail *task

	next *account // in a runner's list

	sessions atomic.Pointer[[]*Session] // replaced whole, in turns
	slots    []any                      // in turns
	wrote    *bundle                    // had the last turn that wrote; under commits.mu
}

// list is the account's sessions, in order of binding.
func (a *account) list() []*Session {
	if p := a.sessions.Load(); p != nil {
		return *p
	}
	return nil
}

func (a *account) addSession(s *Session) {
	old := a.list()
	l := append(append(make([]*Session, 0, len(old)+1), old...), s)
	a.sessions.Store(&l)
}

func (a *account) removeSession(s *Session) bool {
	old := a.list()
	l := make([]*Session, 0, len(old))
	for _, o := range old {
		if o != s {
			l = append(l, o)
		}
	}
	if len(l) == 0 {
		a.sessions.Store(nil)
	} else {
		a.sessions.Store(&l)
	}
	return len(l) < len(old)
}

// find is the session with that resource.
func (a *account) find(full Address) *Session {
	for _, s := range a.list() {
		if s.jid == full {
			return s
		}
	}
	return nil
}

// push appends a turn and reports whether the caller now has to run the account.
func (a *account) push(t *task) (run bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.tail == nil {
		a.head = t
	} else {
		a.tail.next = t
	}
	a.tail = t
	run = !a.busy
	a.busy = true
	return run
}

// pushFront puts a turn before all others.
func (a *account) pushFront(t *task) (run bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	t.next = a.head
	a.head = t
	if a.tail == nil {
		a.tail = t
	}
	run = !a.busy
	a.busy = true
	return run
}

// pop takes the next turn; without one the account is idle.
func (a *account) pop() *task {
	a.mu.Lock()
	defer a.mu.Unlock()
	t := a.head
	if t == nil {
		a.busy = false
		return nil
	}
	a.head = t.next
	if a.head == nil {
		a.tail = nil
	}
	t.next = nil
	return t
}

// accountShards must be a power of two.
const accountShards = 64

type accountShard struct {
	mu sync.Mutex
	m  map[Address]*account
}

func (m *Mux) shard(a Address) *accountShard {
	// FNV-1a over the last octets is spread well enough and cheap.
	h := uint32(2166136261)
	for i := max(0, int(a.bare)-16); i < int(a.bare); i++ {
		h = (h ^ uint32(a.s[i])) * 16777619
	}
	for i := 0; i < min(int(a.bare), 12); i++ {
		h = (h ^ uint32(a.s[i])) * 16777619
	}
	return &m.shards[h%accountShards]
}

// use returns the account of a bare address with a reference taken.
func (m *Mux) use(bare Address) *account {
	sh := m.shard(bare)
	sh.mu.Lock()
	a := sh.m[bare]
	if a == nil {
		a = &account{addr: bare.clone()}
		sh.m[a.addr] = a
	}
	a.refs.Add(1)
	sh.mu.Unlock()
	return a
}

// peek returns the account if it is in use, with a reference taken.
func (m *Mux) peek(bare Address) *account {
	sh := m.shard(bare)
	sh.mu.Lock()
	a := sh.m[bare]
	if a != nil {
		a.refs.Add(1)
	}
	sh.mu.Unlock()
	return a
}

// retain takes one more reference; the caller has one.
func (m *Mux) retain(a *account) { a.refs.Add(1) }

// release gives a reference back; with the last one the account is forgotten.
func (m *Mux) release(a *account) {
	if a.refs.Add(-1) > 0 {
		return
	}
	sh := m.shard(a.addr)
	sh.mu.Lock()
	if a.refs.Load() == 0 && sh.m[a.addr] == a {
		delete(sh.m, a.addr)
	}
	sh.mu.Unlock()
}
