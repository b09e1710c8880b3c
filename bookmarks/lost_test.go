package bookmarks_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/propolis-im/propolis/bookmarks"
	"github.com/propolis-im/propolis/pep"
)

// TestNotTrimmed: a node that was made for fewer items than there are rooms loses none of
// them when an old list is written, or moved.
func TestNotTrimmed(t *testing.T) {
	t.Parallel()
	var all strings.Builder
	for i := range 10 {
		fmt.Fprintf(&all, "<conference jid='a@%d.example'/>", i)
	}
	for _, moved := range []bool{false, true} {
		play(t, func(a *assembly) {
			c := pep.DefaultConfig()
			c.Access, c.MaxItems = "whitelist", 3
			payload := "<conference xmlns='urn:xmpp:bookmarks:1'/>"
			size := int64(len("a@0.example") + len(payload))
			apply(t, a.nodes.PutNode(juliet, pep.Node{Name: bookmarks.NS, Config: c, Seq: 1, Bytes: size}),
				a.nodes.Change(juliet, bookmarks.NS, pep.Change{Put: []pep.Item{{Entry: pep.Entry{ID: "a@0.example", Seq: 1, Publisher: juliet, Size: len(payload)}, Payload: payload}}, Seq: 1, Bytes: size}))
			if moved {
				apply(t, a.private.Set(juliet, bookmarks.Name, list(all.String())))
			}
		}, func(s *stage) {
			c := s.h.Connect(t, phone)
			if !moved {
				s.ask(c, "set", xmlPrivate(list(all.String())))
			}
			for _, payload := range []string{xmlPrivate(empty), read(bookmarks.NS)} {
				if got := len(strings.Fields(rooms(s.ask(c, "get", payload)))); got != 10 {
					t.Errorf("moved %v: %d rooms are left of 10", moved, got)
				}
			}
		})
	}
}

// TestRefusedRoom: rooms that could not be moved are not lost when an old list is written
// of which one cannot be published.
func TestRefusedRoom(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 900)
	play(t, func(a *assembly) {
		a.opt.MaxBytes = 700
		apply(t, a.private.Set(juliet, bookmarks.Name, list("<conference jid='a@1.example' name='"+long+"'/><conference jid='a@2.example'/><url url='u:1'/>")))
	}, func(s *stage) {
		c := s.h.Connect(t, phone)
		if got := rooms(s.ask(c, "get", xmlPrivate(empty))); got != "1 2" {
			t.Errorf("before: %s", got)
		}
		if got := s.ask(c, "set", xmlPrivate(list("<conference jid='a@3.example'/><conference jid='a@1.example' name='"+long+"'/><conference jid='a@2.example'/><url url='u:2'/>"))); !strings.Contains(got, "resource-constraint") {
			t.Errorf("got %s", got)
		}
		for range 2 {
			if got := rooms(s.ask(c, "get", xmlPrivate(empty))); !strings.Contains(got, "1") || !strings.Contains(got, "2") {
				t.Errorf("left are %s", got)
			}
			s.h.Restart(s.extensions()...)
			c = s.h.Connect(t, laptop)
		}
	})
}
