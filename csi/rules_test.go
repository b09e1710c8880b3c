package csi_test

import (
	"encoding/xml"
	"strings"
	"testing"

	"github.com/propolis-im/propolis/csi"
	"github.com/propolis-im/propolis/mux"
)

func parse(t testing.TB, text string) *mux.Stanza {
	t.Helper()
	s, err := mux.Parse([]byte(text))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return s
}

const (
	juliet  = "juliet@example.org/balcony"
	cave    = "darkcave@rooms.example.org/juliet"
	romeo   = "romeo@example.net/phone"
	body    = "<body>x</body>"
	typing  = "<composing xmlns='http://jabber.org/protocol/chatstates'/>"
	thread  = "<thread>t1</thread>"
	origin  = "<origin-id xmlns='urn:xmpp:sid:0' id='1'/><stanza-id xmlns='urn:xmpp:sid:0' by='romeo@example.net' id='2'/>"
	hints   = "<no-store xmlns='urn:xmpp:hints'/>"
	delay   = "<delay xmlns='urn:xmpp:delay' stamp='2026-06-01T10:00:00Z'/>"
	inRoom  = "<x xmlns='http://jabber.org/protocol/muc#user'><item affiliation='member' role='participant'/></x>"
	ownRoom = "<x xmlns='http://jabber.org/protocol/muc#user'><item affiliation='member' role='participant'/><status code='110'/></x>"
)

func events(content string) string {
	return "<event xmlns='http://jabber.org/protocol/pubsub#event'>" + content + "</event>"
}

func item(node, id string) string {
	return events("<items node='" + node + "'><item id='" + id + "'><x xmlns='urn:x'/></item></items>")
}

// key writes a key as the tables do.
func key(k csi.Key) string {
	if k == (csi.Key{}) {
		return ""
	}
	return strings.TrimRight(k.What+" "+k.From.String()+" "+k.Scope+" "+k.ID, " ")
}

// classified is one row: type and children, and what the rules say.
type classified struct {
	name, from, typ, children string
	want                      csi.Action
	key                       string
	fence                     bool
}

func (c classified) check(t *testing.T, p csi.Policy, it *mux.Item) {
	t.Helper()
	got := p.Classify(it)
	if got.Action != c.want || key(got.Key) != c.key || got.Fence != c.fence {
		t.Errorf("got %s, key %q, fence %t; want %s, key %q, fence %t", got.Action, key(got.Key), got.Fence, c.want, c.key, c.fence)
	}
}

func element(kind string, c classified) string {
	typ := ""
	if c.typ != "" {
		typ = " type='" + c.typ + "'"
	}
	return "<" + kind + " from='" + c.from + "' to='" + romeo + "' id='1'" + typ + ">" + c.children + "</" + kind + ">"
}

// presences are CSI-16 to CSI-18 for presence.
var presences = []classified{
	{"available", juliet, "", "<show>away</show>", csi.Hold, "presence " + juliet, false},
	{"unavailable", juliet, "unavailable", "", csi.Hold, "presence " + juliet, false},
	{"without a resource", "juliet@example.org", "unavailable", "", csi.Hold, "presence juliet@example.org", false},
	{"of an occupant", cave, "", inRoom, csi.Hold, "presence " + cave, false},
	{"an occupant leaves", cave, "unavailable", inRoom, csi.Hold, "presence " + cave, false},
	{"of the own occupant", cave, "", ownRoom, csi.Send, "", false},
	{"kick", cave, "unavailable", strings.Replace(ownRoom, "110", "307", 1), csi.Send, "", false},
	{"rename", cave, "unavailable", strings.Replace(ownRoom, "110", "303", 1), csi.Send, "", false},
	{"the room is destroyed", cave, "unavailable", strings.Replace(ownRoom, "<status code='110'/>", "<destroy/>", 1), csi.Send, "", false},
	{"a text that looks like a status", cave, "", strings.Replace(inRoom, "/>", "><reason>status</reason></item>", 1), csi.Hold, "presence " + cave, false},
	{"subscribe", "juliet@example.org", "subscribe", "", csi.Send, "", false},
	{"subscribed", "juliet@example.org", "subscribed", "", csi.Send, "", false},
	{"unsubscribe", "juliet@example.org", "unsubscribe", "", csi.Send, "", false},
	{"unsubscribed", "juliet@example.org", "unsubscribed", "", csi.Send, "", false},
	{"error", juliet, "error", "<error type='cancel'/>", csi.Send, "", false},
}

// messages are CSI-16 to CSI-18 for messages.
var messages = []classified{
	{"body", juliet, "chat", body, csi.Send, "", false},
	{"body, no type", juliet, "", body, csi.Send, "", false},
	{"body, unknown type", juliet, "x", body, csi.Send, "", false},
	{"body in a room", cave, "groupchat", body, csi.Send, "", false},
	{"body with a chat state", juliet, "chat", body + "<active xmlns='http://jabber.org/protocol/chatstates'/>", csi.Send, "state juliet@example.org", false},
	{"the same in a thread", juliet, "chat", thread + body + typing, csi.Send, "state juliet@example.org t1", false},
	{"subject", "darkcave@rooms.example.org", "groupchat", "<subject/>", csi.Send, "", false},
	{"encrypted", juliet, "chat", "<encryption xmlns='urn:xmpp:eme:0'/>", csi.Send, "", false},
	{"OMEMO", juliet, "chat", "<encrypted xmlns='eu.siacs.conversations.axolotl'/>" + hints, csi.Send, "", false},
	{"OpenPGP", juliet, "chat", "<openpgp xmlns='urn:xmpp:openpgp:0'/>", csi.Send, "", false},
	{"old OpenPGP", juliet, "chat", "<x xmlns='jabber:x:encrypted'/>", csi.Send, "", false},
	{"error", juliet, "error", typing + "<error type='cancel'/>", csi.Send, "", false},
	{"mediated invitation", "darkcave@rooms.example.org", "", "<x xmlns='http://jabber.org/protocol/muc#user'><invite from='" + juliet + "'/></x>", csi.Send, "", false},
	{"invitation declined", "darkcave@rooms.example.org", "", "<x xmlns='http://jabber.org/protocol/muc#user'><decline/></x>", csi.Send, "", false},
	{"news of a room", "darkcave@rooms.example.org", "groupchat", "<x xmlns='http://jabber.org/protocol/muc#user'><status code='104'/></x>", csi.Send, "", false},
	{"direct invitation", juliet, "", "<x xmlns='jabber:x:conference' jid='r@x'/>", csi.Send, "", false},
	{"call", juliet, "chat", "<propose xmlns='urn:xmpp:jingle-message:0' id='1'/>", csi.Send, "", false},
	{"receipt", juliet, "", "<received xmlns='urn:xmpp:receipts' id='1'/>", csi.Send, "", false},
	{"displayed", juliet, "chat", "<displayed xmlns='urn:xmpp:chat-markers:0' id='1'/>", csi.Send, "", false},
	{"displayed with a chat state", juliet, "chat", "<displayed xmlns='urn:xmpp:chat-markers:0' id='1'/>" + typing, csi.Send, "", false},
	{"archive result", "romeo@example.net", "", "<result xmlns='urn:xmpp:mam:2' id='1'/>", csi.Send, "", false},
	{"unknown", juliet, "", "<x xmlns='urn:example:new'/>", csi.Send, "", false},
	{"unknown in the default namespace", juliet, "", "<x/>", csi.Send, "", false},
	{"nothing", juliet, "chat", "", csi.Send, "", false},
	{"a thread alone", juliet, "chat", thread, csi.Send, "", false},
	{"forged copy", "tybalt@example.org/x", "chat", "<received xmlns='urn:xmpp:carbons:2'/>", csi.Send, "", false},

	{"chat state", juliet, "chat", typing, csi.Hold, "state juliet@example.org", false},
	{"chat state in a thread", juliet, "chat", typing + thread + hints + origin + delay, csi.Hold, "state juliet@example.org t1", false},
	{"chat state in a room", cave, "groupchat", typing, csi.Hold, "state " + cave, false},
	{"chat state of an occupant", cave, "chat", typing + "<x xmlns='http://jabber.org/protocol/muc#user'/>", csi.Hold, "state " + cave, false},
	{"headline", juliet, "headline", body, csi.Hold, "", false},
	{"item", "juliet@example.org", "headline", item("urn:n", "1"), csi.Hold, "item juliet@example.org urn:n 1", false},
	{"item, no type", "juliet@example.org", "", item("urn:n", "1") + delay, csi.Hold, "item juliet@example.org urn:n 1", false},
	{"item without an id", "juliet@example.org", "", events("<items node='n'><item/></items>"), csi.Hold, "", false},
	{"item of a subscription", "juliet@example.org", "", item("n", "1") + "<headers xmlns='http://jabber.org/protocol/shim'><header name='SubID'>1</header></headers>", csi.Hold, "", false},
	{"items", "juliet@example.org", "", events("<items node='n'><item id='1'/><item id='2'/></items>"), csi.Hold, "", false},
	{"item with a body", "juliet@example.org", "", item("n", "1") + body, csi.Send, "", false},
	{"retract", "juliet@example.org", "headline", events("<items node='n'><retract id='1'/></items>"), csi.Hold, "item juliet@example.org n", true},
	{"purge", "juliet@example.org", "headline", events("<purge node='n'/>"), csi.Hold, "item juliet@example.org n", true},
	{"delete", "juliet@example.org", "", events("<delete node='n'/>"), csi.Hold, "item juliet@example.org n", true},
	{"configuration", "juliet@example.org", "", events("<configuration node='n'/>"), csi.Hold, "item juliet@example.org n", true},
}

func TestPresence(t *testing.T) {
	t.Parallel()
	for _, c := range presences {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.check(t, new(csi.Rules), &mux.Item{Stanza: parse(t, element("presence", c))})
		})
	}
}

func TestMessages(t *testing.T) {
	t.Parallel()
	for _, c := range messages {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.check(t, new(csi.Rules), &mux.Item{Stanza: parse(t, element("message", c))})
		})
	}
}

// TestMarked: neither requests nor what is delivered from a store is held, whatever it
// contains.
func TestMarked(t *testing.T) {
	t.Parallel()
	rules := new(csi.Rules)
	for _, f := range []mux.Flags{mux.Offline, mux.Replay, mux.ArchiveResult} {
		it := &mux.Item{Stanza: parse(t, "<message from='"+juliet+"' type='chat'>"+typing+"</message>"), Flags: f}
		classified{want: csi.Send}.check(t, rules, it)
	}
	for _, iq := range []string{"<iq type='get' id='1'><x xmlns='urn:x'/></iq>", "<iq type='result' id='1'/>"} {
		classified{want: csi.Send}.check(t, rules, &mux.Item{Stanza: parse(t, iq)})
	}
}

// TestCopies: CSI-16, CSI-19: a copy of what was received is judged by the message in
// it, one of what was sent is important, a chat state too.
func TestCopies(t *testing.T) {
	t.Parallel()
	for _, c := range messages {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			inner := parse(t, element("message", c))
			copyOf := func(way string) *mux.Item {
				return &mux.Item{Flags: mux.Copy, Inner: inner, Stanza: parse(t, "<message from='romeo@example.net' to='"+romeo+"' type='"+inner.Type()+
					"'><"+way+" xmlns='urn:xmpp:carbons:2'/></message>")}
			}
			c.check(t, new(csi.Rules), copyOf("received"))
			classified{want: csi.Send}.check(t, new(csi.Rules), copyOf("sent"))
		})
	}
}

// TestConfigured: CSI-8, CSI-17: each optimisation can be switched off, and more can be
// held.
func TestConfigured(t *testing.T) {
	t.Parallel()
	mention := func(it *mux.Item) bool {
		b, _ := it.Stanza.Child(xml.Name{Space: mux.NSClient, Local: "body"})
		return strings.Contains(b.Text(), it.Recipient().Local())
	}
	quiet := []xml.Name{{Space: "urn:xmpp:receipts"}, {Space: "urn:example:new", Local: "x"}}
	tests := []struct {
		kind  string
		rules csi.Rules
		c     classified
	}{
		{"presence", csi.Rules{SendPresence: true}, classified{"presence", juliet, "", "", csi.Send, "", false}},
		{"message", csi.Rules{SendStates: true}, classified{"state", juliet, "chat", typing, csi.Send, "", false}},
		{"message", csi.Rules{SendEvents: true}, classified{"item", juliet, "", item("n", "1"), csi.Send, "", false}},
		{"message", csi.Rules{SendEvents: true}, classified{"item as a headline", juliet, "headline", item("n", "1"), csi.Send, "", false}},
		{"message", csi.Rules{SendHeadlines: true}, classified{"headline", juliet, "headline", body, csi.Send, "", false}},
		{"message", csi.Rules{SendEvents: true}, classified{"headline although events are sent", juliet, "headline", body, csi.Hold, "", false}},
		{"message", csi.Rules{Quiet: quiet}, classified{"quiet", juliet, "", "<x xmlns='urn:example:new'/>", csi.Hold, "", false}},
		{"message", csi.Rules{Quiet: quiet}, classified{"quiet namespace", juliet, "", "<received xmlns='urn:xmpp:receipts'/>", csi.Hold, "", false}},
		{"message", csi.Rules{Quiet: quiet}, classified{"not quiet", juliet, "", "<y xmlns='urn:example:new'/>", csi.Send, "", false}},
		{"message", csi.Rules{Quiet: quiet}, classified{"quiet with a body", juliet, "", body + "<x xmlns='urn:example:new'/>", csi.Send, "", false}},
		{"message", csi.Rules{Quiet: quiet}, classified{"quiet with a chat state", juliet, "", typing + "<x xmlns='urn:example:new'/>", csi.Hold, "state juliet@example.org", false}},
		{"message", csi.Rules{Room: mention}, classified{"in a room, of others", cave, "groupchat", origin + body, csi.Hold, "", false}},
		{"message", csi.Rules{Room: mention}, classified{"in a room, mentioned", cave, "groupchat", "<body>romeo, look</body>", csi.Send, "", false}},
		{"message", csi.Rules{Room: mention}, classified{"subject of a room", cave, "groupchat", "<subject>x</subject>" + body, csi.Send, "", false}},
		{"message", csi.Rules{Room: mention}, classified{"not in a room", juliet, "chat", body, csi.Send, "", false}},
	}
	for _, tt := range tests {
		t.Run(tt.c.name, func(t *testing.T) {
			t.Parallel()
			tt.c.check(t, &tt.rules, &mux.Item{Stanza: parse(t, element(tt.kind, tt.c))})
		})
	}
}
