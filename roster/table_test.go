package roster_test

import (
	"strings"
	"testing"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/roster"
)

// TestTable compares the state machine with the tables of RFC 6121 App. A, cell
// by cell.
func TestTable(t *testing.T) {
	t.Parallel()
	for _, dir := range []struct {
		name    string
		rows    []subscriptionRow
		outward bool
	}{{"out", outRows, true}, {"in", inRows, false}} {
		for _, r := range dir.rows {
			for i, m := range moves {
				state, does := splitCell(r.want[i])
				now, routed, delivered, auto, changed := roster.Step(itemIn(r.state), dir.outward, m, request)
				if got := nameOf(now); got != state {
					t.Errorf("%s %s %s: state %s, want %s", r.id, dir.name, m, got, state)
				}
				if routed != does("route") || delivered != does("deliver") || auto != does("auto") || changed != does("push") {
					t.Errorf("%s %s %s: route %t, deliver %t, auto %t, push %t, want %s", r.id, dir.name, m, routed, delivered, auto, changed, r.want[i])
				}
			}
		}
	}
}

// FuzzStates has two accounts say things to each other about subscriptions, one
// at a time. No impossible state is ever reached, and the two always agree on who
// sees whom and who asks.
func FuzzStates(f *testing.F) {
	f.Add([]byte{0, 6, 1, 7})
	f.Add([]byte{2, 4, 0, 6, 3, 1})
	f.Add([]byte{0, 0, 4, 4, 2, 6, 1, 5, 3, 7})
	f.Fuzz(func(t *testing.T, script []byte) {
		items := [2]roster.Item{{JID: romeo}, {JID: juliet}} // what juliet has of romeo, and the reverse
		for _, b := range script {
			say(t, &items, int(b>>2)&1, moves[b&3], true)
			j, r := items[0], items[1]
			for _, p := range [2][2]roster.Item{{j, r}, {r, j}} {
				if p[0].Subscription&roster.To != 0 != (p[1].Subscription&roster.From != 0) || p[0].Ask != (p[1].In != "") {
					t.Fatalf("%s and %s do not agree after %v", nameOf(j), nameOf(r), script)
				}
			}
		}
	})
}

// say is one stanza of an account, and what follows from it.
func say(t *testing.T, items *[2]roster.Item, who int, m string, outward bool) {
	other := 1 - who
	if outward {
		now, routed, _, _, _ := roster.Step(items[who], true, m, "")
		items[who] = now
		if routed {
			say(t, items, other, m, false)
		}
	} else {
		now, _, _, auto, _ := roster.Step(items[who], false, m, request)
		items[who] = now
		if auto {
			say(t, items, other, "subscribed", false)
		}
	}
	for _, i := range items {
		if i.In != "" && i.Subscription&roster.From != 0 || i.Ask && i.Subscription&roster.To != 0 ||
			i.Approved && (i.In != "" || i.Subscription&roster.From != 0) {
			t.Fatalf("impossible state %s", nameOf(i))
		}
	}
}

func FuzzSet(f *testing.F) {
	for _, s := range []string{
		"<query xmlns='jabber:iq:roster'><item jid='romeo@example.org' name='R'><group>a</group></item></query>",
		"<r:query xmlns:r='jabber:iq:roster'><r:item jid='romeo@example.org'><r:group>a<![CDATA[b]]></r:group></r:item></r:query>",
		"<query xmlns='jabber:iq:roster'><item jid='x' subscription='remove'/></query>",
		"<query xmlns='jabber:iq:roster'><item/><item/></query>",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := mux.Parse([]byte("<iq type='set' id='1'>" + text + "</iq>"))
		if err != nil || len(s.Children()) != 1 {
			return
		}
		c, err := roster.ParseSet(s.Children()[0].TokenReader(), roster.Defaults())
		if err != nil {
			return
		}
		jid, name, groups, remove := c.Fields()
		a, err := mux.ParseAddress(jid)
		if err != nil || !a.IsBare() || len(groups) > 20 && !remove {
			t.Fatalf("accepted %s", text)
		}
		// What is accepted can be written and read again.
		b := roster.AppendItem([]byte("<query xmlns='jabber:iq:roster'>"), &roster.Item{JID: a, Name: name, Groups: groups, Listed: true})
		again, err := mux.Parse([]byte("<iq type='set' id='1'>" + string(b) + "</query></iq>"))
		if err != nil {
			t.Fatalf("%s is written as %s: %v", text, b, err)
		}
		if c, err = roster.ParseSet(again.Children()[0].TokenReader(), roster.Defaults()); err != nil && !remove {
			t.Fatalf("%s is written as %s: %v", text, b, err)
		}
		if _, n, g, _ := c.Fields(); !remove && (n != name || strings.Join(g, "\n") != strings.Join(groups, "\n")) {
			t.Fatalf("%q %q became %q %q", name, groups, n, g)
		}
	})
}
