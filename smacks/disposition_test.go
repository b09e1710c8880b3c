package smacks_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/smacks"
)

// What becomes of what a session had that is over, by kind (smacks SM-90). Nobody
// stores anything here; what is stored is decided by the handlers of package mux.
func TestDisposition(t *testing.T) {
	const to = " to='" + julietFull + "' id='x'"
	for name, c := range map[string]struct{ stanza, want string }{
		"presence":           {"<presence" + to + "/>", ""},
		"directed presence":  {"<presence" + to + " type='unavailable'/>", ""},
		"request":            {"<iq type='get'" + to + "><q xmlns='urn:x'/></iq>", "service-unavailable"},
		"setting":            {"<iq type='set'" + to + "><q xmlns='urn:x'/></iq>", "service-unavailable"},
		"result":             {"<iq type='result'" + to + "/>", ""},
		"error to a request": {"<iq type='error'" + to + "/>", ""},
		"error":              {"<message type='error'" + to + "><error type='cancel'><gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>", ""},
		"headline":           {"<message type='headline'" + to + "><body>x</body></message>", ""},
		"groupchat":          {"<message type='groupchat'" + to + "><body>x</body></message>", ""},
		"chat state":         {"<message type='chat'" + to + "><composing xmlns='http://jabber.org/protocol/chatstates'/></message>", ""},
		"pubsub event":       {"<message" + to + "><event xmlns='http://jabber.org/protocol/pubsub#event'/></message>", ""},
		"chat":               {"<message type='chat'" + to + "><body>x</body></message>", "recipient-unavailable"},
		"normal":             {"<message" + to + "><body>x</body></message>", "recipient-unavailable"},
		"receipt":            {"<message" + to + "><received xmlns='urn:xmpp:receipts' id='y'/></message>", "recipient-unavailable"},
	} {
		for _, waits := range []bool{false, true} { // sent and not acknowledged, or never sent
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := newSite(t, smacks.Options{})
					romeo := s.Connect(t, romeoFull)
					juliet, _ := enabled(t, s.Host)
					if waits {
						juliet.Drop()
					}
					romeo.Send(c.stanza)
					juliet.Clear()
					juliet.Drop()
					romeo.ExpectNone()
					time.Sleep(10 * time.Minute)
					s.Settle()
					got := romeo.Arrived()
					romeo.Clear()
					switch {
					case c.want == "" && len(got) > 0:
						t.Errorf("sender got %q", got)
					case c.want != "" && (len(got) != 1 || !strings.Contains(got[0], c.want) || !strings.Contains(got[0], "id='x'")):
						t.Errorf("sender got %q, want %s", got, c.want)
					}
				})
			})
		}
	}
}

// Another session that is there gets what the one that is over did not, once, with
// the time; also if that was acknowledged there it is not sent again.
func TestDispositionElsewhere(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		seen := new(observer)
		s := newSite(t, smacks.Options{}, seen)
		romeo := s.Connect(t, romeoFull)
		juliet, _ := enabled(t, s.Host)
		garden := s.Connect(t, "juliet@example.net/garden")
		garden.Send("<presence/>")
		garden.Clear()
		romeo.Send(chat("1"))
		juliet.Drop()
		time.Sleep(10 * time.Minute)
		s.Settle()
		garden.Expect(late("1"))
		romeo.ExpectNone()
		if seen.n != 1 { // what archives or copies has seen it once (smacks SM-92)
			t.Errorf("observed %d times", seen.n)
		}
	})
}

// observer counts messages that arrive for accounts.
type observer struct{ n int }

func (*observer) Name() string { return "observer" }

func (x *observer) Register(r *mux.Registry) error {
	r.Observe(mux.ToAccount, mux.Message, func(context.Context, *mux.Event) { x.n++ })
	return nil
}

// A silent client is asked, by whoever wants to know whether it is there; once until
// it answers.
func TestProbe(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, smacks.Options{})
		juliet := s.Connect(t, julietFull)
		if juliet.Session.Ask() {
			t.Error("asked without stream management")
		}
		juliet.Send("<enable xmlns='urn:xmpp:sm:3' resume='true'/>")
		juliet.Clear()
		for range 2 {
			if !juliet.Session.Ask() {
				t.Error("not asked")
			}
		}
		s.Settle()
		juliet.Expect(ask)
		juliet.Send(ack("0"))
		time.Sleep(5 * time.Minute)
		juliet.ExpectNone() // it was there
	})
}

// A message of which another copy was acknowledged is not disposed of.
func TestDispositionOfCopies(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, smacks.Options{})
		romeo := s.Connect(t, romeoFull)
		a, _ := enabled(t, s.Host)
		b := s.Connect(t, "juliet@example.net/garden")
		b.Send("<presence/>", "<enable xmlns='urn:xmpp:sm:3' resume='true'/>")
		b.Clear()
		a.Clear()
		romeo.Send("<message to='juliet@example.net' type='chat' id='1'><body>x</body></message>")
		b.Send(ack("1"))
		a.Drop()
		b.Clear()
		b.Drop()
		time.Sleep(10 * time.Minute)
		s.Settle()
		romeo.ExpectNone() // it was seen
	})
}

// A session that waits is as good as one that is there: available, and asked.
func TestWaitingSessionIsThere(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, smacks.Options{})
		romeo := s.Connect(t, romeoFull)
		juliet, token := enabled(t, s.Host)
		juliet.Drop()
		romeo.Send("<message to='juliet@example.net' type='chat' id='1'><body>x</body></message>")
		romeo.ExpectNone()
		session := s.Mux().Sessions(mux.MustParseAddress("juliet@example.net"))[0]
		if !session.Available() || session.State() != mux.Hibernating {
			t.Errorf("available %v, %v", session.Available(), session.State())
		}
		c := resume(t, s.Host, token, "0")
		c.Expect(resumedWith(token, "0"), "<message from='"+romeoFull+"' to='juliet@example.net' type='chat' id='1'>{*}</message>", ask)
	})
}

// The session that has waited longest ends for the next (smacks SM-50).
func TestTooManyWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, smacks.Options{MaxWaiting: 2})
		romeo := s.Connect(t, romeoFull)
		for i := range 5 { // who is there takes no room
			c := s.Connect(t, fmt.Sprintf("juliet@example.net/live%d", i))
			c.Send("<enable xmlns='urn:xmpp:sm:3' resume='true'/>")
			c.Clear()
		}
		for _, r := range []string{"1", "2", "3"} {
			c := s.Connect(t, "juliet@example.net/"+r)
			c.Send("<enable xmlns='urn:xmpp:sm:3' resume='true'/>")
			romeo.Send(strings.Replace(chat(r), "balcony", r, 1))
			c.Clear()
			c.Drop()
			time.Sleep(time.Second)
		}
		s.Settle()
		romeo.Expect("<message type='error' id='1' from='juliet@example.net/1' to='" + romeoFull + "'>{*}</message>")
		if n := s.x.Stats(); n.Crowded != 1 || n.Waiting != 2 || n.Managed != 7 {
			t.Errorf("got %+v", n)
		}
	})
}

// Where elements of the protocol may not be (smacks SM-4, SM-11, SM-46, SM-70).
func TestMisplaced(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, smacks.Options{})
		c := s.Dial(t, "juliet@example.net")
		c.Send("<enable xmlns='urn:xmpp:sm:3'/>", ask, ack("0"))
		c.Expect(unexpected, unexpected, unexpected)
		c.Bind(&mux.BindOptions{Resource: "balcony"})
		c.Send(ask, ack("7"), ack("x"), "<x xmlns='urn:xmpp:sm:3'/>", "<resume xmlns='urn:xmpp:sm:3' previd='x' h='0'/>")
		c.Expect(unexpected, unexpected, unexpected, badRequest, unexpected)
		c.Send("<enable xmlns='urn:xmpp:sm:3' resume='1' max='60'/>", ask, "<enable xmlns='urn:xmpp:sm:3'/>")
		c.Expect("<enabled xmlns='urn:xmpp:sm:3' id='{*}' resume='true' max='60'/>", ack("0"), unexpected)
		c.Send("<message to='juliet@example.net/balcony'/>")
		c.Expect("<message from='"+julietFull+"' to='"+julietFull+"'/>", ask)
		c.Send(ask)
		c.Expect(ack("1"))
	})
}

// What comes right behind enable counts (smacks SM-22), although the answer to it
// waits for the store.
func TestPipelinedEnable(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, smacks.Options{})
		romeo := s.Connect(t, romeoFull)
		juliet := s.Connect(t, julietFull)
		juliet.Send("<presence/>", "<message to='"+romeoFull+"'/>")
		s.commits.Hold()
		juliet.Send("<enable xmlns='urn:xmpp:sm:3' resume='true'/>", "<message to='"+romeoFull+"'/>", "<message to='"+romeoFull+"'/>", ask)
		juliet.ExpectNone()
		romeo.Send(chat("1")) // behind enabled, if not before
		s.commits.Release()
		s.Settle()
		juliet.Expect("<enabled xmlns='urn:xmpp:sm:3' id='{*}' resume='true' max='600'/>", ack("0"), got("1"), ask)
		juliet.Send(ask)
		juliet.Expect(ack("2"))
		romeo.Clear()
	})
}

// A session without resumption ends with its connection (smacks SM-56).
func TestNotResumable(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, smacks.Options{})
		romeo := s.Connect(t, romeoFull)
		juliet := s.Connect(t, julietFull)
		juliet.Send("<presence/>", "<enable xmlns='urn:xmpp:sm:3'/>")
		juliet.Expect("<enabled xmlns='urn:xmpp:sm:3'/>")
		romeo.Send(chats(1, 2)...)
		juliet.Expect(got("1"), ask, got("2"))
		juliet.Send(ack("1"))
		juliet.Drop()
		romeo.Expect(lost("2"))
	})
}

// Of sessions that nobody could resume nothing is remembered, in place of those that
// somebody may ask about (smacks SM-67).
func TestOnlyTokensAreRemembered(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, smacks.Options{})
		juliet, token := enabled(t, s.Host)
		juliet.Close()
		for range 12 {
			c := s.Connect(t, julietFull)
			c.Send("<enable xmlns='urn:xmpp:sm:3'/>")
			c.Clear()
			c.Close()
		}
		s.Settle()
		resume(t, s.Host, token, "0").Expect(known("0"))
	})
}

// Requests are replayed as they were: a delay would make them invalid.
func TestReplayOfRequests(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, smacks.Options{})
		romeo := s.Connect(t, romeoFull)
		juliet, token := enabled(t, s.Host)
		romeo.Send("<iq type='get' to='"+julietFull+"' id='q'><q xmlns='urn:x'/></iq>", "<presence to='"+julietFull+"'/>")
		juliet.Clear()
		juliet.Drop()
		c := resume(t, s.Host, token, "0")
		c.Expect(resumedWith(token, "0"), "<iq type='get' from='"+romeoFull+"' to='"+julietFull+"' id='q'><q xmlns='urn:x'/></iq>",
			"<presence from='"+romeoFull+"' to='"+julietFull+"'><delay xmlns='urn:xmpp:delay' from='example.net' stamp='{*}'/></presence>", ask)
		romeo.Clear()
	})
}

// fleeting is a connection of a kind that cannot be replaced.
type fleeting struct{ sunk }

func (*fleeting) Resumable() bool { return false }

// Over such a connection there are acknowledgements, and no resumption.
func TestNotOverEveryTransport(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, smacks.Options{})
		c := &fleeting{sunk{keep: true}}
		st := s.Mux().NewStream(c, mux.Client)
		st.SetAccount(mux.MustParseAddress("juliet@example.net"))
		if _, err := st.Bind(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		receive(t, st, "<enable xmlns='urn:xmpp:sm:3' resume='true'/>")
		s.Settle()
		if c.last != "<enabled xmlns='urn:xmpp:sm:3'/>" {
			t.Errorf("got %s", c.last)
		}
		st.Gone(true)
	})
}

// Where to resume is said if it is configured (XEP-0198 §5).
func TestLocation(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, smacks.Options{Location: "[2001:db8::1]:5222"})
		juliet := s.Connect(t, julietFull)
		juliet.Send("<enable xmlns='urn:xmpp:sm:3' resume='true'/>")
		juliet.Expect("<enabled xmlns='urn:xmpp:sm:3' id='{*}' resume='true' max='600' location='[2001:db8::1]:5222'/>")
	})
}
