package smacks_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/smacks"
)

// What was not acknowledged goes back, oldest first and once.
func TestOutgoingLost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := up(t, nil)
		s.send(3)
		s.hear(ackOf(1))
		s.l.Gone()
		s.l.Gone()
		s.expectBack("2", "3")
		if err := s.Send(s.note()); !errors.Is(err, smacks.ErrNoStream) {
			t.Errorf("sent without a stream: %v", err)
		}
		if mine, err := s.l.Receive(parsed(t, ackOf(9))); !mine || err != nil { // too late to matter
			t.Error(err)
		}

		s.open(true)
		if _, err := s.Open(new(line), true); err == nil {
			t.Error("two streams at a time")
		}
		s.send(1)
		s.c.breaks()
		s.send(1) // is kept, and its sender hears of it
		if err := s.Send(s.note()); !errors.Is(err, smacks.ErrNoStream) || len(s.c.ends()) != 1 {
			t.Errorf("sent over a broken stream: %v", err)
		}
		s.expectBack()
		s.l.Gone()
		s.expectBack("5", "6")
	})
}

// Sent once more over the next stream, before what is new, and marked; never twice, and
// never a request (smacks SM-81, SM-98).
func TestOutgoingResends(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		asked := ""
		s := newSender(t, &smacks.OutgoingOptions{Resend: func(it *mux.Item) bool {
			asked += it.Stanza.ID() + " "
			return it.Stanza.ID() != "no"
		}})
		s.open(true)
		s.hear(enabledSM)
		for _, raw := range []string{
			"<message from='a@example.net' to='b@example.org' id='1'/>",
			"<iq type='get' from='a@example.net' to='b@example.org' id='get'><x xmlns='urn:x'/></iq>",
			"<iq type='result' from='a@example.net' to='b@example.org' id='result'/>",
			"<message from='a@example.net' to='b@example.org' id='no'/>",
			"<presence from='a@example.net' to='b@example.org' id='old'><delay xmlns='urn:xmpp:delay' from='example.net' stamp='1999-01-01T00:00:00Z'/></presence>",
		} {
			if err := s.Send(mux.Item{Stanza: parsed(t, raw)}); err != nil {
				t.Fatal(err)
			}
		}
		stamp := time.Now().UTC().Format("2006-01-02T15:04:05.000Z")
		s.l.Gone()
		s.expectBack("get", "no")
		if n, octets := s.Unacknowledged(); n != 3 || octets == 0 {
			t.Errorf("%d stanzas of %d octets are kept", n, octets)
		}
		time.Sleep(2 * time.Second)
		s.open(true)
		want := enableSM + "<message from='a@example.net' to='b@example.org' id='1'><delay xmlns='urn:xmpp:delay' from='example.net' stamp='" + stamp + "'/></message>" +
			"<iq from='a@example.net' to='b@example.org' type='result' id='result'/>" +
			"<presence from='a@example.net' to='b@example.org' id='old'><delay xmlns='urn:xmpp:delay' from='example.net' stamp='1999-01-01T00:00:00Z'/></presence>" + pushed
		if got := s.c.take(); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
		s.hear(enabledSM, ackOf(1))
		s.send(1)
		s.l.Gone()
		s.expectBack("result", "old")
		if asked != "1 result no old 1 " {
			t.Errorf("asked about %s", asked)
		}
		s.open(false) // no more is known of it then
		if got := s.c.take(); !strings.HasPrefix(got, "<message ") {
			t.Errorf("got %s", got)
		}
		s.l.Gone()
		s.expectBack()
	})
}

// What waits for another stream goes back if there is none in time, at the end, or if it
// cannot be written.
func TestOutgoingResendsInTime(t *testing.T) {
	t.Parallel()
	always := &smacks.OutgoingOptions{Resend: func(*mux.Item) bool { return true }}
	synctest.Test(t, func(t *testing.T) {
		s := up(t, always)
		s.send(2)
		s.l.Gone()
		time.Sleep(59 * time.Second)
		s.expectBack()
		time.Sleep(2 * time.Second)
		s.expectBack("1", "2")

		s.open(true)
		s.send(1)
		s.l.Gone()
		time.Sleep(59 * time.Second)
		s.open(true)
		s.hear(enabledSM, ackOf(1))
		time.Sleep(time.Hour)
		s.expectBack()
		s.send(1)
		s.l.Gone()
		s.Close()
		s.expectBack("4")
		if _, err := s.Open(new(line), true); !errors.Is(err, mux.ErrClosed) {
			t.Errorf("opened: %v", err)
		}

		s = up(t, always)
		s.send(1)
		s.Close()
		if err := s.Send(s.note()); !errors.Is(err, smacks.ErrNoStream) {
			t.Errorf("takes more: %v", err)
		}
		s.l.Gone()
		s.expectBack("1")

		s = up(t, always)
		s.send(1)
		s.l.Gone()
		s.c = &line{fail: errors.New("broken pipe")}
		if _, err := s.Open(s.c, false); err != nil || len(s.c.ends()) != 1 {
			t.Error(err)
		}
		s.expectBack("1")
	})
}

// A refusal to count that comes when the stream is broken already is not the end of what
// could not be written.
func TestOutgoingRefusedWhenBroken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSender(t, nil)
		s.open(true)
		s.c.breaks()
		s.send(1) // taken, as it is kept
		s.hear("<failed xmlns='urn:xmpp:sm:3'/>")
		s.l.Gone()
		s.expectBack("1")
	})
}

// After Close nothing is sent once more, so nothing is asked about that, and all goes back
// in order.
func TestOutgoingClosedBeforeItsStream(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := up(t, &smacks.OutgoingOptions{Resend: func(it *mux.Item) bool { return it.Stanza.ID() != "2" }})
		s.send(3)
		s.Close()
		s.l.Gone()
		s.expectBack("1", "2", "3")
	})
}

// What is marked already gets no second mark.
func TestOutgoingResendsMarked(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSender(t, &smacks.OutgoingOptions{Resend: func(*mux.Item) bool { return true }})
		s.open(true)
		s.hear(enabledSM)
		mark := mux.AppendDelay(nil, "example.net", time.Now().Add(-time.Hour))
		if err := s.Send(mux.Item{Stanza: parsed(t, "<message from='a@example.net' to='b@example.org' id='1'/>"), Extra: mark}); err != nil {
			t.Fatal(err)
		}
		s.l.Gone()
		s.open(true)
		if got := s.c.take(); strings.Count(got, "<delay ") != 1 || !strings.Contains(got, string(mark)) {
			t.Errorf("got %s", got)
		}
		s.l.Gone()
	})
}

// Each has its own mark of when it was sent first, also if others have what goes with
// them in common; and one of somebody else's is no mark of ours (XEP-0203 §3).
func TestOutgoingResendsMarkedEach(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSender(t, &smacks.OutgoingOptions{Resend: func(*mux.Item) bool { return true }})
		s.open(true)
		common := append(make([]byte, 0, 4096), "<x xmlns='urn:x'/>"...)
		var want []string
		for i := range 3 {
			it := s.note()
			if it.Extra = common; i == 2 {
				it = mux.Item{Stanza: parsed(t, "<message from='a@example.net' to='b@example.org' id='3'><delay xmlns='urn:xmpp:delay' from='room.example.net' stamp='1999-01-01T00:00:00Z'/></message>")}
			}
			if err := s.Send(it); err != nil {
				t.Fatal(err)
			}
			want = append(want, "<delay xmlns='urn:xmpp:delay' from='example.net' stamp='"+time.Now().UTC().Format("2006-01-02T15:04:05.000Z")+"'/></message>")
			time.Sleep(time.Second)
		}
		s.l.Gone()
		s.open(true)
		got := s.c.take()
		for _, mark := range want {
			if strings.Count(got, mark) != 1 {
				t.Errorf("%s is not once in %s", mark, got)
			}
		}
		s.l.Gone()
	})
}

// Nothing goes back twice, whenever an Outgoing is closed and however streams end.
func TestOutgoingGivesBackOnce(t *testing.T) {
	t.Parallel()
	always := &smacks.OutgoingOptions{Resend: func(*mux.Item) bool { return true }}
	synctest.Test(t, func(t *testing.T) {
		s := up(t, always)
		s.send(1)
		s.l.Gone()
		s.open(true) // sends it once more
		if n, _ := s.Unacknowledged(); n != 1 {
			t.Errorf("%d are kept", n)
		}
		s.Close()
		s.expectBack()
		s.l.Gone()
		s.expectBack("1")

		s = up(t, always)
		s.send(1)
		s.l.Gone()
		s.Close()
		s.expectBack("1")
		s.Close()
		s.expectBack()

		s = up(t, always)
		s.send(1)
		s.l.Gone()
		s.c = &line{fail: errors.New("broken pipe")}
		l, err := s.Open(s.c, true)
		if err != nil {
			t.Fatal(err)
		}
		s.expectBack() // it is kept, for the peer may count
		l.Gone()
		s.expectBack("1")
	})
}

// Closed while it is asked what to send once more, nothing waits for another stream.
func TestOutgoingClosedWhileAsked(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var s *sender
		s = newSender(t, &smacks.OutgoingOptions{Resend: func(*mux.Item) bool {
			s.Close()
			return true
		}})
		s.open(true)
		s.send(1)
		s.l.Gone()
		s.expectBack("1")
	})
}
