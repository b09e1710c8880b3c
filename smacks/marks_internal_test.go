package smacks

import (
	"math/rand/v2"
	"testing"
)

// Of the last 32 stanzas it is known which are marked, of all others that they may not
// be; also where their numbers wrap.
func TestMarks(t *testing.T) {
	t.Parallel()
	for _, first := range []uint32{1, 1<<31 - 20, 1<<32 - 20} {
		var m marks
		if m.has(first) {
			t.Errorf("%d is marked in none", first)
		}
		all := make(map[uint32]bool)
		last := first - 1
		for range 300 {
			last += 1 + rand.Uint32N(5)
			if rand.N(20) == 0 {
				last += 100
			}
			all[last] = true
			m = m.with(last)
			for d := range uint32(200) { // also by more than the marks have bits
				n := last - d
				if want := all[n] && d < 32; m.has(n) != want {
					t.Fatalf("of %d behind %d: %t, want %t", n, last, m.has(n), want)
				}
			}
			for _, n := range []uint32{last + 1, last + 32, last + 1<<31} {
				if m.has(n) {
					t.Fatalf("%d is marked, behind %d", n, last)
				}
			}
		}
	}
}
