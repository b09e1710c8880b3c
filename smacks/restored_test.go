package smacks_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
	"github.com/propolis-im/propolis/smacks"
)

// A session hibernates while it is fed, and the process crashes, and once more when the
// client has got all: what had waited behind the feed has its place in the store by then
// (smacks SM-96).
func TestFI28CrashWhileFedTwice(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		feed := bulk{make(chan []string)}
		s := newSite(t, smacks.Options{}, feed)
		romeo := s.Connect(t, romeoFull)
		p := newPhone(t, s)
		p.mute = true
		p.c.Send(askBulk)
		feed.page <- []string{"f1"}
		romeo.Send(chats(1, 2)...) // wait behind the feed
		p.read()
		p.c.Drop()
		s.open(t)
		p.back(s)
		p.read()
		s.Settle()
		s.open(t)
		p.mute = false
		p.back(s)
		p.read()
		p.want("f1", "bulk", "1", "2")
	})
}

// What waits behind a feed has a place of its own in the store, also while others are
// there that have waited since before a crash (smacks SM-96).
func TestFI28CrashWhileFedAgain(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 2, 3} { // so many have
		synctest.Test(t, func(t *testing.T) {
			feed := bulk{make(chan []string)}
			s := newSite(t, smacks.Options{}, feed)
			romeo := s.Connect(t, romeoFull)
			p := newPhone(t, s)
			id := p.c.Session.ID()
			p.mute = true
			p.c.Send(askBulk)
			romeo.Send(chats(1, n)...)
			s.Settle()
			s.open(t)
			// It is fed again right behind the take-over, before that is saved.
			gate, stop := make(chan struct{}), make(chan struct{})
			session := s.Mux().SessionByID(id)
			s.Mux().Go(session.Account(), func(context.Context, *mux.Event) { <-gate })
			s.Settle()
			s.Mux().Go(session.Account(), func(_ context.Context, e *mux.Event) {
				session.Feed(func(context.Context, func(mux.Item)) (bool, error) { <-stop; return false, nil })
				e.Deliver(mux.Item{Stanza: must(t, "<message to='"+julietFull+"' id='behind'/>")}, session)
			})
			s.Settle()
			p.back(s)
			s.Settle()
			close(gate)
			s.Settle()
			p.c.Clear() // it was cut before anything of that arrived
			s.open(t)
			close(stop)
			p.mute = false
			p.back(s)
			p.read()
			p.want(append(append([]string{"bulk"}, ids(1, n)...), "behind")...)
		})
	}
}

// What waits behind a feed is kept for sessions that can be resumed, and only stanzas
// are: nothing else comes again.
func TestWaitingIsKeptForWhoResumes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		enable string
		want   int
	}{{"", 0}, {"<enable xmlns='urn:xmpp:sm:3'/>", 0}, {"<enable xmlns='urn:xmpp:sm:3' resume='true'/>", 2}} {
		synctest.Test(t, func(t *testing.T) {
			feed := bulk{make(chan []string)}
			s := newSite(t, smacks.Options{}, feed)
			romeo := s.Connect(t, romeoFull)
			juliet := s.Connect(t, julietFull)
			for _, el := range []string{"<presence/>", c.enable, askBulk} {
				if el != "" {
					juliet.Send(el)
				}
			}
			s.Settle()
			juliet.Clear()
			romeo.Send(chat("1"))
			s.Mux().Go(juliet.Session.Account(), func(_ context.Context, e *mux.Event) {
				e.Deliver(mux.Item{Stanza: must(t, "<hint xmlns='urn:x'/>")}, juliet.Session)
			})
			s.Settle()
			saved, err := s.store.Load(t.Context(), time.Now())
			n := 0
			for i := range saved {
				n += len(saved[i].Entries)
			}
			if err != nil || n != c.want { // the answer to the request and the message
				t.Errorf("%q: kept %+v, %v; want %d", c.enable, saved, err, c.want)
			}
			close(feed.page)
			s.Settle()
			if got := strings.Join(juliet.Arrived(), ""); !strings.Contains(got, "<hint ") || !strings.Contains(got, "id='1'") {
				t.Errorf("got %s", got)
			}
			juliet.Clear()
		})
	}
}

// What is kept and cannot be read is logged; the rest comes.
func TestKeptButUnreadable(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := new(logged)
		s := newSite(t, smacks.Options{Logger: slog.New(log)})
		romeo := s.Connect(t, romeoFull)
		p := newPhone(t, s)
		romeo.Send(chats(1, 2)...)
		p.c.Clear()
		id := p.c.Session.ID().String()
		bad := smacks.Entry{Row: 3, Number: 3, Sent: true, Item: []byte("\x00no item")}
		if err := s.store.Append(id, bad)(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		s.open(t)
		if got := strings.Join(log.all, ", "); !strings.Contains(got, "cannot be read") {
			t.Errorf("logged: %s", got)
		}
		p.back(s)
		p.read()
		p.want("1", "2")
	})
}

// FI-28: a stanza whose effects must not come twice counts as soon as they are there,
// told or not: after a crash the client does not send it again (smacks SM-28).
func TestFI28EffectsCount(t *testing.T) {
	t.Parallel()
	for _, el := range []string{
		"<message to='" + romeoFull + "'/>",
		"<presence><show>away</show></presence>",
		"<presence type='unavailable'/>",
		"<presence to='romeo@example.net' type='subscribe'/>",
		"<iq type='set' id='1' to='example.net'><x xmlns='urn:x'/></iq>",
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newSite(t, smacks.Options{})
			romeo := s.Connect(t, romeoFull)
			juliet, token := enabled(t, s.Host)
			juliet.Send(el)
			s.Settle()
			romeo.Clear()
			juliet.Clear()
			s.open(t)
			c := resume(t, s.Host, token, "0")
			if got := c.Arrived(); len(got) == 0 || got[0] != resumedWith(token, "1") {
				t.Errorf("%s: got %q", el, got)
			}
			c.Clear()
		})
	}
}

// What was handled at a shutdown counts after it, whatever it led to.
func TestShutdownKnowsAllThatIsHandled(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, smacks.Options{})
		juliet, token := enabled(t, s.Host)
		juliet.Send(answer, answer)
		s.Settle()
		s.Restart(smacks.New(&s.store, &s.opt))
		juliet.Clear()
		resume(t, s.Host, token, "0").Expect(resumedWith(token, "2"), ask)
	})
}

// A session ends while something that its client has sent is in progress. What failed
// says of it afterwards has that as well, when it is finished, and that stays so (smacks
// SM-67).
func TestHandledBehindTheEnd(t *testing.T) {
	t.Parallel()
	for _, crash := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			gate := make(chan struct{})
			s := newSite(t, smacks.Options{}, slowArrival{gate})
			juliet, token := enabled(t, s.Host)
			juliet.Send("<message to='mercutio@example.net' id='slow'/>", answer)
			s.Settle()
			s.x.End(juliet.Session.ID())
			s.Settle()
			juliet.Clear()
			resume(t, s.Host, token, "0").Expect(known("0"))
			close(gate)
			s.Settle()
			resume(t, s.Host, token, "0").Expect(known("2"))
			if crash {
				s.open(t)
			} else {
				s.Restart(smacks.New(&s.store, &s.opt))
			}
			resume(t, s.Host, token, "0").Expect(known("2"))
		})
	}
}

// FI-28: the same, and the server crashes behind the commit with what the stanza has
// led to. A client that is told less would send that once more.
func TestFI28HandledBehindTheEnd(t *testing.T) {
	t.Parallel()
	for _, committed := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			gate := make(chan struct{})
			s := newSite(t, smacks.Options{}, slowArrival{gate})
			juliet, token := enabled(t, s.Host)
			s.Settle()
			s.commits.Hold()
			juliet.Send("<message to='mercutio@example.net' id='slow'/>")
			s.Settle()
			s.x.End(juliet.Session.ID())
			s.Settle()
			juliet.Clear()
			close(gate)
			s.Settle()
			want := resumedWith(token, "0")
			if committed {
				s.commits.Commit()
				s.Settle()
				want = known("1")
			}
			s.open(t)
			c := resume(t, s.Host, token, "0")
			if got := c.Next(); got != want {
				t.Errorf("committed %v: got %s, want %s", committed, got, want)
			}
			c.Clear()
		})
	}
}

// What is asked before the answer to enable is answered behind it, in order: requests
// by an acknowledgement, and more of enable by failed (smacks SM-11, SM-33).
func TestAskedWhileEnabling(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		s := newSite(t, smacks.Options{})
		juliet := s.Connect(t, julietFull)
		const enable = "<enable xmlns='urn:xmpp:sm:3' resume='true'/>"
		s.Mux().Go(juliet.Session.Account(), func(context.Context, *mux.Event) { <-gate })
		s.Settle()
		for _, el := range []string{enable, ask, enable, enable} {
			juliet.Write(el)
		}
		s.Settle()
		juliet.ExpectNone()
		close(gate)
		s.Settle()
		juliet.Expect("<enabled xmlns='urn:xmpp:sm:3' id='{*}' resume='true' max='600'/>", ack("0"), unexpected, unexpected)
		juliet.Send(ask)
		juliet.Expect(ack("0"))
	})
}

// How many were handled is known however many they are (smacks SM-25).
func TestRestoredFarAhead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, smacks.Options{})
		juliet, token := enabled(t, s.Host)
		juliet.Send(answer, ask)
		juliet.Expect(ack("1"))
		id := juliet.Session.ID().String()
		s.Restart(smacks.New(&s.store, &s.opt))
		juliet.Clear()
		const near = 1<<32 - 3
		for _, n := range []uint32{1<<31 - 1, near} {
			if err := s.store.Note(id, smacks.Counters{Handled: n})(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
		}
		s.open(t)
		resume(t, s.Host, token, "0").Expect(resumedWith(token, fmt.Sprint(uint32(near-1))), ask) // one was before enable
	})
}

// What is in progress when a client enables it was sent before: it never counts, whenever
// it is finished (smacks SM-22), nor when the session has ended by then (SM-67).
func TestEnabledWhileBusy(t *testing.T) {
	t.Parallel()
	for _, ends := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			gate := make(chan struct{})
			s := newSite(t, smacks.Options{}, slowArrival{gate})
			juliet := s.Connect(t, julietFull)
			juliet.Send("<message to='mercutio@example.net' id='slow'/>", "<iq type='get' id='1' to='@'><x xmlns='urn:x'/></iq>")
			s.Settle()
			juliet.Clear()
			juliet.Send("<enable xmlns='urn:xmpp:sm:3' resume='true'/>")
			captured := muxtest.Captures{}
			juliet.ExpectWith(captured, "<enabled xmlns='urn:xmpp:sm:3' id='${id}' resume='true' max='600'/>")
			if ends {
				s.x.End(juliet.Session.ID())
				s.Settle()
				juliet.Clear()
				close(gate)
				s.Settle()
				resume(t, s.Host, captured["id"], "0").Expect(known("0"))
				return
			}
			juliet.Send(answer, ask)
			juliet.Expect(ack("0"))
			close(gate)
			s.Settle()
			if got := acks(juliet); got != "1" {
				t.Errorf("told %s", got)
			}
		})
	}
}
