package caps

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/propolis-im/propolis/mux"
)

// Saved is what a verified hash stands for.
type Saved struct {
	Proto       Proto
	Algo, Value string
	Features    []string  // sorted
	Seen        time.Time // when it was last announced, to about a day
}

func (s Saved) key() key { return key{s.Proto, s.Algo, s.Value} }

// Store keeps what hashes stand for, so that clients need not be asked again after a
// restart. Nothing in it is about anybody. Implementations must allow concurrent calls.
type Store interface {
	// Load reads what is kept, those seen longest ago first, when the mux starts. Of more
	// than limit it reads those seen last, and may forget the others.
	Load(ctx context.Context, limit int) ([]Saved, error)
	// Save keeps s in place of what is kept under its protocol, algorithm and value. Seen
	// may be kept to the microsecond.
	Save(s Saved) mux.Write
	// Remove forgets a hash; unknown ones are no error.
	Remove(p Proto, algo, value string) mux.Write
}

var _ Store = (*Memory)(nil)

// Memory is a [Store] that forgets everything at the end of the process. The zero value
// is empty and ready to use, also by several goroutines. Its writes take effect when
// they are applied; they ignore the transaction, so they cannot be rolled back, and the
// context.
type Memory struct {
	mu sync.Mutex // guards what follows
	m  map[key]Saved
}

// Load implements [Store].
func (m *Memory) Load(ctx context.Context, limit int) ([]Saved, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	list := make([]Saved, 0, len(m.m))
	for _, s := range m.m {
		list = append(list, s)
	}
	slices.SortFunc(list, func(a, b Saved) int {
		return cmp.Or(a.Seen.Compare(b.Seen), cmp.Compare(a.Value, b.Value))
	})
	return list[max(0, len(list)-limit):], nil
}

// Save implements [Store].
func (m *Memory) Save(s Saved) mux.Write {
	return func(context.Context, mux.Tx) error {
		m.mu.Lock()
		defer m.mu.Unlock()
		if m.m == nil {
			m.m = make(map[key]Saved)
		}
		m.m[s.key()] = s
		return nil
	}
}

// Remove implements [Store].
func (m *Memory) Remove(p Proto, algo, value string) mux.Write {
	return func(context.Context, mux.Tx) error {
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.m, key{p, algo, value})
		return nil
	}
}
