package pep

import (
	"fmt"
	"testing"
	"time"

	"github.com/propolis-im/propolis/mux"
)

// TestListedUse: COST-3: the least recently used go, none of those used lately, and what
// is left is counted.
func TestListedUse(t *testing.T) {
	t.Parallel()
	var l listed
	start := time.Now()
	use := func(node string, items int, after time.Duration) string {
		var names []string
		for _, k := range l.use(nodeKey{mux.MustParseAddress("a@b"), node}, items, start.Add(after), 10) {
			names = append(names, k.node)
		}
		return fmt.Sprint(names)
	}
	for _, tt := range []struct {
		node  string
		items int
		after time.Duration
		gone  string
		total int
	}{
		{"a", 3, 0, "[]", 4},
		{"b", 3, 0, "[]", 8},
		{"a", 4, time.Minute, "[]", 9},
		{"c", 3, time.Minute, "[]", 13}, // too many, but all are new
		{"c", 3, settled, "[b]", 9},
		{"d", 9, settled, "[]", 19},
		{"d", 9, 3 * settled, "[a c]", 10},
		{"d", 20, 9 * settled, "[]", 21}, // what is in use stays
		{"e", 0, 10 * settled, "[d]", 1},
	} {
		if got := use(tt.node, tt.items, tt.after); got != tt.gone || l.total != tt.total {
			t.Errorf("%s after %s: gone %s, %d left, want %s and %d", tt.node, tt.after, got, l.total, tt.gone, tt.total)
		}
	}
	if len(l.m) != 1 || l.order.Len() != 1 {
		t.Errorf("left %v", l.m)
	}
}
