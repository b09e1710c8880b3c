package smacks

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/propolis-im/propolis/mux"
)

var _ Store = (*Memory)(nil)

// Memory is a store that forgets everything at the end of the process: sessions
// survive a restart of the mux in it, as in tests. The zero value is empty and ready
// to use, also by several goroutines. Its writes ignore the transaction.
type Memory struct {
	mu sync.Mutex
	m  map[string]*Saved
}

func (m *Memory) change(session string, f func(s *Saved)) mux.Write {
	return func(context.Context, mux.Tx) error {
		m.mu.Lock()
		defer m.mu.Unlock()
		s := m.m[session]
		if s == nil {
			s = &Saved{Session: session}
			if m.m == nil {
				m.m = make(map[string]*Saved)
			}
			m.m[session] = s
		}
		f(s)
		return nil
	}
}

// Append implements [Store].
func (m *Memory) Append(session string, e Entry) mux.Write {
	old := e.Old
	e.Old = 0
	return m.change(session, func(s *Saved) {
		if old != 0 {
			s.Entries = slices.DeleteFunc(s.Entries, func(e Entry) bool { return e.Row == old })
		}
		i, found := slices.BinarySearchFunc(s.Entries, e.Row, func(e Entry, row uint64) int { return cmp.Compare(e.Row, row) })
		if found {
			s.Entries[i] = e
			return
		}
		s.Entries = slices.Insert(s.Entries, i, e)
	})
}

// Note implements [Store].
func (m *Memory) Note(session string, c Counters) mux.Write {
	return m.change(session, func(s *Saved) {
		s.Counters = s.Counters.Later(c)
		n := 0
		for n < len(s.Entries) && s.Entries[n].Row <= s.Counters.Through {
			n++
		}
		s.Entries = slices.Clone(s.Entries[n:])
	})
}

// Arrived implements [Store].
func (m *Memory) Arrived(tags []string) mux.Write {
	return func(context.Context, mux.Tx) error {
		m.mu.Lock()
		defer m.mu.Unlock()
		for _, s := range m.m {
			s.Entries = slices.Clone(s.Entries)
			for i := range s.Entries {
				e := &s.Entries[i]
				e.Arrived = e.Arrived || e.Tag != "" && slices.Contains(tags, e.Tag)
			}
		}
		return nil
	}
}

// End implements [Store].
func (m *Memory) End(session string, last *Last) mux.Write {
	return func(context.Context, mux.Tx) error {
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.m, session)
		if last == nil {
			return nil
		}
		if m.m == nil {
			m.m = make(map[string]*Saved)
		}
		kept := *last
		m.m[session] = &Saved{Session: session, Last: &kept}
		return nil
	}
}

// Load implements [Store]. Sessions come in the order of their names.
func (m *Memory) Load(ctx context.Context, now time.Time) ([]Saved, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []Saved
	for name, s := range m.m {
		if s.Last != nil && !s.Last.Until.After(now) {
			delete(m.m, name)
			continue
		}
		c := *s
		c.Entries = slices.Clone(s.Entries)
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b Saved) int { return cmp.Compare(a.Session, b.Session) })
	return all, nil
}

// Later are the counters of both that are ahead, for implementations of
// [Store.Note].
func (c Counters) Later(d Counters) Counters {
	if c == (Counters{}) {
		return d
	}
	if after(d.Handled, c.Handled) {
		c.Handled = d.Handled
	}
	if after(d.Acked, c.Acked) {
		c.Acked = d.Acked
	}
	c.Through = max(c.Through, d.Through)
	return c
}
