package archive

import (
	"encoding/xml"
	"strings"

	"github.com/propolis-im/propolis/mux"
)

const (
	nsHints    = "urn:xmpp:hints"
	nsCarbons  = "urn:xmpp:carbons:2"
	nsMUCUser  = "http://jabber.org/protocol/muc#user"
	nsPubsub   = "http://jabber.org/protocol/pubsub#event"
	nsReceipts = "urn:xmpp:receipts"
	nsMarkers  = "urn:xmpp:chat-markers:0"
)

// content is what a message contains, as far as archives care. Contents are bits.
type content uint16

const (
	hasBody    content = 1 << iota
	hasNoStore         // a hint that forbids it (XEP-0334 §4.1, §4.2)
	hasStore           // a hint that asks for it (XEP-0334 §4.4)
	hasCopy            // an archive's result or a carbon
	hasEvent           // of a pubsub node
	hasWorth           // something that people or their devices miss when it is lost
	hasRoom            // the mark of a chat room service
	hasError
)

// contentOf looks at the children of a message.
func contentOf(s *mux.Stanza) (c content) {
	kids := s.Children()
	for i := range kids {
		c |= contentOfChild(&kids[i])
	}
	return c
}

func contentOfChild(k *mux.Child) content {
	local := k.Name.Local
	switch k.Name.Space {
	case mux.NSClient:
		switch local {
		case "body":
			return hasBody
		case "error":
			return hasError
		}
	case nsHints:
		switch local {
		case "no-store", "no-permanent-store":
			return hasNoStore
		case "store":
			return hasStore
		}
	case NS:
		if local == "result" {
			return hasCopy
		}
	case nsCarbons:
		if local == "sent" || local == "received" {
			return hasCopy
		}
	case nsPubsub:
		return hasEvent
	case nsReceipts, nsMarkers:
		// Not what only asks for a receipt or mark, which means nothing by itself.
		if local != "request" && local != "markable" {
			return hasWorth
		}
	case nsMUCUser:
		if local == "x" && invites(*k) {
			return hasWorth | hasRoom
		}
		return hasRoom
	default:
		if worthy[k.Name.Space] {
			return hasWorth
		}
	}
	return 0
}

// worthy are namespaces of what is archived also without a body.
var worthy = map[string]bool{
	// Encryption: nobody but the recipient knows what is inside (XEP-0380).
	"urn:xmpp:eme:0":                 true,
	"eu.siacs.conversations.axolotl": true,
	"urn:xmpp:omemo:1":               true,
	"urn:xmpp:omemo:2":               true,
	"urn:xmpp:openpgp:0":             true,
	"jabber:x:encrypted":             true,
	// What changes messages that are archived (XEP-0308, XEP-0424, XEP-0422, XEP-0444).
	"urn:xmpp:message-correct:0": true,
	"urn:xmpp:message-retract:0": true,
	"urn:xmpp:message-retract:1": true,
	"urn:xmpp:fasten:0":          true,
	"urn:xmpp:reactions:0":       true,
	// Calls (XEP-0353), and invitations to rooms (XEP-0249).
	"urn:xmpp:jingle-message:0": true,
	"urn:xmpp:jingle-message:1": true,
	"jabber:x:conference":       true,
	// Files (XEP-0066, XEP-0447).
	"jabber:x:oob":   true,
	"urn:xmpp:sfs:0": true,
}

// invites reports whether a chat room's mark holds an invitation or its refusal
// (XEP-0045 §7.8.2).
func invites(x mux.Child) bool {
	if !strings.Contains(x.Raw(), "invite") && !strings.Contains(x.Raw(), "decline") {
		return false
	}
	el, err := x.Element()
	return err == nil && (el.Has(xml.Name{Space: nsMUCUser, Local: "invite"}) || el.Has(xml.Name{Space: nsMUCUser, Local: "decline"}))
}

// worth decides whether a message belongs into an archive (XEP-0313 §6.1.1, core-im
// MAM-10). answers says of one of type error that it answers an archived message.
func worth(typ string, c content, answers bool) bool {
	switch {
	case typ == "groupchat", typ == "headline", c&hasNoStore != 0:
		return false
	case typ == "error":
		return answers && c&hasError != 0
	case c&hasBody != 0:
		return true
	case c&hasCopy != 0:
		return false
	case c&hasStore != 0:
		return true
	}
	return c&hasWorth != 0 && c&hasEvent == 0
}
