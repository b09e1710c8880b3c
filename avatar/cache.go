package avatar

import "sync"

// Cache keeps images by their hashes in lower-case hexadecimal digits. Implementations
// must allow concurrent calls, and may forget; what they give is checked.
type Cache interface {
	Get(hash string) (Image, bool)
	Put(hash string, m Image)
}

var _ Cache = (*Memory)(nil)

// Memory is a [Cache] that forgets everything at the end of the process, and the oldest
// above a bound. The zero value is empty and ready to use.
type Memory struct {
	// MaxBytes bounds the images; 0 or less for 16 MiB. It may not change later.
	MaxBytes int

	mu    sync.Mutex // guards what follows
	by    map[string]Image
	order []string // the oldest first
	bytes int
}

// Get implements [Cache].
func (m *Memory) Get(hash string) (Image, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	im, ok := m.by[hash]
	return im, ok
}

// Put implements [Cache].
func (m *Memory) Put(hash string, im Image) {
	most := m.MaxBytes
	if most <= 0 {
		most = 16 << 20
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.by[hash]; ok || len(im.Data) > most {
		return
	}
	if m.by == nil {
		m.by = make(map[string]Image)
	}
	m.by[hash] = im
	m.order = append(m.order, hash)
	for m.bytes += len(im.Data); m.bytes > most; {
		m.bytes -= len(m.by[m.order[0]].Data)
		delete(m.by, m.order[0])
		m.order = append(m.order[:0], m.order[1:]...)
	}
}
