package bookmarks_test

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/propolis-im/propolis/bookmarks"
	"github.com/propolis-im/propolis/mux/muxtest"
)

var roomAndName = regexp.MustCompile(`(?:id|jid)=['"](a@\d+\.example)['"][^>]*>?(?:<conference[^>]*)? name=['"](\w*)['"]`)

// shown are the rooms in an answer, with their names.
func shown(s string) map[string]string {
	m := make(map[string]string)
	for _, part := range strings.SplitAfter(s, "</conference>") {
		if l := roomAndName.FindStringSubmatch(part); l != nil {
			m[l[1]] = l[2]
		}
	}
	return m
}

// TestModel: whoever writes, by items, in private XML or at the old node, whatever commits
// fail and however often the server starts again: all three show the same, which is what
// was written.
func TestModel(t *testing.T) {
	t.Parallel()
	for seed := range uint64(8) {
		play(t, nil, func(s *stage) {
			r := rand.New(rand.NewPCG(seed, 0))
			want := make(map[string]string)
			var c *muxtest.Client
			connect := func() { c = s.h.Connect(t, phone) }
			connect()
			oldList := func(m map[string]string) string {
				var b strings.Builder
				for _, room := range slices.Sorted(maps.Keys(m)) {
					fmt.Fprintf(&b, "<conference jid='%s' name='%s'/>", []string{room, strings.ToUpper(room)}[r.IntN(2)], m[room])
				}
				return list(b.String() + "<url url='u:1'/>")
			}
			for step := range 60 {
				next := maps.Clone(want)
				room, name := fmt.Sprintf("a@%d.example", r.IntN(12)), fmt.Sprintf("n%d", step)
				if _, there := next[room]; there && r.IntN(3) == 0 {
					delete(next, room)
				} else {
					next[room] = name
				}
				var payload string
				switch _, there := next[room]; r.IntN(3) {
				case 0:
					payload = publication(bookmarks.NS, room, "<conference xmlns='urn:xmpp:bookmarks:1' name='"+name+"'><extensions><x xmlns='urn:x'/></extensions></conference>")
					if !there {
						payload = "<pubsub xmlns='http://jabber.org/protocol/pubsub'><retract node='" + bookmarks.NS + "'><item id='" + room + "'/></retract></pubsub>"
					}
				case 1:
					payload = xmlPrivate(oldList(next))
				default:
					payload = publication(bookmarks.NSLegacy, "x", oldList(next))
				}
				if r.IntN(6) == 0 {
					s.c.Hold()
					c.Send("<iq type='set' id='f'>" + payload + "</iq>")
					s.c.Fail(errors.New("on purpose"))
					s.h.Settle()
					s.c.Release()
					connect()
				} else {
					if got := s.ask(c, "set", payload); strings.Contains(got, "<error") {
						t.Fatalf("%d, %d: %s was answered %s", seed, step, payload, got)
					}
					want = next
				}
				if r.IntN(10) == 0 {
					s.h.Restart(s.extensions()...)
					connect()
				}
				for _, payload := range []string{xmlPrivate(empty), read(bookmarks.NSLegacy), read(bookmarks.NS)} {
					if got := shown(s.ask(c, "get", payload)); !maps.Equal(got, want) {
						t.Fatalf("%d, %d: %s shows %v, want %v", seed, step, payload, got, want)
					}
				}
			}
		})
	}
}
