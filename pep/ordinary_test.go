package pep_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
)

// TestShut: a node that was public is private from the moment that the change is answered,
// for fifty who were interested and for those who were subscribed (S-11).
func TestShut(t *testing.T) {
	t.Parallel()
	const here = 25
	play(t, func(a *assembly) {
		for i := range here {
			both(t, a, "juliet@example.net", fmt.Sprintf("c%d@example.net", i))
			apply(t, a.rosters.Put(addr("juliet@example.net"), rosterItem(fmt.Sprintf("c%d@example.org", i))))
		}
	}, func(s *stage) {
		s.publish("n", "1", "access_model=open", "send_last_published_item=never", "notify_config=1")
		for i := range here {
			s.there(fmt.Sprintf("c%d", i), "n")
			s.farThere(fmt.Sprintf("c%d@example.org/1", i), "n")
		}
		s.subscribe("stranger@example.org", "stranger@example.org")
		s.forget()
		s.publish("n", "2")
		if got := s.sent(); len(got) != 2*here+1 {
			t.Errorf("%d get what is public", len(got))
		}
		s.ask("juliet", "set", configure("n", "access_model=whitelist"))
		if got := s.sent(); !slices.Equal(got, []string{"stranger@example.org none:n"}) {
			t.Errorf("told %q", got)
		}
		for _, change := range []string{publication("n", "3"), pubsub("<retract node='n'><item id='3'/></retract>"), configure("n", "title=x"), owner("<purge node='n'/>"), owner("<delete node='n'/>")} {
			if got := s.ask("juliet", "set", change); got != "" {
				t.Errorf("%s: %s", change, got)
			}
		}
		if got := s.sent(); len(got) != 0 {
			t.Errorf("afterwards: %q", got)
		}
		if in, err := s.store.Involved(t.Context(), addr("stranger@example.org")); err != nil || len(in) != 0 {
			t.Errorf("still there: %v, error %v", in, err)
		}
	})
}

// TestOneOfThree: an account publishes from one of three sessions, of which two want that
// (S-19).
func TestOneOfThree(t *testing.T) {
	t.Parallel()
	play(t, nil, func(s *stage) {
		a, b, c := s.there("juliet/a", "n"), s.there("juliet/b", "n"), s.there("juliet/c", "other")
		s.publish("n", "1", "access_model=open")
		s.subscribe("stranger@example.org", "stranger@example.org")
		s.there("romeo", "n")
		s.forget()
		a.Send("<iq type='set' id='p'>" + publication("n", "2") + "</iq>")
		for to, got := range map[string][]string{"/a": events(a.Arrived()), "/b": events(b.Arrived())} {
			if len(got) != 1 {
				t.Errorf("%s got %q", to, got)
				continue
			}
			if want := "<message type='headline' id='{*}' from='juliet@example.net' to='juliet@example.net" + to + "'><event xmlns='http://jabber.org/protocol/pubsub#event'><items node='n'><item id='2'><x xmlns='urn:x'>2</x></item></items></event>" +
				"<addresses xmlns='http://jabber.org/protocol/address'><address type='replyto' jid='juliet@example.net/a'/></addresses></message>"; muxtest.Match(want, got[0], nil) != nil {
				t.Errorf("%s got %s", to, got[0])
			}
		}
		if got := events(c.Arrived()); len(got) != 0 {
			t.Errorf("the third got %q", got)
		}
		if got := strings.Join(a.Arrived(), ""); !strings.Contains(got, "<publish node='n'><item id='2'/></publish>") {
			t.Errorf("answered with %s", got)
		}
		if got := events(s.who("romeo").Arrived()); len(got) != 1 || !strings.Contains(got[0], "jid='juliet@example.net/a'") {
			t.Errorf("romeo got %q", got)
		}
		if got := events(s.h.Routed("example.org")); len(got) != 1 || strings.Contains(got[0], "address") {
			t.Errorf("the stranger got %q", got)
		}
	})
}

// events are the messages among elements.
func events(l []string) (all []string) {
	for _, el := range l {
		if st, err := mux.Parse([]byte(el)); err == nil && st.Kind() == mux.Message {
			all = append(all, el)
		}
	}
	return all
}

// TestItemIDs: an ID is any text of up to 1024 octets, an empty one is none (S-31).
func TestItemIDs(t *testing.T) {
	t.Parallel()
	play(t, nil, func(s *stage) {
		long := strings.Repeat("ü", 512)
		s.publish("n", "first", "max_items=max")
		for _, id := range []string{"a/b@c ü", long} {
			s.publish("n", id)
			_, whole := s.full("juliet", "get", pubsub("<items node='n'><item id='"+id+"'/></items>"))
			if strings.Count(whole, "<item id='"+id+"'>") != 1 {
				t.Errorf("%s is not found: %s", id, whole)
			}
			if _, whole = s.full("juliet", "get", pubsub("<items node='n' max_items='1'/>")); !strings.Contains(whole, "<item id='"+id+"'>") {
				t.Errorf("%s is not the newest: %s", id, whole)
			}
		}
		if got := s.ask("juliet", "set", publication("n", long+"x")); got != "modify/not-acceptable" {
			t.Errorf("too long: %q", got)
		}
		seen := make(map[string]bool)
		for range 3 {
			_, whole := s.full("juliet", "set", publication("n", ""))
			_, id, _ := strings.Cut(whole, "<item id='")
			id, _, _ = strings.Cut(id, "'")
			if len(id) < 8 || seen[id] || !slices.Contains(index(t, s, "n"), id) {
				t.Errorf("made %q: %s", id, whole)
			}
			seen[id] = true
		}
		if got := len(index(t, s, "n")); got != 6 {
			t.Errorf("%d items", got)
		}
		s.ask("juliet", "set", pubsub("<retract node='n'><item id='"+long+"'/></retract>"))
		if got := index(t, s, "n"); slices.Contains(got, long) {
			t.Errorf("retracted, but kept: %v", got)
		}
	})
}

// TestNextNewest: when the newest item is gone, the one before is the last, or none is
// (S-34).
func TestNextNewest(t *testing.T) {
	t.Parallel()
	play(t, nil, func(s *stage) {
		for _, id := range []string{"1", "2", "3"} {
			s.publish("n", id, "max_items=max")
		}
		come := func(want string) {
			t.Helper()
			for _, name := range []string{"romeo", "juliet/2"} {
				s.there(name, "n")
				if got := s.events(name); got != want {
					t.Errorf("%s got %q, want %q", name, got, want)
				}
				s.who(name).Send("<presence type='unavailable'/>")
			}
			s.farThere("benvolio@example.org/1", "n")
			if got := s.events("benvolio@example.org"); got != want {
				t.Errorf("benvolio got %q, want %q", got, want)
			}
			s.far("benvolio@example.org/1", " type='unavailable'", "")
			s.subscribe("paris", "paris@example.net/1")
			if got := s.events("paris"); got != want {
				t.Errorf("paris got %q, want %q", got, want)
			}
		}
		come("~n:3")
		for _, c := range []struct{ gone, left string }{{"3", "~n:2"}, {"2", "~n:1"}, {"1", ""}} {
			s.ask("juliet", "set", pubsub("<retract node='n'><item id='"+c.gone+"'/></retract>"))
			s.events("paris")
			come(c.left)
		}
	})
}

// TestChangedInterest: who wants something more gets its last item, that one alone; who
// wants it no more gets no events; away and back changes nothing (S-16, S-17).
func TestChangedInterest(t *testing.T) {
	t.Parallel()
	play(t, nil, func(s *stage) {
		s.publish("mood", "m")
		s.publish("tune", "t")
		s.there("juliet")
		says := map[string]func(nodes, more string){
			"romeo": func(nodes, more string) { s.who("romeo").Send("<presence>" + more + nodes + "</presence>") },
			"benvolio@example.org": func(nodes, more string) {
				s.far("benvolio@example.org/1", "", more+nodes)
			},
		}
		for name, say := range says {
			c := func(nodes string) string { return "<c xmlns='x:caps'>" + nodes + "</c>" }
			for i, step := range []struct{ nodes, more, want string }{
				{c("mood"), "", "~mood:m >mood:1"},
				{"", "<show>away</show>", ">mood:2"}, // what it wanted is remembered
				{c("mood tune"), "", "~tune:t >mood:3 >tune:3"},
				{c("mood tune"), "<show>away</show>", ">mood:4 >tune:4"},
				{c("mood"), "", ">mood:5"},
				{c("other"), "", ""},
			} {
				id := fmt.Sprint(i + 1)
				say(step.nodes, step.more)
				got := s.events(name)
				s.publish("mood", id)
				s.publish("tune", id)
				if got = strings.TrimSpace(got + " " + s.events(name)); got != step.want {
					t.Errorf("%s, step %s: got %q, want %q", name, id, got, step.want)
				}
				s.publish("mood", "m")
				s.publish("tune", "t")
				s.events(name)
			}
		}
		s.who("romeo").Send("<presence type='unavailable'/>")
		s.there("romeo", "mood")
		if got := s.events("romeo"); got != "~mood:m" {
			t.Errorf("back: %q", got)
		}
	})
}

// TestDeviceList: two clients publish the list of devices at once, without knowing of each
// other; one list is left, of which both are told, and it survives a restart with its
// configuration (S-28, the server's half).
func TestDeviceList(t *testing.T) {
	t.Parallel()
	const node = "urn:xmpp:omemo:2:devices"
	play(t, nil, func(s *stage) {
		a, b := s.there("juliet/a", node), s.there("juliet/b", node)
		list := func(ids string) string {
			return pubsub("<publish node='" + node + "'><item id='current'><x xmlns='urn:x'>" + ids + "</x></item></publish><publish-options>" +
				form("publish-options", "access_model=open", "max_items=1") + "</publish-options>")
		}
		s.race(0, func() { a.Write("<iq type='set' id='p'>" + list("A") + "</iq>") }, func() { b.Write("<iq type='set' id='p'>" + list("B") + "</iq>") })
		seen := payloads(t, a.Arrived())
		if other := payloads(t, b.Arrived()); len(seen) != 2 || !slices.Equal(seen, other) {
			t.Errorf("a sees %q, b %q", seen, other)
		}
		read := func() string {
			_, whole := s.full("stranger@example.org", "get", pubsub("<items node='"+node+"'/>"))
			return strings.Join(payloads(t, []string{strings.Replace(whole, "<pubsub", "<event ", 1)}), " ")
		}
		if got := read(); got != seen[1] {
			t.Errorf("kept %q, want %q", got, seen[1])
		}
		// Whose device is missing says so again; that is one event for each and no more.
		s.forget()
		if got, _ := s.of("juliet/a", "juliet@example.net", "set", list("A B")); got != "" {
			t.Error(got)
		}
		if got := s.sent(); len(got) != 2 {
			t.Errorf("events %q", got)
		}
		s.sleep(time.Minute)
		if got := s.sent(); len(got) != 0 {
			t.Errorf("later: %q", got)
		}
		s.h.Restart(s.extensions()...)
		clear(s.on)
		if got := read(); got != "A B" {
			t.Errorf("after a restart: %q", got)
		}
		if got, _ := s.of("juliet/a", "juliet@example.net", "set", list("A B")); got != "" {
			t.Errorf("the configuration has changed: %s", got)
		}
	})
}
