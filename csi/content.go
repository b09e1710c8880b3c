package csi

import (
	"encoding/xml"

	"github.com/propolis-im/propolis/mux"
)

// content is what the rules distinguish of a message's children.
type content uint16

const (
	hasBody content = 1 << iota
	hasSubject
	hasState
	hasEvent
	hasRoom    // the mark of a room service, with nothing that tells
	hasHeaders // XEP-0131, as in notifications of one of several subscriptions
	hasQuiet   // does not count because the rules say so
	hasMore    // whatever else
)

// look looks at the children of a message.
func (r *Rules) look(s *mux.Stanza) (c content) {
	for _, k := range s.Children() {
		if r.quiet(k.Name) {
			c |= hasQuiet
			continue
		}
		c |= lookAt(k)
	}
	return c
}

func (r *Rules) quiet(n xml.Name) bool {
	for _, q := range r.Quiet {
		if q.Space == n.Space && (q.Local == n.Local || q.Local == "") {
			return true
		}
	}
	return false
}

func lookAt(k mux.Child) content {
	switch k.Name.Space {
	case mux.NSClient:
		switch k.Name.Local {
		case "body":
			return hasBody
		case "subject":
			return hasSubject
		case "thread":
			return 0
		}
	case "http://jabber.org/protocol/chatstates":
		return hasState
	case nsEvent:
		if k.Name.Local == "event" {
			return hasEvent
		}
	case nsMUCUser:
		if k.Name.Local == "x" && occupant(k) {
			return hasRoom
		}
	case "http://jabber.org/protocol/shim":
		return hasHeaders
	case "urn:xmpp:hints", "urn:xmpp:delay", "jabber:x:delay", "urn:xmpp:sid:0", "urn:xmpp:occupant-id:0",
		"http://jabber.org/protocol/address", "http://jabber.org/protocol/nick":
		return 0 // says something about the message, and is nothing to tell
	}
	return hasMore
}

// occupant reports whether a room's mark says at most who an occupant is, and is no
// invitation or other news (XEP-0045 §7.5, §7.8).
func occupant(x mux.Child) bool {
	el, err := x.Element()
	if err != nil {
		return false
	}
	for _, k := range el.Children() {
		if k.Name.Local != "item" {
			return false
		}
	}
	return true
}

// event is how a notification is held: one of a single item in place of an older one of
// that item, and nothing across what tells of the whole node or of a removal (smacks
// CSI-18).
func event(s *mux.Stanza, c content) Decision {
	d := Decision{Action: Hold}
	child, _ := s.Child(xml.Name{Space: nsEvent, Local: "event"})
	ev, err := child.Element()
	if err != nil {
		return d
	}
	all := ev.Children()
	if len(all) != 1 || all[0].Name.Local != "items" {
		return fence(s, ev)
	}
	items, err := all[0].Element()
	if err != nil {
		return d
	}
	for _, i := range items.Children() {
		if i.Name.Local != "item" {
			return fence(s, ev)
		}
	}
	if len(items.Children()) != 1 || c&hasHeaders != 0 {
		return d
	}
	if id := items.Children()[0].Attr("id"); id != "" {
		d.Key = Key{What: itemKey, From: s.From(), Scope: items.Attr("node"), ID: id}
	}
	return d
}

// fence is how news of a node as a whole is held, and of removed items.
func fence(s, ev *mux.Stanza) Decision {
	d := Decision{Action: Hold, Fence: true, Key: Key{What: itemKey, From: s.From()}}
	for _, k := range ev.Children() {
		if n := k.Attr("node"); n != "" {
			d.Key.Scope = n
		}
	}
	return d
}
