package presence_test

import (
	"strings"
	"testing"
	"testing/synctest"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
	"github.com/propolis-im/propolis/presence"
)

// TestStrangers: DL-33, requests to a session of who does not share its presence
// are answered as if it was not there, where the option says so.
func TestStrangers(t *testing.T) {
	t.Parallel()
	tests := []struct {
		from string
		want [3]bool // whether it is delivered: allowed, remote refused, all refused
	}{
		{"juliet@example.net/chamber", [3]bool{true, true, true}},
		{"both@example.org/x", [3]bool{true, true, true}},
		{"from@example.org/x", [3]bool{true, true, true}},
		{"nurse@example.net/hall", [3]bool{true, true, true}},
		{"exact@example.org/1", [3]bool{true, true, true}},    // was sent directed presence
		{"bare@example.org/1", [3]bool{true, true, true}},     // by its bare address
		{"room@example.org/other", [3]bool{true, true, true}}, // is in a room that was joined
		{"exact@example.org/2", [3]bool{true, false, false}},
		{"to@example.org/x", [3]bool{true, false, false}},
		{"stranger@example.org/x", [3]bool{true, false, false}},
		{"example.org", [3]bool{true, false, false}},
		{"paris@example.net/house", [3]bool{true, true, false}}, // local
	}
	for _, typ := range []string{"get", "set"} {
		for i, option := range []presence.Strangers{presence.AllowStrangers, presence.RefuseRemote, presence.RefuseAll} {
			synctest.Test(t, func(t *testing.T) {
				h := muxtest.New(t, &mux.Options{NoRecover: true}, extensions(filled(t), &presence.Options{Strangers: option})...)
				juliet, org := h.Connect(t, julietFull), h.DialDomain(t, mux.Server, "example.org")
				juliet.Send("<presence/>", "<presence to='exact@example.org/1'/>", "<presence to='bare@example.org'/>",
					"<presence to='room@example.org/juliet'><x xmlns='http://jabber.org/protocol/muc'/></presence>")
				for _, tt := range tests {
					peer := org
					if strings.Contains(tt.from, "@example.net") {
						peer = h.Connect(t, tt.from)
					}
					var answers [2]string // of the session, and of one that is not there
					for k, resource := range []string{"balcony", "none"} {
						juliet.Clear()
						peer.Clear()
						h.Routed("example.org")
						peer.Send("<iq type='" + typ + "' id='1' from='" + tt.from + "' to='juliet@example.net/" + resource + "'><x xmlns='urn:x'/></iq>")
						got := juliet.Arrived()
						if want := k == 0 && tt.want[i]; (len(got) > 0) != want {
							t.Errorf("option %d, %s from %s to %s: delivered %q", option, typ, tt.from, resource, got)
						}
						answer := strings.Join(append(peer.Arrived(), h.Routed("example.org")...), "\n")
						answers[k] = strings.ReplaceAll(answer, resource, "RESOURCE")
					}
					if !tt.want[i] && answers[0] != answers[1] {
						t.Errorf("option %d, %s from %s: answers differ:\n%s\n%s", option, typ, tt.from, answers[0], answers[1])
					}
				}
			})
		}
	}
}
