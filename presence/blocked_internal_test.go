package presence

import (
	"testing"

	"github.com/propolis-im/propolis/mux"
)

// TestCovers: XEP-0191 §5.
func TestCovers(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		item, address string
		want          bool
	}{
		{"a@b.org", "a@b.org", true},
		{"a@b.org", "a@b.org/x", true},
		{"a@b.org", "b.org", false},
		{"a@b.org", "c@b.org/x", false},
		{"a@b.org/x", "a@b.org/x", true},
		{"a@b.org/x", "a@b.org/y", false},
		{"a@b.org/x", "a@b.org", false},
		{"b.org/x", "b.org/x", true},
		{"b.org/x", "a@b.org/x", true},
		{"b.org/x", "a@b.org/y", false},
		{"b.org/x", "a@c.org/x", false},
		{"b.org/x", "b.org", false},
		{"b.org", "b.org", true},
		{"b.org", "b.org/x", true},
		{"b.org", "a@b.org", true},
		{"b.org", "a@b.org/x", true},
		{"b.org", "a@c.b.org/x", false},
	} {
		if got := covers(mux.MustParseAddress(tt.item), mux.MustParseAddress(tt.address)); got != tt.want {
			t.Errorf("%s covers %s: %t, want %t", tt.item, tt.address, got, tt.want)
		}
	}
}
