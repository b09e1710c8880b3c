package smacks_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
	"github.com/propolis-im/propolis/smacks"
)

// FI-31: both sessions of juliet have a message, one of them acknowledges it, and the
// server crashes, before that or behind it, and again. That a copy has arrived is known
// over all of it, so nothing is done about the other when its session ends (smacks SM-93).
func TestFI31CopyArrivedBeforeCrash(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		acked bool   // before the crash, else behind it
		again bool   // it crashes twice
		soon  string // what else is kept right behind the acknowledgement, and its crash comes then
	}{
		{"acknowledged before", true, false, ""},
		{"acknowledged before, noted with what came", true, false, "came"},
		{"acknowledged before, noted with what the client sent", true, false, "sent"},
		{"acknowledged before, and another crash", true, true, ""},
		{"acknowledged before, noted with what the client sent, and another crash", true, true, "sent"},
		{"acknowledged behind", false, false, ""},
		{"acknowledged behind, and another crash", false, true, ""},
		{"acknowledged behind, noted with what came, and another crash", false, true, "came"},
		{"acknowledged behind, noted with what the client sent, and another crash", false, true, "sent"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSite(t, smacks.Options{Window: time.Minute})
				romeo := s.Connect(t, romeoFull)
				enabled(t, s.Host)
				garden := s.Connect(t, "juliet@example.net/garden")
				garden.Send("<presence/>", "<enable xmlns='urn:xmpp:sm:3' resume='true'/>")
				captured := muxtest.Captures{}
				garden.ExpectWith(captured, "<enabled xmlns='urn:xmpp:sm:3' id='${id}' resume='true' max='60'/>")
				romeo.Send("<message to='juliet@example.net' type='chat' id='1'><body>x</body></message>")
				acks := func() {
					garden.Send(ack("1"))
					switch c.soon {
					case "came":
						romeo.Send("<message to='juliet@example.net/garden' type='headline'/>")
					case "sent":
						garden.Send("<message to='" + romeoFull + "' type='headline'/>")
					default:
						time.Sleep(time.Second)
					}
					s.Settle()
					romeo.Clear()
				}
				h := "0"
				if c.acked {
					acks()
					h = "1"
				}
				s.open(t)
				romeo = s.Connect(t, romeoFull)
				garden = resume(t, s.Host, captured["id"], h)
				s.Settle()
				if !c.acked {
					acks()
				}
				if c.again {
					s.open(t)
					romeo = s.Connect(t, romeoFull)
				}
				time.Sleep(2 * time.Minute)
				s.Settle()
				if got := romeo.Arrived(); strings.Contains(strings.Join(got, ""), "id='1'") {
					t.Errorf("sent back: %q", got)
				}
			})
		})
	}
}

// The same for messages that come one after the other: each is noted.
func TestFI31CopiesArriveOneByOne(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, smacks.Options{Window: time.Minute})
		romeo := s.Connect(t, romeoFull)
		enabled(t, s.Host)
		garden := s.Connect(t, "juliet@example.net/garden")
		garden.Send("<presence/>", "<enable xmlns='urn:xmpp:sm:3' resume='true'/>")
		s.Settle()
		for _, id := range ids(1, 3) {
			romeo.Send("<message to='juliet@example.net' type='chat' id='" + id + "'><body>x</body></message>")
			garden.Send(ack(id))
			time.Sleep(time.Second)
		}
		s.Settle()
		s.open(t)
		romeo = s.Connect(t, romeoFull)
		time.Sleep(2 * time.Minute)
		s.Settle()
		romeo.ExpectNone()
	})
}

// Nobody has numbers for what waited behind a feed when a server crashed and was then
// shut down in order: all the same it comes, once (smacks SM-96).
func TestFI28WaitedOverCrashAndShutdown(t *testing.T) {
	t.Parallel()
	for _, more := range []bool{false, true} { // comes between the two
		synctest.Test(t, func(t *testing.T) {
			feed := bulk{make(chan []string)}
			s := newSite(t, smacks.Options{}, feed)
			romeo := s.Connect(t, romeoFull)
			p := newPhone(t, s)
			p.c.Send(askBulk)
			romeo.Send(chats(1, 2)...) // wait
			p.c.Clear()
			want := append([]string{"bulk"}, ids(1, 2)...)
			s.open(t)
			if more {
				romeo = s.Connect(t, romeoFull)
				romeo.Send(chat("3"))
				s.Settle()
				want = append(want, "3")
			}
			s.Restart(smacks.New(&s.store, &s.opt))
			s.open(t)
			p.back(s)
			p.read()
			p.want(want...)
		})
	}
}

// busy lets stanzas wait that arrive for accounts with a gate.
type busy map[string]chan struct{}

func (busy) Name() string { return "busy" }

func (x busy) Register(r *mux.Registry) error {
	gate := func(e *mux.Event) chan struct{} { return x[e.Account.String()] }
	r.Guard(mux.ToAccount, mux.AnyStanza, func(_ context.Context, e *mux.Event) (mux.Verdict, error) {
		if c := gate(e); c != nil {
			<-c
		}
		return mux.Pass, nil
	}, mux.BlocksIf(func(e *mux.Event) bool { return gate(e) != nil }), mux.Unknown())
	return nil
}

// A client that asks while much is in progress hears of all that it asked about when
// that is finished, once for each question (smacks SM-33).
func TestAskedWhileBusy(t *testing.T) {
	t.Parallel()
	for _, again := range []bool{false, true} { // it asks about the same once more
		synctest.Test(t, func(t *testing.T) {
			gates := busy{"mercutio@example.net": make(chan struct{}), "tybalt@example.net": make(chan struct{})}
			s := newSite(t, smacks.Options{}, gates)
			juliet, _ := enabled(t, s.Host)
			told := func(what, want string) {
				t.Helper()
				s.Settle()
				if got := acks(juliet); got != want {
					t.Errorf("%s: told %s, want %s", what, got, want)
				}
			}
			juliet.Send("<iq type='result' id='1' to='mercutio@example.net/x'/>", ask)
			told("the first is asked about", "0")
			juliet.Send("<iq type='result' id='2' to='tybalt@example.net/x'/>", ask)
			told("the second is", "0")
			close(gates["mercutio@example.net"])
			told("the first is finished", "1")
			if again {
				juliet.Send(ask)
				told("the second is asked about again", "1")
			}
			close(gates["tybalt@example.net"])
			told("the second is finished", "2")
		})
	}
}

// A session that is at its end because its client has broken the rules, or had too much,
// cannot be resumed any more, although it is still there (smacks SM-38, SM-48).
func TestNotResumedAtItsEnd(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		waits  bool // is not connected
		turn   bool // it breaks in its account's turn
		cut    bool // is cut at once
		breaks func(romeo, juliet *muxtest.Client)
	}{
		"counter":            {false, false, false, func(_, juliet *muxtest.Client) { juliet.Write(ack("7")) }},
		"counter, and cut":   {false, false, true, func(_, juliet *muxtest.Client) { juliet.Write(ack("7")) }},
		"no number":          {false, false, false, func(_, juliet *muxtest.Client) { juliet.Write(ack("x")) }},
		"too much":           {false, true, false, tooMuch},
		"too much, and cut":  {false, true, true, tooMuch},
		"too much, and away": {true, true, false, tooMuch},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSite(t, smacks.Options{MaxQueue: 5})
				romeo := s.Connect(t, romeoFull)
				juliet, token := enabled(t, s.Host)
				session := juliet.Session
				if c.waits {
					juliet.Drop()
					s.Settle()
				}
				var gates [2]chan struct{}
				for i := range gates { // what arrives comes between the two, the end behind
					gates[i] = make(chan struct{})
					s.Mux().Go(session.Account(), func(context.Context, *mux.Event) { <-gates[i] })
					s.Settle()
					if i == 0 {
						c.breaks(romeo, juliet)
						s.Settle()
					}
				}
				if c.turn {
					close(gates[0])
					s.Settle()
				}
				if c.cut {
					juliet.Drop()
					s.Settle()
				}
				again := resume(t, s.Host, token, "0")
				s.Settle()
				if got := strings.Join(again.Arrived(), ""); strings.Contains(got, "<resumed") {
					t.Errorf("got %s", got)
				}
				if !c.turn {
					close(gates[0])
				}
				close(gates[1])
				s.Settle()
				juliet.Clear()
				romeo.Clear()
				again.Clear()
				if session.State() <= mux.Hibernating {
					t.Error("the session goes on")
				}
			})
		})
	}
}

func tooMuch(romeo, _ *muxtest.Client) {
	for _, el := range chats(1, 11) {
		romeo.Write(el)
	}
}
