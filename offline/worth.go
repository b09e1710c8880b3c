package offline

import (
	"github.com/propolis-im/propolis/mux"
)

// storable decides whether a message may wait for its account (XEP-0160 §3, core-im
// OF-1).
func storable(s *mux.Stanza) bool {
	switch s.Type() {
	case "groupchat", "headline", "error":
		return false
	}
	body, says, asked := false, false, false
	for _, c := range s.Children() {
		switch c.Name.Space {
		case "urn:xmpp:hints":
			switch c.Name.Local {
			case "no-store":
				return false // XEP-0334 §4.2; no-permanent-store allows it (§4.1)
			case "store":
				asked = true
			}
		case "http://jabber.org/protocol/chatstates", "urn:xmpp:sid:0", "urn:xmpp:delay", "http://jabber.org/protocol/address":
			// Mean nothing when they come late, or alone.
		case "urn:xmpp:mam:2", "http://jabber.org/protocol/pubsub#event":
			// Asked for by, or meant for, those who are there.
		case mux.NSClient:
			switch c.Name.Local {
			case "body":
				body = true
			case "thread":
			default:
				says = true
			}
		default:
			says = true
		}
	}
	return body || says || asked
}
