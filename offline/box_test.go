package offline

import (
	"testing"

	"github.com/propolis-im/propolis/mux"
)

// TestLateReturn: what comes back from a session late, when it is on its way to another
// one, stays on its way.
func TestLateReturn(t *testing.T) {
	t.Parallel()
	first, second := new(mux.Session), new(mux.Session)
	b := &box{flying: map[int64]sent{1: {s: second}, 2: {s: first}, 3: {}, 4: {gone: true}}}
	for seq := range int64(5) {
		b.back(seq, first)
	}
	if len(b.flying) != 2 || b.flying[1].s != second || !b.flying[4].gone || !b.returned {
		t.Errorf("got %+v", b)
	}
}
