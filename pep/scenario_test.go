package pep_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/propolis-im/propolis/pep"
)

// TestPublishers: others publish as the node allows, and change only what is theirs
// (PUB-5, PUB-11, AFF-3).
func TestPublishers(t *testing.T) {
	t.Parallel()
	play(t, nil, func(s *stage) {
		s.publish("n", "1", "max_items=max", "itemreply=publisher", "publish_model=publishers")
		s.ask("juliet", "set", owner("<affiliations node='n'><affiliation jid='romeo@example.net' affiliation='publisher'/></affiliations>"))
		for _, c := range []struct{ who, typ, payload, want string }{
			{"romeo", "set", publication("n", "r"), ""},
			{"romeo", "set", publication("n", "1"), "auth/forbidden"},
			{"nurse", "set", publication("n", "n"), "auth/forbidden"},
			{"romeo", "set", pubsub("<retract node='n'><item id='1'/></retract>"), "auth/forbidden"},
			{"romeo", "set", pubsub("<retract node='n'><item id='r'/></retract>"), ""},
			{"romeo", "set", owner("<purge node='n'/>"), "auth/forbidden"},
			{"juliet", "set", configure("n", "publish_model=subscribers"), ""},
			{"nurse", "set", publication("n", "n"), "auth/forbidden"},
			{"nurse", "set", pubsub("<subscribe node='n' jid='nurse@example.net'/>"), ""},
			{"nurse", "set", publication("n", "n"), ""},
			{"juliet", "set", configure("n", "publish_model=open"), ""},
			{"paris", "set", publication("n", "p"), ""},
			{"tybalt", "set", publication("n", "t"), "auth/forbidden"},
			{"juliet", "set", publication("n", "n"), ""},
		} {
			if got := s.ask(c.who, c.typ, c.payload); got != c.want {
				t.Errorf("%s %s: got %q, want %q", c.who, c.payload, got, c.want)
			}
		}
		_, whole := s.full("juliet", "get", pubsub("<items node='n'/>"))
		if !strings.Contains(whole, "id='p' publisher='paris@example.net'") || !strings.Contains(whole, "id='n' publisher='juliet@example.net'") {
			t.Errorf("got %s", whole)
		}
		if _, whole = s.full("romeo", "get", pubsub("<affiliations/>")); !strings.Contains(whole, "affiliation='publisher'") {
			t.Errorf("got %s", whole)
		}
		if _, whole = s.full("juliet", "get", owner("<affiliations node='n'/>")); !strings.Contains(whole, "<affiliation jid='juliet@example.net' affiliation='owner'/>") || !strings.Contains(whole, "affiliation='publisher'") {
			t.Errorf("got %s", whole)
		}
	})
}

// TestBounds: what others and clients can make grow is bounded (E-23, PSUB-10, PUB-16).
func TestBounds(t *testing.T) {
	t.Parallel()
	play(t, func(a *assembly) {
		a.opt = pep.Options{MaxNodes: 3, MaxSubscriptions: 2, MaxItems: 4, MaxBytes: 200, PerMinute: 12}
	}, func(s *stage) {
		s.publish("a", "1", "access_model=open", "max_items=max")
		s.publish("b", "1")
		s.publish("c", "1")
		ask := func(who, payload, want string) {
			t.Helper()
			if got := s.ask(who, "set", payload); got != want {
				t.Errorf("%s: got %q, want %q", payload, got, want)
			}
		}
		ask("juliet", publication("d", "1"), "wait/policy-violation/max-nodes-exceeded")
		ask("juliet", pubsub("<create node='d'/>"), "wait/policy-violation/max-nodes-exceeded")
		for _, who := range []string{"romeo", "nurse"} {
			ask(who, pubsub("<subscribe node='a' jid='"+who+"@example.net'/>"), "")
		}
		ask("romeo", pubsub("<subscribe node='a' jid='romeo@example.net'/>"), "")
		ask("paris", pubsub("<subscribe node='a' jid='paris@example.net'/>"), "wait/policy-violation/too-many-subscriptions")
		for i := range 4 {
			s.publish("a", fmt.Sprint(i))
		}
		if got := s.items("juliet", "a", "", ""); got != "0 1 2 3" {
			t.Errorf("kept %q", got)
		}
		ask("juliet", pubsub("<publish node='b'><item id='1'><x xmlns='urn:x'>"+strings.Repeat("y", 200)+"</x></item></publish>"), "wait/resource-constraint")
		for range 5 {
			s.publish("c", "1")
		}
		ask("juliet", publication("c", "1"), "wait/policy-violation") // the 13th
		s.sleep(5 * time.Second)
		s.publish("c", "1")
	})
}

// TestCommitFails: what could not be written is not there, and nobody was told (E-33).
func TestCommitFails(t *testing.T) {
	t.Parallel()
	play(t, nil, func(s *stage) {
		s.publish("n", "1")
		s.there("romeo", "n")
		s.events("romeo")
		s.c.Hold()
		s.who("juliet/a").Send("<iq type='set' id='x'>"+publication("n", "2")+"</iq>", "<iq type='set' id='y'>"+publication("m", "2")+"</iq>")
		if got := s.events("romeo"); got != "" {
			t.Errorf("told before it is durable: %q", got)
		}
		s.c.Fail(errors.New("on purpose"))
		s.c.Release()
		s.h.Settle()
		if got := s.events("romeo"); got != "" {
			t.Errorf("told of what was not written: %q", got)
		}
		if got := s.items("juliet/b", "n", "", ""); got != "1" {
			t.Errorf("kept %q", got)
		}
		if got, _ := s.full("juliet/b", "get", pubsub("<items node='m'/>")); got != "cancel/item-not-found" {
			t.Errorf("the other node: %q", got)
		}
	})
}

// TestRestart: what was published is there after a restart, in its order, and numbers go
// on (OMEMO-2).
func TestRestart(t *testing.T) {
	t.Parallel()
	play(t, nil, func(s *stage) {
		for _, id := range []string{"1", "2", "3"} {
			s.publish("n", id, "max_items=2", "access_model=open")
		}
		s.h.Restart(s.extensions()...)
		clear(s.on)
		if got := s.items("stranger@example.org", "n", "", ""); got != "2 3" {
			t.Errorf("kept %q", got)
		}
		s.publish("n", "2")
		if got := s.items("stranger@example.org", "n", "", ""); got != "3 2" {
			t.Errorf("kept %q", got)
		}
	})
}

// TestDisco: nodes are listed to those who may see them, and described (PEP-7 to
// PEP-10).
func TestDisco(t *testing.T) {
	t.Parallel()
	play(t, nil, func(s *stage) {
		s.publish("open", "1", "access_model=open", "title=Öffentlich", "max_items=max")
		s.publish("open", "2")
		s.publish("private", "1", "access_model=whitelist")
		s.publish("presence", "1")
		const items, info = "<query xmlns='http://jabber.org/protocol/disco#items'%s/>", "<query xmlns='http://jabber.org/protocol/disco#info'%s/>"
		for _, c := range []struct {
			who, query, node string
			has, not         []string
		}{
			{"juliet/2", items, "", []string{"node='open' name='Öffentlich'", "node='private'", "node='presence'"}, nil},
			{"romeo", items, "", []string{"node='open'", "node='presence'"}, []string{"private"}},
			{"stranger@example.org", items, "", []string{"node='open'"}, []string{"private", "presence"}},
			{"stranger@example.org", info, "", []string{"category='pubsub' type='pep'", "category='account'", "pubsub#publish-options'", "pubsub#rsm'"}, nil},
			{"stranger@example.org", items, "open", []string{"jid='juliet@example.net' name='1'", "name='2'"}, []string{"<item node="}},
			{"stranger@example.org", info, "open", []string{"category='pubsub' type='leaf' name='Öffentlich'", "#meta-data", "<field var='pubsub#owner'><value>juliet@example.net", "creation_date"}, []string{"num_subscribers"}},
			{"juliet/2", info, "private", []string{"type='leaf'", "<field var='pubsub#num_subscribers'><value>0", "<value>whitelist</value>"}, nil},
			{"romeo", info, "private", []string{"closed-node"}, nil},
			{"stranger@example.org", info, "presence", []string{"presence-subscription-required"}, nil},
			{"romeo", info, "nope", []string{"item-not-found"}, nil},
		} {
			node := ""
			if c.node != "" {
				node = " node='" + c.node + "'"
			}
			_, whole := s.full(c.who, "get", fmt.Sprintf(c.query, node))
			for _, want := range c.has {
				if !strings.Contains(whole, want) {
					t.Errorf("%s %s%s: no %s in %s", c.who, c.query, node, want, whole)
				}
			}
			for _, not := range c.not {
				if strings.Contains(whole, not) {
					t.Errorf("%s %s%s: %s in %s", c.who, c.query, node, not, whole)
				}
			}
		}
	})
}

// TestFullAddress: a request to a full address is for the client there (PEP-2).
func TestFullAddress(t *testing.T) {
	t.Parallel()
	play(t, nil, func(s *stage) {
		s.publish("n", "1")
		j := s.there("juliet")
		j.Clear()
		s.who("romeo").Send("<iq type='get' id='f' to='juliet@example.net/1'>" + pubsub("<items node='n'/>") + "</iq>")
		if got := j.Arrived(); len(got) != 1 || !strings.Contains(got[0], "id='f'") {
			t.Errorf("juliet got %q", got)
		}
	})
}

// TestSubscriptions: what somebody is subscribed to, and how (PSUB-1 to PSUB-5, PSUB-9).
func TestSubscriptions(t *testing.T) {
	t.Parallel()
	play(t, nil, func(s *stage) {
		s.publish("n", "1")
		s.there("romeo")
		s.events("romeo")
		sub := pubsub("<subscribe node='n' jid='romeo@example.net'/>")
		for range 2 {
			if short, whole := s.full("romeo", "set", sub); short != "" || !strings.Contains(whole, "<subscription node='n' jid='romeo@example.net' subscription='subscribed'/>") {
				t.Errorf("got %q %s", short, whole)
			}
			if got := s.events("romeo"); got != "~n:1" {
				t.Errorf("events %q", got)
			}
		}
		s.ask("romeo", "set", pubsub("<subscribe node='n' jid='romeo@example.net/1'/>"))
		s.ask("nurse", "set", pubsub("<subscribe node='n' jid='nurse@example.net'/>"))
		_, whole := s.full("romeo", "get", pubsub("<subscriptions/>"))
		if strings.Count(whole, "<subscription ") != 2 || strings.Contains(whole, "nurse") {
			t.Errorf("got %s", whole)
		}
		if _, whole = s.full("romeo", "get", pubsub("<subscriptions node='m'/>")); !strings.Contains(whole, "<subscriptions node='m'></subscriptions>") {
			t.Errorf("got %s", whole)
		}
		if got := s.ask("romeo", "set", pubsub("<options node='n' jid='romeo@example.net'>"+form("subscribe_options", "deliver=0")+"</options>")); got != "" {
			t.Error(got)
		}
		if _, whole = s.full("romeo", "get", pubsub("<options node='n' jid='romeo@example.net'/>")); !strings.Contains(whole, "pubsub#deliver' type='boolean' label='Send events'><value>0</value>") {
			t.Errorf("got %s", whole)
		}
		for _, jid := range []string{"romeo@example.net", "romeo@example.net/1"} {
			if got := s.ask("romeo", "set", pubsub("<unsubscribe node='n' jid='"+jid+"' subid='x'/>")); got != "" {
				t.Error(got)
			}
		}
		s.events("romeo")
		s.publish("n", "2")
		if got := s.events("romeo"); got != "" {
			t.Errorf("got %q", got)
		}
	})
}

// TestCreate: nodes are made with a configuration, and without a name (OPT-12, OPT-13,
// PSUB-6).
func TestCreate(t *testing.T) {
	t.Parallel()
	play(t, nil, func(s *stage) {
		s.there("romeo")
		if short, whole := s.full("juliet", "set", pubsub("<create node='n'/><configure>"+form("node_config", "title=T", "access_model=open")+"</configure>")); short != "" || !strings.Contains(whole, "<create node='n'/>") {
			t.Errorf("%q %s", short, whole)
		}
		_, whole := s.full("juliet", "get", owner("<configure node='n'/>"))
		if !strings.Contains(whole, "<value>T</value>") || !strings.Contains(whole, "<value>open</value>") {
			t.Errorf("got %s", whole)
		}
		if got := s.items("juliet", "n", "", ""); got != "" {
			t.Errorf("items of a new node: %q", got)
		}
		for range 2 {
			if short, whole := s.full("juliet", "set", pubsub("<create/>")); short != "" || !strings.Contains(whole, "<create node='") || strings.Contains(whole, "node=''") {
				t.Errorf("%q %s", short, whole)
			}
		}
		_, whole = s.full("juliet", "get", owner("<default/>"))
		for _, want := range []string{"<default>", "node_config", "<value>presence</value>", "<value>on_sub_and_presence</value>", "<value>publishers</value>"} {
			if !strings.Contains(whole, want) {
				t.Errorf("no %s in %s", want, whole)
			}
		}
		// The owner sees and changes who is subscribed; the others stay as they are.
		s.ask("romeo", "set", pubsub("<subscribe node='n' jid='romeo@example.net'/>"))
		s.ask("nurse", "set", pubsub("<subscribe node='n' jid='nurse@example.net'/>"))
		s.ask("juliet", "set", owner("<subscriptions node='n'><subscription jid='romeo@example.net' subscription='none'/><subscription jid='paris@example.net' subscription='subscribed'/></subscriptions>"))
		_, whole = s.full("juliet", "get", owner("<subscriptions node='n'/>"))
		if strings.Contains(whole, "romeo") || !strings.Contains(whole, "nurse@") || !strings.Contains(whole, "paris@") {
			t.Errorf("got %s", whole)
		}
		if got := s.events("romeo"); got != "none:n" {
			t.Errorf("romeo got %q", got)
		}
		for _, payload := range []string{
			owner("<subscriptions node='n'><subscription jid='x@y' subscription='often'/></subscriptions>"),
			owner("<subscriptions node='n'><subscription jid='@' subscription='none'/></subscriptions>"),
		} {
			if got := s.ask("juliet", "set", payload); got != "modify/not-acceptable" {
				t.Errorf("%s: got %q", payload, got)
			}
		}
	})
}
