package pep_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/pep"
)

// TestOrder: items are in the order of publication, also of one that is published again;
// the oldest leave (PUB-3, PUB-4, PUB-12, PUB-13).
func TestOrder(t *testing.T) {
	t.Parallel()
	play(t, nil, func(s *stage) {
		s.there("romeo", "n")
		for _, id := range []string{"b", "a", "c", "b"} {
			s.publish("n", id, "max_items=3")
		}
		if got := s.items("juliet", "n", "", ""); got != "a c b" {
			t.Errorf("got %q", got)
		}
		s.publish("n", "d")
		if got := s.items("romeo", "n", "", ""); got != "c b d" {
			t.Errorf("got %q", got)
		}
		if got := s.items("romeo", "n", "max_items='2'", ""); got != "b d" {
			t.Errorf("got %q", got)
		}
		if got := s.events("romeo"); got != ">n:b >n:a >n:c >n:b >n:d n-a" {
			t.Errorf("events %q", got)
		}
		_, whole := s.full("juliet", "get", pubsub("<items node='n'><item id='d'/><item id='nope'/><item id='c'/><item id='d'/></items>"))
		if d, c := strings.Index(whole, "id='d'"), strings.Index(whole, "id='c'"); d < 0 || c < d || strings.Count(whole, "<item ") != 2 {
			t.Errorf("by id: %s", whole)
		}
		// Fewer are kept at once (OPT-9).
		s.ask("juliet", "set", configure("n", "max_items=1"))
		if got := s.items("juliet", "n", "", ""); got != "d" || fmt.Sprint(index(t, s, "n")) != "[d]" {
			t.Errorf("got %q, kept %v", got, index(t, s, "n"))
		}
		s.ask("juliet", "set", configure("n", "max_items=max"))
		if got := s.items("juliet", "n", "", ""); got != "d" {
			t.Errorf("got %q", got)
		}
		s.ask("juliet", "set", configure("n", "persist_items=0"))
		s.ask("juliet", "set", configure("n", "persist_items=1"))
		if got := s.items("juliet", "n", "", ""); got != "" {
			t.Errorf("got %q", got)
		}
	})
}

// TestPages: all pages together are each item once, forwards and backwards (S-8, ITM-5,
// ITM-6).
func TestPages(t *testing.T) {
	t.Parallel()
	play(t, func(a *assembly) { a.opt.PerMinute = -1 }, func(s *stage) {
		for i := range 25 {
			s.publish("n", strconv.Itoa(i), "max_items=max")
		}
		rsm := func(inner string) string { return "<set xmlns='http://jabber.org/protocol/rsm'>" + inner + "</set>" }
		if got := s.items("juliet", "n", "", rsm("<max>0</max>")); got != "count=25" {
			t.Errorf("count: %q", got)
		}
		if got := s.items("juliet", "n", "", rsm("<max>3</max>")); got != "0 1 2 first=1@0 last=3 count=25" {
			t.Errorf("first page: %q", got)
		}
		if got := s.items("juliet", "n", "", rsm("<max>3</max><before/>")); got != "22 23 24 first=23@22 last=25 count=25" {
			t.Errorf("last page: %q", got)
		}
		// Publishing the first again moves it to the end; paging is not disturbed.
		s.publish("n", "1")
		s.ask("juliet", "set", pubsub("<retract node='n'><item id='2'/></retract>"))
		if got := s.items("juliet", "n", "", rsm("<max>2</max><after>3</after>")); got != "3 4 first=4@1 last=5 count=24" {
			t.Errorf("next page: %q", got)
		}
		for _, back := range []bool{false, true} {
			seen := make(map[string]int)
			at := ""
			for range 20 {
				q := "<max>4</max>"
				switch {
				case back && at == "":
					q += "<before/>"
				case back:
					q += "<before>" + at + "</before>"
				case at != "":
					q += "<after>" + at + "</after>"
				}
				fields := strings.Fields(s.items("juliet", "n", "", rsm(q)))
				if len(fields) == 1 {
					break
				}
				for _, f := range fields {
					name, v, ok := strings.Cut(f, "=")
					switch {
					case !ok:
						seen[f]++
					case name == "last" && !back:
						at = v
					case name == "first" && back:
						at, _, _ = strings.Cut(v, "@")
					}
				}
			}
			if len(seen) != 24 || slices.ContainsFunc([]string{"0", "1", "24"}, func(id string) bool { return seen[id] != 1 }) {
				t.Errorf("back %t: %v", back, seen)
			}
		}
	})
}

// TestCut: what is too much for one answer is cut to the newest, and says so; the owner gets
// more (ITM-7).
func TestCut(t *testing.T) {
	t.Parallel()
	play(t, func(a *assembly) {
		a.opt.PerMinute = -1
		n := pep.Node{Name: "n", Config: pep.DefaultConfig(), Seq: 1200}
		n.Config.MaxItems = pep.Max
		writes := []mux.Write{a.store.PutNode(addr("juliet@example.net"), n)}
		var c pep.Change
		for i := range uint64(1200) {
			c.Put = append(c.Put, pep.Item{Entry: pep.Entry{ID: fmt.Sprint(i), Seq: i + 1, At: time.Now()}, Payload: "<x xmlns='urn:x'/>"})
		}
		c.Seq = 1200
		apply(t, append(writes, a.store.Change(addr("juliet@example.net"), "n", c))...)
	}, func(s *stage) {
		for name, want := range map[string]int{"romeo": 500, "juliet": 1000} {
			l := strings.Fields(s.items(name, "n", "", ""))
			tail := l[len(l)-3:]
			if len(l) != want+3 || l[want-1] != "1199" || tail[2] != "count=1200" || tail[0] != fmt.Sprintf("first=%d@%d", 1201-want, 1200-want) {
				t.Errorf("%s got %d: … %v", name, len(l), l[len(l)-5:])
			}
		}
		if got := s.items("romeo", "n", "max_items='2'", ""); got != "1198 1199" {
			t.Errorf("got %q", got)
		}
	})
}

// TestCompare: preconditions are compared by what they mean (S-30, OPT-1 to OPT-4).
func TestCompare(t *testing.T) {
	t.Parallel()
	play(t, nil, func(s *stage) {
		s.publish("n", "1", "max_items=max", "persist_items=1", "access_model=roster", "roster_groups_allowed=B,A")
		for option, want := range map[string]string{
			"max_items=max":                  "",
			"max_items=10000":                "cancel/conflict/precondition-not-met",
			"persist_items=true":             "",
			"persist_items=0":                "cancel/conflict/precondition-not-met",
			"roster_groups_allowed=A,B":      "",
			"roster_groups_allowed=A":        "cancel/conflict/precondition-not-met",
			"send_last_published_item=never": "cancel/conflict/precondition-not-met",
			"item_expire=max":                "",
			"title=":                         "",
			"title=x":                        "cancel/conflict/precondition-not-met",
			"max_payload_size=253952":        "",
			"node_type=leaf":                 "",
			"node_type=collection":           "cancel/conflict/precondition-not-met",
			"notify_config=false":            "",
			"deliver_payloads=1":             "",
			"publish_model=open":             "cancel/conflict/precondition-not-met",
			"send_last_published_item=on_sub_and_presence": "",
		} {
			if got := s.ask("juliet", "set", publication("n", "2", option)); got != want {
				t.Errorf("%s: got %q, want %q", option, got, want)
			}
		}
		_, whole := s.full("juliet", "get", owner("<configure node='n'/>"))
		for _, want := range []string{"type='form'", "<value>max</value>", "pubsub:integer-or-max", "<value>A</value><value>B</value>", "<value>http://jabber.org/protocol/pubsub#node_config</value>"} {
			if !strings.Contains(whole, want) {
				t.Errorf("no %s in %s", want, whole)
			}
		}
		// A part changes only what it says; cancel changes nothing.
		s.ask("juliet", "set", configure("n", "title=New"))
		s.ask("juliet", "set", strings.Replace(configure("n", "title=Newer"), "submit", "cancel", 1))
		_, whole = s.full("juliet", "get", owner("<configure node='n'/>"))
		if !strings.Contains(whole, "<value>New</value>") || !strings.Contains(whole, "<value>roster</value>") {
			t.Errorf("got %s", whole)
		}
	})
}

// TestExpire: items that are too old are not there (OPT-15).
func TestExpire(t *testing.T) {
	t.Parallel()
	play(t, nil, func(s *stage) {
		s.publish("n", "1", "item_expire=60", "max_items=max")
		s.sleep(30 * time.Second)
		s.publish("n", "2")
		s.sleep(30 * time.Second)
		if got := s.items("juliet", "n", "", ""); got != "2" {
			t.Errorf("got %q", got)
		}
		if got := s.ask("juliet", "set", pubsub("<retract node='n'><item id='1'/></retract>")); got != "cancel/item-not-found" {
			t.Errorf("retract: %q", got)
		}
		s.sleep(30 * time.Second)
		s.there("romeo", "n")
		s.there("juliet", "n")
		if r, j := s.events("romeo"), s.events("juliet"); r+j != "" {
			t.Errorf("romeo got %q, juliet %q", r, j)
		}
		s.publish("n", "3")
		if got := index(t, s, "n"); fmt.Sprint(got) != "[3]" {
			t.Errorf("kept %v", got)
		}
	})
}

// TestTransient: a node that keeps nothing has a last item all the same, and one that only
// tells has events without items (PUB-14).
func TestTransient(t *testing.T) {
	t.Parallel()
	play(t, nil, func(s *stage) {
		s.publish("n", "1", "persist_items=0")
		s.there("juliet", "n", "told")
		if got := s.events("juliet"); got != "~n:1" {
			t.Errorf("juliet got %q", got)
		}
		// Contacts get it as well, once, as long as it is there.
		s.there("romeo", "n")
		s.farThere("benvolio@example.org/1", "n")
		if r, b := s.events("romeo"), s.events("benvolio@example.org"); r != "~n:1" || b != "~n:1" {
			t.Errorf("romeo got %q, benvolio %q", r, b)
		}
		s.who("romeo").Send("<presence type='unavailable'/>")
		s.there("romeo", "n")
		s.publish("n", "2")
		if got := s.events("romeo"); got != "~n:1 >n:2" {
			t.Errorf("romeo got %q", got)
		}
		s.events("juliet")
		s.who("juliet").Close()
		delete(s.on, "juliet")
		s.there("romeo/2", "n")
		if got := s.events("romeo/2"); got != "" {
			t.Errorf("of an account out of use romeo got %q", got)
		}
		s.there("juliet", "told")
		s.ask("juliet", "set", pubsub("<create node='told'/><configure>"+form("node_config", "persist_items=0", "deliver_payloads=0")+"</configure>"))
		s.ask("juliet", "set", pubsub("<publish node='told'/>"))
		if got := s.events("juliet"); got != ">" {
			t.Errorf("juliet got %q", got)
		}
		// Items are kept, but not sent.
		s.publish("kept", "1", "deliver_payloads=0")
		s.there("romeo", "kept")
		s.events("romeo")
		s.publish("kept", "2")
		for _, el := range s.who("romeo").Arrived() {
			if strings.Contains(el, "urn:x") || !strings.Contains(el, "<item id='2'/>") {
				t.Errorf("romeo got %s", el)
			}
		}
	})
}
