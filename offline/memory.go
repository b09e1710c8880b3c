package offline

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/propolis-im/propolis/mux"
)

var _ Store = (*Memory)(nil)

// Memory is a [Store] that forgets everything at the end of the process. The zero
// value is empty and ready to use, also by several goroutines. Its writes take effect
// when they are applied; they ignore the transaction, so they cannot be rolled back,
// and the context.
type Memory struct {
	mu       sync.Mutex // guards what follows
	seq      int64
	messages map[mux.Address][]Message // in order
}

func compare(a, b Message) int { return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Seq, b.Seq)) }

// Add implements [Store].
func (m *Memory) Add(account mux.Address, msg Message) mux.Write {
	return func(context.Context, mux.Tx) error {
		m.mu.Lock()
		defer m.mu.Unlock()
		if m.messages == nil {
			m.messages = make(map[mux.Address][]Message)
		}
		msg := msg
		m.seq++
		msg.Seq, msg.At = m.seq, msg.At.Truncate(time.Microsecond)
		list := m.messages[account]
		i, _ := slices.BinarySearchFunc(list, msg, compare)
		m.messages[account] = slices.Insert(list, i, msg)
		return nil
	}
}

// Load implements [Store].
func (m *Memory) Load(ctx context.Context, account mux.Address, after Message, limit, octets int) (list []Message, more bool, err error) {
	if err := ctx.Err(); err != nil {
		return nil, false, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, msg := range m.messages[account] {
		switch {
		case after.Seq != 0 && compare(msg, after) <= 0:
		case len(list) >= limit || len(list) > 0 && octets <= 0:
			return list, true, nil
		default:
			list = append(list, msg)
			octets -= msg.size()
		}
	}
	return list, false, nil
}

// Usage implements [Store].
func (m *Memory) Usage(ctx context.Context, account mux.Address) (u Usage, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range m.messages[account] {
		u.Messages++
		u.Bytes += m.messages[account][i].size()
	}
	return u, ctx.Err()
}

// Remove implements [Store].
func (m *Memory) Remove(account mux.Address, r Removal) mux.Write {
	return func(context.Context, mux.Tx) error {
		m.mu.Lock()
		defer m.mu.Unlock()
		list := slices.DeleteFunc(m.messages[account], func(msg Message) bool {
			return r.All || r.References && msg.ID != "" || slices.Contains(r.Seqs, msg.Seq)
		})
		if len(list) == 0 {
			delete(m.messages, account)
		} else {
			m.messages[account] = list
		}
		return nil
	}
}
