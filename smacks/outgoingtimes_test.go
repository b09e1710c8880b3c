package smacks_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"mellium.im/xmpp/stream"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/smacks"
)

// asksAfter expects a question in just so long, and nothing before.
func (s *sender) asksAfter(d time.Duration) {
	s.t.Helper()
	time.Sleep(d - time.Millisecond)
	synctest.Wait()
	if got := s.c.take(); got != "" {
		s.t.Errorf("before %v: %s", d, got)
	}
	time.Sleep(time.Millisecond)
	synctest.Wait()
	if got := s.c.take(); got != pushed {
		s.t.Errorf("after %v: %s", d, got)
	}
}

// sends sends notes, and expects that a question goes with them or not.
func (s *sender) sends(n int, asks bool) {
	s.t.Helper()
	want := ""
	for i := range n {
		want += wire(s.n + 1)
		if s.send(1); i < n-1 {
			want += "|"
		}
	}
	if asks {
		want += pushed
	}
	if got := s.c.take(); got != want {
		s.t.Errorf("got  %s\nwant %s", got, want)
	}
}

// When the peer is asked by itself: so long after the first stanza that took no question
// along, or after an answer that leaves something (smacks SM-39, SM-40).
func TestOutgoingAsksInTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := up(t, &smacks.OutgoingOptions{AskAfter: 4})
		s.sends(1, true)
		s.hear(ackOf(1))
		time.Sleep(4 * time.Second)
		s.sends(1, false)
		time.Sleep(4 * time.Second)
		s.sends(1, false) // later ones do not put it off
		s.asksAfter(6 * time.Second)
		s.hear(ackOf(2))
		s.asksAfter(10 * time.Second)
		s.hear(ackOf(3))

		s.sends(3, false)
		s.sends(1, true) // the fourth
		s.sends(3, false)
		s.hear(ackOf(10))
		if got := s.c.take(); got != "" {
			t.Errorf("asks about nothing: %s", got)
		}
		s.sends(3, false) // it counts anew
		s.sends(1, true)
		s.hear(ackOf(14))
		s.l.Gone()
		s.expectBack()
	})
}

// A peer that is asked by itself has no more time to answer than another (smacks SM-42).
func TestOutgoingAskedAloneTimeout(t *testing.T) {
	t.Parallel()
	for name, ask := range map[string]func(s *sender){
		"a probe": func(s *sender) { s.l.Ask() },
		"the last stanzas": func(s *sender) {
			s.send(1)
			s.hear(ackOf(1))
			s.send(1)
			time.Sleep(10 * time.Second)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := up(t, nil)
				ask(s)
				time.Sleep(59 * time.Second)
				synctest.Wait()
				if n := len(s.c.ends()); n != 0 {
					t.Errorf("given up too early")
				}
				time.Sleep(time.Second)
				synctest.Wait()
				if ends := s.c.ends(); len(ends) != 1 || !errors.Is(ends[0], stream.ConnectionTimeout) {
					t.Errorf("closed with %v", ends)
				}
				s.l.Gone()
			})
		})
	}
}

// Who is full asks, unless it has asked already (smacks SM-41).
func TestOutgoingFullAsks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := up(t, &smacks.OutgoingOptions{MaxQueue: 2, AskAfter: 100})
		s.send(2)
		s.hear(ackOf(0), ackOf(0)) // busy with the first
		s.c.take()
		for range 2 {
			if err := s.Send(s.note()); err == nil {
				t.Error("takes too much")
			}
		}
		if got := s.c.take(); got != pushed {
			t.Errorf("got %s", got)
		}
		s.l.Gone()
		s.expectBack("1", "2")
	})
}

// Counting begins with the peer's word, if it was asked for that (smacks SM-22, SM-24).
func TestOutgoingCountsFromEnabled(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSender(t, nil)
		s.open(true)
		s.send(1)
		s.hear(ackOf(1)) // of what it has not begun to count
		s.l.Gone()
		s.expectBack("1")

		s.open(false)
		s.hear(enabledSM) // without having been asked
		s.send(1)
		if n, _ := s.Unacknowledged(); n != 0 {
			t.Errorf("%d are kept", n)
		}
		s.l.Gone()
		s.expectBack()
	})
}

// A stream that is broken is closed once, and nothing is written to it nor expected of it.
func TestOutgoingBrokenOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := up(t, nil)
		s.send(1) // takes the question along
		s.c.breaks()
		s.send(1)
		for _, raw := range []string{pushed, ackOf(1), enableSM} {
			if err := s.hear(raw); err != nil {
				t.Errorf("%s: %v", raw, err)
			}
		}
		if s.l.Ask() {
			t.Error("asks")
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if ends := s.c.ends(); len(ends) != 1 {
			t.Errorf("closed with %v", ends)
		}
		s.l.Gone()
		s.expectBack("2")
	})
}

// Who waits for acknowledgements does not wait for a peer that will send none (smacks
// SM-24); and who waits no more does not have the peer asked about each stanza.
func TestOutgoingWaitEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSender(t, nil)
		s.open(true)
		s.send(1)
		done := make(chan error, 1)
		go func() { done <- s.l.Wait(t.Context()) }()
		synctest.Wait()
		s.hear("<failed xmlns='urn:xmpp:sm:3'/>")
		synctest.Wait()
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
		default:
			t.Fatal("waits")
		}
		s.l.Gone()

		s = up(t, nil)
		s.send(2)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := s.l.Wait(ctx); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		s.c.take()
		s.hear(ackOf(1))
		s.sends(1, false)
		s.l.Gone()
		s.expectBack("2", "3")
	})
}

// What is kept goes back with no Work, which has ended, and says whether it was sent twice.
func TestOutgoingGivesBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var back []mux.Item
		o := smacks.NewOutgoing(func(it mux.Item, _ error) { back = append(back, it) }, &smacks.OutgoingOptions{Resend: func(*mux.Item) bool { return true }})
		l, err := o.Open(new(line), true)
		if err != nil {
			t.Fatal(err)
		}
		if err := o.Send(mux.Item{Stanza: parsed(t, wire(1)), Record: new(mux.Record)}); err != nil {
			t.Fatal(err)
		}
		l.Gone()
		if l, err = o.Open(new(line), true); err != nil {
			t.Fatal(err)
		}
		if err := o.Send(mux.Item{Stanza: parsed(t, wire(2))}); err != nil {
			t.Fatal(err)
		}
		o.Close()
		l.Gone()
		if len(back) != 2 || back[0].Flags&mux.Replay == 0 || back[1].Flags&mux.Replay != 0 {
			t.Fatalf("given back: %+v", back)
		}
		if back[0].Record != nil || back[0].Work != nil {
			t.Error("holds what is the Work's")
		}
	})
}
