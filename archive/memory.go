package archive

import (
	"context"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/propolis-im/propolis/mux"
)

var (
	_ Store      = (*Memory)(nil)
	_ Lister     = (*Memory)(nil)
	_ PrefsStore = (*Memory)(nil)
)

// Memory is a [Store], [Lister] and [PrefsStore] that forgets everything at the end
// of the process. The zero value is empty and ready to use, also by several
// goroutines. Its writes take effect when they are applied; they ignore the
// transaction, so they cannot be rolled back, and the context.
type Memory struct {
	mu       sync.RWMutex // guards what follows
	archives map[mux.Address]*memory
	prefs    map[mux.Address]Prefs
}

// memory is one archive. Entry i has the position first+i.
type memory struct {
	first   int64
	entries []Entry
	ids     map[string]int64
	with    map[mux.Address][]int64 // by bare address
}

func (m *Memory) archive(account mux.Address) *memory {
	a := m.archives[account]
	if a == nil {
		if m.archives == nil {
			m.archives = make(map[mux.Address]*memory)
		}
		a = &memory{first: 1, ids: make(map[string]int64), with: make(map[mux.Address][]int64)}
		m.archives[account] = a
	}
	return a
}

// Append implements [Store].
func (m *Memory) Append(account mux.Address, e Entry) mux.Write {
	return func(context.Context, mux.Tx) error {
		m.mu.Lock()
		defer m.mu.Unlock()
		a := m.archive(account)
		e := e
		e.At = e.At.Truncate(time.Microsecond)
		if n := len(a.entries); n > 0 && e.At.Before(a.entries[n-1].At) {
			e.At = a.entries[n-1].At
		}
		pos := a.first + int64(len(a.entries))
		a.entries = append(a.entries, e)
		a.ids[e.ID] = pos
		bare := e.With.Bare()
		a.with[bare] = append(a.with[bare], pos)
		return nil
	}
}

// Mark implements [Store].
func (m *Memory) Mark(account mux.Address, f func(last int64)) mux.Write {
	return func(context.Context, mux.Tx) error {
		m.mu.RLock()
		defer m.mu.RUnlock()
		last := int64(0)
		if a := m.archives[account]; a != nil && len(a.entries) > 0 {
			last = a.last()
		}
		f(last)
		return nil
	}
}

func (a *memory) last() int64 { return a.first + int64(len(a.entries)) - 1 }

func (a *memory) at(pos int64) *Entry { return &a.entries[pos-a.first] }

// Page implements [Store].
func (m *Memory) Page(ctx context.Context, account mux.Address, q Query) (Page, error) {
	if err := ctx.Err(); err != nil {
		return Page{}, err
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	a := m.archives[account]
	if a == nil {
		a = &memory{first: 1}
	}
	return ReadPage(a, q)
}

// Bounds implements [Reader].
func (a *memory) Bounds() (first, last int64, err error) { return a.first, a.last(), nil }

// Position implements [Reader].
func (a *memory) Position(id string) (int64, error) { return a.ids[id], nil }

// From implements [Reader].
func (a *memory) From(at time.Time) (int64, error) {
	return a.first + int64(sort.Search(len(a.entries), func(i int) bool { return !a.entries[i].At.Before(at) })), nil
}

// Read implements [Reader].
func (a *memory) Read(r Range, yield func(pos int64, e Entry) bool) error {
	if r.With.IsZero() {
		for pos, step := r.start(); pos >= r.First && pos <= r.Last; pos += step {
			if !yield(pos, *a.at(pos)) {
				break
			}
		}
		return nil
	}
	list := a.with[r.With.Bare()]
	lo, _ := slices.BinarySearch(list, r.First)
	hi, _ := slices.BinarySearch(list, r.Last+1)
	list = list[lo:hi]
	for i := range list {
		pos := list[i]
		if r.Backward {
			pos = list[len(list)-1-i]
		}
		if e := a.at(pos); matches(r.With, e.With) && !yield(pos, *e) {
			break
		}
	}
	return nil
}

// Count implements [Reader].
func (a *memory) Count(r Range, limit int) (n int, err error) {
	err = a.Read(r, func(int64, Entry) bool { n++; return n < limit })
	return n, err
}

// Remove implements [Store].
func (m *Memory) Remove(account mux.Address, r Removal) mux.Write {
	return func(context.Context, mux.Tx) error {
		m.mu.Lock()
		defer m.mu.Unlock()
		if r.All {
			delete(m.archives, account)
			delete(m.prefs, account)
			return nil
		}
		if a := m.archives[account]; a != nil {
			a.remove(r)
		}
		return nil
	}
}

// remove drops entries from the front.
func (a *memory) remove(r Removal) {
	n := 0
	for n < len(a.entries) && n < r.Limit && (a.entries[n].At.Before(r.Before) || r.Keep > 0 && len(a.entries)-n > r.Keep) {
		e := &a.entries[n]
		delete(a.ids, e.ID)
		bare := e.With.Bare()
		if a.with[bare] = a.with[bare][1:]; len(a.with[bare]) == 0 {
			delete(a.with, bare)
		}
		*e = Entry{}
		n++
	}
	a.entries = a.entries[n:]
	a.first += int64(n)
}

// Archives implements [Lister].
func (m *Memory) Archives(ctx context.Context, after mux.Address, limit int) (list []mux.Address, err error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	for account := range m.archives {
		if account.String() > after.String() {
			list = append(list, account)
		}
	}
	slices.SortFunc(list, func(a, b mux.Address) int { return strings.Compare(a.String(), b.String()) })
	return list[:min(len(list), limit)], ctx.Err()
}

// LoadPrefs implements [PrefsStore].
func (m *Memory) LoadPrefs(ctx context.Context, account mux.Address) (Prefs, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.prefs[account], ctx.Err()
}

// SetPrefs implements [PrefsStore].
func (m *Memory) SetPrefs(account mux.Address, p Prefs) mux.Write {
	return func(context.Context, mux.Tx) error {
		m.mu.Lock()
		defer m.mu.Unlock()
		if m.prefs == nil {
			m.prefs = make(map[mux.Address]Prefs)
		}
		m.prefs[account] = p
		return nil
	}
}
