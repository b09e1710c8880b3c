package pep_test

import (
	"strings"
	"testing"
	"testing/synctest"

	"github.com/propolis-im/propolis/caps"
	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
)

// TestWithCaps: interest comes from the capabilities of a real client (XEP-0115 §1, XEP-0163
// §4.1): the hash is that of a client with urn:xmpp:bookmarks:1+notify.
func TestWithCaps(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := newAssembly(t)
		exts := a.extensions()
		exts[4] = caps.New(new(caps.Memory), &caps.Options{Changed: a.made.Wants, Restored: a.made.Known}) // in place of capable
		h := muxtest.New(t, &mux.Options{NoRecover: true}, exts...)
		j := h.Connect(t, "juliet@example.net/1")
		j.Send("<presence><c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='http://code.matthewwild.co.uk/verse/' ver='CPuQARM1gCTq2f6/ZjHUzWL2QHg='/></presence>")
		var query *mux.Stanza
		for _, el := range j.Arrived() {
			if st, err := mux.Parse([]byte(el)); err == nil && st.Kind() == mux.IQ {
				query = st
			}
		}
		if query == nil {
			t.Fatal("juliet was not asked")
		}
		j.Clear()
		j.Send("<iq type='result' id='" + query.ID() + "' to='" + query.From().String() + "'><query xmlns='http://jabber.org/protocol/disco#info' node='" + query.Children()[0].Attr("node") + "'>" +
			"<identity category='client' type='bot' name='scansion'/><feature var='http://jabber.org/protocol/disco#info'/><feature var='urn:xmpp:bookmarks:1+notify'/></query></iq>")
		j.Clear()
		j.Send("<iq type='set' id='p'>" + publication("urn:xmpp:bookmarks:1", "room@muc.example.org") + "</iq>")
		if got := strings.Join(j.Arrived(), ""); strings.Count(got, "<event ") != 1 {
			t.Errorf("got %s", got)
		}
	})
}
