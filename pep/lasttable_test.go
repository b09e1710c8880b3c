package pep_test

import (
	"slices"
	"strings"
	"testing"
)

// TestLastTable: whoever gets events when they happen gets the last item when it comes
// (R18), by the same rows: to the same addresses, and nobody else.
func TestLastTable(t *testing.T) {
	t.Parallel()
	for _, r := range contactRows() {
		switch r.name {
		case "R7 moved into the group", "R8 approved", "R11 until unavailable", "R11 strangers, switched on":
			continue // somebody is subscribed, or leaves; or it is no presence that changes
		}
		if strings.HasPrefix(r.name, "R19") || strings.HasPrefix(r.name, "R21") {
			continue // they get it at first
		}
		for _, sends := range []string{"on_sub_and_presence", "on_sub", "never"} {
			t.Run(r.name+", "+sends, func(t *testing.T) {
				play(t, r.opt, func(s *stage) {
					s.t = t
					s.publish("n", "1", append(slices.Clone(r.node), "send_last_published_item="+sends)...)
					s.forget()
					r.before(s)
					s.h.Settle()
					var want []string
					if sends == "on_sub_and_presence" {
						for _, w := range r.want {
							to, _, _ := strings.Cut(w, " ")
							want = append(want, to+" ~n:1")
						}
					}
					slices.Sort(want)
					if got := s.sent(); !slices.Equal(got, want) {
						t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
					}
				})
			})
		}
	}
}

// TestNoLast: what a node has no last item of, or does not tell of, is not sent (R18).
func TestNoLast(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		node  []string
		after string
	}{
		{"no events", []string{"deliver_notifications=0"}, ""},
		{"retracted", nil, pubsub("<retract node='n'><item id='1'/></retract>")},
		{"purged", nil, owner("<purge node='n'/>")},
		{"deleted", nil, owner("<delete node='n'/>")},
		{"deleted and made again", nil, pubsub("<create node='n'/>")},
		{"expired", []string{"item_expire=1"}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			play(t, nil, func(s *stage) {
				s.t = t
				s.publish("n", "1", c.node...)
				if c.name == "deleted and made again" {
					s.ask("juliet", "set", owner("<delete node='n'/>"))
				}
				if c.after != "" {
					s.ask("juliet", "set", c.after)
				}
				s.sleep(1e9)
				s.there("romeo", "n")
				s.there("juliet/2", "n")
				s.farThere("benvolio@example.org/1", "n")
				if got := s.sent(); len(got) != 0 {
					t.Errorf("got %q", got)
				}
			})
		})
	}
}
