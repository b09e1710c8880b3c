package pep_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/propolis-im/propolis/mux"
)

// far says presence for somebody at example.org, whose stream is connected if need be.
func (s *stage) far(from, attrs, children string) {
	s.t.Helper()
	s.farAway().Send("<presence from='" + from + "' to='juliet@example.net'" + attrs + ">" + children + "</presence>")
}

// farThere makes somebody at example.org available, with nodes that are wanted.
func (s *stage) farThere(from string, nodes ...string) {
	s.t.Helper()
	s.far(from, "", "<c xmlns='x:caps'>"+strings.Join(nodes, " ")+"</c>")
}

// forget drops what has arrived for anybody.
func (s *stage) forget() {
	for _, c := range s.on {
		c.Clear()
	}
	s.h.Routed("example.org")
	clear(s.kept)
}

// sent takes all events that have arrived for anybody, each as address and event in short, in
// the order of addresses.
func (s *stage) sent() []string {
	s.t.Helper()
	var all, l []string
	for name, c := range s.on {
		all = append(append(all, s.kept[name]...), c.Arrived()...)
	}
	all = append(append(all, s.kept["far"]...), s.h.Routed("example.org")...)
	s.forget()
	for _, el := range all {
		if st, err := mux.Parse([]byte(el)); err == nil && st.Kind() == mux.Message {
			l = append(l, strings.TrimSuffix(st.To().String(), "@example.net/1")+" "+shortEvent(st))
		}
	}
	slices.Sort(l)
	return l
}

// subscribe subscribes somebody to n, by an address.
func (s *stage) subscribe(name, jid string, options ...string) {
	s.t.Helper()
	o := ""
	if len(options) > 0 {
		o = "<options>" + form("subscribe_options", options...) + "</options>"
	}
	if got := s.ask(name, "set", pubsub("<subscribe node='n' jid='"+jid+"'/>"+o)); got != "" {
		s.t.Errorf("%s subscribes: %s", jid, got)
	}
}

// affiliate makes somebody something at n.
func (s *stage) affiliate(jid, as string) {
	s.t.Helper()
	if got := s.ask("juliet", "set", owner("<affiliations node='n'><affiliation jid='"+jid+"' affiliation='"+as+"'/></affiliations>")); got != "" {
		s.t.Errorf("%s as %s: %s", jid, as, got)
	}
}

func (s *stage) block(name, jid string) {
	s.t.Helper()
	s.who(name).Send("<iq type='set' id='block'><block xmlns='urn:xmpp:blocking'><item jid='" + jid + "'/></block></iq>")
}

// row is one or several cells of the routing decision table: a node, what was before,
// and all that is sent when juliet publishes. Local addresses that end in /1 are names.
type row struct {
	name   string
	opt    func(a *assembly)
	node   []string // options of the node; it is presence if they say nothing else
	before func(s *stage)
	want   []string
}

func strangers(a *assembly) { a.opt.Strangers = true }

// models are all access models, with what they need.
var models = [][]string{{"access_model=open"}, {"access_model=presence"}, {"access_model=roster", "roster_groups_allowed=Family"}, {"access_model=whitelist"}, {"access_model=authorize"}}

var (
	open      = []string{"access_model=open"}
	whitelist = []string{"access_model=whitelist"}
	authorize = []string{"access_model=authorize"}
	family    = []string{"access_model=roster", "roster_groups_allowed=Family"}
	byGroups  = []string{"access_model=roster", "roster_groups_allowed=Family,Lovers"}
	based     = []string{"presence_based_delivery=1"}
)

// ownRows are R1 to R3.
func ownRows() (l []row) {
	l = []row{
		{"R1 a blocked contact", nil, open, func(s *stage) {
			s.there("romeo", "n")
			s.farThere("benvolio@example.org/1", "n")
			s.block("juliet", "romeo@example.net")
			s.block("juliet", "benvolio@example.org")
		}, nil},
		{"R1 a blocked resource, and one that is not", nil, open, func(s *stage) {
			s.farThere("benvolio@example.org/1", "n")
			s.farThere("benvolio@example.org/2", "n")
			s.block("juliet", "benvolio@example.org/2")
		}, []string{"benvolio@example.org/1 >n:2"}},
		{"R1 a blocked resource here", nil, nil, func(s *stage) {
			s.there("romeo", "n")
			s.there("romeo/2", "n")
			s.subscribe("romeo", "romeo@example.net")
			s.block("juliet", "romeo@example.net/2")
		}, []string{"romeo >n:2"}},
		{"R1 a blocked domain", nil, open, func(s *stage) {
			s.farThere("benvolio@example.org/1", "n")
			s.farThere("rosaline@example.org/1", "n")
			s.subscribe("stranger@example.org", "stranger@example.org")
			s.block("juliet", "example.org")
		}, nil},
		{"R1 a blocked subscriber", nil, open, func(s *stage) {
			s.subscribe("romeo", "romeo@example.net/1")
			s.subscribe("stranger@example.org", "stranger@example.org")
			s.block("juliet", "romeo@example.net")
			s.block("juliet", "stranger@example.org")
		}, nil},
		{"R1 outcasts", nil, open, func(s *stage) {
			s.there("romeo", "n")
			s.subscribe("stranger@example.org", "stranger@example.org")
			s.subscribe("nurse", "nurse@example.net/1")
			for _, jid := range []string{"romeo@example.net", "stranger@example.org", "nurse@example.net"} {
				s.affiliate(jid, "outcast")
			}
		}, nil},
		{"R3 no interest, no presence, not any more", nil, nil, func(s *stage) {
			s.there("juliet/2", "other")
			s.who("juliet/3")
			s.who("juliet/4").Send("<presence/>")
			s.there("juliet/5", "n").Send("<presence type='unavailable'/>")
			s.there("juliet/6", "n").Send("<presence><c xmlns='x:caps'>other</c></presence>")
			s.there("juliet/7", "n").Close()
			delete(s.on, "juliet/7")
		}, nil},
	}
	for _, model := range models {
		l = append(l, row{"R2 own, also who publishes and with a negative priority: " + model[0], nil, model, func(s *stage) {
			s.there("juliet", "n")
			s.who("juliet/2").Send("<presence><priority>-1</priority><c xmlns='x:caps'>n</c></presence>")
			s.who("juliet/3").Send("<presence><show>dnd</show><c xmlns='x:caps'>n</c></presence>")
		}, []string{"juliet >n:2", "juliet@example.net/2 >n:2", "juliet@example.net/3 >n:2"}})
	}
	return l
}

// contactRows are R6 to R12, R18 to R21 as far as they are about a publication.
func contactRows() []row {
	all := func(s *stage) { // romeo: Lovers, nurse: Family, benvolio: no group
		s.there("romeo", "n")
		s.there("romeo/2", "n", "other")
		s.there("romeo/3", "other")
		s.who("romeo/4")
		s.there("nurse", "n")
		s.farThere("benvolio@example.org/1", "n")
		s.farThere("benvolio@example.org/2", "n")
		s.farThere("benvolio@example.org/3", "other")
	}
	romeo := []string{"romeo >n:2", "romeo@example.net/2 >n:2"}
	everybody := append([]string{"benvolio@example.org/1 >n:2", "benvolio@example.org/2 >n:2", "nurse >n:2"}, romeo...)
	return []row{
		{"R6 open", nil, open, all, everybody},
		{"R6 presence", nil, nil, all, everybody},
		{"R6 the owner is there, and gets their presence", nil, nil, func(s *stage) {
			s.there("juliet", "other")
			all(s)
		}, everybody},
		{"R7 in the group", nil, family, all, []string{"nurse >n:2"}},
		{"R7 in either group", nil, byGroups, all, append([]string{"nurse >n:2"}, romeo...)},
		{"R7 in the group, but not both", nil, family, func(s *stage) { s.there("tybalt", "n") }, nil},
		{"R7 moved into the group", nil, family, func(s *stage) {
			s.farThere("benvolio@example.org/1", "n")
			s.who("juliet").Send("<iq type='set' id='r'><query xmlns='jabber:iq:roster'><item jid='benvolio@example.org'><group>Family</group></item></query></iq>")
		}, []string{"benvolio@example.org/1 >n:2"}},
		{"R8 members and publishers", nil, whitelist, func(s *stage) {
			all(s)
			s.affiliate("romeo@example.net", "member")
			s.affiliate("benvolio@example.org", "publisher")
		}, append([]string{"benvolio@example.org/1 >n:2", "benvolio@example.org/2 >n:2"}, romeo...)},
		{"R8 approved", nil, authorize, func(s *stage) {
			all(s)
			s.subscribe("romeo", "romeo@example.net")
			s.ask("juliet", "set", owner("<subscriptions node='n'><subscription jid='romeo@example.net' subscription='subscribed'/></subscriptions>"))
		}, romeo},
		{"R9 not on the whitelist", nil, whitelist, all, nil},
		{"R9 not approved", nil, authorize, func(s *stage) {
			all(s)
			s.subscribe("romeo", "romeo@example.net") // pending
		}, nil},
		{"R9 in no group", nil, []string{"access_model=roster", "roster_groups_allowed=Enemies"}, all, nil},
		{"R10 sees the owner, and does not show itself", nil, open, func(s *stage) {
			s.there("paris", "n")
			s.farThere("mercutio@example.org/1", "n")
		}, nil},
		{"R10 nor while strangers get events", strangers, open, func(s *stage) {
			s.there("paris", "n")
			s.there("lady", "n")
		}, nil},
		{"R10, R11 here, with directed presence", strangers, open, func(s *stage) {
			for _, name := range []string{"paris", "lady"} {
				s.who(name).Send("<presence to='juliet@example.net'><c xmlns='x:caps'>n</c></presence>")
			}
			s.there("paris/2", "n")
		}, []string{"lady n:2", "paris >n:2"}},
		{"R11 shows itself, and does not see the owner", nil, open, func(s *stage) {
			s.there("tybalt", "n")
			s.farThere("rosaline@example.org/1", "n")
			s.farThere("rosaline@example.org/2", "n")
		}, []string{"rosaline@example.org/1 n:2", "rosaline@example.org/2 n:2", "tybalt n:2"}},
		{"R11 until unavailable", nil, open, func(s *stage) {
			s.there("tybalt", "n").Send("<presence type='unavailable'/>")
			s.farThere("rosaline@example.org/1", "n")
			s.far("rosaline@example.org/1", " type='unavailable'", "")
		}, nil},
		{"R11 strangers, not unless that is switched on", nil, open, func(s *stage) {
			s.farThere("stranger@example.org/1", "n")
			s.who("paris").Send("<presence to='juliet@example.net'><c xmlns='x:caps'>n</c></presence>")
		}, nil},
		{"R11 strangers, switched on", strangers, open, func(s *stage) {
			s.farThere("stranger@example.org/1", "n")
			s.farThere("other@example.org/1", "n")
			s.far("other@example.org/1", " type='unavailable'", "")
		}, []string{"stranger@example.org/1 n:2"}},
		{"R12 presence", strangers, nil, notBoth, nil},
		{"R12 roster", strangers, family, notBoth, nil},
		{"R12 whitelist", strangers, whitelist, notBoth, nil},
		{"R12 authorize", strangers, authorize, notBoth, nil},
		{"R19 what comes back for good, and for now", nil, nil, func(s *stage) {
			for _, r := range []string{"/1", "/2", "/3"} {
				s.farThere("benvolio@example.org"+r, "n")
			}
			s.publish("n", "0")
			for r, typ := range map[string]string{"/1": "wait", "/2": "cancel"} {
				s.farAway().Send("<message type='error' id='pep-x' from='benvolio@example.org" + r + "' to='juliet@example.net'><error type='" + typ +
					"'><remote-server-timeout xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>")
			}
		}, []string{"benvolio@example.org/1 >n:2", "benvolio@example.org/3 >n:2"}},
		{"R21 the contact has blocked the owner", nil, nil, func(s *stage) {
			all(s)
			s.block("romeo", "juliet@example.net")
		}, []string{"benvolio@example.org/1 >n:2", "benvolio@example.org/2 >n:2", "nurse >n:2"}},
	}
}

// notBoth are those who show themselves without seeing the owner.
func notBoth(s *stage) {
	s.there("tybalt", "n")
	s.farThere("rosaline@example.org/1", "n")
	s.farThere("stranger@example.org/1", "n")
}

// subscriberRows are R5 and R13 to R16.
func subscriberRows() []row {
	return []row{
		{"R5 a full address, interested or not, there or not", nil, nil, func(s *stage) {
			s.who("paris")
			s.subscribe("paris", "paris@example.net/1")
			s.there("romeo/2", "n")
			s.subscribe("romeo/2", "romeo@example.net/2") // once
			s.subscribe("benvolio@example.org", "benvolio@example.org/7")
		}, []string{"benvolio@example.org/7 >n:2", "paris >n:2", "romeo@example.net/2 >n:2"}},
		{"R5 not without presence, if the node says so", nil, based, func(s *stage) {
			s.subscribe("romeo", "romeo@example.net/1")
			s.there("romeo/2")
			s.subscribe("romeo", "romeo@example.net/2")
			s.subscribe("benvolio@example.org", "benvolio@example.org/7")
			s.farThere("benvolio@example.org/8", "other")
			s.subscribe("benvolio@example.org", "benvolio@example.org/8")
		}, []string{"benvolio@example.org/8 >n:2", "romeo@example.net/2 >n:2"}},
		{"R5 whose presence the owner gets, and whose it does not", nil, []string{"access_model=open", "presence_based_delivery=1"}, func(s *stage) {
			for _, name := range []string{"romeo", "tybalt", "paris", "lady"} {
				s.there(name, "other")
				s.subscribe(name, name+"@example.net/1")
			}
		}, []string{"romeo >n:2", "tybalt n:2"}},
		{"R5 not without presence, if it is temporary", nil, nil, func(s *stage) {
			s.subscribe("romeo", "romeo@example.net/1", "expire=presence")
			s.subscribe("benvolio@example.org", "benvolio@example.org/7", "expire=presence")
		}, nil},
		{"R5 access is lost", nil, open, func(s *stage) {
			s.subscribe("stranger@example.org", "stranger@example.org/1")
			s.ask("juliet", "set", configure("n", "access_model=presence"))
		}, nil},
		{"R13 those that are interested, not the bare address", nil, nil, func(s *stage) {
			s.there("romeo", "n")
			s.there("romeo/2", "n")
			s.there("romeo/3", "other")
			s.subscribe("romeo", "romeo@example.net")
			s.farThere("benvolio@example.org/1", "n")
			s.farThere("benvolio@example.org/2", "other")
			s.subscribe("benvolio@example.org", "benvolio@example.org")
		}, []string{"benvolio@example.org/1 >n:2", "romeo >n:2", "romeo@example.net/2 >n:2"}},
		{"R10, R13 a subscriber that shows itself to those it chooses", nil, nil, func(s *stage) {
			s.farThere("mercutio@example.org/1", "n")
			s.subscribe("mercutio@example.org", "mercutio@example.org")
		}, []string{"mercutio@example.org/1 >n:2"}},
		{"R13 a stranger with directed presence", nil, open, func(s *stage) {
			s.subscribe("stranger@example.org", "stranger@example.org")
			s.farThere("stranger@example.org/1", "n")
		}, []string{"stranger@example.org/1 n:2"}},
		{"R14 the bare address, once", nil, nil, func(s *stage) {
			s.there("romeo", "other")
			s.subscribe("romeo", "romeo@example.net")
			s.subscribe("benvolio@example.org", "benvolio@example.org")
			s.there("paris", "n") // not known to juliet
			s.subscribe("paris", "paris@example.net")
		}, []string{"benvolio@example.org >n:2", "paris@example.net >n:2", "romeo@example.net >n:2"}},
		{"R14 the own bare address", nil, nil, func(s *stage) {
			s.there("juliet/2", "other")
			s.subscribe("juliet", "juliet@example.net")
		}, []string{"juliet@example.net >n:2"}},
		{"R13 the own bare address", nil, nil, func(s *stage) {
			s.there("juliet/2", "n")
			s.there("juliet/3", "other")
			s.subscribe("juliet", "juliet@example.net")
		}, []string{"juliet@example.net/2 >n:2"}},
		{"R14 not without presence, if the node says so", nil, based, func(s *stage) {
			s.there("romeo", "other")
			s.subscribe("romeo", "romeo@example.net")
			s.subscribe("benvolio@example.org", "benvolio@example.org")
		}, nil},
		{"R15 a domain", nil, open, func(s *stage) {
			s.farAway().Send("<iq type='set' id='d' from='example.org' to='juliet@example.net'>" + pubsub("<subscribe node='n' jid='example.org'/>") + "</iq>")
		}, []string{"example.org n:2"}},
		{"R16 pending", nil, authorize, func(s *stage) {
			s.subscribe("romeo", "romeo@example.net")
			s.subscribe("nurse", "nurse@example.net/1")
			s.subscribe("benvolio@example.org", "benvolio@example.org")
		}, nil},
	}
}

// TestTable is the routing decision table, row by row: all that is sent of a publication,
// and to which address. The same holds when so many accounts here want the node that the
// roster is looked through instead of them.
func TestTable(t *testing.T) {
	t.Parallel()
	for _, r := range slices.Concat(ownRows(), contactRows(), subscriberRows()) {
		for name, others := range map[string]int{r.name: 0, r.name + ", in a crowd": 100} {
			t.Run(name, func(t *testing.T) {
				play(t, r.opt, func(s *stage) {
					s.t = t
					for i := range others {
						s.made.Known(addr(fmt.Sprintf("c%d@example.net/1", i)), []string{"n"})
					}
					s.publish("n", "1", append(slices.Clone(r.node), "send_last_published_item=never")...)
					r.before(s)
					s.h.Settle()
					s.forget()
					s.publish("n", "2")
					s.wantSent(r.want, "n:2")
					s.ask("juliet", "set", pubsub("<retract node='n' notify='1'><item id='2'/></retract>"))
					s.wantSent(r.want, "n-2")
					s.ask("juliet", "set", configure("n", "notify_config=1"))
					s.wantSent(r.want, "configuration:n")
					s.ask("juliet", "set", owner("<purge node='n'/>"))
					s.wantSent(r.want, "purge:n")
				})
			})
		}
	}
}

// wantSent checks that those who should have got what was published, and nobody else, have
// got an event.
func (s *stage) wantSent(publication []string, event string) {
	s.t.Helper()
	var want []string
	for _, w := range publication {
		if to, got, _ := strings.Cut(w, " "); event != "n:2" {
			w = to + " " + event // who caused it is not told
		} else {
			w = to + " " + got
		}
		want = append(want, w)
	}
	slices.Sort(want)
	if got := s.sent(); !slices.Equal(got, want) {
		s.t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestPendingDeleted: who waits for approval is told of a node's end all the same (R16).
func TestPendingDeleted(t *testing.T) {
	t.Parallel()
	play(t, nil, func(s *stage) {
		s.publish("n", "1", "access_model=authorize")
		s.subscribe("romeo", "romeo@example.net")
		s.there("romeo")
		s.subscribe("benvolio@example.org", "benvolio@example.org")
		s.forget()
		s.ask("juliet", "set", owner("<purge node='n'/>"))
		if got := s.sent(); len(got) != 0 {
			t.Errorf("while pending: %q", got)
		}
		s.ask("juliet", "set", owner("<delete node='n'/>"))
		if got, want := s.sent(), []string{"benvolio@example.org delete:n", "romeo@example.net delete:n"}; !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

// TestOwnerAway: the same rows hold while the owner is away and server code publishes
// (R20).
func TestOwnerAway(t *testing.T) {
	t.Parallel()
	for _, r := range contactRows() {
		if strings.HasPrefix(r.name, "R19") {
			continue // the owner is there in it
		}
		t.Run(r.name, func(t *testing.T) {
			var a *assembly
			play(t, func(x *assembly) {
				if a = x; r.opt != nil {
					r.opt(a)
				}
			}, func(s *stage) {
				s.t = t
				s.publish("n", "1", append(slices.Clone(r.node), "send_last_published_item=never")...)
				r.before(s)
				s.h.Settle()
				for name := range s.on {
					if strings.HasPrefix(name, "juliet") {
						s.on[name].Close()
						delete(s.on, name)
					}
				}
				s.forget()
				s.server(func(e *turn) { e.publish("n", "2") })
				var want []string
				for _, w := range r.want {
					want = append(want, strings.Replace(w, " >", " ", 1)) // no session published
				}
				slices.Sort(want)
				if got := s.sent(); !slices.Equal(got, want) {
					t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
				}
			})
		})
	}
}
