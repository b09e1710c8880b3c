package smacks_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mellium.im/xmpp/stanza"
	"mellium.im/xmpp/stream"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/smacks"
)

// What is written, and when the peer is asked (smacks SM-22, SM-39 to SM-41).
func TestOutgoingAsks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSender(t, &smacks.OutgoingOptions{AskAfter: 3})
		if err := s.Send(s.note()); !errors.Is(err, smacks.ErrNoStream) {
			t.Errorf("sent without a stream: %v", err)
		}
		s.open(true)
		expect := func(want string) {
			t.Helper()
			if got := s.c.take(); got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		}
		expect(enableSM)
		s.send(1) // the first takes the question along, although nothing is enabled yet
		expect(wire(2) + pushed)
		s.hear(enabledSM)
		s.send(4) // one question at a time
		expect(wire(3) + "|" + wire(4) + "|" + wire(5) + "|" + wire(6))
		s.hear(ackOf(1)) // and the next, now that so many have gone
		expect(pushed)
		s.hear(ackOf(5))
		if n, octets := s.Unacknowledged(); n != 0 || octets != 0 {
			t.Errorf("%d stanzas of %d octets are kept", n, octets)
		}
		s.send(2)
		expect(wire(7) + "|" + wire(8))
		time.Sleep(9 * time.Second)
		expect("")
		time.Sleep(2 * time.Second) // they have waited for company long enough
		expect(pushed)
		s.hear(ackOf(6)) // the rest is not finished there
		time.Sleep(5 * time.Second)
		s.hear(ackOf(7)) // now it is
		time.Sleep(time.Hour)
		expect("")
		if err := s.Send(s.note(), s.note(), s.note()); err != nil { // a burst
			t.Error(err)
		}
		expect(wire(9, 10, 11) + pushed)
		s.hear(ackOf(10))
		if !s.l.Ask() { // as a probe
			t.Error("cannot ask")
		}
		s.l.Ask()
		expect(pushed)
		s.hear(pushed) // it may ask as well
		expect(ackOf(0))
		s.l.Gone()
		s.expectBack()
	})
}

// A peer that does not count, by its features or its word (smacks SM-24).
func TestOutgoingWithoutStreamManagement(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		features := func(inside string) bool {
			return smacks.Offered(parsed(t, "<features xmlns='http://etherx.jabber.org/streams'>"+inside+"</features>"))
		}
		if !features("<sm xmlns='urn:xmpp:sm:3'/>") || features("<sm xmlns='urn:xmpp:sm:2'/>") {
			t.Error("features are not understood")
		}
		s := newSender(t, nil)
		s.open(false)
		s.send(2)
		if got := s.c.take(); got != wire(1)+"|"+wire(2) {
			t.Errorf("got %s", got)
		}
		for _, raw := range []string{pushed, ackOf(0), ackOf(2), ackOf("x")} { // smacks SM-46
			s.hear(raw, "<failed xmlns='urn:xmpp:sm:3'/>")
			if got := s.c.take(); !strings.HasPrefix(got, "<failed xmlns='urn:xmpp:sm:3'><unexpected-request") || strings.Contains(got, "|") {
				t.Errorf("%s: got %s", raw, got)
			}
		}
		if s.l.Ask() {
			t.Error("asks")
		}
		if err := s.l.Wait(t.Context()); err != nil {
			t.Error(err)
		}
		s.c.breaks()
		if err := s.Send(s.note()); !errors.Is(err, smacks.ErrNoStream) {
			t.Errorf("what nobody keeps is taken: %v", err)
		}
		s.l.Gone()
		s.open(true)
		s.send(2)
		s.hear("<failed xmlns='urn:xmpp:sm:3'><unexpected-request xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>",
			"<failed xmlns='urn:xmpp:sm:3'><unexpected-request xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>", ackOf(0))
		time.Sleep(time.Hour)
		if len(s.c.ends()) > 0 {
			t.Error("waits for an answer of a peer that does not count")
		}
		s.l.Gone()
		s.expectBack()
	})
}

// Acknowledgements that cannot be end the stream, and nothing is believed of them (smacks
// SM-26, SM-27, SM-38).
func TestOutgoingBadAcknowledgements(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		h       string
		tooHigh bool
	}{
		{"4", true}, {"1", true}, {"4294967295", true}, {"0", true},
		{"4294967296", false}, {"-1", false}, {"", false}, {" 2", false}, {"1e3", false}, {"99999999999999999999", false},
	} {
		t.Run(tt.h, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := up(t, nil)
				s.send(3)
				s.hear(ackOf(2))
				err := s.hear(ackOf(tt.h))
				var se stream.Error
				if !errors.As(err, &se) || (se.Err == "bad-format") == tt.tooHigh {
					t.Fatalf("%v", err)
				}
				if len(s.c.ends()) != 1 || !errors.As(s.c.ends()[0], &se) {
					t.Errorf("closed with %v", s.c.ends())
				}
				if tt.tooHigh {
					c, err := mux.NewChild(se)
					if err != nil || !strings.Contains(c.Raw(), "handled-count-too-high") || !strings.Contains(c.Raw(), "send-count=\"3\"") && !strings.Contains(c.Raw(), "send-count='3'") {
						t.Errorf("%s %v", c.Raw(), err)
					}
				}
				if err := s.Send(s.note()); !errors.Is(err, smacks.ErrNoStream) {
					t.Errorf("goes on: %v", err)
				}
				s.hear(ackOf(3))
				s.l.Gone()
				s.expectBack("3")
			})
		})
	}
}

// A peer that does not answer is given up, unless it is us who do not read (smacks SM-42).
func TestOutgoingAckTimeout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := up(t, &smacks.OutgoingOptions{AckTimeout: 20 * time.Second})
		s.send(2)
		s.c.pause(true)
		time.Sleep(21 * time.Second)
		s.c.take()
		s.hear(ackOf(1))
		s.c.pause(false)
		if s.c.take() != pushed {
			t.Error("does not ask about the second")
		}
		time.Sleep(19 * time.Second)
		s.hear(pushed) // that it says something else is no answer
		if len(s.c.ends()) != 0 {
			t.Fatal("given up too early")
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if len(s.c.ends()) != 1 || !errors.Is(s.c.ends()[0], stream.ConnectionTimeout) {
			t.Fatalf("closed with %v", s.c.ends())
		}
		if err := s.Send(s.note()); !errors.Is(err, smacks.ErrNoStream) {
			t.Errorf("goes on: %v", err)
		}
		s.hear(ackOf(1)) // the last things that it said are read
		s.l.Gone()
		s.expectBack("2")
		time.Sleep(time.Hour)
	})
}

// A peer that answers with the same counter again and again is given up as well, whether
// or not there is room for more; one that gets on, however slowly, is not (smacks SM-48).
func TestOutgoingNoProgress(t *testing.T) {
	t.Parallel()
	for _, resend := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			o := &smacks.OutgoingOptions{MaxQueue: 4, AckTimeout: 20 * time.Second, AskWithin: 5 * time.Second}
			if resend {
				o.Resend = func(*mux.Item) bool { return true }
			}
			s := up(t, o)
			answers := func(h int, d time.Duration) {
				t.Helper()
				for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(time.Second) {
					synctest.Wait()
					if strings.Contains(s.c.take(), pushed) {
						s.hear(ackOf(h))
					}
				}
				synctest.Wait()
			}
			s.send(4)
			for n := range 3 { // slow
				answers(n, 19*time.Second)
				s.hear(ackOf(n + 1))
			}
			s.send(3)
			s.hear(ackOf(6))
			if len(s.c.ends()) != 0 {
				t.Fatalf("given up: %v", s.c.ends())
			}
			answers(6, 5*time.Second) // until it is asked about the last
			s.c.pause(true)
			answers(6, 21*time.Second)
			s.c.pause(false)
			if len(s.c.ends()) != 0 {
				t.Fatalf("given up while it is not read: %v", s.c.ends())
			}
			s.send(3)
			var full stanza.Error
			if err := s.Send(s.note()); !errors.As(err, &full) || full.Condition != stanza.ResourceConstraint {
				t.Errorf("%v", err)
			}
			answers(6, 21*time.Second)
			if len(s.c.ends()) != 1 || !errors.Is(s.c.ends()[0], stream.PolicyViolation) {
				t.Fatalf("closed with %v", s.c.ends())
			}
			if err := s.Send(s.note()); !errors.Is(err, smacks.ErrNoStream) {
				t.Errorf("goes on: %v", err)
			}
			s.l.Gone()
			if resend {
				if n, _ := s.Unacknowledged(); n != 4 {
					t.Errorf("%d wait for another stream", n)
				}
				time.Sleep(time.Hour)
			}
			s.expectBack("7", "8", "9", "10")
		})
	}
}

// A probe while nothing is kept starts no time for what is sent behind it.
func TestOutgoingProgressBehindProbe(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := up(t, &smacks.OutgoingOptions{AckTimeout: 20 * time.Second, AskWithin: 5 * time.Second})
		s.l.Ask()
		time.Sleep(19 * time.Second)
		s.send(1)
		s.hear(ackOf(0)) // to the probe
		time.Sleep(19 * time.Second)
		synctest.Wait()
		if len(s.c.ends()) != 0 {
			t.Fatalf("given up: %v", s.c.ends())
		}
		s.hear(ackOf(1))
		s.l.Gone()
		s.expectBack()
	})
}

// More than may be kept is refused, and asked for (smacks SM-47, SM-48).
func TestOutgoingBounds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		refused := func(s *sender, items ...mux.Item) {
			t.Helper()
			var se stanza.Error
			if err := s.Send(items...); !errors.As(err, &se) || se.Condition != stanza.ResourceConstraint || se.Type != stanza.Wait {
				t.Errorf("%v", err)
			}
		}
		s := up(t, &smacks.OutgoingOptions{MaxQueue: 4, AskAfter: 100})
		s.send(1)
		s.hear(ackOf(1))
		s.c.take()
		s.send(1)
		if got := s.c.take(); got != wire(2) {
			t.Errorf("got %s", got)
		}
		s.send(1) // a bound is near
		if got := s.c.take(); got != wire(3)+pushed {
			t.Errorf("got %s", got)
		}
		refused(s, s.note(), s.note(), s.note())
		if s.c.take() != "" {
			t.Error("part of what was refused is written")
		}
		s.n = 3
		s.send(2)
		refused(s, s.note())
		s.hear(ackOf(5))
		s.send(1)
		s.l.Gone()
		s.expectBack("7")

		s = up(t, &smacks.OutgoingOptions{MaxBytes: 1000})
		big := mux.Item{Stanza: parsed(t, "<message to='b@example.org' id='big'><body>"+strings.Repeat("x", 2000)+"</body></message>")}
		if err := s.Send(big); err != nil { // one always fits
			t.Error(err)
		}
		refused(s, s.note())
		s.hear(ackOf(1))
		s.send(1)
		s.l.Gone()
		s.expectBack("2")
	})
}

// Wait is for a proper end.
func TestOutgoingWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := up(t, nil)
		if err := s.l.Wait(t.Context()); err != nil {
			t.Error(err)
		}
		s.send(1)
		s.hear(ackOf(1))
		s.send(1)
		s.c.take()
		done := make(chan error, 2)
		wait := func(ctx context.Context) {
			go func() { done <- s.l.Wait(ctx) }()
			synctest.Wait()
		}
		wait(t.Context())
		if s.c.take() != pushed {
			t.Error("does not ask")
		}
		s.hear(ackOf(1))
		synctest.Wait()
		if len(done) > 0 {
			t.Error("one is not acknowledged")
		}
		s.hear(ackOf(2))
		if err := <-done; err != nil {
			t.Error(err)
		}
		time.Sleep(time.Minute)
		s.send(2) // of which the first takes a question along
		wait(t.Context())
		s.c.take()
		s.hear(ackOf(3))
		if s.c.take() != pushed {
			t.Error("does not ask at once")
		}
		s.hear(ackOf(4))
		if err := <-done; err != nil {
			t.Error(err)
		}
		s.send(1)
		ctx, cancel := context.WithCancel(t.Context())
		wait(ctx)
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		wait(t.Context())
		s.l.Gone()
		if err := <-done; !errors.Is(err, mux.ErrClosed) {
			t.Error(err)
		}
		if err := s.l.Wait(t.Context()); !errors.Is(err, mux.ErrClosed) {
			t.Error(err)
		}
		s.expectBack("5")
	})
}

// What is none of the protocol, or of no use in this direction.
func TestOutgoingMisplaced(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := up(t, nil)
		if mine, err := s.l.Receive(parsed(t, "<message/>")); mine || err != nil {
			t.Error("takes a stanza")
		}
		if mine, err := s.l.Receive(parsed(t, "<a xmlns='urn:x'/>")); mine || err != nil {
			t.Error("takes what is another protocol's")
		}
		for raw, condition := range map[string]string{enableSM: "unexpected-request", "<resume xmlns='urn:xmpp:sm:3'/>": "unexpected-request", "<what xmlns='urn:xmpp:sm:3'/>": "bad-request"} {
			s.hear(raw)
			if got := s.c.take(); !strings.HasPrefix(got, "<failed xmlns='urn:xmpp:sm:3'><"+condition) {
				t.Errorf("%s: %s", raw, got)
			}
		}
		s.hear(enabledSM, "<failed xmlns='urn:xmpp:sm:3'/>") // once more, and too late
		if s.c.take() != "" {
			t.Error("answers answers")
		}
		s.send(1)
		s.c.breaks()
		if err := s.hear(pushed); err == nil || len(s.c.ends()) != 1 {
			t.Errorf("%v", err)
		}
		s.l.Gone()
		s.expectBack("1")
	})
}

// A peer that asks and does not read is given up (core-im LIM-18).
func TestOutgoingDoesNotRead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for _, raw := range []string{pushed, enableSM, "<what xmlns='urn:xmpp:sm:3'/>"} {
			s := newSender(t, &smacks.OutgoingOptions{MaxBytes: 1000})
			var c stalled
			l, err := s.Open(&c, true)
			if err != nil {
				t.Fatal(err)
			}
			for range 100 {
				if _, err = l.Receive(parsed(t, raw)); err != nil {
					break
				}
			}
			if !errors.Is(err, mux.ErrOverflow) || len(c.ends()) != 1 || c.octets > 3000 {
				t.Errorf("%s: %v, closed with %v, %d octets wait", raw, err, c.ends(), c.octets)
			}
			l.Gone()
		}
	})
}

// stalled is a line whose peer reads nothing.
type stalled struct {
	line
	octets int
}

func (c *stalled) Write(p []byte) error {
	c.octets += len(p)
	return c.line.Write(p)
}

func (c *stalled) Pending() int { return c.octets }
