package server_test

import (
	"strings"
	"testing"

	"github.com/propolis-im/propolis/pep"
	"github.com/propolis-im/propolis/server"
)

// TestLargeItem: an item of a mebibyte is refused by the service if streams take that
// much, and the stream goes on; else it is the stream that refuses it, as anything of that
// size. Either way nothing is kept (pep S-6).
func TestLargeItem(t *testing.T) {
	t.Parallel()
	const publish, tail = "<iq id='1' type='set'><pubsub xmlns='http://jabber.org/protocol/pubsub'><publish node='n'><item id='i'><x xmlns='urn:example:x'>", "</x></item></publish></pubsub></iq>"
	const conditions = "xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>"
	for _, limit := range []int{2 << 20, 256 << 10} {
		s := open(t, limited(func(l *server.Limits) { l.StanzaBytes = limit }), pep.New(new(pep.Memory), nil))
		romeo := enter(t, s, "romeo", "a")
		romeo.send(publish + strings.Repeat("x", 1<<20) + tail)
		if limit < 1<<20 {
			romeo.expect(streamError("policy-violation", tooBig), closing, end)
			romeo = enter(t, s, "romeo", "b")
		} else {
			romeo.expect("<iq from='romeo@example.net' to='" + romeo.jid + "' type='error' id='1'><error type='modify'><not-acceptable " + conditions +
				"<payload-too-big xmlns='http://jabber.org/protocol/pubsub#errors'/></error></iq>")
		}
		romeo.send("<iq id='2' type='get'><pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='n'/></pubsub></iq>")
		romeo.expect("<iq from='romeo@example.net' to='" + romeo.jid + "' type='error' id='2'><error type='cancel'><item-not-found " + conditions + "</error></iq>")
		romeo.alive()
	}
}
