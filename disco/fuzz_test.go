package disco

import (
	"testing"

	"github.com/propolis-im/propolis/mux"
)

// FuzzNode: whatever a request holds, its node is read without a panic, and comes
// back as the same in the answer.
func FuzzNode(f *testing.F) {
	for _, s := range []string{
		"<iq type='get' id='1'><query xmlns='" + NSInfo + "'/></iq>",
		"<iq type='get' id='1'><query xmlns='" + NSInfo + "' node='a&amp;&#39;&lt;&#xa;b'/></iq>",
		"<iq type='get' id='1'><q:query xmlns:q='" + NSItems + "' node=\"'\" q:node='x'><item/></q:query></iq>",
		"<iq type='get' id='1'/>",
		"<iq type='get' id='1'><a/><b/></iq>",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		s, err := mux.Parse([]byte(raw))
		if err != nil {
			return
		}
		node := nodeOf(s)
		for _, r := range []mux.Raw{writeItems(&mux.DiscoQuery{Node: node}), (&info{}).write(node)} {
			el, err := mux.Parse([]byte(r))
			if err != nil {
				t.Fatalf("node %q: answer %s: %v", node, r, err)
			}
			if got := el.Attr("node"); got != node {
				t.Errorf("node %q came back as %q", node, got)
			}
		}
	})
}
