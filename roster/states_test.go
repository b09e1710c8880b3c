package roster_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
	"github.com/propolis-im/propolis/roster"
)

// subscriptionRow is a line of the tables of core-im §9: for subscribe,
// unsubscribe, subscribed and unsubscribed what becomes of the state, and whether
// the stanza is routed or delivered, answered by the server (auto) and the item
// pushed. What is sent of our presence follows from the state.
type subscriptionRow struct {
	id, state string
	want      [4]string
}

var moves = [4]string{"subscribe", "unsubscribe", "subscribed", "unsubscribed"}

var outRows = []subscriptionRow{
	{"SUB-1", "None", [4]string{"None+O route push", "None route", "None+A push", "None"}},
	{"SUB-2", "None+O", [4]string{"None+O route", "None route push", "None+O+A push", "None+O"}},
	{"SUB-3", "None+I", [4]string{"None+O+I route push", "None+I route", "From route push", "None route"}},
	{"SUB-4", "None+O+I", [4]string{"None+O+I route", "None+I route push", "From+O route push", "None+O route"}},
	{"SUB-5", "To", [4]string{"To route", "None route push", "To+A push", "To"}},
	{"SUB-6", "To+I", [4]string{"To+I route", "None+I route push", "Both route push", "To route"}},
	{"SUB-7", "From", [4]string{"From+O route push", "From route", "From", "None route push"}},
	{"SUB-8", "From+O", [4]string{"From+O route", "From route push", "From+O", "None+O route push"}},
	{"SUB-9", "Both", [4]string{"Both route", "From route push", "Both", "To route push"}},
	// With an approval in advance.
	{"SUB-1 approved", "None+A", [4]string{"None+O+A route push", "None+A route", "None+A", "None push"}},
	{"SUB-2 approved", "None+O+A", [4]string{"None+O+A route", "None+A route push", "None+O+A", "None+O push"}},
	{"SUB-5 approved", "To+A", [4]string{"To+A route", "None+A route push", "To+A", "To push"}},
}

var inRows = []subscriptionRow{
	{"SUB-11", "None", [4]string{"None+I deliver", "None", "None", "None"}},
	{"SUB-12", "None+O", [4]string{"None+O+I deliver", "None+O", "To deliver push", "None deliver push"}},
	{"SUB-13", "None+I", [4]string{"None+I", "None deliver", "None+I", "None+I"}},
	{"SUB-14", "None+O+I", [4]string{"None+O+I", "None+O deliver", "To+I deliver push", "None+I deliver push"}},
	{"SUB-15", "To", [4]string{"To+I deliver", "To", "To", "None deliver push"}},
	{"SUB-16", "To+I", [4]string{"To+I", "To deliver", "To+I", "None+I deliver push"}},
	{"SUB-17", "From", [4]string{"From auto", "None deliver push", "From", "From"}},
	{"SUB-18", "From+O", [4]string{"From+O auto", "None+O deliver push", "Both deliver push", "From deliver push"}},
	{"SUB-19", "Both", [4]string{"Both auto", "To deliver push", "Both", "From deliver push"}},
	// With an approval in advance, which is used up.
	{"SUB-11 approved", "None+A", [4]string{"From auto push", "None+A", "None+A", "None+A"}},
	{"SUB-12 approved", "None+O+A", [4]string{"From+O auto push", "None+O+A", "To+A deliver push", "None+A deliver push"}},
	{"SUB-15 approved", "To+A", [4]string{"Both auto push", "To+A", "To+A", "None+A deliver push"}},
}

const request = "<presence xmlns='jabber:client' from='romeo@example.org' to='juliet@example.net' type='subscribe' id='old'/>"

// itemIn is an item of romeo in a state.
func itemIn(name string) roster.Item {
	parts := strings.Split(name, "+")
	i := roster.Item{JID: romeo, Ver: 1, Listed: true, Subscription: map[string]roster.Subscription{
		"None": roster.None, "To": roster.To, "From": roster.From, "Both": roster.Both}[parts[0]]}
	i.Ask = slices.Contains(parts, "O")
	i.Approved = slices.Contains(parts, "A")
	if slices.Contains(parts, "I") {
		i.In = request
	}
	return i
}

// nameOf is the name of the state that an item is in.
func nameOf(i roster.Item) string {
	name := [...]string{"None", "To", "From", "Both"}[i.Subscription]
	for _, f := range []struct {
		on   bool
		name string
	}{{i.Ask, "+O"}, {i.In != "", "+I"}, {i.Approved, "+A"}} {
		if f.on {
			name += f.name
		}
	}
	return name
}

// scene is juliet with romeo in her roster, and three sessions: balcony is
// interested and available, chamber available, closet interested only.
type scene struct {
	h                        *muxtest.Host
	store                    *roster.Memory
	balcony, chamber, closet *muxtest.Client
	org                      *muxtest.Client
}

func newScene(t *testing.T, items ...roster.Item) *scene {
	s := &scene{store: new(roster.Memory)}
	for _, i := range items {
		apply(t, s.store.Put(juliet, i))
	}
	s.h = muxtest.New(t, &mux.Options{NoRecover: true, Committer: new(muxtest.Committer)}, extensions(s.store, nil)...)
	s.balcony, s.chamber, s.closet = s.h.Connect(t, "juliet@example.net/balcony"), s.h.Connect(t, "juliet@example.net/chamber"), s.h.Connect(t, "juliet@example.net/closet")
	s.org = s.h.DialDomain(t, mux.Server, "example.org")
	const get = "<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>"
	s.balcony.Send(get, "<presence/>")
	s.chamber.Send("<presence/>")
	s.closet.Send(get)
	s.clear()
	return s
}

func (s *scene) clear() {
	s.h.Routed("example.org")
	for _, c := range []*muxtest.Client{s.balcony, s.chamber, s.closet} {
		c.Clear()
	}
}

// brief says what an element is, in few words.
func brief(el string) string {
	s, err := mux.Parse([]byte(el))
	switch {
	case err != nil:
		return el
	case s.Kind() == mux.IQ && len(s.Children()) == 1 && s.Children()[0].Name.Space == roster.NS:
		return "push"
	case s.Type() == "":
		return s.Kind().String() + " from " + s.From().Resource()
	case s.Type() == "unavailable":
		return "unavailable from " + s.From().Resource()
	case s.From().IsBare():
		return s.Type()
	}
	return s.Type() + " from a full address"
}

func briefs(els []string) (list []string) {
	for _, el := range els {
		list = append(list, brief(el))
	}
	return list
}

// lastState splits a cell of the tables.
func splitCell(cell string) (state string, does func(string) bool) {
	words := strings.Fields(cell)
	return words[0], func(w string) bool { return slices.Contains(words[1:], w) }
}

func hasFrom(state string) bool {
	return strings.HasPrefix(state, "From") || strings.HasPrefix(state, "Both")
}

// TestStates goes through every cell of the subscription tables, in a real mux.
func TestStates(t *testing.T) {
	t.Parallel()
	for _, dir := range []string{"out", "in"} {
		for _, r := range map[string][]subscriptionRow{"out": outRows, "in": inRows}[dir] {
			for i, m := range moves {
				t.Run(fmt.Sprintf("%s/%s/%s", dir, strings.ReplaceAll(r.id, " ", "_"), m), func(t *testing.T) {
					t.Parallel()
					items := []roster.Item{itemIn(r.state)}
					if r.state == "None" || r.state == "None+I" {
						not := items[0] // not in what clients see
						not.Listed, not.Ver = false, 0
						items = append(items, not)
					}
					for _, item := range items {
						synctest.Test(t, func(t *testing.T) { checkCell(t, dir == "out", item, m, r.want[i]) })
					}
				})
			}
		}
	}
}

func checkCell(t *testing.T, outward bool, item roster.Item, m, cell string) {
	var start []roster.Item
	if item.Listed || item.In != "" {
		start = append(start, item)
	}
	s := newScene(t, start...)
	before := kept(t, s.store, juliet)
	if outward {
		s.balcony.Send("<presence type='" + m + "' to='romeo@example.org/orchard' id='new'/>")
	} else {
		s.org.Send("<presence from='romeo@example.org/orchard' to='juliet@example.net/any' type='" + m + "' id='new'><x xmlns='urn:x'/></presence>")
	}
	state, does := splitCell(cell)

	// What is kept.
	after := kept(t, s.store, juliet)
	got := roster.Item{JID: romeo}
	if len(after.Items) > 0 {
		got = after.Items[0]
	}
	if nameOf(got) != state {
		t.Errorf("state %s, want %s", nameOf(got), state)
	}
	if changed := after.Ver != before.Ver; changed != does("push") {
		t.Errorf("version %d after %d", after.Ver, before.Ver)
	}
	if !got.Listed && (got.Subscription != 0 || got.Ask || got.Approved) {
		t.Error("not listed")
	}
	if !outward && m == "subscribe" && got.In != "" && !strings.Contains(got.In, "<x xmlns='urn:x'/>") {
		t.Errorf("kept request: %s", got.In)
	}

	// What romeo is told, in order.
	var routed []string
	was, is := hasFrom(nameOf(item)), hasFrom(state)
	if was && !is {
		routed = append(routed, "unavailable from balcony", "unavailable from chamber")
	}
	if does("route") {
		routed = append(routed, m)
	}
	if does("auto") {
		routed = append(routed, "subscribed")
	}
	if is && !was || does("auto") {
		routed = append(routed, "presence from balcony", "presence from chamber")
	}
	if got := briefs(s.h.Routed("example.org")); !slices.Equal(got, routed) {
		t.Errorf("romeo got %q, want %q", got, routed)
	}

	// What the sessions get, in order.
	for _, c := range []struct {
		name                  string
		client                *muxtest.Client
		available, interested bool
	}{{"balcony", s.balcony, true, true}, {"chamber", s.chamber, true, false}, {"closet", s.closet, false, true}} {
		var want []string
		if does("deliver") && (m == "subscribe" && c.available || m != "subscribe" && c.interested) {
			want = append(want, m)
		}
		if does("push") && c.interested {
			want = append(want, "push")
		}
		if got := briefs(c.client.Arrived()); !slices.Equal(got, want) {
			t.Errorf("%s got %q, want %q", c.name, got, want)
		}
	}
}
