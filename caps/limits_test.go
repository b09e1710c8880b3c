package caps_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/propolis-im/propolis/caps"
	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
)

// TestSingleFlight: however many clients of one kind come at once, one is asked (pep
// CAPS-12, S-33).
func TestSingleFlight(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newRig(t, nil, caps.Options{})
		says := wants("urn:a")
		ver := verOf(t, says)
		const n = 1000
		clients := make([]*muxtest.Client, n)
		for k := range clients {
			clients[k] = h.Connect(t, fmt.Sprintf("user%d@example.net/1", k))
			clients[k].Write(toAll(ver))
		}
		h.Settle()
		asked := 0
		var by *muxtest.Client
		for _, c := range clients {
			if got := c.Arrived(); len(got) > 0 {
				asked += len(got)
				by = c
			}
		}
		if asked != 1 || h.x.Stats().Asking != 1 {
			t.Fatalf("%d are asked, %+v", asked, h.x.Stats())
		}
		by.Send(result(t, by.Next(), says))
		if got := h.take(); len(got) != n {
			t.Errorf("%d are told", len(got))
		}
		if s := h.x.Stats(); s.Asking != 0 || s.Hashes != 1 {
			t.Errorf("%+v", s)
		}
		for _, c := range clients {
			c.ExpectNone()
		}
	})
}

// TestStorm: five hundred contacts of three kinds, of two accounts (pep S-33).
func TestStorm(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newRig(t, nil, caps.Options{})
		h.AddAccount("juliet@example.net", "romeo@example.net")
		org := h.DialDomain(t, mux.Server, "friends.example")
		kinds := []string{wants("urn:a"), wants("urn:b"), wants()}
		for k := range 500 {
			p := announce(fmt.Sprintf("c%d@friends.example/1", k), verOf(t, kinds[k%3]))
			org.Send(p, strings.Replace(p, "juliet", "romeo", 1))
		}
		asked := h.Routed("friends.example")
		if len(asked) != 3 {
			t.Fatalf("%d queries", len(asked))
		}
		for k, q := range asked {
			org.Send(result(t, q, kinds[k]))
		}
		h.ExpectRouted("friends.example")
		if s := h.x.Stats(); s.Resources != 1000 || s.Hashes != 3 || s.Asking != 0 {
			t.Errorf("%+v", s)
		}
		if got := h.take(); len(got) != 2*(167+167) {
			t.Errorf("%d are told", len(got))
		}
	})
}

// TestSilence: who does not answer costs one timeout, and then twice as many are asked
// (pep S-14); nobody is asked twice within ten minutes.
func TestSilence(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newRig(t, nil, caps.Options{})
		says := wants("urn:a")
		ver := verOf(t, says)
		var clients []*muxtest.Client
		for k := range 8 {
			c := h.Connect(t, fmt.Sprintf("user%d@example.net/1", k))
			c.Send(toAll(ver))
			clients = append(clients, c)
		}
		asked := func() (who []*muxtest.Client, questions []string) {
			for _, c := range clients {
				for _, q := range c.Arrived() {
					who, questions = append(who, c), append(questions, q)
				}
				c.Clear()
			}
			return who, questions
		}
		for _, want := range []int{1, 2, 4} {
			if who, _ := asked(); len(who) != want {
				t.Fatalf("%d are asked, want %d", len(who), want)
			}
			clients[0].Send(toAll(ver))
			if who, _ := asked(); len(who) != 0 {
				t.Fatal("asked again")
			}
			time.Sleep(30 * time.Second)
			h.Settle()
		}
		who, questions := asked()
		if len(who) != 1 || h.x.Stats().Asking != 1 {
			t.Fatalf("%d are asked, %+v", len(who), h.x.Stats())
		}
		h.want(t)
		who[0].Send(result(t, questions[0], says))
		if got := h.take(); len(got) != 1 {
			t.Errorf("told %q", got)
		}
		// The others get it with their next presence.
		for k := range 8 {
			clients[k].Send(toAll(ver))
		}
		if got := h.take(); len(got) != 7 {
			t.Errorf("told %q", got)
		}
		if who, _ := asked(); len(who) != 0 {
			t.Error("asked again")
		}
	})
}

// TestRetry: a failure is forgotten after ten minutes, and with the session.
func TestRetry(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newRig(t, nil, caps.Options{})
		c := h.Connect(t, "juliet@example.net/1")
		c.Send(toAll("x="))
		c.Send(refusal(t, c.Next()))
		time.Sleep(9 * time.Minute)
		c.Send(toAll("x="), "<presence type='unavailable'/>", toAll("x="))
		c.ExpectNone()
		time.Sleep(time.Minute)
		c.Send(toAll("x="))
		c.Send(refusal(t, c.Next()))
		c.Close()
		c = h.Connect(t, "juliet@example.net/1")
		c.Send(toAll("x="))
		c.Send(refusal(t, c.Next()))
		h.want(t)
	})
}

// TestLeft: a client that leaves, or changes its mind, while it is asked.
func TestLeft(t *testing.T) {
	t.Parallel()
	says := wants("urn:a")
	for _, c := range []struct {
		name, does string
	}{
		{"unavailable", "<presence type='unavailable'/>"},
		{"another hash", toAll("y=")},
	} {
		synctest.Test(t, func(t *testing.T) {
			h := newRig(t, nil, caps.Options{})
			a, b := h.Connect(t, "juliet@example.net/1"), h.Connect(t, "juliet@example.net/2")
			a.Send(toAll(verOf(t, says)))
			b.Send(toAll(verOf(t, says)))
			asked := a.Next()
			a.Send(c.does)
			a.Clear()
			a.Send(result(t, asked, says)) // it is true all the same
			h.want(t, "juliet: juliet@example.net/2 wants [urn:a]")
			a.Send(toAll(verOf(t, says)))
			h.want(t, "juliet: juliet@example.net/1 wants [urn:a]")
			b.ExpectNone()
		})
	}
	synctest.Test(t, func(t *testing.T) { // the one that waits has left
		h := newRig(t, nil, caps.Options{})
		a, b, c := h.Connect(t, "juliet@example.net/1"), h.Connect(t, "juliet@example.net/2"), h.Connect(t, "juliet@example.net/3")
		for _, c := range []*muxtest.Client{a, b, c} {
			c.Send(toAll(verOf(t, says)))
		}
		b.Close()
		a.Send(refusal(t, a.Next()))
		c.Send(result(t, c.Next(), says))
		h.want(t, "juliet: juliet@example.net/3 wants [urn:a]")
		if s := h.x.Stats(); s.Asking != 0 {
			t.Errorf("%+v", s)
		}
	})
}

// TestBack: one that left while it waited, and is back, is asked in its turn.
func TestBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newRig(t, nil, caps.Options{})
		says := wants("urn:a")
		a, b, c := h.Connect(t, "juliet@example.net/1"), h.Connect(t, "juliet@example.net/2"), h.Connect(t, "juliet@example.net/3")
		for _, c := range []*muxtest.Client{a, b, c} {
			c.Send(toAll(verOf(t, says)))
		}
		b.Send("<presence type='unavailable'/>")
		a.Send(refusal(t, a.Next()))
		b.ExpectNone()
		asked := c.Next()
		b.Send(toAll(verOf(t, says)))
		b.Send(result(t, b.Next(), says)) // by now two are asked at once
		h.want(t, "juliet: juliet@example.net/2 wants [urn:a]", "juliet: juliet@example.net/3 wants [urn:a]")
		c.Send(refusal(t, asked)) // too late to matter
		h.want(t)
		a.Send(toAll(verOf(t, says)))
		h.want(t, "juliet: juliet@example.net/1 wants [urn:a]")
	})
}

// TestNearest: of those that wait, clients of ours are asked before others.
func TestNearest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newRig(t, nil, caps.Options{})
		h.AddAccount("juliet@example.net")
		org := h.DialDomain(t, mux.Server, "friends.example")
		says := wants("urn:a")
		for _, who := range []string{"a", "b", "c"} {
			org.Send(announce(who+"@friends.example/1", verOf(t, says)))
		}
		own := h.Connect(t, "romeo@example.net/1")
		own.Send(toAll(verOf(t, says)))
		own.ExpectNone()
		org.Send(refusal(t, h.Routed("friends.example")[0]))
		h.ExpectRouted("friends.example", "<iq type='get' from='juliet@example.net' to='b@friends.example/1' id='*'>{*}</iq>")
		own.Send(result(t, own.Next(), says))
		if got := h.take(); len(got) != 3 {
			t.Errorf("told %q", got)
		}
	})
}

// TestTooMany: a hash that is one too many to be asked for leaves nothing known.
func TestTooMany(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newRig(t, nil, caps.Options{NewHashes: 10})
		says := wants("urn:a")
		c := h.Connect(t, "juliet@example.net/1")
		c.Send(toAll(verOf(t, says)))
		c.Send(result(t, c.Next(), says))
		h.want(t, "juliet: juliet@example.net/1 wants [urn:a]")
		c.Send(toAll("x="))
		c.ExpectNone()
		h.want(t, "juliet: juliet@example.net/1 wants []")
		c.Send(toAll(verOf(t, says)))
		h.want(t, "juliet: juliet@example.net/1 wants [urn:a]")
	})
}

// TestAway: a client that is cut off while it is asked is asked when it is back.
func TestAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newRig(t, nil, caps.Options{})
		says := wants("urn:a")
		c := h.Connect(t, "juliet@example.net/1")
		c.Send(toAll(verOf(t, says)))
		c.Clear()
		c.Drop()
		time.Sleep(time.Minute)
		d := h.Dial(t, "juliet@example.net")
		if err := d.Resume(&mux.Resumption{ID: c.Session.ID(), Check: func(*mux.Session) error { return nil }}); err != nil {
			t.Fatal(err)
		}
		d.Send(result(t, d.Next(), says))
		h.want(t, "juliet: juliet@example.net/1 wants [urn:a]")
	})
}

// TestPending: only so many queries go to one domain at a time; the others go when it has
// answered.
func TestPending(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newRig(t, nil, caps.Options{MaxPending: 2, NewHashes: -1})
		h.AddAccount("juliet@example.net")
		org, other := h.DialDomain(t, mux.Server, "friends.example"), h.DialDomain(t, mux.Server, "example.org")
		says := make(map[string]string)
		for k := range 7 {
			w := wants(fmt.Sprintf("urn:%d", k))
			says[verOf(t, w)] = w
			org.Send(announce(fmt.Sprintf("c%d@friends.example/1", k), verOf(t, w)))
		}
		total := 0
		for total < 7 {
			asked := h.Routed("friends.example")
			if want := min(2, 7-total); len(asked) != want {
				t.Fatalf("%d queries, want %d", len(asked), want)
			}
			for _, q := range asked {
				_, ver, _ := strings.Cut(parse(t, q).Children()[0].Attr("node"), "#")
				org.Write(result(t, q, says[ver]))
			}
			h.Settle()
			total += len(asked)
		}
		if got := h.take(); len(got) != 7 {
			t.Errorf("told %q", got)
		}
		other.Send(announce("friend@example.org/1", "x="))
		h.ExpectRouted("example.org", "<iq type='get' from='juliet@example.net' to='friend@example.org/1' id='*'>{*}</iq>")
	})
}

// TestPendingShared: a flight that waits for one domain goes on with somebody else.
func TestPendingShared(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newRig(t, nil, caps.Options{MaxPending: 1})
		h.AddAccount("juliet@example.net")
		org := h.DialDomain(t, mux.Server, "friends.example")
		says := wants("urn:a")
		org.Send(announce("one@friends.example/1", "x="), announce("two@friends.example/1", verOf(t, says)))
		if n := len(h.Routed("friends.example")); n != 1 {
			t.Fatalf("%d queries", n)
		}
		c := h.Connect(t, "romeo@example.net/1")
		c.Send(toAll(verOf(t, says)))
		c.Send(result(t, c.Next(), says))
		h.want(t, "romeo: romeo@example.net/1 wants [urn:a]", "juliet: two@friends.example/1 wants [urn:a]")
		time.Sleep(time.Minute)
		h.ExpectRouted("friends.example")
		if s := h.x.Stats(); s.Asking != 0 {
			t.Errorf("%+v", s)
		}
	})
}

// TestNewHashes: a flood of hashes is cut off, domain by domain (pep S-15).
func TestNewHashes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newRig(t, nil, caps.Options{Strangers: true, MaxPending: 100_000})
		h.AddAccount("juliet@example.net")
		for _, c := range []struct {
			from string
			want int
		}{{"stranger%d@example.org/1", 5}, {"c%d@friends.example/1", 300}, {"stranger%d@other.example/1", 5}} {
			domain := strings.TrimSuffix(c.from[strings.Index(c.from, "@")+1:], "/1")
			s := h.DialDomain(t, mux.Server, domain)
			for k := range 600 {
				s.Write(announce(fmt.Sprintf(c.from, k), fmt.Sprintf("%s%d=", domain, k)))
			}
			h.Settle()
			if got := len(h.Routed(domain)); got != c.want {
				t.Errorf("%s: %d queries, want %d", domain, got, c.want)
			}
		}
		own := h.Connect(t, "romeo@example.net/1")
		for k := range 100 {
			own.Write(toAll(fmt.Sprintf("own%d=", k)))
		}
		h.Settle()
		if got := len(own.Arrived()); got != 30 {
			t.Errorf("%d queries of an own client", got)
		}
		own.Clear()
		time.Sleep(time.Minute)
		own.Send(toAll("own99="))
		if got := own.Arrived(); len(got) != 1 {
			t.Errorf("%d queries a minute later", len(got))
		}
		if s := h.x.Stats(); s.Resources != 1000 {
			t.Errorf("%+v", s)
		}
	})
}

// TestResources: of too many resources those heard of longest ago are forgotten.
func TestResources(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newRig(t, nil, caps.Options{MaxResources: 3, MaxAllResources: 4})
		h.AddAccount("juliet@example.net", "romeo@example.net", "paris@example.net")
		org := h.DialDomain(t, mux.Server, "friends.example")
		says := wants("urn:a")
		from := func(k int) string { return announce(fmt.Sprintf("c%d@friends.example/1", k), verOf(t, says)) }
		org.Send(from(1))
		org.Send(result(t, h.Routed("friends.example")[0], says))
		org.Send(from(2), from(3), from(1), from(4))
		h.want(t, "juliet: c1@friends.example/1 wants [urn:a]", "juliet: c2@friends.example/1 wants [urn:a]", "juliet: c3@friends.example/1 wants [urn:a]",
			"juliet: c2@friends.example/1 wants []", "juliet: c4@friends.example/1 wants [urn:a]")
		org.Send(strings.Replace(from(5), "juliet", "romeo", 1), strings.Replace(from(6), "juliet", "paris", 1), strings.Replace(from(7), "juliet", "romeo", 1))
		h.want(t, "romeo: c5@friends.example/1 wants [urn:a]", "romeo: c5@friends.example/1 wants []", "romeo: c7@friends.example/1 wants [urn:a]")
		if s := h.x.Stats(); s.Resources != 4 {
			t.Errorf("%+v", s)
		}
	})
}

// TestEntries: of too many hashes those used longest ago are forgotten, in the store too,
// but none that somebody has.
func TestEntries(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := new(caps.Memory)
		h := newRig(t, store, caps.Options{MaxEntries: 3})
		stay := h.Connect(t, "juliet@example.net/stay")
		passing := h.Connect(t, "juliet@example.net/passing")
		learn := func(c *muxtest.Client, w string) {
			t.Helper()
			c.Send(toAll(verOf(t, w)))
			c.Send(result(t, c.Next(), w))
		}
		learn(stay, wants("urn:0"))
		for k := range 6 {
			learn(passing, wants(fmt.Sprintf("urn:%d", k+1)))
		}
		if s := h.x.Stats(); s.Hashes != 3 {
			t.Errorf("%+v", s)
		}
		kept, err := store.Load(t.Context(), 10)
		for _, w := range []string{"urn:0", "urn:5", "urn:6"} {
			if err != nil || len(kept) != 3 || !slices.ContainsFunc(kept, func(s caps.Saved) bool { return s.Value == verOf(t, wants(w)) }) {
				t.Errorf("%s is not kept, but %+v, error %v", w, kept, err)
			}
		}
		h.take()
		passing.Send(toAll(verOf(t, wants("urn:0"))), toAll(verOf(t, wants("urn:5"))))
		passing.ExpectNone()
		h.want(t, "juliet: juliet@example.net/passing wants [urn:0]", "juliet: juliet@example.net/passing wants [urn:5]")
	})
}

// TestBytes: when there is no room, nothing is known; and nothing leaks.
func TestBytes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newRig(t, nil, caps.Options{MaxBytes: 1000})
		a, b := h.Connect(t, "juliet@example.net/a"), h.Connect(t, "juliet@example.net/b")
		small, large := wants("urn:a"), wants("urn:"+strings.Repeat("x", 800))
		a.Send(toAll(verOf(t, small)))
		a.Send(result(t, a.Next(), small))
		h.want(t, "juliet: juliet@example.net/a wants [urn:a]")
		b.Send(toAll(verOf(t, large)))
		b.Send(result(t, b.Next(), large))
		b.Send(toAll("x=")) // a lie, of its own
		b.Send(result(t, b.Next(), large))
		h.want(t)
		a.Send(toAll("y="))
		a.Send(result(t, a.Next(), small))
		h.want(t)
		a.Close()
		b.Send(toAll(verOf(t, small)))
		h.want(t, "juliet: juliet@example.net/a wants []", "juliet: juliet@example.net/b wants [urn:a]")
		b.Close()
		if s := h.x.Stats(); s.Hashes > 1 || s.Bytes > 1000 {
			t.Errorf("%+v", s)
		}
	})
}
