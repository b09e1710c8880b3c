package mux

import (
	"strings"
	"testing"
)

// A queue in which something gated is always left does not grow with what has
// gone through it.
func TestQueueStaysCompact(t *testing.T) {
	t.Parallel()
	var q outQueue
	w := new(Work)
	s := Make(Head{Kind: Message})
	var buf []Item
	gone := 0
	for range 100_000 {
		if err := q.push(&Item{Stanza: s, Work: w, gen: w.gen.Load()}, 4<<20, false); err != nil {
			t.Fatal(err)
		}
		if q.len() < 2 {
			continue
		}
		q.items[q.head].Work = nil // its Work has ended, that of the one behind has not
		buf = q.takeOpen(buf[:0], flushBytes)
		gone += len(buf)
		if q.len() != 1 {
			t.Fatalf("%d are left", q.len())
		}
	}
	if gone != 99_999 || cap(q.items) > 256 {
		t.Errorf("%d have gone, %d slots are in use for %d items", gone, cap(q.items), q.len())
	}
	if want := q.items[q.head].size(); q.bytes != want {
		t.Errorf("%d octets are waiting, want %d", q.bytes, want)
	}
}

// Behind a stanza that is left out because too much is waiting nothing is written:
// the peer counts what it gets, and would take the next for it.
func TestWireLeavesNoGap(t *testing.T) {
	t.Parallel()
	s := &Session{m: &Mux{opt: Options{MaxQueue: 400}}, tracked: true}
	s.stream.Store(new(Stream))
	for _, body := range []string{"small", strings.Repeat("large", 100), "small"} {
		st, err := Parse([]byte("<message><body>" + body + "</body></message>"))
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Wire().Put(&Item{Stanza: st}); err != nil {
			t.Fatal(err)
		}
	}
	if n := s.q.len(); n != 1 || !s.over {
		t.Errorf("%d stanzas are to be written, over %t; want the first alone", n, s.over)
	}
}
