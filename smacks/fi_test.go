package smacks_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
	"github.com/propolis-im/propolis/smacks"
)

const (
	resumedAny = "<resumed xmlns='urn:xmpp:sm:3' previd='{*}' h='{*}'/>"
	unknown    = "<failed xmlns='urn:xmpp:sm:3'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>"
	badRequest = "<failed xmlns='urn:xmpp:sm:3'><bad-request xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>"
	unexpected = "<failed xmlns='urn:xmpp:sm:3'><unexpected-request xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>"
)

func known(h string) string {
	return "<failed xmlns='urn:xmpp:sm:3' h='" + h + "'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>"
}

func resumedWith(token, h string) string {
	return "<resumed xmlns='urn:xmpp:sm:3' previd='" + token + "' h='" + h + "'/>"
}

func ack(h string) string { return "<a xmlns='urn:xmpp:sm:3' h='" + h + "'/>" }

// lost is the error that the sender of a message gets that nobody took.
func lost(id string) string {
	return "<message type='error' id='" + id + "' from='" + julietFull + "' to='" + romeoFull + "'>{*}</message>"
}

func TestFI03CutBeforeEnabled(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, smacks.Options{})
		romeo := s.Connect(t, romeoFull)
		juliet := s.Connect(t, julietFull)
		juliet.Send("<presence/>")
		s.commits.Hold()
		juliet.Send("<enable xmlns='urn:xmpp:sm:3' resume='true'/>")
		juliet.ExpectNone()
		romeo.Send(chat("1"))
		juliet.Drop()
		s.commits.Release()
		s.Settle()
		romeo.ExpectNone()
		if n := len(s.Mux().Sessions(mux.MustParseAddress("juliet@example.net"))); n != 1 {
			t.Fatalf("%d sessions, want the one that waits", n)
		}
		time.Sleep(10 * time.Minute)
		s.Settle()
		romeo.Expect(lost("1"))
		if n := len(s.Mux().Sessions(mux.MustParseAddress("juliet@example.net"))); n != 0 {
			t.Errorf("%d sessions after the window", n)
		}
	})
}

// Cut between any two elements of a replay: the next resumption goes on, and what
// was acknowledged stays acknowledged.
func TestFI04CutDuringReplay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, smacks.Options{})
		romeo := s.Connect(t, romeoFull)
		p := newPhone(t, s)
		romeo.Send(chats(1, 6)...)
		p.c.Drop()
		for n := range 6 {
			p.back(s)
			p.c.Expect(resumedAny)
			for range 1 { // sees one more, and is cut
				p.take(p.c.Arrived()[0], new(bool))
			}
			p.c.Clear()
			p.c.Drop()
			if n == 3 {
				c := resume(t, s.Host, p.token, "1")
				c.Expect(known("0"))
			}
		}
		p.back(s)
		p.read()
		p.want(ids(1, 6)...)
		romeo.ExpectNone()
	})
}

func TestFI05to07AcknowledgementLost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, smacks.Options{})
		romeo := s.Connect(t, romeoFull)
		p := newPhone(t, s)
		p.mute = true
		romeo.Send(chats(1, 3)...)
		p.read()                                       // handles them, and is cut before it can say so
		p.c.Write("<message to='" + romeoFull + "'/>") // handled, and its acknowledgement never comes
		s.Settle()
		p.c.Drop()
		p.back(s)
		p.c.Expect(resumedWith(p.token, "1"), ask)
		romeo.Expect("<message from='" + julietFull + "' to='" + romeoFull + "'/>")
		p.want(ids(1, 3)...)
	})
}

// slow handles messages when its channel lets it.
type slow struct{ gate chan struct{} }

func (slow) Name() string { return "slow" }

func (x slow) Register(r *mux.Registry) error {
	r.Guard(mux.FromPeer, mux.Message, func(context.Context, *mux.Event) (mux.Verdict, error) {
		<-x.gate
		return mux.Pass, nil
	}, mux.Blocks())
	return nil
}

func TestFI08HandlerBusyAtResumption(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		s := newSite(t, smacks.Options{}, slow{gate})
		romeo := s.Connect(t, romeoFull)
		juliet, token := enabled(t, s.Host)
		juliet.Send("<message to='"+romeoFull+"' id='1'/>", "<r xmlns='urn:xmpp:sm:3'/>")
		juliet.Expect(ack("0"))
		again := resume(t, s.Host, token, "0")
		again.ExpectNone()
		time.Sleep(time.Second)
		gate <- struct{}{}
		s.Settle()
		again.Expect(resumedWith(token, "1"), ask)
		romeo.Expect("<message from='" + julietFull + "' to='" + romeoFull + "' id='1'/>")

		// Or it gives up after a while, and nothing has changed.
		again.Send("<message to='" + romeoFull + "' id='2'/>")
		third := resume(t, s.Host, token, "0")
		time.Sleep(20 * time.Second)
		third.Expect(unknown)
		gate <- struct{}{}
		s.Settle()
		again.Send(ask)
		again.Expect(ack("2"))
		romeo.Expect("<message from='" + julietFull + "' to='" + romeoFull + "' id='2'/>")
		close(gate)
	})
}

func TestFI09TakenOverAlive(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, smacks.Options{})
		romeo := s.Connect(t, romeoFull)
		juliet, token := enabled(t, s.Host)
		romeo.Send(chats(1, 2)...)
		juliet.Expect(got("1"), ask, got("2"))
		again := resume(t, s.Host, token, "1")
		juliet.ExpectClosed("conflict")
		again.Expect(resumedWith(token, "0"), late("2"), ask)
		romeo.Send(chat("3"))
		again.Expect(got("3"))
		juliet.ExpectNone()
		romeo.ExpectNone()
	})
}

func TestFI10TakenOverBlackHoled(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, smacks.Options{})
		romeo := s.Connect(t, romeoFull)
		juliet, token := enabled(t, s.Host)
		juliet.Stall()
		juliet.Clear()
		romeo.Send(chats(1, 50)...)
		start := time.Now()
		p := &phone{t: t, token: token}
		p.back(s)
		p.read()
		p.want(ids(1, 50)...)
		if d := time.Since(start); d > time.Second {
			t.Errorf("took %v", d)
		}
	})
}

func TestFI11TwoResumptionsAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for range 100 {
			s := newSite(t, smacks.Options{})
			romeo := s.Connect(t, romeoFull)
			juliet, token := enabled(t, s.Host)
			romeo.Send(chat("1"))
			juliet.Drop()
			var cs [2]*muxtest.Client
			for i := range cs {
				cs[i] = s.Dial(t, "juliet@example.net")
			}
			for i := range cs {
				cs[i].Write("<resume xmlns='urn:xmpp:sm:3' previd='" + token + "' h='0'/>")
			}
			s.Settle()
			live := 0
			for _, c := range cs {
				all := strings.Join(c.Arrived(), "")
				switch {
				case strings.Contains(all, "<failed"):
				case strings.Contains(all, "<conflict"):
				case strings.Contains(all, "<resumed") && strings.Count(all, "<message") == 1:
					live++
				default:
					t.Errorf("got %s", all)
				}
				c.Clear()
			}
			if live != 1 {
				t.Fatalf("%d streams went on", live)
			}
			romeo.ExpectNone()
		}
	})
}

func TestFI12StaleResumption(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, smacks.Options{})
		romeo := s.Connect(t, romeoFull)
		p := newPhone(t, s)
		romeo.Send(chats(1, 3)...)
		p.c.Drop()
		p.back(s)
		p.read()
		stale := resume(t, s.Host, p.token, "0")
		stale.Expect(known("0"))
		romeo.Send(chat("4"))
		p.read()
		p.want(ids(1, 4)...)
	})
}

// Whatever a token is that is not the session's: the answer is the same, and the
// victim does not notice, whether it is connected or waits (smacks SM-69, SM-71). Of a
// session that is over just its owner is told more.
func TestFI13ForeignTokens(t *testing.T) {
	t.Parallel()
	for _, waits := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			s := newSite(t, smacks.Options{Window: time.Minute})
			romeo := s.Connect(t, romeoFull)
			old := s.Connect(t, "juliet@example.net/garden")
			old.Send("<enable xmlns='urn:xmpp:sm:3' resume='true'/>")
			captured := muxtest.Captures{}
			old.ExpectWith(captured, "<enabled xmlns='urn:xmpp:sm:3' id='${id}' resume='true' max='60'/>")
			old.Close()
			finished := captured["id"]
			juliet, token := enabled(t, s.Host)
			romeo.Send(chat("1"))
			juliet.Expect(got("1"), ask)
			if waits {
				juliet.Drop()
			}
			start := time.Now()
			for _, c := range []struct{ account, previd, want string }{
				{"romeo@example.net", token, unknown},
				{"juliet@example.net", other(token), unknown},
				{"juliet@example.net", strings.Repeat("A", len(token)), unknown},
				{"juliet@example.net", "x", unknown},
				{"juliet@example.net", token + "A", unknown},
				{"juliet@example.net", strings.Repeat("x", 4000), unknown},
				{"romeo@example.net", finished, unknown},
				{"juliet@example.net", other(finished), unknown},
				{"juliet@example.net", finished, known("0")},
				{"juliet@example.net", "", badRequest},
				{"juliet@example.net", strings.Repeat("x", 4001), badRequest},
				{"juliet@example.net", strings.Repeat("x", 1<<20), badRequest},
				{"juliet@example.net", token + strings.Repeat(" ", 1<<20), badRequest},
			} {
				thief := s.Dial(t, c.account)
				thief.Send("<resume xmlns='urn:xmpp:sm:3' previd='" + c.previd + "' h='0'/>")
				if got := thief.Next(); got != c.want {
					t.Errorf("%s with %.50s: got %s, want %s", c.account, c.previd, got, c.want)
				}
				thief.ExpectNone()
				thief.Bind(nil) // the stream goes on
			}
			if d := time.Since(start); d != 0 {
				t.Errorf("some answers took %v", d)
			}
			juliet.ExpectNone()
			romeo.Send(chat("2"))
			if waits {
				again := resume(t, s.Host, token, "1")
				again.Expect(resumedWith(token, "0"), late("2"), ask)
			} else {
				juliet.Expect(got("2"))
			}
			romeo.ExpectNone()
		})
	}
}

// other is a token that differs in its last character.
func other(token string) string {
	last := "A"
	if strings.HasSuffix(token, last) {
		last = "Q"
	}
	return token[:len(token)-1] + last
}

func TestFI14ResumptionAtTheDeadline(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for _, d := range []time.Duration{-1, 0, 1} {
			s := newSite(t, smacks.Options{Window: time.Minute})
			romeo := s.Connect(t, romeoFull)
			juliet, token := enabled(t, s.Host)
			romeo.Send(chat("1"))
			juliet.Drop()
			time.Sleep(time.Minute + d)
			c := s.Dial(t, "juliet@example.net")
			c.Send("<resume xmlns='urn:xmpp:sm:3' previd='" + token + "' h='0'/>")
			all, errs := strings.Join(c.Arrived(), ""), strings.Join(romeo.Arrived(), "")
			resumed, disposed := strings.Contains(all, "<resumed") && strings.Contains(all, "<message"), strings.Contains(errs, "type='error'")
			if resumed == disposed || disposed != strings.Contains(all, "<failed") {
				t.Errorf("%v: client got %s, sender %s", d, all, errs)
			}
			if d != 0 && resumed != (d < 0) {
				t.Errorf("%v: resumed %v", d, resumed)
			}
		}
	})
}

func TestFI15ReplacedWhileWaiting(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, smacks.Options{})
		romeo := s.Connect(t, romeoFull)
		juliet, token := enabled(t, s.Host)
		romeo.Send(chat("1"))
		juliet.Drop()
		next := s.Dial(t, "juliet@example.net")
		next.Bind(&mux.BindOptions{Resource: "balcony"})
		if got := next.Session.JID().String(); got != julietFull {
			t.Fatalf("bound %s", got)
		}
		romeo.Expect(lost("1"))
		late := resume(t, s.Host, token, "0")
		late.Expect(known("0"))
		romeo.Send(chat("2"))
		next.Expect(got("2"))
	})
}

// A thousand messages a second, and fifty times the connection breaks at random, with
// some of what is on it seen: each message is seen once, in order.
func TestFI16CutAgainAndAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const cuts = 50
		rnd := rand.New(rand.NewPCG(1, 2))
		s := newSite(t, smacks.Options{})
		romeo := s.Connect(t, romeoFull)
		p := newPhone(t, s)
		stop, sent := make(chan struct{}), make(chan int)
		go func() {
			for n := 0; ; time.Sleep(time.Millisecond) {
				select {
				case <-stop:
					sent <- n
					return
				default:
					n++
					romeo.Write(chat(fmt.Sprint(n)))
				}
			}
		}()
		pause := func(most time.Duration) { time.Sleep(time.Duration(rnd.Int64N(int64(most)))) }
		half := 0 // cuts with something under way
		for range cuts {
			for range rnd.IntN(4) {
				pause(20 * time.Millisecond)
				p.read()
			}
			pause(60 * time.Millisecond)
			for range rnd.IntN(len(p.c.Arrived()) + 1) {
				p.take(p.c.Arrived()[0], new(bool))
			}
			if len(p.c.Arrived()) > 0 {
				half++
			}
			p.c.Drop()
			p.c.Clear()
			pause(40 * time.Millisecond)
			p.back(s)
		}
		close(stop)
		total := <-sent
		time.Sleep(time.Second)
		p.read()
		if total < 2000 || half < cuts/2 {
			t.Errorf("%d messages, %d cuts with some under way", total, half)
		}
		p.want(ids(1, total)...)
		if n := s.x.Stats(); n.Resumed != cuts || n.Queued != 0 {
			t.Errorf("afterwards: %+v", n)
		}
		romeo.ExpectNone()
	})
}

func TestFI17SentDuringReplay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, smacks.Options{})
		romeo := s.Connect(t, romeoFull)
		p := newPhone(t, s)
		romeo.Send(chats(1, 3)...)
		p.c.Drop()
		s.commits.Hold() // the reply waits until the resumption is saved
		p.back(s)
		romeo.Send(chats(4, 5)...)
		p.c.Send("<message to='" + romeoFull + "' id='own'/>")
		p.c.ExpectNone()
		s.commits.Release()
		s.Settle()
		p.c.Expect(resumedWith(p.token, "0"), late("1"), late("2"), late("3"), ask, got("4"), got("5"))
		romeo.Expect("<message from='" + julietFull + "' to='" + romeoFull + "' id='own'/>")
	})
}

// Resumptions without any progress end the session, those with some do not (smacks
// SM-51).
func TestFI18NoProgress(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, smacks.Options{})
		romeo := s.Connect(t, romeoFull)
		juliet, token := enabled(t, s.Host)
		romeo.Send(chat("1"))
		juliet.Drop()
		for range 5 {
			c := resume(t, s.Host, token, "0")
			c.Expect(resumedWith(token, "0"), late("1"), ask)
			c.Drop()
		}
		c := resume(t, s.Host, token, "0")
		c.Expect(unknown)
		romeo.Expect(lost("1"))
		if n := len(s.Mux().Sessions(mux.MustParseAddress("juliet@example.net"))); n != 0 {
			t.Errorf("%d sessions are left", n)
		}
	})
}

// Progress is also what was acknowledged before the connection broke again (smacks SM-51).
func TestFI18ProgressByAcknowledgement(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, smacks.Options{})
		romeo := s.Connect(t, romeoFull)
		juliet, token := enabled(t, s.Host)
		romeo.Send(chats(1, 20)...)
		juliet.Clear()
		juliet.Drop()
		for i := range 10 {
			c := resume(t, s.Host, token, fmt.Sprint(i))
			c.ExpectWith(muxtest.Captures{}, resumedWith(token, "0"))
			c.Clear()
			c.Send(ack(fmt.Sprint(i + 1)))
			c.Drop()
		}
		c := resume(t, s.Host, token, "20")
		c.Expect(resumedWith(token, "0"), ask)
		romeo.ExpectNone()
	})
}

// Who has got everything may come back as often as it likes.
func TestFI18NothingToGetOnWith(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, smacks.Options{})
		juliet, token := enabled(t, s.Host)
		for range 20 {
			juliet.Drop()
			juliet = resume(t, s.Host, token, "0")
			juliet.Expect(resumedWith(token, "0"), ask)
		}
	})
}

// The counters are near their end, and go across it live, while the session waits,
// and in what is told of it afterwards.
func TestFI19Wrap(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, smacks.Options{})
		p := newPhone(t, s)
		id := p.c.Session.ID().String()
		s.Restart(smacks.New(&s.store, &s.opt))
		const near = 1<<32 - 3
		for _, n := range []uint32{1<<31 - 1, near} { // each is later than the one before
			if err := s.store.Note(id, smacks.Counters{Handled: n, Acked: n})(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
		}
		s.open(t)
		romeo := s.Connect(t, romeoFull)
		p.in = near
		p.back(s)
		base := p.handled(s) // stanzas from before it was enabled
		say := "<message to='" + romeoFull + "'/>"
		romeo.Send(chats(1, 2)...)
		p.read()
		p.c.Send(say, say, ask)
		p.read()
		p.c.Drop()
		romeo.Send(chats(3, 4)...)
		s.Settle()
		s.Restart(smacks.New(&s.store, &s.opt))
		romeo = s.Connect(t, romeoFull)
		p.back(s)
		p.read()
		p.c.Send(say, say, ask)
		p.read()
		if want := base + 4; p.told != want || p.in != 1 {
			t.Errorf("h is %d, want %d; %d handled", p.told, want, p.in)
		}
		p.want(ids(1, 4)...)
		p.c.Close()
		c := resume(t, s.Host, p.token, fmt.Sprint(p.in))
		c.Expect(known(fmt.Sprint(base + 4)))
		romeo.Clear()
	})
}

func (p *phone) handled(s *site) uint32 {
	p.c.Send(ask)
	p.read()
	return p.told
}
