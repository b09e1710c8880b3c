package bookmarks_test

import (
	"strings"
	"testing"

	"github.com/propolis-im/propolis/bookmarks"
	"github.com/propolis-im/propolis/mux/muxtest"
)

// TestStaleWriter: a client that has read private XML long ago, of which nobody tells it,
// does not undo what others have done since; what it changes itself counts.
func TestStaleWriter(t *testing.T) {
	t.Parallel()
	const one, two, three = "<conference jid='a@1.example' name='one'/>", "<conference jid='a@2.example' autojoin='1'><nick>J</nick></conference>", "<conference jid='a@3.example'/>"
	modern := func(room, inner string) string {
		return publication(bookmarks.NS, room, "<conference xmlns='urn:xmpp:bookmarks:1'"+inner+"/>")
	}
	retraction := func(room string) string {
		return "<pubsub xmlns='http://jabber.org/protocol/pubsub'><retract node='" + bookmarks.NS + "'><item id='" + room + "'/></retract></pubsub>"
	}
	play(t, nil, func(s *stage) {
		old, phone := s.h.Connect(t, laptop), s.h.Connect(t, phone)
		s.ask(phone, "set", modern("a@1.example", " name='one'"))
		s.ask(phone, "set", publication(bookmarks.NS, "a@2.example", "<conference xmlns='urn:xmpp:bookmarks:1' autojoin='true'><nick>J</nick></conference>"))
		s.ask(phone, "set", modern("a@3.example", ""))
		if got := rooms(s.ask(old, "get", xmlPrivate(empty))); got != "1 2 3" {
			t.Fatalf("got %s", got)
		}
		phone.Send("<presence><c xmlns='x:caps'>urn:xmpp:bookmarks:1</c></presence>")
		// Meanwhile one more, one less, and another name.
		s.ask(phone, "set", modern("A@4.example", " name='new'"))
		s.ask(phone, "set", retraction("a@3.example"))
		s.ask(phone, "set", modern("a@1.example", " name='first'"))
		s.told(phone)
		for i, tt := range []struct{ list, told, left string }{
			{one + two + three, "", "2 4 1"},
			{one + strings.Replace(two, "autojoin='1'", "", 1) + three + "<conference jid='a@5.example'/>", "urn:xmpp:bookmarks:1+a@2.example urn:xmpp:bookmarks:1+a@5.example", "4 1 2 5"},
			{strings.Replace(two, "autojoin='1'", "", 1) + three, "urn:xmpp:bookmarks:1-a@1.example urn:xmpp:bookmarks:1-a@5.example", "4 2"},
			{strings.Replace(two, "autojoin='1'", "", 1) + strings.Replace(three, "/>", " name='mine'/>", 1), "urn:xmpp:bookmarks:1+a@3.example", "4 2 3"},
			{"<conference jid='a@4.example' name='its own'/>", "urn:xmpp:bookmarks:1+A@4.example urn:xmpp:bookmarks:1-a@2.example urn:xmpp:bookmarks:1-a@3.example", "4"},
			{"", "urn:xmpp:bookmarks:1-A@4.example", ""},
		} {
			s.ask(old, "set", xmlPrivate(list(tt.list)))
			if got := s.told(phone); got != tt.told {
				t.Errorf("%d: told %s, want %s", i, got, tt.told)
			}
			got := s.ask(phone, "get", read(bookmarks.NS))
			if rooms(got) != tt.left || i == 0 && !strings.Contains(got, "name='first'") {
				t.Errorf("%d: left is %s, want %s", i, got, tt.left)
			}
		}
	})
	// Who is told of changes, writes the node, or has read nothing has the last word.
	for name, writer := range map[string]func(s *stage) (*muxtest.Client, string){
		"told": func(s *stage) (*muxtest.Client, string) {
			c := s.h.Connect(t, laptop)
			c.Send("<presence><c xmlns='x:caps'>storage:bookmarks</c></presence>")
			s.ask(c, "get", xmlPrivate(empty))
			return c, xmlPrivate(list(one))
		},
		"node": func(s *stage) (*muxtest.Client, string) {
			c := s.h.Connect(t, laptop)
			s.ask(c, "get", xmlPrivate(empty))
			return c, publication(bookmarks.NSLegacy, "x", list(one))
		},
		"unread": func(s *stage) (*muxtest.Client, string) { return s.h.Connect(t, laptop), xmlPrivate(list(one)) },
	} {
		play(t, nil, func(s *stage) {
			c, write := writer(s)
			s.ask(s.h.Connect(t, phone), "set", modern("a@4.example", ""))
			s.ask(c, "set", write)
			if got := rooms(s.ask(c, "get", read(bookmarks.NS))); got != "1" {
				t.Errorf("%s: left is %s", name, got)
			}
		})
	}
}
