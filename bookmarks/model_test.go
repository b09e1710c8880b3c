package bookmarks_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/propolis-im/propolis/bookmarks"
	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
)

// model is what bookmarks should be.
type model struct {
	order []string // as published
	rooms map[string]room
	pages []string
}

type room struct {
	name     string
	autojoin bool
	ext      string
}

// put notes what was published.
func (m *model) put(id string, r room) {
	m.drop(id)
	m.order, m.rooms[id] = append(m.order, id), r
}

func (m *model) drop(id string) {
	for i, o := range m.order {
		if o == id {
			m.order = append(m.order[:i:i], m.order[i+1:]...)
		}
	}
	delete(m.rooms, id)
}

// list is the old list.
func (m *model) list() string {
	var b strings.Builder
	for _, id := range m.order {
		r := m.rooms[id]
		fmt.Fprintf(&b, "<conference jid='%s'%s>%s</conference>", id, r.attrs(), r.inner())
	}
	for _, p := range m.pages {
		fmt.Fprintf(&b, "<url url='%s'/>", p)
	}
	return list(b.String())
}

func (r room) attrs() (s string) {
	if r.name != "" {
		s += " name='" + r.name + "'"
	}
	if r.autojoin {
		s += " autojoin='true'"
	}
	return s
}

func (r room) inner() string {
	if r.ext == "" {
		return ""
	}
	return "<x xmlns='urn:x'>" + r.ext + "</x>"
}

func (r room) payload() string {
	s := "<conference " + ns + r.attrs() + ">"
	if r.ext != "" {
		s += "<extensions>" + r.inner() + "</extensions>"
	}
	return s + "</conference>"
}

// write is an old list that a client writes: what it read, changed in places, some of it
// without what it does not know.
func (m *model) write(rnd *rand.Rand) string {
	var b strings.Builder
	forgets := rnd.IntN(2) == 0
	was := maps.Clone(m.rooms)
	for _, id := range append([]string(nil), m.order...) {
		r, old := m.rooms[id], m.rooms[id]
		switch rnd.IntN(6) {
		case 0:
			m.drop(id)
			continue
		case 1:
			r.name = fmt.Sprint("n", rnd.IntN(100))
		case 2:
			r.autojoin = !r.autojoin
		}
		if r != old {
			m.put(id, r)
		}
		inner := r.inner()
		if forgets {
			inner = ""
		}
		fmt.Fprintf(&b, "<conference jid='%s'%s>%s</conference>", strings.ToUpper(id), r.attrs(), inner)
	}
	if id := fmt.Sprintf("new%d@x.example", rnd.IntN(5)); rnd.IntN(2) == 0 {
		if _, had := was[id]; !had {
			m.put(id, room{})
			fmt.Fprintf(&b, "<conference jid='%s'/>", id)
		}
	}
	m.pages = nil
	for range rnd.IntN(3) {
		m.pages = append(m.pages, fmt.Sprint("u:", rnd.IntN(9)))
	}
	for _, p := range m.pages {
		fmt.Fprintf(&b, "<url url='%s'/>", p)
	}
	return list(b.String())
}

// TestModel: whatever clients of the three kinds do, in any order, all see the same.
func TestModel(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			play(t, nil, func(s *stage) { // s.t is the bubble's
				rnd := rand.New(rand.NewPCG(seed, 0))
				m := &model{rooms: make(map[string]room)}
				c := s.h.Connect(t, phone)
				s.ask(c, "set", publication(bookmarks.NSLegacy, "current", list(""))) // there is a node
				for step := range 60 {
					what := ""
					switch rnd.IntN(6) {
					case 0, 1:
						id, r := fmt.Sprintf("r%d@x.example", rnd.IntN(6)), room{fmt.Sprint("m", rnd.IntN(100)), rnd.IntN(2) == 0, fmt.Sprint(rnd.IntN(3))}
						m.put(id, r)
						what = publication(bookmarks.NS, id, r.payload())
						s.ask(c, "set", what)
					case 2:
						if len(m.order) > 0 {
							id := m.order[rnd.IntN(len(m.order))]
							m.drop(id)
							what = "<pubsub xmlns='http://jabber.org/protocol/pubsub'><retract node='urn:xmpp:bookmarks:1'><item id='" + id + "'/></retract></pubsub>"
							s.ask(c, "set", what)
						}
					case 3:
						what = xmlPrivate(m.write(rnd))
						s.ask(c, "set", what)
					case 4:
						what = publication(bookmarks.NSLegacy, "x", m.write(rnd))
						s.ask(c, "set", what)
					case 5:
						if rnd.IntN(4) == 0 {
							s.h.Restart(s.extensions()...)
							c = s.h.Connect(t, phone)
						}
					}
					s.same(c, m)
					if s.t.Failed() {
						s.t.Fatalf("after step %d: %s", step, what)
					}
				}
			})
		})
	}
}

// same compares what all see with the model.
func (s *stage) same(c *muxtest.Client, m *model) {
	s.t.Helper()
	want := m.list()
	got := s.ask(c, "get", xmlPrivate(empty))
	if err := muxtest.Match(xmlPrivate(want), got, nil); err != nil {
		s.t.Errorf("private XML has %s: %v", got, err)
	}
	got = s.ask(c, "get", read(bookmarks.NSLegacy))
	node := "<pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='storage:bookmarks'><item id='current'>" + want + "</item></items></pubsub>"
	if err := muxtest.Match(node, got, nil); err != nil {
		s.t.Errorf("the old node has %s: %v", got, err)
	}
	st, err := mux.Parse([]byte(s.ask(c, "get", read(bookmarks.NS))))
	if err != nil {
		s.t.Fatalf("%v", err)
	}
	items, err := st.Children()[0].Element()
	if err != nil {
		s.t.Fatalf("%v", err)
	}
	if len(items.Children()) != len(m.order) {
		s.t.Errorf("there are %d items, not %d", len(items.Children()), len(m.order))
		return
	}
	for i, k := range items.Children() {
		want := "<item xmlns='http://jabber.org/protocol/pubsub' id='" + m.order[i] + "'>" + m.rooms[m.order[i]].payload() + "</item>"
		el, _ := mux.NewChild(k)
		if err := muxtest.Match(want, el.Raw(), nil); err != nil {
			s.t.Errorf("item %d is %s: %v", i, el.Raw(), err)
		}
	}
}
