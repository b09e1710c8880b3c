package csi

import (
	"encoding/xml"
	"strings"

	"github.com/propolis-im/propolis/mux"
)

// Rules are the default [Policy]. Held are presence, available and unavailable;
// messages with nothing but a chat state; notifications of a publish-subscribe
// service; and headlines. Everything else is important: whatever a person wrote,
// encrypted or not, receipts and markers, calls, invitations, errors, subscriptions,
// the news of a chat room about its own occupants, copies of what the account has sent
// elsewhere, and all that is unknown.
//
// The zero value is ready. The fields must not be changed once it is in use.
type Rules struct {
	// Each of these sends a kind at once that would be held.
	SendPresence, SendStates, SendEvents, SendHeadlines bool
	// Quiet names further children of messages that do not make them important; an
	// empty Local stands for all of a namespace.
	Quiet []xml.Name
	// Room reports whether a message of a chat room that has a body and no subject is
	// important, such as when it mentions the user; nil for always. The conditions of
	// [Policy] hold for it.
	Room func(it *mux.Item) bool
}

var _ Policy = (*Rules)(nil)

// Namespaces of what the rules look for.
const (
	nsMUCUser = "http://jabber.org/protocol/muc#user"
	nsEvent   = "http://jabber.org/protocol/pubsub#event"
	nsCarbons = "urn:xmpp:carbons:2"
)

// Kinds of things, for keys.
const (
	presenceKey = "presence"
	stateKey    = "state"
	itemKey     = "item"
)

var important = Decision{Action: Send}

// Classify implements [Policy].
func (r *Rules) Classify(it *mux.Item) Decision {
	if it.Flags&never != 0 {
		return important
	}
	switch it.Stanza.Kind() {
	case mux.Presence:
		return r.presence(it.Stanza)
	case mux.Message:
		return r.message(it)
	}
	return important
}

// presence: only that of people, by their full address (smacks CSI-16, CSI-18).
func (r *Rules) presence(s *mux.Stanza) Decision {
	if t := s.Type(); r.SendPresence || t != "" && t != "unavailable" {
		return important
	}
	if c, ok := s.Child(xml.Name{Space: nsMUCUser, Local: "x"}); ok && tells(c) {
		return important
	}
	return Decision{Action: Hold, Key: Key{What: presenceKey, From: s.From()}}
}

// tells reports whether a chat room says more than who is there: of the client's own
// occupant, or of who was thrown out or renamed (XEP-0045 §7.2.2, §15.6), or that the
// room is gone (§10.9).
func tells(x mux.Child) bool {
	raw := x.Raw()
	if !strings.Contains(raw, "status") && !strings.Contains(raw, "destroy") {
		return false
	}
	el, err := x.Element()
	return err != nil || el.Has(xml.Name{Space: nsMUCUser, Local: "status"}) || el.Has(xml.Name{Space: nsMUCUser, Local: "destroy"})
}

// message looks at a message, or at the one inside a copy.
func (r *Rules) message(it *mux.Item) Decision {
	s := it.Stanza
	if it.Flags&mux.Copy != 0 && it.Inner != nil {
		if !s.Has(xml.Name{Space: nsCarbons, Local: "received"}) {
			return important // what the account has sent elsewhere was read there (smacks CSI-19)
		}
		s = it.Inner
	}
	c := r.look(s)
	switch s.Type() {
	case "error":
		return important
	case "headline":
		switch {
		case r.SendHeadlines:
			return important
		case c&hasEvent != 0 && r.SendEvents:
			return important
		case c&hasEvent != 0:
			return event(s, c)
		}
		return Decision{Action: Hold}
	case "groupchat":
		if c&(hasBody|hasSubject) == hasBody && r.Room != nil && !r.Room(it) {
			return Decision{Action: Hold}
		}
	}
	switch {
	case c&(hasBody|hasState) == hasBody|hasState:
		return Decision{Action: Send, Key: stateOf(s, c)}
	case c&(hasBody|hasSubject|hasMore) != 0:
		return important
	case c&hasEvent != 0 && !r.SendEvents:
		return event(s, c)
	case c&hasState != 0 && c&hasEvent == 0 && !r.SendStates:
		return Decision{Action: Hold, Key: stateOf(s, c)}
	case c&hasQuiet != 0 && c&(hasEvent|hasState) == 0:
		return Decision{Action: Hold}
	}
	return important
}

// stateOf is the key of a chat state: of a person, whatever the resource, in a thread; in
// a chat room of an occupant.
func stateOf(s *mux.Stanza, c content) Key {
	k := Key{What: stateKey, From: s.From().Bare()}
	if s.Type() == "groupchat" || c&hasRoom != 0 {
		k.From = s.From()
	}
	if t, ok := s.Child(xml.Name{Space: mux.NSClient, Local: "thread"}); ok {
		k.Scope = t.Text()
	}
	return k
}
