package caps

import (
	"fmt"
	"testing"
)

// TestShareAccount: what a domain answers for is counted once, and let go.
func TestShareAccount(t *testing.T) {
	t.Parallel()
	entry := func(value string) *Capabilities { return newCapabilities(key{XEP0115, "sha-1", value}, nil) }
	c := cache{maxCount: 5, maxBytes: 8 * overhead}
	held := func(domain, value string) *Capabilities {
		v := c.add(entry(value))
		if !c.affords(domain, v) {
			return nil
		}
		c.charge(domain, v)
		c.hold(v)
		return v
	}
	a, b := held("a.example", "a"), held("a.example", "b")
	if a == nil || b == nil || held("a.example", "c") != nil {
		t.Fatal("not half in number")
	}
	if held("a.example", "a") != a || held("b.example", "b") != b {
		t.Error("what is held costs nothing more")
	}
	// What is one resource's own counts in octets.
	o, p := entry("o"), entry("p")
	if !c.adopt("a.example", o) || !c.adopt("a.example", p) || c.adopt("a.example", entry("q")) {
		t.Error("not half in octets")
	}
	if c.affords("a.example", entry("r")) || !c.affords("b.example", entry("r")) || !c.affords("", entry("r")) {
		t.Error("others do not have theirs")
	}
	sh := c.shares.of["a.example"]
	if *sh != (share{2, 4 * overhead}) || len(c.shares.of) != 2 {
		t.Errorf("%+v of %d", *sh, len(c.shares.of))
	}
	for _, v := range []*Capabilities{a, a, b, o, p} {
		c.release(v)
	}
	if *sh != (share{1, overhead}) { // b has another user
		t.Errorf("%+v", *sh)
	}
	c.release(b)
	if *sh != (share{}) || b.by != nil {
		t.Errorf("left %+v", *sh)
	}
	for i := range 1000 {
		c.shares.get(fmt.Sprint(i, ".example"))
	}
	if n := len(c.shares.of); n > 200 {
		t.Errorf("%d domains without anything", n)
	}
}
