package csi_test

import (
	"encoding/xml"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/propolis-im/propolis/csi"
	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
)

var pingName = xml.Name{Space: "urn:xmpp:ping", Local: "ping"}

// TestManyThenMessage is FI-41: an inactive client, 50 times presence of six contacts
// and 10 notifications, and a message of one of them: what is left comes in the order in
// which it came, with its time, and then the message.
func TestManyThenMessage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, _, c, org := phone(t, csi.Options{})
		for i := range 50 {
			org.Send(shows("contact"+strconv.Itoa(i%6), fmt.Sprint("p", i)))
			if i%5 == 0 {
				org.Send("<message from='contact" + strconv.Itoa(i%6) + "@example.org' to='" + romeo + "' id='e" + strconv.Itoa(i) + "'>" + item("n", strconv.Itoa(i%3)) + "</message>")
			}
			time.Sleep(time.Second)
		}
		c.ExpectNone()
		org.Send(says("contact1", "m"))
		got := c.Arrived()
		for _, el := range got[:len(got)-1] {
			s := parse(t, el)
			d, ok := s.Child(xml.Name{Space: "urn:xmpp:delay", Local: "delay"})
			at, err := time.Parse(time.RFC3339, d.Attr("stamp"))
			n, _ := strconv.Atoi(s.ID()[1:])
			if !ok || err != nil || !at.Equal(time.Date(2000, 1, 1, 0, 0, n, 0, time.UTC)) {
				t.Errorf("%s: %s", s.ID(), d.Raw())
			}
		}
		// The first three notifications are of items of which there are newer ones.
		wantIDs(t, c, "e20", "e25", "e30", "e35", "e40", "p44", "p45", "e45", "p46", "p47", "p48", "p49", "m")
	})
}

// TestCutWhileHeld is FI-42: what is held comes after the replay; or, if the client does
// not come back, it is disposed of by its kind, once, in order behind what was sent.
func TestCutWhileHeld(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		x := new(keeper)
		// Such a policy holds messages too.
		lazy := csi.PolicyFunc(func(it *mux.Item) csi.Decision {
			if it.Stanza.ID() == "now" {
				return csi.Decision{}
			}
			return csi.Decision{Action: csi.Hold}
		})
		h, s, c, org := phone(t, csi.Options{Policy: lazy, Awake: -1}, new(tracker), x)
		c.Send(enable)
		id := c.Session.ID()
		c.Clear()
		org.Send(says("a", "now"), shows("a", "1"), says("a", "2"))
		wantIDs(t, c, "now")
		c.Drop()
		org.Send(shows("b", "3"), says("b", "4"))
		again := h.Dial(t, "romeo@example.net")
		again.Send("<resume xmlns='urn:xmpp:sm:3' previd='" + id.String() + "' h='0'/>")
		wantIDs(t, again, "resumed", "now", "1", "2", "3", "4", "r")
		again.Send(inactive)
		org.Send(shows("a", "5"), says("a", "6"), shouts("a", "7"))
		again.Drop()
		org.Send(says("b", "8"))
		time.Sleep(11 * time.Minute)
		h.Settle()
		if got := fmt.Sprint(x.ids); got != "[now 2 4 6 8]" {
			t.Errorf("kept %s", got)
		}
		if n := s.Stats(); n.Flushed[csi.ByEnd] != (csi.Flushed{Times: 1, Stanzas: 4}) || n.Flushed[csi.ByResume].Stanzas != 4 || n.Inactive != 0 {
			t.Errorf("%+v", n)
		}
		if got := h.Routed("example.org"); len(got) > 0 {
			t.Errorf("sent back %q", got)
		}
	})
}

// TestActiveThenPing is the first half of FI-43, XEP-0352 §5.1: what was held is there
// before the answer to a later request.
func TestActiveThenPing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, _, c, org := phone(t, csi.Options{})
		org.Send(shows("a", "1"), shows("b", "2"))
		c.Send(active, "<iq type='get' id='ping' to='example.net'><ping xmlns='urn:xmpp:ping'/></iq>")
		wantIDs(t, c, "1", "2", "ping")
	})
}

// TestToggled is the other half of FI-43: a client that says 10 000 times how it is,
// while three servers send, gets everything once and in the order of each sender.
func TestToggled(t *testing.T) {
	const toggles, senders, each = 10_000, 3, 3000
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h, x, c, _ := phone(t, csi.Options{Awake: -1, MaxHeld: 50}, new(tracker))
		c.Send(enable)
		c.Clear()
		var wg sync.WaitGroup
		sent := make(chan struct{}) // so that neither side is far ahead
		for i := range senders {
			domain := fmt.Sprintf("s%d.example", i)
			s := h.DialDomain(t, mux.Server, domain)
			wg.Go(func() {
				for n := range each {
					text := shouts("a", fmt.Sprint(n))
					if n%50 == 0 {
						text = says("a", fmt.Sprint(n))
					}
					s.Write(strings.Replace(text, "example.org", domain, 1))
					sent <- struct{}{}
				}
			})
		}
		wg.Go(func() {
			for n := range toggles {
				if n < senders*each {
					<-sent
				}
				c.Write([]string{active, inactive}[n%2])
			}
		})
		wg.Wait()
		h.Settle()
		c.Send(active)
		next, total := make(map[mux.Address]int), 0
		for _, el := range c.Arrived() {
			s := parse(t, el)
			if s.Kind() == mux.Nonza {
				continue
			}
			if s.ID() != strconv.Itoa(next[s.From()]) {
				t.Fatalf("%s of %s, want %d", s.ID(), s.From(), next[s.From()])
			}
			next[s.From()]++
			total++
		}
		n := x.Stats()
		t.Logf("%+v", n)
		if total != senders*each || n.Holding != 0 || n.Held == 0 {
			t.Errorf("%d of %d: %+v", total, senders*each, n)
		}
	})
}

// TestOverflowWhileAway is FI-44: too much for a client that is away goes on to what
// keeps it, in order; when that is full too the session ends, and each message is kept
// once.
func TestOverflowWhileAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		x, track := new(keeper), &tracker{max: 5}
		hold := csi.PolicyFunc(func(*mux.Item) csi.Decision { return csi.Decision{Action: csi.Hold} })
		h, s, c, org := phone(t, csi.Options{Policy: hold, MaxHeld: 3}, track, x)
		c.Send(enable)
		c.Clear()
		c.Drop()
		for i := range 3 {
			org.Send(says("a", fmt.Sprint(i)))
		}
		org.Send(says("a", "3"))
		if n := s.Stats(); n.Flushed[csi.ByOverflow].Stanzas != 3 || n.Holding != 1 || len(x.ids) > 0 {
			t.Fatalf("%+v, kept %v", n, x.ids)
		}
		org.Send(says("a", "4"), says("a", "5"))
		org.Send(says("a", "6")) // of 3, 4 and 5 two find room
		org.Send(says("a", "7"))
		if got := len(h.Mux().Sessions(mux.MustParseAddress("romeo@example.net"))); got != 0 {
			t.Fatalf("%d sessions", got)
		}
		seen := make(map[string]int)
		for _, id := range x.ids {
			seen[id]++
		}
		for _, el := range h.Routed("example.org") {
			seen[parse(t, el).ID()]++
		}
		for i := range 8 {
			if seen[fmt.Sprint(i)] != 1 {
				t.Errorf("message %d: %d times; kept %q", i, seen[fmt.Sprint(i)], x.ids)
			}
		}
	})
}

// stores outlive a host.
type stores struct {
	sessions mux.MemorySessions
	policy   csi.Policy
}

func (s *stores) open(t *testing.T) (*muxtest.Host, *csi.Extension) {
	t.Helper()
	x := csi.New(&csi.Options{Policy: s.policy, Awake: -1})
	h := muxtest.NewHost(t)
	h.AddAccount("romeo@example.net")
	h.Open(&mux.Options{Sessions: &s.sessions, Committer: new(muxtest.Committer)}, x, new(tracker))
	return h, x
}

// TestCrash: what was held when the session was saved last is there after a crash, and
// every message that a policy holds; what was sent since then does not come back.
func TestCrash(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		st := &stores{policy: &csi.Rules{Room: func(*mux.Item) bool { return false }}}
		h, _ := st.open(t)
		c, org := h.Connect(t, romeo), h.DialDomain(t, mux.Server, "example.org")
		c.Send(enable, inactive)
		id := c.Session.ID()
		room := func(id string) string {
			return "<message from='room@example.org/a' to='" + romeo + "' type='groupchat' id='" + id + "'><body>x</body></message>"
		}
		org.Send(shows("a", "1"), room("2"), shows("b", "3"))

		h, x := st.open(t)
		if n := x.Stats(); n.Holding != 2 || n.Inactive != 1 {
			t.Errorf("%+v", n)
		}
		c, org = h.Dial(t, "romeo@example.net"), h.DialDomain(t, mux.Server, "example.org")
		c.Send("<resume xmlns='urn:xmpp:sm:3' previd='" + id.String() + "' h='0'/>")
		wantIDs(t, c, "resumed", "1", "2", "r")
		c.Send("<a xmlns='urn:xmpp:sm:3' h='2'/>", inactive)
		org.Send(room("4"), shows("a", "5"))
		c.Send(active)
		wantIDs(t, c, "4", "5", "r")
		c.Send("<a xmlns='urn:xmpp:sm:3' h='4'/>")

		h, _ = st.open(t) // what was sent is no longer held in the store
		c, org = h.Dial(t, "romeo@example.net"), h.DialDomain(t, mux.Server, "example.org")
		c.Send("<resume xmlns='urn:xmpp:sm:3' previd='" + id.String() + "' h='4'/>")
		wantIDs(t, c, "resumed", "r")
		c.Send(inactive)
		org.Send(room("6"))

		h, _ = st.open(t)
		c = h.Dial(t, "romeo@example.net")
		c.Send("<resume xmlns='urn:xmpp:sm:3' previd='" + id.String() + "' h='4'/>")
		wantIDs(t, c, "resumed", "6", "r")
	})
}

// TestEndWithoutTracker: CSI-14: what a policy holds is not lost with a session that
// cannot be resumed, however it ends.
func TestEndWithoutTracker(t *testing.T) {
	t.Parallel()
	for _, clean := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			x := new(keeper)
			hold := csi.PolicyFunc(func(*mux.Item) csi.Decision { return csi.Decision{Action: csi.Hold} })
			h, s, c, org := phone(t, csi.Options{Policy: hold}, x)
			org.Send(says("a", "1"), shows("a", "2"), says("b", "3"))
			if clean {
				c.Close()
			} else {
				c.Drop()
			}
			if got := fmt.Sprint(x.ids); got != "[1 3]" {
				t.Errorf("kept %s", got)
			}
			if n := s.Stats(); n.Holding != 0 || n.Flushed[csi.ByEnd].Stanzas != 3 {
				t.Errorf("%+v", n)
			}
			if got := h.Routed("example.org"); len(got) > 0 {
				t.Errorf("sent back %q", got)
			}
		})
	}
}

// TestAwakeNoMore: CSI-13: who has gone is not awake, and that a client was inactive is
// known after a restart also if nothing was held.
func TestAwakeNoMore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var sessions mux.MemorySessions
		x := csi.New(nil)
		h := muxtest.New(t, &mux.Options{Sessions: &sessions}, x, new(tracker))
		c, org := h.Connect(t, romeo), h.DialDomain(t, mux.Server, "example.org")
		c.Send(enable, inactive)
		org.Send(says("a", "1"))
		c.Drop()
		x = csi.New(nil)
		h.Restart(x, new(tracker))
		h.DialDomain(t, mux.Server, "example.org").Send(shows("a", "2"))
		if n := x.Stats(); n.Inactive != 1 || n.Holding != 1 {
			t.Errorf("%+v", n)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		_, x, c, org := phone(t, csi.Options{}, new(tracker))
		c.Send(enable)
		org.Send(says("a", "1"))
		c.Drop()
		org.Send(shows("a", "2"))
		if n := x.Stats(); n.Holding != 1 {
			t.Errorf("%+v", n)
		}
	})
}
