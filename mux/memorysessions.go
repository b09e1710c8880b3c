package mux

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"sync"
)

var _ SessionStore = (*MemorySessions)(nil)

// MemorySessions is a [SessionStore] that forgets everything at the end of the
// process: sessions survive a restart of the mux in it, as in tests, not one of
// the program. The zero value is empty and ready to use, also by several
// goroutines. Its writes take effect when they are applied; they ignore the
// transaction, so they cannot be rolled back, and the context.
type MemorySessions struct {
	mu       sync.Mutex // guards what follows
	sessions map[string]SavedSession
}

// Save implements [SessionStore]. It copies the data.
func (m *MemorySessions) Save(s SavedSession) Write {
	s.Data = bytes.Clone(s.Data)
	return func(context.Context, Tx) error {
		m.mu.Lock()
		defer m.mu.Unlock()
		if m.sessions == nil {
			m.sessions = make(map[string]SavedSession)
		}
		m.sessions[s.ID] = s
		return nil
	}
}

// Delete implements [SessionStore].
func (m *MemorySessions) Delete(id string) Write {
	return func(context.Context, Tx) error {
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.sessions, id)
		return nil
	}
}

// Load implements [SessionStore]. Sessions come in the order of their IDs.
func (m *MemorySessions) Load(ctx context.Context) ([]SavedSession, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []SavedSession
	for _, s := range m.sessions {
		s.Data = bytes.Clone(s.Data)
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b SavedSession) int { return strings.Compare(a.ID, b.ID) })
	return all, nil
}
