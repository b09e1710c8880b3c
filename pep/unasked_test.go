package pep_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
	"github.com/propolis-im/propolis/pep"
)

// questions are who wants to subscribe to what, of the messages that have arrived.
func (s *stage) questions(c *muxtest.Client) []string {
	s.t.Helper()
	s.h.Settle()
	var l []string
	for _, el := range c.Arrived() {
		if st, err := mux.Parse([]byte(el)); err == nil && st.Kind() == mux.Message && strings.Contains(el, "subscribe_authorization") {
			if st.From() != addr("juliet@example.net") {
				s.t.Errorf("from %s", st.From())
			}
			value := func(name string) string {
				_, after, _ := strings.Cut(el, "'pubsub#"+name+"'")
				_, after, _ = strings.Cut(after, "<value>")
				v, _, _ := strings.Cut(after, "</value>")
				return v
			}
			who, _, _ := strings.Cut(value("subscriber_jid"), "@")
			l = append(l, value("node")+":"+who)
		}
	}
	c.Clear()
	return l
}

func (s *stage) asks(name, node string) {
	s.t.Helper()
	if got := s.ask(name, "set", pubsub("<subscribe node='"+node+"' jid='"+name+"@example.net'/>")); got != "" {
		s.t.Errorf("%s asks: %s", name, got)
	}
}

func (s *stage) want(c *muxtest.Client, want ...string) {
	s.t.Helper()
	if got := s.questions(c); !slices.Equal(got, want) {
		s.t.Errorf("asked %q, want %q", got, want)
	}
}

const available = "<presence/>"

// TestAskedLater: an owner that was away is asked when it comes, once in each session, about
// what nobody has answered (pep PSUB-4).
func TestAskedLater(t *testing.T) {
	t.Parallel()
	play(t, nil, func(s *stage) {
		s.publish("n", "1", "access_model=authorize")
		s.who("juliet").Close()
		s.asks("romeo", "n")
		s.asks("nurse", "n")

		c := s.h.Connect(t, "juliet@example.net/2")
		s.want(c)
		c.Send("<presence><priority>-1</priority></presence>")
		s.want(c) // messages are not for it
		c.Send(available)
		s.want(c, "n:nurse", "n:romeo")
		c.Send("<presence><show>away</show></presence>", "<presence type='unavailable'/>", available)
		s.want(c)
		c.Send("<message to='juliet@example.net'>" + form("subscribe_authorization", "node=n", "subscriber_jid=romeo@example.net", "allow=0") + "</message>")

		d := s.h.Connect(t, "juliet@example.net/3")
		d.Send(available)
		s.want(d, "n:nurse")
		s.want(c)

		// One that was denied and asks again is asked about again, wherever the message did
		// not come.
		c.Send("<presence><priority>5</priority></presence>")
		s.asks("romeo", "n")
		s.want(c, "n:romeo")
		s.want(d)
		d.Send(available)
		s.want(d, "n:romeo")
		c.Send(available)
		s.want(c)
	})
}

// TestAskedAfterRestart: with the process nothing is forgotten, and who has no requests
// causes no read.
func TestAskedAfterRestart(t *testing.T) {
	t.Parallel()
	var c *counted
	play(t, func(a *assembly) { c = &counted{Store: a.store}; a.store = c }, func(s *stage) {
		s.publish("n", "1", "access_model=authorize")
		s.who("juliet").Close()
		s.asks("romeo", "n")
		s.who("romeo").Close()
		s.h.Restart(s.extensions()...)
		c.reset()
		j := s.h.Connect(t, "juliet@example.net/1")
		j.Send(available)
		s.want(j) // of a client that has nothing to do with nodes nothing is read
		if n := c.loads.Load(); n != 0 {
			t.Errorf("%d reads", n)
		}
		j.Send("<presence><c xmlns='x:caps'>other</c></presence>")
		s.want(j, "n:romeo")
		j.Close()
		j = s.h.Connect(t, "juliet@example.net/2")
		j.Send(available) // known by now
		s.want(j, "n:romeo")
		c.reset()
		r := s.h.Connect(t, "romeo@example.net/1")
		r.Send(available)
		s.h.Settle()
		if n := c.loads.Load(); n != 0 {
			t.Errorf("%d reads", n)
		}
	})
}

// TestAskedMany: many questions come as fast as they are read, each once, and those that
// are answered meanwhile not at all.
func TestAskedMany(t *testing.T) {
	t.Parallel()
	const n = 900
	play(t, func(a *assembly) {
		conf := pep.DefaultConfig()
		conf.Access = "authorize"
		apply(t, a.store.PutNode(addr("juliet@example.net"), pep.Node{Name: "n", Config: conf}))
		for i := range n {
			apply(t, a.store.SetPeer(addr("juliet@example.net"), "n", pep.Peer{JID: addr(fmt.Sprintf("c%03d@example.net", i)), Subscription: pep.Pending}))
		}
	}, func(s *stage) {
		j := s.h.Connect(t, "juliet@example.net/1")
		j.Send("<presence><c xmlns='x:caps'>other</c></presence>")
		got := s.questions(j)
		if !slices.IsSorted(got) || len(slices.Compact(got)) != n {
			t.Errorf("%d questions", len(got))
		}
		j.Send(available)
		s.want(j)

		k := s.h.Connect(t, "juliet@example.net/2")
		k.Stall()
		k.Write(available)
		s.h.Settle()
		var b strings.Builder
		for i := range n - 1 {
			fmt.Fprintf(&b, "<subscription jid='c%03d@example.net' subscription='none'/>", i)
		}
		if got := s.ask("juliet", "set", owner("<subscriptions node='n'>"+b.String()+"</subscriptions>")); got != "" {
			t.Error(got)
		}
		k.Unstall()
		if got := s.questions(k); len(got) == 0 || len(got) > n/2 || got[len(got)-1] != "n:c899" {
			t.Errorf("%d questions", len(got))
		}
	})
}
