package carbons

import (
	"encoding/xml"
	"strings"

	"github.com/propolis-im/propolis/mux"
)

// Namespaces of what the rules look for.
const (
	nsHints      = "urn:xmpp:hints"
	nsMUCUser    = "http://jabber.org/protocol/muc#user"
	nsStanzaID   = "urn:xmpp:sid:0"
	nsConference = "jabber:x:conference"
)

// content is what the rules distinguish of a message's children.
type content uint16

const (
	hasBody content = 1 << iota
	hasOptOut
	hasIM           // receipts, chat states, markers
	hasInvitation   // direct or mediated
	hasRoom         // the mark of a room service that is no invitation
	hasNotification // of a node, or from an archive
	hasOther        // part of a conversation though no body
	hasStore
	hasNoStore
	hasArchiveID // by the account
)

// contentOf looks at the children of a message for account.
func contentOf(s *mux.Stanza, account mux.Address) (c content) {
	for _, k := range s.Children() {
		c |= contentOfChild(k, account)
	}
	return c
}

func contentOfChild(k mux.Child, account mux.Address) content {
	switch k.Name.Space {
	case mux.NSClient:
		if k.Name.Local == "body" {
			return hasBody
		}
	case NS:
		// Not sent and received: what a message contains is no evidence (XEP-0280 §9).
		if k.Name.Local == "private" {
			return hasOptOut
		}
	case nsHints:
		switch k.Name.Local {
		case "no-copy":
			return hasOptOut
		case "store":
			return hasStore
		case "no-store":
			return hasNoStore
		}
	case "urn:xmpp:receipts", "http://jabber.org/protocol/chatstates", "urn:xmpp:chat-markers:0":
		return hasIM
	case nsConference:
		return hasInvitation
	case nsMUCUser:
		if k.Name.Local == "x" && invites(k) {
			return hasInvitation
		}
		return hasRoom
	case "http://jabber.org/protocol/pubsub#event", "urn:xmpp:mam:2":
		return hasNotification
	case nsStanzaID:
		if k.Name.Local == "stanza-id" && k.Attr("by") == account.String() {
			return hasArchiveID
		}
	case "urn:xmpp:eme:0", "eu.siacs.conversations.axolotl", "urn:xmpp:omemo:1", "urn:xmpp:omemo:2", "urn:xmpp:openpgp:0",
		"jabber:x:encrypted", "urn:xmpp:jingle-message:0", "urn:xmpp:message-correct:0", "urn:xmpp:reactions:0",
		"urn:xmpp:message-retract:0", "urn:xmpp:message-retract:1":
		return hasOther
	}
	return 0
}

// invites reports whether a room's mark holds an invitation (XEP-0045 §7.8.2).
func invites(x mux.Child) bool {
	if !strings.Contains(x.Raw(), "invite") {
		return false
	}
	el, err := x.Element()
	return err == nil && el.Has(xml.Name{Space: nsMUCUser, Local: "invite"})
}

// way is the direction of a message, as the account sees it.
type way uint8

const (
	outgoing way = iota
	incoming
)

// eligible applies the rules of XEP-0280 §6.1 to a message that is no error. full
// says that it is addressed to a full JID and comes from one, room that this is
// known to be a private message in a chat room, archived that it is kept.
func eligible(typ string, c content, w way, full, room, archived bool) bool {
	switch typ {
	case "groupchat", "headline", "error":
		return false
	}
	switch private := full && (room || c&hasRoom != 0); {
	case c&hasOptOut != 0:
		return false
	case c&hasInvitation != 0:
		return true
	case private && w == incoming:
		return false // the room has sent it to each session that has joined
	case c&hasBody != 0 || c&hasIM != 0:
		return true
	case c&hasNotification != 0:
		return false
	case typ == "chat":
		return true
	case private && c&hasRoom != 0:
		return true
	}
	// More than the rules demand: what belongs to a conversation and is kept.
	return c&hasOther != 0 && c&hasNoStore == 0 && (archived || c&(hasStore|hasArchiveID) != 0)
}
