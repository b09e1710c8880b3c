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

// What a session has kept already counts as soon as it waits, and it does not wait if that
// is too much.
func TestTooMuchIsKeptToWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, smacks.Options{MaxAllBytes: 1000})
		romeo := s.Connect(t, romeoFull)
		juliet, _ := enabled(t, s.Host)
		tablet := s.Connect(t, "romeo@example.net/tablet")
		tablet.Send("<enable xmlns='urn:xmpp:sm:3' resume='true'/>")
		s.Settle()
		long := "<body>" + strings.Repeat("x", 600) + "</body>"
		romeo.Send("<message to='"+julietFull+"' type='headline'>"+long+"</message>", "<message to='romeo@example.net/tablet' type='headline'>"+long+"</message>")
		juliet.Drop()
		s.Settle()
		if n := s.x.Stats(); n.Waiting != 1 || n.WaitingBytes < 600 || n.Crowded != 0 {
			t.Errorf("%+v", n)
		}
		tablet.Drop()
		s.Settle()
		if n := s.x.Stats(); n.Waiting != 1 || n.WaitingBytes > 1000 || n.Crowded != 1 {
			t.Errorf("%+v", n)
		}
	})
}

// However a session stops waiting, there is room for another one then, and for what that
// keeps (smacks SM-47a).
func TestRoomWhenNobodyWaits(t *testing.T) {
	t.Parallel()
	for name, ends := range map[string]func(t *testing.T, s *site, id mux.SessionID, token string){
		"resumed":  func(t *testing.T, s *site, _ mux.SessionID, token string) { resume(t, s.Host, token, "1").Close() },
		"over":     func(*testing.T, *site, mux.SessionID, string) { time.Sleep(time.Minute) },
		"ended":    func(_ *testing.T, s *site, id mux.SessionID, _ string) { s.x.End(id) },
		"replaced": func(t *testing.T, s *site, _ mux.SessionID, _ string) { s.Connect(t, julietFull).Close() },
		"crashed":  func(t *testing.T, s *site, _ mux.SessionID, _ string) { s.open(t); time.Sleep(time.Minute) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSite(t, smacks.Options{Window: time.Minute, MaxAllWaiting: 1, MaxAllBytes: 1000})
				for range 5 {
					juliet, token := enabled(t, s.Host)
					id := juliet.Session.ID()
					romeo := s.Connect(t, romeoFull)
					romeo.Send(chat("1"))
					juliet.Clear()
					juliet.Drop()
					romeo.Send(chat("2"))
					s.Settle()
					romeo.ExpectNone()
					if n := s.x.Stats(); n.Waiting != 1 || n.Queued != 2 || n.Crowded != 0 || n.Overflowed != 0 {
						t.Fatalf("%+v", n)
					}
					ends(t, s, id, token)
					s.Settle()
					romeo.Clear()
					romeo.Close()
				}
			})
		})
	}
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

// While it is the server that does not read, the client may have answered: its
// connection is not given up (smacks SM-42).
func TestAckTimeoutWhileNotReading(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		s := newSite(t, smacks.Options{}, slow{gate})
		romeo := s.Connect(t, romeoFull)
		juliet, _ := enabled(t, s.Host)
		romeo.Send("<iq type='result' to='" + julietFull + "' id='1'/>")
		juliet.Expect("<iq type='result' from='"+romeoFull+"' to='"+julietFull+"' id='1'/>", ask)
		for range 2000 { // more than is taken from one stream at a time
			juliet.Write("<message to='" + romeoFull + "'/>")
		}
		juliet.Send(ack("1"))
		if !juliet.Stream.Waiting() {
			t.Fatal("the server takes it all")
		}
		time.Sleep(5 * time.Minute)
		juliet.ExpectNone()
		close(gate)
		time.Sleep(5 * time.Minute)
		juliet.ExpectNone()
		if n := s.x.Stats(); n.Timeouts != 0 || n.Queued != 0 {
			t.Errorf("afterwards: %+v", n)
		}
		romeo.Clear()
	})
}
