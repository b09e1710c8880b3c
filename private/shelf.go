package private

import (
	"encoding/xml"
	"sync/atomic"

	"github.com/propolis-im/propolis/mux"
)

// shelf is what is remembered of an account in use: how much it keeps, and what
// may not be in the store yet. It is touched in the account's turns only.
type shelf struct {
	sizes map[xml.Name]int // octets of each element; nil before it was read
	bytes int              // of all, names included
	fresh map[xml.Name]*fresh
}

// fresh is an element that was set; nil when it is durable, since the store has it
// then.
type fresh struct{ raw atomic.Pointer[string] }

// cost is what an element counts for.
func cost(name xml.Name, n int) int { return len(name.Space) + len(name.Local) + n }

func (s *shelf) note(name xml.Name, n int) {
	if old, ok := s.sizes[name]; ok {
		s.bytes -= cost(name, old)
	}
	s.sizes[name] = n
	s.bytes += cost(name, n)
}

// fits reports whether elements, no two of one name, may be kept.
func (s *shelf) fits(given []mux.Child, maxBytes, maxElements int) bool {
	bytes, count := s.bytes, len(s.sizes)
	for _, c := range given {
		if old, ok := s.sizes[c.Name]; ok {
			bytes -= cost(c.Name, old)
			count--
		}
		bytes += cost(c.Name, len(c.Raw()))
		count++
	}
	// What is less than before is always welcome.
	return (bytes <= maxBytes || bytes <= s.bytes) && (count <= maxElements || count <= len(s.sizes))
}

// put remembers an element until it is durable.
func (s *shelf) put(e *mux.Event, c mux.Child) {
	s.note(c.Name, len(c.Raw()))
	for name, f := range s.fresh {
		if f.raw.Load() == nil {
			delete(s.fresh, name)
		}
	}
	if s.fresh == nil {
		s.fresh = make(map[xml.Name]*fresh)
	}
	f, raw := new(fresh), c.Raw()
	f.raw.Store(&raw)
	s.fresh[c.Name] = f
	e.Work.After(func(err error) {
		if err == nil { // else the kernel forgets the whole shelf
			f.raw.Store(nil)
		}
	})
}
