package bookmarks_test

import (
	"fmt"
	"testing"

	"github.com/propolis-im/propolis/bookmarks"
)

// TestAccountRemoved: nothing is left of the bookmarks of an account that is removed, not
// by what was still to be told or moved either, and who gets the name next has none.
func TestAccountRemoved(t *testing.T) {
	t.Parallel()
	for _, before := range []string{"told", "moved", "written"} {
		play(t, func(a *assembly) {
			if before == "moved" {
				a.stored(t, bookmarks.NSOld, "presence", "a@1.example", "<conference xmlns='urn:xmpp:bookmarks:0'/>")
				apply(t, a.private.Set(juliet, bookmarks.Name, list("<conference jid='a@2.example'/><url url='u:1'/>")))
			}
		}, func(s *stage) {
			c := s.h.Connect(t, phone)
			if before == "told" {
				c.Send("<presence><c xmlns='x:caps'>urn:xmpp:bookmarks:1 storage:bookmarks</c></presence>")
			}
			s.c.Hold()
			if before == "moved" {
				c.Send("<iq type='get' id='m'>" + xmlPrivate(empty) + "</iq>")
			} else {
				for i := range 3 {
					c.Send(fmt.Sprintf("<iq type='set' id='%d'>%s</iq>", i, xmlPrivate(list(fmt.Sprintf("<conference jid='a@%d.example'/><url url='u:%d'/>", i, i)))))
				}
			}
			removed := make(chan error, 1)
			go func() { removed <- s.h.Mux().RemoveAccount(t.Context(), juliet) }()
			s.h.Settle()
			s.c.Release()
			s.h.Settle()
			if err := <-removed; err != nil {
				t.Error(err)
			}
			s.h.Settle()
			if nodes, err := s.nodes.Load(t.Context(), juliet); err != nil || len(nodes) > 0 {
				t.Errorf("%s: left %d nodes, %v", before, len(nodes), err)
			}
			if sizes, err := s.private.Sizes(t.Context(), juliet); err != nil || len(sizes) > 0 {
				t.Errorf("%s: left %v, %v", before, sizes, err)
			}
			c = s.h.Connect(t, laptop)
			if got := s.ask(c, "get", xmlPrivate(empty)); rooms(got) != "" {
				t.Errorf("%s: who came next got %s", before, got)
			}
		})
	}
}
