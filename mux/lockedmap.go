package mux

import (
	"maps"
	"slices"
	"sync"
)

// lockedMap is a map for several goroutines, which is looked into seldom. Unlike
// [sync.Map], it takes no memory for each entry apart.
type lockedMap[K comparable, V any] struct {
	mu sync.Mutex
	m  map[K]V
}

func (t *lockedMap[K, V]) put(k K, v V) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.m == nil {
		t.m = make(map[K]V)
	}
	t.m[k] = v
}

func (t *lockedMap[K, V]) remove(k K) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.m, k)
}

// get is the value of a key, zero if there is none.
func (t *lockedMap[K, V]) get(k K) V {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.m[k]
}

// all are the values at this moment, in no order.
func (t *lockedMap[K, V]) all() []V {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.AppendSeq(make([]V, 0, len(t.m)), maps.Values(t.m))
}
