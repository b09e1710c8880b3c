package smacks_test

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
	"github.com/propolis-im/propolis/smacks"
)

// How often a client is asked: with the first stanza after a silence, with each tenth,
// and with each fortieth if they come faster than it could matter (smacks SM-39, SM-40);
// and with each message that comes slowly, as long as there are few.
func TestAskedSeldom(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		pause time.Duration // between two messages
		want  string        // which of 50 take the question along
	}{
		{0, "1 41"}, {time.Millisecond, "1 41"}, {6 * time.Millisecond, "1 11 21 31 41"}, {2 * time.Second, "1 2 3 4 5 6 7 8 9 11 16 21 26 31 36 41 46"}, {10 * time.Second, ""},
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

// A client is asked at the end of a burst of messages, so that it does not get them
// once more if it leaves; other stanzas are not worth that (smacks SM-40).
func TestAskedBehindBurst(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		make  func(id string) string
		after time.Duration
	}{
		{"messages", chat, 500 * time.Millisecond},
		{"presence", func(string) string { return "<presence to='" + julietFull + "'/>" }, 10 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newSite(t, smacks.Options{})
			romeo := s.Connect(t, romeoFull)
			juliet, _ := enabled(t, s.Host)
			begin := time.Now()
			for i := range 4 {
				romeo.Send(c.make(fmt.Sprint(i + 1)))
				if i == 0 {
					s.Settle()
					juliet.Send(ack("1"))
				}
				time.Sleep(100 * time.Millisecond)
			}
			last := begin.Add(300 * time.Millisecond)
			s.Settle()
			juliet.Clear()
			want := last.Add(c.after) // of the last message, or the second presence
			if c.name == "presence" {
				want = begin.Add(100 * time.Millisecond).Add(c.after)
			}
			time.Sleep(time.Until(want) - time.Millisecond)
			synctest.Wait()
			juliet.ExpectNone()
			time.Sleep(time.Millisecond)
			synctest.Wait()
			juliet.Expect(ask)
			juliet.Send(ack("4"))
			time.Sleep(time.Minute)
			synctest.Wait()
			juliet.ExpectNone()
		})
	}
}

// A client is asked well before the limit, although it could wait for more (smacks
// SM-41).
func TestAskedBeforeLimit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, smacks.Options{AskAfter: 1000, MaxQueue: 40})
		romeo := s.Connect(t, romeoFull)
		juliet, _ := enabled(t, s.Host)
		romeo.Send(chats(1, 2)...)
		juliet.Expect(got("1"), ask, got("2"))
		juliet.Send(ack("1"))
		romeo.Send(chats(3, 11)...)
		if all := strings.Join(juliet.Arrived(), ""); strings.Contains(all, "<r ") {
			t.Errorf("asked too early: %s", all)
		}
		juliet.Clear()
		romeo.Send(chat("12"))
		juliet.Expect(got("12"), ask)
	})
}

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

// Who is idle is asked later, if nothing else is for it meanwhile (smacks CSI-23a).
func TestIdleAskedLater(t *testing.T) {
	t.Parallel()
	for _, idle := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			s := newSite(t, smacks.Options{Idle: func(s *mux.Session) bool { return idle && s.JID().String() == julietFull }})
			romeo := s.Connect(t, romeoFull)
			juliet, _ := enabled(t, s.Host)
			romeo.Send(chats(1, 2)...)
			juliet.Expect(got("1"), ask, got("2"))
			juliet.Send(ack("1"))
			time.Sleep(10 * time.Second)
			synctest.Wait()
			if idle {
				juliet.ExpectNone()
				time.Sleep(50 * time.Second)
				synctest.Wait()
			}
			juliet.Expect(ask)
			juliet.Send(ack("2"))
			time.Sleep(10 * time.Second)
			romeo.Send(chat("3")) // what wakes it anyway takes the question along
			juliet.Expect(got("3"), ask)
			juliet.Send(ack("3"))
		})
	}
}

// A client that answers at once, and has not handled what it was sent, is not asked
// in circles, however much that is: it is asked again when more was sent, or later
// (smacks SM-39).
func TestNotAskedInCircles(t *testing.T) {
	t.Parallel()
	for _, n := range []int{3, 30} { // below and above what is high
		synctest.Test(t, func(t *testing.T) {
			s := newSite(t, smacks.Options{MaxQueue: 40})
			romeo := s.Connect(t, romeoFull)
			juliet, _ := enabled(t, s.Host)
			romeo.Send(chats(1, n)...)
			asked := 0
			for end := time.Now().Add(15 * time.Second); time.Now().Before(end) && asked < 100; {
				s.Settle()
				r := strings.Count(strings.Join(juliet.Arrived(), ""), "<r ")
				juliet.Clear()
				if asked += r; r > 0 {
					juliet.Send(ack("1")) // its handler is busy with the second
					continue
				}
				time.Sleep(100 * time.Millisecond)
			}
			if asked < 2 || asked > 4 {
				t.Errorf("%d stanzas: asked %d times within 15 s", n, asked)
			}
		})
	}
}

// halted is a connection that the server can stop reading.
type halted struct {
	sunk
	paused atomic.Bool
	closed atomic.Bool
}

func (c *halted) Paused() bool { return c.paused.Load() }
func (c *halted) Close(error)  { c.closed.Store(true) }

// Whose input is held back, such as by a limit on octets, may have answered: the time
// for that begins when it is read again (smacks SM-42).
func TestAckTimeoutWhilePaused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, smacks.Options{})
		romeo := s.Connect(t, romeoFull)
		c := new(halted)
		st := s.Mux().NewStream(c, mux.Client)
		st.SetAccount(mux.MustParseAddress("juliet@example.net"))
		if _, err := st.Bind(t.Context(), &mux.BindOptions{Resource: "balcony"}); err != nil {
			t.Fatal(err)
		}
		receive(t, st, "<enable xmlns='urn:xmpp:sm:3' resume='true'/>")
		s.Settle()
		c.paused.Store(true)
		romeo.Send(chat("1")) // takes the question along
		time.Sleep(10 * time.Minute)
		if c.closed.Load() {
			t.Error("given up although nobody reads what it says")
		}
		c.paused.Store(false)
		time.Sleep(time.Minute)
		synctest.Wait()
		if !c.closed.Load() {
			t.Error("not given up when its input is read")
		}
		st.Gone(false)
		s.Settle()
	})
}

// The end of a session is the end of waiting for its answer: nobody is given up later.
func TestNotOverdueBehindTheEnd(t *testing.T) {
	t.Parallel()
	for name, ends := range map[string]func(s *site, c *muxtest.Client){
		"closed": func(_ *site, c *muxtest.Client) { c.Close() },
		"ended":  func(s *site, c *muxtest.Client) { s.x.End(c.Session.ID()) },
		"lost":   func(_ *site, c *muxtest.Client) { c.Drop() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSite(t, smacks.Options{})
				romeo := s.Connect(t, romeoFull)
				juliet, _ := enabled(t, s.Host)
				romeo.Send(chat("1"))
				juliet.Expect(got("1"), ask)
				ends(s, juliet)
				s.Settle()
				juliet.Clear()
				time.Sleep(5 * time.Minute)
				s.Settle()
				romeo.Clear()
				juliet.ExpectNone()
				if n := s.x.Stats(); n.Timeouts != 0 {
					t.Errorf("%+v", n)
				}
			})
		})
	}
}
