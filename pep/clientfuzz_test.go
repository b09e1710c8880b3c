package pep

import (
	"encoding/xml"
	"errors"
	"strings"
	"testing"

	"mellium.im/xmpp/stanza"

	"github.com/propolis-im/propolis/mux"
)

// FuzzEvents: whatever a message holds, it is read without a panic; each item has a
// payload that is one element, or none, or is an error; and what stands elsewhere in the
// message is no event.
func FuzzEvents(f *testing.F) {
	for _, s := range []string{
		"<event xmlns='" + NSEvent + "'><items node='n'><item id='1'><x xmlns='urn:x'/></item><retract id='2'/></items></event><delay xmlns='urn:xmpp:delay' stamp='2026-06-01T10:00:00Z'/>",
		"<event xmlns='" + NSEvent + "'><items node='n'><item><p:x xmlns:p='urn:p' p:a='&lt;' xml:lang='de'>a<![CDATA[<]]></p:x></item><item>x</item><item><a/><b/></item></items></event>",
		"<event xmlns='" + NSEvent + "'><purge node='n'/><delete node='m'><redirect uri='xmpp:x'/></delete><configuration node='n'><x xmlns='jabber:x:data'><field var='pubsub#title'><value>T</value></field></x></configuration></event>",
		"<event xmlns='" + NSEvent + "'><subscription node='n' jid='a@b' subscription='none'/><subscription node='n' jid='@'/></event>",
		"<received xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client'><event xmlns='" + NSEvent + "'><purge node='n'/></event></message></forwarded></received>",
		"<e:event xmlns:e='" + NSEvent + "'><e:items node='n'><e:item><e:item/></e:item></e:items></e:event>",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, inner string) {
		s, err := mux.Parse([]byte("<message>" + inner + "</message>"))
		if err != nil {
			return
		}
		list, wrong, err := readEvents(s)
		if err == nil && len(list) != len(wrong) {
			t.Fatalf("%d events, %d errors", len(list), len(wrong))
		}
		if !s.Has(eventName) && (len(list) > 0 || err != nil) {
			t.Errorf("no event gives %v, error %v", list, err)
		}
		for i, e := range list {
			if e.Node == "" {
				t.Error("an event without a node")
			}
			if wrong[i] != nil || e.Item.Payload == "" {
				continue
			}
			if _, err := mux.Parse([]byte(e.Item.Payload)); err != nil && !strings.Contains(err.Error(), "policy-violation") {
				t.Errorf("payload %q: %v", e.Item.Payload, err)
			}
			if e.Item.Name().Local == "" {
				t.Errorf("payload %q has no name", e.Item.Payload)
			}
			b, err := appendPayload(nil, e.Item.Payload) // it can be published
			if err != nil || len(b) == 0 {
				t.Errorf("payload %q cannot be written: %v", e.Item.Payload, err)
			}
		}
	})
}

// FuzzAnswer: whatever an answer holds, it is read without a panic, and an error of it
// has a condition.
func FuzzAnswer(f *testing.F) {
	for _, s := range []string{
		"<error type='cancel'><conflict xmlns='" + stanza.NSError + "'/><precondition-not-met xmlns='" + NSErrors + "'/><text xmlns='" + stanza.NSError + "' xml:lang='en'>x</text></error>",
		"<error by='a@@b'><unsupported xmlns='" + NSErrors + "' feature='subscribe'/></error>", "<error/>", "",
		"<pubsub xmlns='" + NS + "'><items node='n'><item id='1' publisher='@'><x xmlns='urn:x'/></item></items><set xmlns='" + nsRSM + "'><first index='0'>1</first><last>1</last><count>x</count></set></pubsub>",
		"<pubsub xmlns='" + NSOwner + "'><configure node='n'><x xmlns='jabber:x:data'><field var='pubsub#max_items'><value>max</value></field></x></configure></pubsub>",
		"<pubsub xmlns='" + NS + "'><subscriptions><subscription node='n' jid='a' subscription='x'/></subscriptions><affiliations><affiliation/></affiliations></pubsub>",
		"<query xmlns='http://jabber.org/protocol/disco#info'><identity/><feature/></query>",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, inner string) {
		d := xml.NewDecoder(strings.NewReader("<iq xmlns='jabber:client' type='error'>" + inner + "</iq>"))
		a, err := readAnswer(&limited{r: d, left: 1 << 16})
		if err != nil {
			if !errors.Is(err, ErrAnswer) && !errors.Is(err, ErrTooLarge) && !errors.Is(err, ErrDisconnected) {
				t.Errorf("error %v", err)
			}
			return
		}
		e := a.Error.read()
		if e.Stanza.Condition == "" || e.Error() == "" || !errors.Is(e, stanza.Error{Condition: e.Stanza.Condition}) || e.Condition != "" && !errors.Is(e, e.Condition) {
			t.Errorf("%+v", e)
		}
		if a.Pubsub == nil {
			return
		}
		_ = a.Pubsub.Set.next(1, true)
		if a.Pubsub.Items == nil {
			return
		}
		for i := range a.Pubsub.Items.List {
			p := a.Pubsub.Items.List[i].read()
			if p.Payload != "" && p.Name().Local == "" {
				t.Errorf("payload %q has no name", p.Payload)
			}
		}
	})
}

// TestOpens: C-3: what counts as more open, and which fields differ.
func TestOpens(t *testing.T) {
	t.Parallel()
	one := func(name string, v ...string) Fields { return Fields{name: v} }
	for _, tt := range []struct {
		want, now     Fields
		differs, open bool
	}{
		{one("access_model", "open"), one("access_model", "presence"), true, true},
		{one("access_model", "presence"), one("access_model", "open"), true, false},
		{one("access_model", "roster"), one("access_model", "authorize"), true, true},
		{one("access_model", "whitelist"), one("access_model", "authorize"), true, false},
		{one("access_model", "x"), one("access_model", "open"), true, true}, // who knows
		{one("access_model", "whitelist"), one("access_model", "x"), true, true},
		{one("publish_model", "subscribers"), one("publish_model", "publishers"), true, true},
		{one("publish_model", "publishers"), one("publish_model", "open"), true, false},
		{one("roster_groups_allowed", "A", "B"), one("roster_groups_allowed", "A"), true, true},
		{one("roster_groups_allowed", "A"), one("roster_groups_allowed", "B", "A"), true, false},
		{one("roster_groups_allowed", "A", "B"), one("roster_groups_allowed", "B", "A"), false, false},
		{one("persist_items", "true"), one("persist_items", "1"), false, false},
		{one("persist_items", "true"), one("persist_items", "0"), true, false},
		{one("max_items", "010"), one("max_items", "10"), false, false},
		{one("max_items", "max"), one("max_items", "10"), true, false},
		{one("title", ""), one("title"), false, false},
		{one("title", "1"), one("title", "true"), true, false},
		{one("new", "1"), one("new", "2"), true, false},
		{one("new", "1"), Fields{}, false, false}, // the server does not know it
	} {
		d := tt.want.differing(tt.now)
		if (len(d) > 0) != tt.differs || d.opens(tt.now) != tt.open {
			t.Errorf("%v instead of %v: differs %v, opens %t", tt.want, tt.now, d, d.opens(tt.now))
		}
	}
}
