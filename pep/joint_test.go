package pep_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestAway: a client that is cut off gets what was published meanwhile, in order, when it
// is back, and no last items on top (S-18, R4).
func TestAway(t *testing.T) {
	t.Parallel()
	inWorld(t, nil, func(w *world) {
		j, r := w.connect("juliet@example.net/1"), w.connect("romeo@example.net/1")
		j.publish("n", "old", "max_items=max")
		j.publish("never", "old", "send_last_published_item=never")
		j.there()
		own := w.connect("juliet@example.net/2")
		for _, a := range []*actor{r, own} {
			a.manage()
			a.there("n", "never")
			if got := a.events(); got != "~n:old" {
				t.Fatalf("at first: %q", got)
			}
			a.c.Drop()
		}
		want := []string{}
		for i := range 5 {
			j.publish("n", fmt.Sprint(i))
			want = append(want, fmt.Sprintf(">n:%d", i))
		}
		w.sleep(time.Minute)
		for _, a := range []*actor{r, own} {
			a.resume()
			if got := a.events(); got != strings.Join(want, " ") {
				t.Errorf("%s is back: %q, want %q", a.c.Session.JID(), got, want)
			}
		}
		// What it says again changes nothing, and it gets what comes.
		r.there("n", "never")
		j.publish("n", "new")
		if got := r.events(); got != ">n:new" {
			t.Errorf("then: %q", got)
		}
		if w.asked != 2 { // juliet's client and romeo's
			t.Errorf("%d queries", w.asked)
		}
	})
}

// TestAwayOverRestart: so does a client whose server is restarted, and is asked nothing
// again (S-18, KNOWN-1).
func TestAwayOverRestart(t *testing.T) {
	t.Parallel()
	inWorld(t, nil, func(w *world) {
		j, r := w.connect("juliet@example.net/1"), w.connect("romeo@example.net/1")
		j.publish("n", "old")
		r.manage()
		r.there("n")
		if got := r.events(); got != "~n:old" {
			t.Fatalf("at first: %q", got)
		}
		r.c.Drop()
		j.publish("n", "1")
		asked := w.asked
		w.h.Restart(w.extensions()...)
		j = w.connect("juliet@example.net/1")
		j.publish("n", "2")
		r.resume()
		if got := r.events(); got != ">n:1 >n:2" {
			t.Errorf("back: %q", got)
		}
		r.there("n")
		j.publish("n", "3")
		if got := r.events(); got != ">n:3" || w.asked != asked {
			t.Errorf("then: %q, asked %d times more", got, w.asked-asked)
		}
	})
}

// TestAwayTooLong: what was published for a client that does not come back is neither
// sent back nor kept; a new session gets last items, but not of nodes that never send them
// (S-18, R4).
func TestAwayTooLong(t *testing.T) {
	t.Parallel()
	inWorld(t, nil, func(w *world) {
		j, r := w.connect("juliet@example.net/1"), w.connect("romeo@example.net/1")
		j.there("n")
		r.manage()
		r.there("n", "never")
		r.c.Drop()
		j.events()
		for i := range 5 {
			j.publish("n", fmt.Sprint(i), "max_items=max", "notification_type=normal")
			j.publish("never", fmt.Sprint(i), "send_last_published_item=never", "notification_type=normal")
		}
		j.events()
		w.sleep(20 * time.Minute)
		j.pump()
		for _, el := range j.arr {
			if strings.Contains(el, "type='error'") || strings.Contains(el, "<event") {
				t.Errorf("juliet got %s", el)
			}
		}
		if w.nodes.heads.Load() != 2 {
			t.Errorf("%d reads of last items", w.nodes.heads.Load())
		}
		r = w.connect("romeo@example.net/1")
		r.send("<presence/>")
		if got := r.events(); got != "" {
			t.Errorf("kept: %q", got)
		}
		r.there("n", "never")
		if got := r.events(); got != "~n:4" {
			t.Errorf("a new session: %q", got)
		}
		for _, u := range []string{"romeo@example.net", "juliet@example.net"} {
			if n, err := w.kept.Usage(t.Context(), addr(u)); err != nil || n.Messages != 0 {
				t.Errorf("%s: %+v kept, error %v", u, n, err)
			}
		}
	})
}

// TestAskedMeanwhile: what is published while a client is asked for its capabilities comes as
// the last item, once, when it has answered; not if it does not (R17, S-14).
func TestAskedMeanwhile(t *testing.T) {
	t.Parallel()
	inWorld(t, nil, func(w *world) {
		j, r := w.connect("juliet@example.net/1"), w.connect("romeo@example.net/1")
		j.publish("n", "1")
		far := func(children string) {
			w.org().Send("<presence from='benvolio@example.org/1' to='juliet@example.net'>" + children + "</presence>")
		}
		r.mute = true
		r.there("n")
		far(w.hash([]string{"n", "m"}))
		j.publish("n", "2")
		if got := r.events(); got != "" || w.asked != 1 {
			t.Errorf("while it is asked, %d times: %q", w.asked, got)
		}
		asked := w.h.Routed("example.org")
		if len(asked) != 1 {
			t.Fatalf("benvolio got %q", asked)
		}
		w.org().Send(w.answer(parsed(t, asked[0]), []string{"n", "m"}))
		if got := w.farAll(); !slices.Equal(got, []string{"benvolio@example.org/1 ~n:2"}) {
			t.Errorf("answered: %q", got)
		}
		far(w.hash([]string{"n", "m"}) + "<show>away</show>")
		j.publish("n", "3")
		if got := w.farAll(); !slices.Equal(got, []string{"benvolio@example.org/1 >n:3"}) {
			t.Errorf("then: %q", got)
		}
		w.sleep(time.Minute)
		r.there("n")
		j.publish("n", "4")
		if got := r.events(); got != "" || w.asked != 2 {
			t.Errorf("it has not answered, but got %q; %d were asked", got, w.asked)
		}
		// Another client with that hash answers: the first wants what it said, too, with its
		// next presence.
		other := w.connect("romeo@example.net/2")
		if got := other.there("n").events(); got != "~n:4" {
			t.Errorf("another client: %q", got)
		}
		if got := r.there("n").events(); got != "~n:4" {
			t.Errorf("the first: %q", got)
		}
	})
}

// TestCapabilities: presence without capabilities, and with those that are known, says
// nothing new; with others it does (S-16, S-17), with real clients as without.
func TestCapabilities(t *testing.T) {
	t.Parallel()
	inWorld(t, nil, func(w *world) {
		j, r := w.connect("juliet@example.net/1"), w.connect("romeo@example.net/1")
		j.publish("mood", "m")
		j.publish("tune", "t")
		for i, step := range []struct {
			do   func()
			want string
		}{
			{func() { r.there("mood") }, "~mood:m >mood:0"},
			{func() { r.send("<presence><show>away</show></presence>") }, ">mood:1"},
			{func() { r.there("mood", "tune") }, "~tune:t >mood:2 >tune:2"},
			{func() { r.there("mood") }, ">mood:3"},
			{func() { r.send("<presence type='unavailable'/>") }, ""},
			{func() { r.send("<presence/>") }, ""},
			{func() { r.there("mood") }, "~mood:5 >mood:6"},
		} {
			step.do()
			got := r.events()
			j.publish("mood", fmt.Sprint(i))
			j.publish("tune", fmt.Sprint(i))
			if got = strings.TrimSpace(got + " " + r.events()); got != step.want {
				t.Errorf("step %d: got %q, want %q", i, got, step.want)
			}
			j.publish("tune", "t")
			r.events()
		}
		if w.asked != 2 {
			t.Errorf("asked %d times", w.asked)
		}
	})
}

// TestBlocked: a contact that is blocked gets no events and cannot read; when that ends and
// it shows its presence it gets the last items (S-21), here and elsewhere.
func TestBlocked(t *testing.T) {
	t.Parallel()
	inWorld(t, nil, func(w *world) {
		j, r := w.connect("juliet@example.net/1"), w.connect("romeo@example.net/1")
		j.publish("n", "1")
		j.there()
		r.there("n")
		come := func() {
			r.there("n")
			w.org().Send("<presence from='benvolio@example.org/1' to='juliet@example.net'>" + w.hash([]string{"n"}) + "</presence>")
		}
		come()
		if here, far := r.events(), strings.Join(w.farAll("n"), " "); here != "~n:1" || far != "benvolio@example.org/1 ~n:1" {
			t.Errorf("at first: %q, %q", here, far)
		}
		const items = "<item jid='romeo@example.net'/><item jid='benvolio@example.org'/>"
		j.send("<iq type='set' id='b'><block xmlns='urn:xmpp:blocking'>" + items + "</block></iq>")
		j.publish("n", "2")
		come()
		if here, far := r.events(), w.farAll("n"); here != "" || len(far) != 0 {
			t.Errorf("blocked: %q, %q", here, far)
		}
		for _, ask := range []struct{ typ, payload string }{
			{"get", pubsub("<items node='n'/>")}, {"set", pubsub("<subscribe node='n' jid='romeo@example.net'/>")}, {"get", "<query xmlns='http://jabber.org/protocol/disco#items'/>"},
		} {
			if short, _ := r.ask(ask.typ, ask.payload); short != "cancel/service-unavailable" {
				t.Errorf("%s: %q", ask.payload, short)
			}
		}
		j.send("<iq type='set' id='u'><unblock xmlns='urn:xmpp:blocking'>" + items + "</unblock></iq>")
		come()
		if here, far := r.events(), strings.Join(w.farAll("n"), " "); here != "~n:2" || far != "benvolio@example.org/1 ~n:2" {
			t.Errorf("unblocked: %q, %q", here, far)
		}
	})
}

// TestContactBlocks: a contact that has blocked the owner gets neither events nor last
// items, and there are no errors (R21).
func TestContactBlocks(t *testing.T) {
	t.Parallel()
	inWorld(t, nil, func(w *world) {
		j, r := w.connect("juliet@example.net/1"), w.connect("romeo@example.net/1")
		j.publish("n", "1")
		j.publish("group", "1", "access_model=roster", "roster_groups_allowed=Lovers")
		j.there()
		r.send("<iq type='set' id='b'><block xmlns='urn:xmpp:blocking'><item jid='juliet@example.net'/></block></iq>")
		r.there("n", "group")
		j.publish("n", "2")
		j.publish("group", "2")
		if got := r.events(); got != "" {
			t.Errorf("romeo got %q", got)
		}
		for _, el := range j.pump().arr {
			if strings.Contains(el, "type='error'") {
				t.Errorf("juliet got %s", el)
			}
		}
		r.send("<iq type='set' id='u'><unblock xmlns='urn:xmpp:blocking'><item jid='juliet@example.net'/></unblock></iq>")
		j.publish("n", "3")
		if got := r.events(); !strings.HasSuffix(got, ">n:3") {
			t.Errorf("unblocked: %q", got)
		}
	})
}

// TestNobody: what a stranger gets of an account that is away, of one with nothing for it,
// and of one that does not exist (S-29).
func TestNobody(t *testing.T) {
	t.Parallel()
	inWorld(t, nil, func(w *world) {
		j := w.connect("juliet@example.net/1")
		j.publish("urn:xmpp:omemo:2:bundles", "1", "access_model=open", "max_items=max")
		j.publish("presence", "1")
		j.c.Close()
		of := func(local, typ, payload string) (short, whole string) {
			t.Helper()
			w.org().Send("<iq type='" + typ + "' id='s' from='stranger@example.org/1' to='" + local + "@example.net'>" + payload + "</iq>")
			got := w.h.Routed("example.org")
			if len(got) != 1 {
				t.Fatalf("%s of %s: %q", payload, local, got)
			}
			if st := parsed(t, got[0]); st.Type() == "error" {
				short = shortError(st)
			}
			return short, strings.ReplaceAll(got[0], local+"@", "somebody@")
		}
		short, whole := of("juliet", "get", pubsub("<items node='urn:xmpp:omemo:2:bundles'/>"))
		if short != "" || !strings.Contains(whole, "<item id='1'><x xmlns='urn:x'>1</x></item>") {
			t.Errorf("bundles: %q %s", short, whole)
		}
		if short, _ = of("juliet", "get", pubsub("<items node='presence'/>")); short != "auth/not-authorized/presence-subscription-required" {
			t.Errorf("a node for contacts: %q", short)
		}
		missing := pubsub("<items node='missing'/>")
		for _, c := range []struct{ of, typ, payload, want string }{
			{"juliet", "get", missing, "cancel/item-not-found"},
			{"romeo", "get", missing, "cancel/item-not-found"},
			{"romeo", "get", "<query xmlns='http://jabber.org/protocol/disco#info'/>", "cancel/service-unavailable"},
			{"romeo", "get", "<query xmlns='http://jabber.org/protocol/disco#items'/>", ""},
			{"romeo", "get", "<vCard xmlns='vcard-temp'/>", "cancel/service-unavailable"},
			{"juliet", "get", "<vCard xmlns='vcard-temp'/>", "cancel/service-unavailable"},
		} {
			short, one := of(c.of, c.typ, c.payload)
			_, two := of("nobody", c.typ, c.payload)
			if short != c.want || one != two {
				t.Errorf("%s of %s: %q, want %q\n%s\n%s", c.payload, c.of, short, c.want, one, two)
			}
		}
	})
}

// TestOwnerIsAway: who logs in while the owner is away gets the last items of its nodes, with
// one read of the store and no turn of the owner; from elsewhere too (S-23).
func TestOwnerIsAway(t *testing.T) {
	t.Parallel()
	inWorld(t, nil, func(w *world) {
		for _, o := range []string{"juliet@example.net", "nurse@example.net"} {
			a := w.connect(o + "/1")
			a.of(o, "set", publication("n", "1"))
			a.of(o, "set", publication("private", "1", "access_model=whitelist"))
			a.c.Close()
		}
		apply(t, w.rosters.Put(addr("romeo@example.net"), rosterItem("nurse@example.net")), w.rosters.Put(addr("nurse@example.net"), rosterItem("romeo@example.net")))
		w.sleep(time.Hour)
		w.nodes.reset()
		r := w.connect("romeo@example.net/1")
		got := strings.Fields(r.there("n", "private").events())
		if !slices.Equal(got, []string{"~n:1", "~n:1"}) {
			t.Errorf("here: %q", got)
		}
		if h, l, i := w.nodes.heads.Load(), w.nodes.loads.Load(), w.nodes.items.Load(); h != 1 || l != 1 || i != 0 {
			t.Errorf("%d reads of heads, %d of nodes, %d of items, want 1, 1 (the own) and 0", h, l, i)
		}
		w.org().Send("<presence from='benvolio@example.org/1' to='juliet@example.net'>" + w.hash([]string{"n", "private"}) + "</presence>")
		if got := w.farAll("n", "private"); !slices.Equal(got, []string{"benvolio@example.org/1 ~n:1"}) {
			t.Errorf("elsewhere: %q", got)
		}
	})
}
