package pep_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/propolis-im/propolis/mux"
)

// TestRouting is the routing decision table: who gets what of a publication, by access
// model. Everybody in it wants the node but those whose name ends in /0; subscribers are
// subscribed as long as they may be.
func TestRouting(t *testing.T) {
	t.Parallel()
	const event, named = "n:2", ">n:2"
	for _, c := range []struct {
		access  string
		options []string
		prepare func(s *stage)
		want    map[string]string // those who are not named get nothing
	}{
		{access: "presence", want: map[string]string{
			"juliet": named, "juliet/2": named, "romeo": named, "nurse": named, "benvolio@example.org": named}},
		{access: "open", want: map[string]string{
			"juliet": named, "juliet/2": named, "romeo": named, "nurse": named, "benvolio@example.org": named, "rosaline@example.org": event, "tybalt": event}},
		{access: "whitelist", want: map[string]string{"juliet": named, "juliet/2": named}},
		{access: "whitelist", prepare: func(s *stage) {
			s.ask("juliet", "set", owner("<affiliations node='n'><affiliation jid='romeo@example.net' affiliation='member'/>"+
				"<affiliation jid='benvolio@example.org' affiliation='publisher'/><affiliation jid='mercutio@example.org' affiliation='member'/></affiliations>"))
		}, want: map[string]string{"juliet": named, "juliet/2": named, "romeo": named, "benvolio@example.org": named}},
		{access: "roster", options: []string{"roster_groups_allowed=Family"}, want: map[string]string{
			"juliet": named, "juliet/2": named, "nurse": named}},
		{access: "authorize", want: map[string]string{"juliet": named, "juliet/2": named}},
		{access: "authorize", prepare: func(s *stage) {
			s.ask("romeo", "set", pubsub("<subscribe node='n' jid='romeo@example.net'/>"))
			s.ask("nurse", "set", pubsub("<subscribe node='n' jid='nurse@example.net'/>"))
			s.ask("juliet", "set", owner("<subscriptions node='n'><subscription jid='romeo@example.net' subscription='subscribed'/></subscriptions>"))
		}, want: map[string]string{"juliet": named, "juliet/2": named, "romeo": named}},
		// Blocked and outcast.
		{access: "open", prepare: func(s *stage) {
			s.who("juliet").Send("<iq type='set' id='b'><block xmlns='urn:xmpp:blocking'><item jid='romeo@example.net'/><item jid='benvolio@example.org'/></block></iq>")
			s.ask("juliet", "set", owner("<affiliations node='n'><affiliation jid='nurse@example.net' affiliation='outcast'/></affiliations>"))
		}, want: map[string]string{"juliet": named, "juliet/2": named, "rosaline@example.org": event, "tybalt": event}},
		// Explicit subscriptions: to the bare address if nothing is known, to each resource
		// that is interested, to the full address whether or not it is; never twice.
		{access: "open", prepare: func(s *stage) {
			for _, who := range []string{"paris@example.net", "romeo@example.net", "tybalt@example.net/0", "nurse@example.net/1"} {
				local, _, _ := strings.Cut(who, "@")
				name := local
				if strings.HasSuffix(who, "/0") {
					name += "/0"
				}
				if got := s.ask(name, "set", pubsub("<subscribe node='n' jid='"+who+"'/>")); got != "" {
					s.t.Errorf("%s: %s", who, got)
				}
			}
			for _, who := range []string{"mercutio", "rosaline", "stranger"} {
				if got := s.ask(who+"@example.org", "set", pubsub("<subscribe node='n' jid='"+who+"@example.org'/>")); got != "" {
					s.t.Errorf("%s: %s", who, got)
				}
			}
		}, want: map[string]string{
			"juliet": named, "juliet/2": named, "romeo": named, "nurse": named, "benvolio@example.org": named,
			"rosaline@example.org": event, "paris": named, "tybalt/0": event, "mercutio@example.org": named, "stranger@example.org": event, "tybalt": event}},
		{access: "presence", options: []string{"presence_based_delivery=1"}, prepare: func(s *stage) {
			s.ask("paris", "set", pubsub("<subscribe node='n' jid='paris@example.net'/>"))
			s.ask("mercutio@example.org", "set", pubsub("<subscribe node='n' jid='mercutio@example.org'/>"))
			s.ask("romeo/0", "set", pubsub("<subscribe node='n' jid='romeo@example.net/0'/>"))
		}, want: map[string]string{"juliet": named, "juliet/2": named, "romeo": named, "romeo/0": named, "nurse": named, "benvolio@example.org": named, "mercutio@example.org": named}},
		{access: "presence", options: []string{"deliver_notifications=0"}, want: map[string]string{}},
	} {
		t.Run(c.access, func(t *testing.T) {
			play(t, nil, func(s *stage) {
				s.t = t
				s.publish("n", "1", append(c.options, "access_model="+c.access)...)
				all := []string{"juliet", "juliet/2", "juliet/0", "juliet/-", "romeo", "romeo/0", "nurse", "paris", "tybalt", "tybalt/0"}
				for _, name := range all {
					switch {
					case strings.HasSuffix(name, "/-"):
						s.who(name) // connected, and no more
					case strings.HasSuffix(name, "/0"):
						s.there(name, "other")
					default:
						s.there(name, "n")
					}
				}
				s.ask("stranger@example.org", "get", pubsub("<items node='none'/>")) // the stream
				for _, far := range []string{"benvolio", "mercutio", "rosaline"} {
					s.on["example.org"].Send("<presence from='" + far + "@example.org/1' to='juliet@example.net'><c xmlns='x:caps'>n</c></presence>")
				}
				if c.prepare != nil {
					c.prepare(s)
				}
				all = append(all, "benvolio@example.org", "mercutio@example.org", "rosaline@example.org", "stranger@example.org")
				for _, name := range all {
					s.events(name)
				}
				s.publish("n", "2")
				for _, name := range all {
					if got := s.events(name); got != c.want[name] {
						t.Errorf("%s got %q, want %q", name, got, c.want[name])
					}
				}
			})
		})
	}
}

// TestAccess is the matrix of who may read and subscribe.
func TestAccess(t *testing.T) {
	t.Parallel()
	const (
		ok       = ""
		presence = "auth/not-authorized/presence-subscription-required"
		group    = "auth/not-authorized/not-in-roster-group"
		closed   = "cancel/not-allowed/closed-node"
		not      = "auth/not-authorized/not-subscribed"
	)
	names := []string{"juliet/2", "romeo", "nurse", "paris", "tybalt", "benvolio@example.org", "mercutio@example.org", "rosaline@example.org", "stranger@example.org"}
	for _, c := range []struct {
		access string
		want   []string
	}{
		{"open", []string{ok, ok, ok, ok, ok, ok, ok, ok, ok}},
		{"presence", []string{ok, ok, ok, ok, presence, ok, ok, presence, presence}},
		{"roster", []string{ok, group, ok, group, group, group, group, group, group}},
		{"whitelist", []string{ok, closed, ok, closed, closed, closed, closed, closed, closed}},
		{"authorize", []string{ok, not, not, not, not, not, not, not, not}},
	} {
		t.Run(c.access, func(t *testing.T) {
			play(t, nil, func(s *stage) {
				s.t = t
				s.publish("n", "1", "access_model="+c.access, "roster_groups_allowed=Family,Friends")
				if c.access == "whitelist" {
					s.ask("juliet", "set", owner("<affiliations node='n'><affiliation jid='nurse@example.net' affiliation='member'/></affiliations>"))
				}
				for i, name := range names {
					if got, _ := s.full(name, "get", pubsub("<items node='n'/>")); got != c.want[i] {
						t.Errorf("%s reads: %q, want %q", name, got, c.want[i])
					}
					jid := strings.Split(name, "/")[0]
					if !strings.Contains(jid, "@") {
						jid += "@example.net"
					}
					want := c.want[i]
					if want == not {
						want = ok // asks the owner
					}
					short, whole := s.full(name, "set", pubsub("<subscribe node='n' jid='"+jid+"'/>"))
					state := "subscription='subscribed'"
					if c.want[i] == not {
						state = "subscription='pending'"
					}
					if short != want || want == ok && !strings.Contains(whole, state) {
						t.Errorf("%s subscribes: %q %s, want %q", name, short, whole, want)
					}
				}
			})
		})
	}
}

// revoked is what a contact sees that loses access: the end of its subscription, once, and
// nothing more, at none of its resources.
func revoked(t *testing.T, name string, revoke func(s *stage), refusal string) {
	t.Helper()
	play(t, nil, func(s *stage) {
		s.publish("n", "1")
		s.there("juliet")
		want := []string{"benvolio@example.org none:n"}
		jid, first, second := name, name+"/1", name+"/2"
		if name == "romeo" {
			jid = "romeo@example.net"
			s.there("romeo", "n")
			s.there("romeo/2", "n")
			first, second = "romeo", jid+"/2"
			want = []string{jid + " none:n", jid + " none:n"} // one, at both
		} else {
			s.farThere(first, "n")
			s.farThere(second, "n")
		}
		if refusal == "cancel/service-unavailable" {
			want = nil // who is blocked is told nothing
		}
		s.subscribe(name, jid)
		s.forget()
		s.publish("n", "2")
		if got := s.sent(); !slices.Equal(got, []string{first + " >n:2", second + " >n:2"}) {
			t.Errorf("before: got %q", got)
		}
		revoke(s)
		s.h.Settle()
		if got := s.sent(); !slices.Equal(got, want) {
			t.Errorf("told %q, want %q", got, want)
		}
		for _, change := range []string{publication("n", "3"), pubsub("<retract node='n' notify='1'><item id='3'/></retract>"), owner("<purge node='n'/>"), configure("n", "notify_config=1")} {
			if got := s.ask("juliet", "set", change); got != "" {
				t.Errorf("%s: %s", change, got)
			}
		}
		if got := s.sent(); len(got) != 0 {
			t.Errorf("after: got %q", got)
		}
		if got := s.ask(name, "get", pubsub("<items node='n'/>")); got != refusal {
			t.Errorf("reads: %q, want %q", got, refusal)
		}
		if _, whole := s.full("juliet", "get", owner("<subscriptions node='n'/>")); strings.Contains(whole, jid) {
			t.Errorf("still subscribed: %s", whole)
		}
	})
}

// TestRevoked: whoever loses access gets nothing from then on (S-9, S-11, S-21).
func TestRevoked(t *testing.T) {
	t.Parallel()
	const needed = "auth/not-authorized/presence-subscription-required"
	juliet := func(el string) func(s *stage) { return func(s *stage) { s.who("juliet").Send(el) } }
	t.Run("cancelled by the owner, elsewhere", func(t *testing.T) {
		revoked(t, "benvolio@example.org", juliet("<presence to='benvolio@example.org' type='unsubscribed'/>"), needed)
	})
	t.Run("cancelled by the contact, elsewhere", func(t *testing.T) {
		revoked(t, "benvolio@example.org", func(s *stage) {
			s.farAway().Send("<presence from='benvolio@example.org' to='juliet@example.net' type='unsubscribe'/>")
		}, needed)
	})
	t.Run("removed from the roster, elsewhere", func(t *testing.T) {
		revoked(t, "benvolio@example.org", juliet("<iq type='set' id='r'><query xmlns='jabber:iq:roster'><item jid='benvolio@example.org' subscription='remove'/></query></iq>"), needed)
	})
	t.Run("blocked, elsewhere", func(t *testing.T) {
		revoked(t, "benvolio@example.org", juliet("<iq type='set' id='r'><block xmlns='urn:xmpp:blocking'><item jid='benvolio@example.org'/></block></iq>"), "cancel/service-unavailable")
	})
	t.Run("whitelist, elsewhere", func(t *testing.T) {
		revoked(t, "benvolio@example.org", juliet("<iq type='set' id='r'>"+configure("n", "access_model=whitelist")+"</iq>"), "cancel/not-allowed/closed-node")
	})
	t.Run("cancelled by the owner", func(t *testing.T) {
		revoked(t, "romeo", juliet("<presence to='romeo@example.net' type='unsubscribed'/>"), needed)
	})
	t.Run("cancelled by the contact", func(t *testing.T) {
		revoked(t, "romeo", func(s *stage) {
			s.who("romeo").Send("<presence to='juliet@example.net' type='unsubscribe'/>")
		}, needed)
	})
	t.Run("removed from the roster", func(t *testing.T) {
		revoked(t, "romeo", juliet("<iq type='set' id='r'><query xmlns='jabber:iq:roster'><item jid='romeo@example.net' subscription='remove'/></query></iq>"), needed)
	})
	t.Run("blocked", func(t *testing.T) {
		revoked(t, "romeo", juliet("<iq type='set' id='r'><block xmlns='urn:xmpp:blocking'><item jid='romeo@example.net'/></block></iq>"), "cancel/service-unavailable")
	})
	t.Run("outcast", func(t *testing.T) {
		revoked(t, "romeo", juliet("<iq type='set' id='r'>"+owner("<affiliations node='n'><affiliation jid='romeo@example.net' affiliation='outcast'/></affiliations>")+"</iq>"), "auth/forbidden")
	})
	t.Run("whitelist", func(t *testing.T) {
		revoked(t, "romeo", juliet("<iq type='set' id='r'>"+configure("n", "access_model=whitelist")+"</iq>"), "cancel/not-allowed/closed-node")
	})
	t.Run("group", func(t *testing.T) {
		revoked(t, "romeo", juliet("<iq type='set' id='r'>"+configure("n", "access_model=roster", "roster_groups_allowed=Family")+"</iq>"), "auth/not-authorized/not-in-roster-group")
	})
}

// TestGroupRenamed: groups are looked at when an event is sent; whose subscription they
// carried is told then, once (S-9).
func TestGroupRenamed(t *testing.T) {
	t.Parallel()
	play(t, nil, func(s *stage) {
		s.publish("n", "1", "access_model=roster", "roster_groups_allowed=Lovers")
		s.there("romeo", "n")
		s.there("romeo/2", "n")
		s.subscribe("romeo", "romeo@example.net")
		s.who("juliet").Send("<iq type='set' id='r'><query xmlns='jabber:iq:roster'><item jid='romeo@example.net'><group>Exes</group></item></query></iq>")
		if got := s.ask("romeo", "get", pubsub("<items node='n'/>")); got != "auth/not-authorized/not-in-roster-group" {
			t.Errorf("reads: %q", got)
		}
		s.forget()
		for _, want := range [][]string{{"romeo@example.net none:n", "romeo@example.net none:n"}, nil} { // at both, once
			s.publish("n", "2")
			if got := s.sent(); !slices.Equal(got, want) {
				t.Errorf("got %q, want %q", got, want)
			}
		}
		if _, whole := s.full("juliet", "get", owner("<subscriptions node='n'/>")); strings.Contains(whole, "romeo") {
			t.Errorf("still subscribed: %s", whole)
		}
	})
}

// TestUnblocked: who is unblocked gets the last items again (S-21).
func TestUnblocked(t *testing.T) {
	t.Parallel()
	play(t, nil, func(s *stage) {
		s.publish("n", "1")
		s.there("juliet")
		s.who("juliet").Send("<iq type='set' id='r'><block xmlns='urn:xmpp:blocking'><item jid='romeo@example.net'/></block></iq>")
		s.there("romeo", "n")
		if got := s.events("romeo"); got != "" {
			t.Errorf("while blocked: %q", got)
		}
		s.who("juliet").Send("<iq type='set' id='u'><unblock xmlns='urn:xmpp:blocking'><item jid='romeo@example.net'/></unblock></iq>")
		if got := s.events("romeo"); got != "~n:1" {
			t.Errorf("unblocked: %q", got)
		}
	})
}

// TestApproved: a new contact gets last items when presence flows both ways, once, and
// none before (S-10).
func TestApproved(t *testing.T) {
	t.Parallel()
	play(t, func(a *assembly) {
		apply(t, a.rosters.Delete(addr("juliet@example.net"), addr("romeo@example.net"), 2), a.rosters.Delete(addr("romeo@example.net"), addr("juliet@example.net"), 2),
			a.rosters.Delete(addr("juliet@example.net"), addr("benvolio@example.org"), 2))
	}, func(s *stage) {
		s.publish("n", "1")
		s.publish("open", "2", "access_model=open")
		s.publish("never", "3", "send_last_published_item=never")
		j, r := s.there("juliet"), s.there("romeo", "n", "open", "never")
		far := func(attrs string) {
			s.farAway().Send("<presence from='benvolio@example.org' to='juliet@example.net' type='" + attrs + "'/>")
		}
		r.Send("<presence to='juliet@example.net' type='subscribe'/>")
		far("subscribe")
		for _, to := range []string{"romeo@example.net", "benvolio@example.org"} {
			j.Send("<presence to='" + to + "' type='subscribed'/>")
		}
		j.Send("<presence to='romeo@example.net' type='subscribe'/>", "<presence to='benvolio@example.org' type='subscribe'/>")
		if got := s.sent(); len(got) != 0 {
			t.Errorf("before: %q", got)
		}
		r.Send("<presence to='juliet@example.net' type='subscribed'/>")
		far("subscribed")
		if got := strings.Join(j.Arrived(), ""); !strings.Contains(got, "<presence from='romeo@example.net/1'") {
			t.Errorf("juliet does not see romeo: %s", got)
		}
		for range 2 { // the second time it is what is known
			s.farThere("benvolio@example.org/1", "n", "open", "never")
			r.Send("<presence><c xmlns='x:caps'>n open never</c></presence>")
		}
		if got, want := s.sent(), []string{"benvolio@example.org/1 ~n:1", "benvolio@example.org/1 ~open:2", "romeo ~n:1", "romeo ~open:2"}; !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

// TestWidened: who may see a node after a change of its configuration gets the last item,
// and nobody else (OPT-10).
func TestWidened(t *testing.T) {
	t.Parallel()
	play(t, nil, func(s *stage) {
		s.publish("n", "1", "access_model=whitelist")
		for _, name := range []string{"juliet", "romeo", "nurse"} {
			s.there(name, "n")
		}
		for _, c := range []struct{ change, romeo, nurse, juliet string }{
			{configure("n", "access_model=roster", "roster_groups_allowed=Family"), "", "~n:1", ""},
			{configure("n", "access_model=presence"), "~n:1", "", ""},
			{configure("n", "title=x", "notify_config=1"), "configuration:n", "configuration:n", "configuration:n"},
			{configure("n", "access_model=whitelist"), "", "", "configuration:n"},
			{owner("<affiliations node='n'><affiliation jid='romeo@example.net' affiliation='member'/></affiliations>"), "~n:1", "", ""},
		} {
			for _, name := range []string{"juliet", "romeo", "nurse"} {
				s.events(name)
			}
			if got := s.ask("juliet", "set", c.change); got != "" {
				t.Errorf("%s: %s", c.change, got)
			}
			if r, n, j := s.events("romeo"), s.events("nurse"), s.events("juliet"); r != c.romeo || n != c.nurse || j != c.juliet {
				t.Errorf("%s\nromeo got %q, want %q; nurse %q, want %q; juliet %q, want %q", c.change, r, c.romeo, n, c.nurse, j, c.juliet)
			}
		}
	})
}

// TestBounces: an event that comes back reaches nobody; for good, it is the last (S-22,
// PSUB-8).
func TestBounces(t *testing.T) {
	t.Parallel()
	play(t, nil, func(s *stage) {
		s.publish("n", "1", "access_model=open")
		s.there("juliet")
		s.ask("stranger@example.org", "set", pubsub("<subscribe node='n' jid='stranger@example.org/1'/>"))
		far := s.on["example.org"]
		far.Send("<presence from='benvolio@example.org/1' to='juliet@example.net'><c xmlns='x:caps'>n</c></presence>")
		s.events("juliet")
		id := 1
		back := func(from, typ string) {
			t.Helper()
			id++
			s.events("benvolio@example.org")
			s.kept["far"] = nil
			s.publish("n", "x")
			far.Clear()
			var event *mux.Stanza
			for _, el := range append(s.kept["far"], s.h.Routed("example.org")...) {
				if st, err := mux.Parse([]byte(el)); err == nil && st.To().String() == from {
					event = st
				}
			}
			if event == nil {
				t.Errorf("no event for %s", from)
				return
			}
			far.Send("<message type='error' id='" + event.ID() + "' from='" + from + "' to='juliet@example.net'><error type='" + typ + "'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>")
			if got := s.who("juliet").Arrived(); slices.ContainsFunc(got, func(el string) bool { return strings.Contains(el, "error") }) {
				t.Errorf("juliet got %q", got)
			}
		}
		gets := func(who string) bool {
			s.kept["far"] = nil
			s.h.Routed("example.org")
			s.publish("n", "y")
			return s.events(who) != ""
		}
		back("benvolio@example.org/1", "wait")
		if !gets("benvolio@example.org") {
			t.Error("benvolio is forgotten too early")
		}
		back("benvolio@example.org/1", "cancel")
		if gets("benvolio@example.org") {
			t.Error("benvolio is not forgotten")
		}
		for range 5 {
			back("stranger@example.org/1", "wait")
		}
		if gets("stranger@example.org") {
			t.Error("the stranger is still subscribed")
		}
	})
}

// TestAuthorize: the owner decides about subscribers (PSUB-4).
func TestAuthorize(t *testing.T) {
	t.Parallel()
	for _, allow := range []string{"1", "0"} {
		play(t, nil, func(s *stage) {
			s.publish("n", "1", "access_model=authorize")
			j := s.there("juliet")
			s.there("romeo")
			j.Clear()
			s.ask("romeo", "set", pubsub("<subscribe node='n' jid='romeo@example.net'/>"))
			var asked *mux.Stanza
			for _, el := range j.Arrived() {
				if st, err := mux.Parse([]byte(el)); err == nil && st.Kind() == mux.Message {
					asked = st
				}
			}
			if asked == nil || !strings.Contains(asked.Children()[0].Raw(), "romeo@example.net") {
				t.Fatalf("juliet was not asked: %v", j.Arrived())
			}
			answer := func(typ string) string {
				return "<message id='" + asked.ID() + "' to='juliet@example.net'>" +
					strings.Replace(form("subscribe_authorization", "node=n", "subscriber_jid=romeo@example.net", "allow="+allow), "submit", typ, 1) + "</message>"
			}
			s.events("romeo")
			s.who("romeo").Send(answer("submit")) // nobody else can
			j.Send(answer("cancel"))
			if got := s.events("romeo"); got != "" {
				t.Errorf("too early: %q", got)
			}
			if got := s.ask("romeo", "set", pubsub("<subscribe node='n' jid='romeo@example.net'/>")); got != "auth/not-authorized/pending-subscription" {
				t.Errorf("again: %q", got)
			}
			j.Send(answer("submit"))
			want := "subscribed:n ~n:1"
			if allow == "0" {
				want = "none:n"
			}
			if got := s.events("romeo"); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
			j.Send(answer("submit")) // nothing is pending any more
			if got := s.events("romeo"); got != "" {
				t.Errorf("again %q", got)
			}
		})
	}
}

// TestDeleted: everybody who would get events is told of a node's end, and who waits for
// approval (DEL-4); not with notify_delete=0. Nothing is remembered (OPT-5).
func TestDeleted(t *testing.T) {
	t.Parallel()
	play(t, nil, func(s *stage) {
		s.publish("n", "1", "access_model=authorize")
		for _, name := range []string{"juliet", "romeo", "nurse"} {
			s.there(name, "n")
		}
		s.ask("romeo", "set", pubsub("<subscribe node='n' jid='romeo@example.net'/>"))
		s.events("juliet")
		if got := s.ask("juliet", "set", owner("<delete node='n'/>")); got != "" {
			t.Error(got)
		}
		if r, n, j := s.events("romeo"), s.events("nurse"), s.events("juliet"); r != "delete:n" || n != "" || j != "delete:n" {
			t.Errorf("romeo got %q, nurse %q, juliet %q", r, n, j)
		}
		s.publish("n", "1", "notify_delete=0")
		if _, whole := s.full("juliet", "get", owner("<configure node='n'/>")); !strings.Contains(whole, "<value>presence</value>") {
			t.Errorf("old configuration: %s", whole)
		}
		s.events("romeo")
		s.ask("juliet", "set", owner("<delete node='n'/>"))
		if got := s.events("romeo"); got != "" {
			t.Errorf("romeo got %q", got)
		}
	})
}

// TestAccountRemoved: with an account its nodes go, and what it has to do with those of
// others (PEP-12).
func TestAccountRemoved(t *testing.T) {
	t.Parallel()
	play(t, nil, func(s *stage) {
		s.publish("n", "1", "access_model=open")
		if got, _ := s.of("romeo", "romeo@example.net", "set", publication("n", "1", "access_model=open")); got != "" {
			t.Error(got)
		}
		s.ask("romeo", "set", pubsub("<subscribe node='n' jid='romeo@example.net'/>"))
		s.h.RemoveAccount("romeo@example.net")
		if err := s.h.Mux().RemoveAccount(t.Context(), addr("romeo@example.net")); err != nil {
			t.Fatal(err)
		}
		s.h.Settle()
		if nodes, err := s.store.Load(t.Context(), addr("romeo@example.net")); err != nil || len(nodes) != 0 {
			t.Errorf("kept %v, error %v", nodes, err)
		}
		if _, whole := s.full("juliet", "get", owner("<subscriptions node='n'/>")); strings.Contains(whole, "romeo") {
			t.Errorf("still subscribed: %s", whole)
		}
		if got := s.ask("juliet", "get", pubsub("<items node='n'/>")); got != "" {
			t.Error(got)
		}
	})
}

// TestTemporary: a subscription that lasts as long as presence ends with it (PSUB-9).
func TestTemporary(t *testing.T) {
	t.Parallel()
	play(t, nil, func(s *stage) {
		s.publish("n", "1")
		s.there("juliet")
		s.ask("benvolio@example.org", "set", pubsub("<subscribe node='n' jid='benvolio@example.org/1'/><options>"+form("subscribe_options", "expire=presence")+"</options>"))
		far := s.on["example.org"]
		far.Send("<presence from='benvolio@example.org/1' to='juliet@example.net'><c xmlns='x:caps'>other</c></presence>")
		s.events("benvolio@example.org")
		s.publish("n", "2")
		if got := s.events("benvolio@example.org"); got != ">n:2" {
			t.Errorf("got %q", got)
		}
		far.Send("<presence from='benvolio@example.org/1' to='juliet@example.net' type='unavailable'/>")
		s.publish("n", "3")
		if _, whole := s.full("juliet", "get", owner("<subscriptions node='n'/>")); s.events("benvolio@example.org") != "" || strings.Contains(whole, "benvolio") {
			t.Errorf("still subscribed: %s", whole)
		}
	})
}
