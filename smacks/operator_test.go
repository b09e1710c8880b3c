package smacks_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/smacks"
)

// An inactive client is asked after more stanzas (smacks SM-40).
func TestInactive(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, smacks.Options{Idle: func(s *mux.Session) bool { return s.JID().String() == julietFull }})
		romeo := s.Connect(t, romeoFull)
		juliet, _ := enabled(t, s.Host)
		asked := func() int {
			s.Settle()
			defer juliet.Clear()
			return strings.Count(strings.Join(juliet.Arrived(), ""), "<r ")
		}
		romeo.Send(chat("1"))
		if n := asked(); n != 1 {
			t.Errorf("asked %d times, in the packet of the first", n)
		}
		romeo.Send(chats(2, 80)...)
		juliet.Send("<a xmlns='urn:xmpp:sm:3' h='1'/>")
		if n := asked(); n != 0 {
			t.Errorf("asked %d times", n)
		}
		time.Sleep(50 * time.Millisecond) // else it would be more still
		romeo.Send(chat("81"))
		if n := asked(); n != 1 {
			t.Errorf("asked %d times after 80 stanzas", n)
		}
	})
}

// A session that was restored is one among those that wait, and none when it goes on.
func TestRestoredCountsOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, smacks.Options{MaxAllWaiting: 1})
		_, token := enabled(t, s.Host)
		s.Settle()
		s.open(t) // after a crash
		for range 3 {
			again := resume(t, s.Host, token, "0")
			again.Expect("<resumed xmlns='urn:xmpp:sm:3' previd='"+token+"' h='0'/>", ask)
			again.Drop()
		}
	})
}

// How often a client is asked: with the first stanza after a silence, with each tenth,
// and with each fortieth if they come faster than it could matter (smacks SM-39, SM-40).
func TestAskedSeldom(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		pause time.Duration // between two messages
		want  string        // which of 50 take the question along
	}{
		{0, "1 41"}, {time.Millisecond, "1 41"}, {6 * time.Millisecond, "1 11 21 31 41"}, {2 * time.Second, "1 6 11 16 21 26 31 36 41 46"}, {10 * time.Second, ""},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newSite(t, smacks.Options{})
			romeo := s.Connect(t, romeoFull)
			juliet, _ := enabled(t, s.Host)
			asked, n := []string(nil), 0
			for i := range 50 {
				romeo.Send(chat(fmt.Sprint(i + 1)))
				synctest.Wait()
				for _, el := range juliet.Arrived() {
					switch {
					case el == ask:
						asked = append(asked, fmt.Sprint(n))
					case strings.HasPrefix(el, "<message "):
						n++
					}
				}
				juliet.Clear()
				if len(asked) > 0 && asked[len(asked)-1] == fmt.Sprint(n) {
					juliet.Send(ack(fmt.Sprint(n)))
				}
				time.Sleep(c.pause)
			}
			got := strings.Join(asked, " ")
			if c.want == "" { // each
				if len(asked) != 50 {
					t.Errorf("asked with %s; want each", got)
				}
			} else if got != c.want {
				t.Errorf("%v between two: asked with %s, want %s", c.pause, got, c.want)
			}
		})
	}
}

// Who can wake a client learns what there is to wake it for (smacks SM-45, SM-61).
func TestNotify(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var (
			mu   sync.Mutex
			told []string
		)
		s := newSite(t, smacks.Options{Notify: func(_ context.Context, e *mux.Event, n smacks.Notice) {
			what := fmt.Sprint(n.Kind)
			for _, el := range n.Stanzas {
				what += " " + el.ID()
			}
			if e.Account != n.Session.Account() {
				t.Error("not in a turn of its account")
			}
			mu.Lock()
			defer mu.Unlock()
			told = append(told, what)
		}})
		want := func(list ...string) {
			t.Helper()
			s.Settle()
			mu.Lock()
			defer mu.Unlock()
			if !slices.Equal(told, list) {
				t.Errorf("told %q, want %q", told, list)
			}
			told = nil
		}
		romeo := s.Connect(t, romeoFull)
		juliet, token := enabled(t, s.Host)
		romeo.Send(chat("1"))
		juliet.Expect(got("1"), ask)
		time.Sleep(30 * time.Second)
		want("0 1")
		time.Sleep(30 * time.Second)
		want("1 1")
		romeo.Send(chat("2"))
		want("2 2")
		juliet = resume(t, s.Host, token, "2")
		want("3")
		romeo.Send(chat("3"))
		juliet.Drop()
		want("1 3")
		time.Sleep(601 * time.Second)
		want("4")
	})
}

// There is a bound on all sessions that wait: the next ones do not (smacks SM-47).
func TestTooManyWaitInAll(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, smacks.Options{MaxAllWaiting: 1})
		romeo := s.Connect(t, romeoFull)
		first, token := enabled(t, s.Host)
		other := s.Connect(t, "romeo@example.net/tablet")
		other.Send("<enable xmlns='urn:xmpp:sm:3' resume='true'/>")
		s.Settle()
		first.Drop()
		other.Drop()
		s.Settle()
		if n := s.x.Stats(); n.Waiting != 1 || n.Crowded != 1 {
			t.Errorf("%+v", n)
		}
		resume(t, s.Host, token, "0").Expect("<resumed xmlns='urn:xmpp:sm:3' previd='"+token+"' h='0'/>", ask)
		other = s.Connect(t, "romeo@example.net/tablet")
		other.Send("<enable xmlns='urn:xmpp:sm:3' resume='true'/>")
		s.Settle()
		other.Drop()
		s.Settle()
		if n := s.x.Stats(); n.Waiting != 1 {
			t.Errorf("%+v", n)
		}
		romeo.ExpectNone()
	})
}

// There is a bound on what is kept for all of them: the session that goes beyond it
// ends, and its stanzas are disposed of.
func TestTooMuchWaitsInAll(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, smacks.Options{MaxAllBytes: 1000})
		romeo := s.Connect(t, romeoFull)
		juliet, _ := enabled(t, s.Host)
		juliet.Drop()
		n := 0
		for s.x.Stats().Waiting == 1 && n < 20 {
			n++
			romeo.Send(chat(fmt.Sprint(n)))
			s.Settle()
		}
		if n < 3 || n == 20 {
			t.Errorf("ended with stanza %d", n)
		}
		back := strings.Count(strings.Join(romeo.Arrived(), ""), "type='error'")
		if back != n {
			t.Errorf("%d of %d messages came back", back, n)
		}
	})
}

// Operators see sessions and can end them (smacks API-15).
func TestSessions(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, smacks.Options{})
		romeo := s.Connect(t, romeoFull)
		juliet, token := enabled(t, s.Host)
		juliet.Drop()
		romeo.Send(chat("1"), chat("2"))
		list := s.x.Sessions(mux.MustParseAddress("juliet@example.net"))
		if len(list) != 1 || list[0].State != mux.Hibernating || list[0].Queued != 2 || list[0].Bytes == 0 || list[0].JID.String() != julietFull ||
			!list[0].Managed || !list[0].Resumable || list[0].Since.IsZero() {
			t.Fatalf("%+v", list)
		}
		if all := s.x.Sessions(mux.Address{}); len(all) != 2 {
			t.Errorf("%+v", all)
		}
		if !s.x.End(list[0].ID) {
			t.Error("it was not there")
		}
		s.Settle()
		if s.x.End(list[0].ID) {
			t.Error("it is still there")
		}
		resume(t, s.Host, token, "0").Expect("<failed xmlns='urn:xmpp:sm:3' h='0'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>")
		if n := strings.Count(strings.Join(romeo.Arrived(), ""), "type='error'"); n != 2 {
			t.Errorf("%d came back", n)
		}
	})
}

// After counters that cannot be, what is not acknowledged goes to no other session: the
// client may have had it (smacks SM-95).
func TestNotElsewhereAfterBadCounter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, smacks.Options{})
		romeo := s.Connect(t, romeoFull)
		juliet, _ := enabled(t, s.Host)
		other := s.Connect(t, "juliet@example.net/chamber")
		other.Send("<presence/>")
		s.Settle()
		other.Clear()
		juliet.Clear()
		romeo.Send(chat("1"), chat("2"))
		juliet.Send("<a xmlns='urn:xmpp:sm:3' h='1'/>", "<a xmlns='urn:xmpp:sm:3' h='9'/>")
		s.Settle()
		if all := strings.Join(other.Arrived(), ""); strings.Contains(all, "<message") {
			t.Errorf("the other session got %s", all)
		}
		romeo.Expect("<message type='error' id='2' from='" + julietFull + "' to='" + romeoFull + "'>{*}</message>")
	})
}
